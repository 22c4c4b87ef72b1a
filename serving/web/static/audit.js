// What the audit found of the attackers, in words; `findings` are those of /demo/facts.

const floors = { mean_image: "the mean image", task_output: "an attack from the task output" };
const sources = { task_output: "the task output alone", unprotected: "an unprotected code" };
const percent = (share) => `${Math.round(100 * share)}\u00a0%`;

// The face similarity of an attacker's pictures; null where it was not measured.
export function similarity(findings, name) {
  return findings.attackers?.[name]?.face_similarity ?? null;
}

// The figure, beside that of the same attacker without the code; where its picture is not shown
// (`hasOutput`), beside the audit's floor.
export function likeness(findings, name, hasOutput) {
  const figure = similarity(findings, name);
  if (figure === null) return "Face similarity not measured.";
  return `Face similarity ${figure.toFixed(2)}${besideIt(findings, name, hasOutput)}.`;
}

function besideIt(findings, name, hasOutput) {
  const same = hasOutput ? similarity(findings, "task_output") : null;
  if (same !== null && name === "task_output") return "";
  if (same !== null) return ` (from the task output ${same.toFixed(2)})`;
  if (!findings.floor) return "";
  const whose = isAnothers(findings) ? ", another attacker’s" : "";
  return ` (floor ${findings.floor.value.toFixed(2)}${whose})`;
}

// Whether the floor is known to be of another attacker than the pictures.
function isAnothers({ floor, attackers }) {
  const own = attackers?.protected?.attack;
  return Boolean(floor.attack && own && floor.attack !== own);
}

// What the figures are and how high they get.
export function ruler(findings) {
  const { floor, images, worst } = findings;
  const whose = floor && isAnothers(findings)
    ? ` (${floor.attack}, another attacker than the pictures’)`
    : "";
  const source = worst?.attack.replace("task_output/", "from the task output: ");
  const sentences = [
    "Face similarity says how alike an identity network finds two faces: 1 for the same picture, " +
      "about 0 for another person’s.",
    "The figures are of the run’s audit, which measured the attackers on " +
      `${images ?? "its"} test faces; they are not this photo’s.`,
    floor ? `The audit’s floor, ${floor.value.toFixed(2)}, is what ${floors[floor.name]}${whose} ` +
      "reaches without the code." : "",
    worst?.value ? `The worst of the audit’s ${worst.attackers} attackers on this code ` +
      `(${source}) reaches ${worst.value.toFixed(2)}.` : "",
  ];
  return sentences.filter(Boolean).join(" ");
}

// A leakage of 0 is no proof that nothing leaks: it is of one measure, and of these attackers.
export function leaks({ leakage, leakage_ci95: interval, why_no_leakage: why }) {
  if (leakage === undefined) return "";
  if (leakage === null) return why ? `This code’s leakage is not known: ${why}.` : "";
  const between = interval
    ? `95 % interval: ${percent(interval[0])} to ${percent(interval[1])}`
    : "without an interval: computed from the audits of both encoders";
  return `Leakage by face similarity: ${percent(leakage)} (${between}). That is the share of ` +
    "what an unprotected code tells of a face beyond the floor, by the audit’s attackers.";
}

// A sentence on rank 1 by one of the two ways, pictures or embeddings.
export function ranked([way, shares]) {
  const others = Object.keys(sources).filter((name) => (shares[name] ?? null) !== null)
    .map((name) => `from ${sources[name]}: ${percent(shares[name])}`);
  const beside = others.length ? ` (${others.join(", ")})` : "";
  const means = way === "pictures" ? "the best attacker’s pictures" : "a face embedding";
  return `With ${means} from this code the right person is found first in ` +
    `${percent(shares.code)} of the cases${beside}.`;
}
