// The page: shows a photo, its code, what is read from it and what attackers make of it. The photo
// is encoded here; only its code is sent. Where that can't be done, the page says so beforehand.

import { leaks, likeness, ranked, ruler, similarity } from "/demo/audit.js";
import { load } from "/demo/encoder.js";
import { centredSquare, decode, paint, prepare } from "/demo/picture.js";

const LARGEST = 512; // side of the square that is shown, pixels
const valueFormat = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });
const REPLACED = [404, 409]; // HTTP's: this version of the encoder is no longer served
const FIRST = 8; // attributes shown before "Show all"
const element = (name) => document.getElementById(name);
const attacked = {
  protected: "The attacker’s picture from this encoder’s code",
  unprotected: "The attacker’s picture from an unprotected encoder’s code",
  task_output: "The attacker’s picture from the task output",
};
// In which order what is read stands, and when an attribute counts as there.
const orders = {
  multi_label: "Each attribute has its own threshold, so a “yes” may have a lower percentage " +
    "than a “no”. The “yes” stand first; in each group, what is farthest from 50 % stands first.",
  single_label: "The answer is the likeliest class; it stands first.",
};
const controls = ["file", "camera", "face"].map(element);
// Numbers of the latest photo that was encoded, choice of one, and wish about the camera.
let latest = 0;
let choices = 0;
let camera = 0;
let stream = null;
let facts = null; // of /demo/facts
let encoder = null; // null: the server encodes
let unprotected = null; // image -> the attacker's picture from the unprotected code
let current = null; // {pixels, size, what, own}: the photo at hand, as the encoder sees it

function say(text, isError = false) {
  element("state").textContent = text;
  element("state").classList.toggle("error", isError);
}

// --- What is known before there is a photo.

async function start() {
  try {
    await learn();
  } catch (error) {
    say(`The page can’t be used: ${error.message}`, true);
    return;
  }
  describe();
  for (const control of controls) control.disabled = false;
  if (!showsFaces()) {
    say("Choose a photo.");
    element("flow").setAttribute("aria-busy", "false");
    return;
  }
  await drawnFace();
}

// Whether the encoder is of faces; exports of older versions are.
const showsFaces = () => facts.trained_on?.faces !== false;

// What runs where. An export may be replaced between the facts and the encoder's file: then anew.
// All is known at once: until then photos are encoded where the page has said.
async function learn(again = false) {
  const told = await json(await fetch("/demo/facts"));
  let models = [null, null];
  try {
    if (told.encoder) models = await loaded(told);
  } catch (error) {
    if (REPLACED.includes(error.status) && !again) {
      await learn(true);
      return;
    }
    told.why_server = `LiteRT.js does not run in this browser (${error.message})`;
  }
  facts = told;
  [encoder, unprotected] = models;
}

// The encoder, and what makes the attacker's picture from the unprotected code, or null.
async function loaded({ litert, encoder: { url, gpu }, unprotected_in_browser: attacks }) {
  say("Loading the encoder into this browser …");
  return [
    await load(litert, url, gpu),
    attacks ? await load(litert, "/demo/unprotected.tflite", false) : null,
  ];
}

function describe() {
  const { code, trained_on: trained, noise } = facts;
  if (!showsFaces()) {
    document.title = "arl_tf: what a code tells";
    document.querySelector("h1").textContent = "What a code tells";
    element("photo_kind").textContent = "photo";
    element("face").hidden = true;
  }
  element("code_shape").textContent = code ? `, here ${numbers(code.shape)},` : "";
  element("trained").hidden = false;
  const words = trained
    ? `This encoder was trained on ${trained.words}.`
    : "This export does not say what its encoder was trained on.";
  // No line breaks behind the hyphens of a flag.
  const parts = words.split(/(\(?--\S+)/);
  element("trained").replaceChildren(
    ...parts.map((part, place) => (place % 2 ? worded("span", part) : part)),
  );
  element("where").textContent = encoder
    ? "Photos stay in this browser. It encodes them itself and sends only their codes."
    : "Photos are sent to the server of this page, which encodes them and keeps nothing: " +
      `${facts.why_server}.`;
  element("noise").hidden = noise === null;
  const changing = attacksHere().length
    ? "the code, what is read from it and the attackers’ pictures change"
    : "the code and what is read from it change";
  element("noise_words").textContent = noise
    ? `The encoder adds new random noise to every code, as a protection. So ${changing} a little ` +
      "every time, for the same photo, too."
    : "The encoder adds no noise: the same photo gives the same numbers every time.";
  element("again").hidden = !noise;
  describeAttackers();
}

const attacksHere = () => Object.keys(attacked).filter(canAttack);

function describeAttackers() {
  const { findings, commands, why_no_attackers: why } = facts;
  const missing = Object.keys(attacked).filter((name) => !canAttack(name));
  const found = Object.keys(attacked).filter((name) =>
    !missing.includes(name) && findings.attackers?.[name]);
  element("attacker").hidden = !found.length;
  element("attacker").textContent = whoAttacks(found);
  element("attacks").hidden = !attacksHere().length;
  element("lead_attack").hidden = !attacksHere().length;
  element("warning_words").textContent = attacksHere().length
    ? "It has learned from drawn faces only, and so have the attackers. On a photograph the " +
      "attributes, the attackers’ pictures and all figures below mean nothing."
    : "It has learned from drawn faces only. On a photograph what is read from the code means " +
      "nothing.";
  element("missing").hidden = !missing.length;
  const none = why ?? "This server was started without attackers.";
  element("missing_words").textContent = element("attacks").hidden
    ? `${none} These commands make them and start the server with them:`
    : "These commands make the attackers that are missing, and start the server with them:";
  element("commands").replaceChildren(...commands.map((command) => worded("code", command)));
  for (const name of Object.keys(attacked)) {
    element(name).nextElementSibling.textContent = missing.includes(name) ? "not made yet" : "";
    element(`${name}_finding`).textContent = missing.includes(name)
      ? ""
      : likeness(findings, name, !missing.includes("task_output"));
  }
  element("original_finding").textContent =
    Object.keys(attacked).some(isMeasured) ? "Face similarity 1.00: the same face." : "";
  describeFigures(findings);
}

function whoAttacks(names) {
  const words = new Set(names.map((name) => facts.findings.attackers[name].words));
  if (words.size === 1) return `The attacker, the same in every picture: ${[...words][0]}.`;
  const titles = names.map((name) => `${element(name).closest("figure").querySelector("h3")
    .textContent}: ${facts.findings.attackers[name].words}`);
  return `The attackers. ${titles.join("; ")}.`;
}

// An unprotected code is as good as the photo: where photos stay here, so does it.
function canAttack(name) {
  const isHere = name === "unprotected" && encoder;
  return isHere ? unprotected !== null : facts.attacked.includes(name);
}

// What the audit of the encoder found, without a figure of this photo.
function describeFigures({ rank1, warnings }) {
  element("ruler").hidden = !Object.keys(attacked).some(isMeasured);
  element("ruler").textContent = ruler(facts.findings);
  element("leakage").textContent = leaks(facts.findings);
  element("ranks").textContent = Object.entries(rank1 ?? {}).map(ranked).join(" ");
  element("warned").hidden = !warnings?.length;
  element("warnings").replaceChildren(...(warnings ?? []).map((words) => worded("li", words)));
}

function isMeasured(name) {
  return similarity(facts.findings, name) !== null;
}

function worded(tag, words) {
  const made = document.createElement(tag);
  made.textContent = words;
  return made;
}

const numbers = (shape) => `${shape.join("\u00a0×\u00a0")} numbers`;

async function json(response) {
  const answer = await response.json();
  if (!response.ok) throw Object.assign(new Error(answer.error), { status: response.status });
  return answer;
}

// --- A photo.

// The square that the encoder takes, small enough to be shown.
function draw(source, width, height) {
  const { side, left, top } = centredSquare(width, height, facts.fit);
  const photo = element("photo");
  photo.width = photo.height = Math.min(side, LARGEST);
  const context = photo.getContext("2d");
  context.fillRect(0, 0, photo.width, photo.height);
  context.drawImage(
    source, left, top, side, side, 0, 0, photo.width, photo.height);
}

// `own`: whether it is the user's; else it is this page's drawn face.
function take(source, width, height, what, own) {
  const size = facts.image_size ?? LARGEST;
  current = { pixels: prepare(source, width, height, size, facts.fit), size, what, own };
  draw(source, width, height);
  paint(element("original"), current.pixels, size);
  element("photo").setAttribute("aria-label", what);
  element("warning").hidden = !(own && facts.trained_on && !facts.trained_on.photographs);
  element("attacks").classList.toggle("unfit", !element("warning").hidden);
}

async function explain(again = false) {
  const number = ++latest;
  const photo = current;
  element("flow").setAttribute("aria-busy", "true");
  say("Encoding …");
  try {
    const answer = encoder ? await explainHere(photo) : await explainThere(photo);
    if (number !== latest) return;
    show(answer);
    say(`Shown: ${photo.what}.`);
  } catch (error) {
    if (number === latest && encoder && REPLACED.includes(error.status) && !again) {
      await explainAnew(number, photo);
    } else if (number === latest) {
      clear();
      say(`That did not work: ${error.message}`, true);
    }
  } finally {
    if (number === latest) element("flow").setAttribute("aria-busy", "false");
  }
}

// The server has another encoder by now. A photo that is prepared for it, too, is encoded anew, but
// never sent to the server unless the page has said so before the photo was chosen.
async function explainAnew(number, photo) {
  clear();
  try {
    const { fit } = facts;
    await learn();
    describe();
    // Of a photo that is being opened the page has said that it stays here.
    if (!encoder) choices += 1;
    if (number !== latest) return;
    if (encoder && facts.fit === fit && facts.image_size === photo.size) await explain(true);
    else say("The server has another encoder by now. Choose the photo again.", true);
  } catch (error) {
    if (number === latest) say(`That did not work: ${error.message}`, true);
  }
}

// Encodes here and sends the code.
async function explainHere({ pixels, size }) {
  // Both may be replaced while this waits; the code is for the task head of its own encoder.
  const [model, { version }] = [encoder, facts.encoder];
  const code = await model.run(model.inputsOf(pixels));
  const body = new Uint8Array(code.buffer, code.byteOffset, code.byteLength);
  const answer = await json(await fetch(
    `/demo/read?version=${version}`, { method: "POST", body }));
  const engine = model.accelerator === "webgpu" ? "on WebGPU" : "in WebAssembly";
  answer.stays = `It stayed in this browser: LiteRT.js encoded it here, ${engine}.`;
  if (unprotected) answer.reconstructions.unprotected = await attackHere(pixels, size);
  return answer;
}

async function attackHere(pixels, size) {
  const values = await unprotected.run(unprotected.inputsOf(pixels));
  const canvas = document.createElement("canvas");
  paint(canvas, values.map((value) => Math.round(255 * value)), size);
  return canvas.toDataURL();
}

// Sends the photo, as small as the encoder sees it.
async function explainThere({ pixels, size }) {
  const canvas = document.createElement("canvas");
  paint(canvas, pixels, size);
  const file = await new Promise((done) => canvas.toBlob(done, "image/png"));
  const body = await file.arrayBuffer();
  const answer = await json(await fetch("/demo/explain", { method: "POST", body }));
  answer.stays = "It was sent to this page’s server, " +
    `${size} × ${size} pixels of it, and encoded there: ${facts.why_server}.`;
  return answer;
}

// What was found in an earlier photo must not stand beside this one.
function clear() {
  element("code").removeAttribute("src");
  element("code").alt = "";
  element("code_size").textContent = element("stays").textContent = "";
  for (const name of Object.keys(attacked)) showAttack(name, null);
  element("more").hidden = true;
  element("order").textContent = "";
  element("attributes").replaceChildren();
}

function show({ code, task_kind, attributes, reconstructions, stays }) {
  element("stays").textContent = stays;
  element("code").src = code.picture;
  element("code").alt = `The code’s channels as ${code.shape.join(" × ")} grey values`;
  const sent = encoder ? "All that was sent" : "All that a device would send";
  element("code_size").textContent =
    `${sent}: ${numbers(code.shape)}, ${code.bytes.toLocaleString("en")} bytes. Shown as grey ` +
    "values.";
  showAttributes(attributes, task_kind);
  for (const name of Object.keys(attacked)) showAttack(name, reconstructions[name]);
}

function showAttack(name, picture) {
  element(name).parentElement.classList.toggle("shown", picture !== null);
  element(name).alt = picture ? attacked[name] : "";
  if (picture) element(name).src = picture;
  else element(name).removeAttribute("src");
}

function showAttributes(attributes, kind) {
  const expanded = element("more").getAttribute("aria-expanded") === "true";
  const items = kind === "regression" ? attributes.map(valueRow) : ordered(attributes, kind).map(row);
  element("attributes").replaceChildren(...items);
  element("order").textContent = orders[kind ?? "multi_label"] ?? "";
  element("more").hidden = attributes.length <= FIRST;
  expand(expanded);
}

function ordered(attributes, kind) {
  // Of classes the likeliest first; of attributes the surest, whether they are there or not.
  const rank = kind === "single_label"
    ? (one) => one.probability
    : (one) => Math.abs(one.probability - 0.5);
  const sorted = [...attributes].sort((one, other) => rank(other) - rank(one));
  const present = sorted.filter((one) => one.decision);
  return [...present, ...sorted.filter((one) => !one.decision)];
}

function valueRow({ name, value }) {
  const item = document.createElement("li");
  const label = document.createElement("span");
  label.textContent = name.replaceAll("_", " ");
  const number = document.createElement("span");
  number.className = "number value";
  number.textContent = valueFormat.format(value);
  item.append(label, number);
  return item;
}

function row({ name, probability, decision }) {
  const item = document.createElement("li");
  const label = document.createElement("span");
  label.textContent = `${name.replaceAll("_", " ")}: ${decision ? "yes" : "no"}`;
  const meter = document.createElement("meter");
  meter.value = probability;
  meter.setAttribute("aria-label", label.textContent);
  const number = document.createElement("span");
  number.className = "number";
  number.textContent = `${Math.round(100 * probability)} %`;
  item.append(label, meter, number);
  return item;
}

function expand(all) {
  element("more").setAttribute("aria-expanded", String(all));
  element("more").textContent = all ? "Show fewer" : "Show all";
  [...element("attributes").children].forEach((item, index) => {
    item.hidden = !all && index >= FIRST;
  });
}

// --- Where photos come from.

async function open(file, what, own = true) {
  stopCamera();
  const choice = ++choices;
  try {
    const bitmap = await decode(file);
    if (choice !== choices) return;
    take(bitmap, bitmap.width, bitmap.height, what, own);
    bitmap.close();
  } catch (error) {
    if (choice === choices) say(`“${what}” ${error.message}.`, true);
    return;
  }
  await explain();
}

async function drawnFace() {
  const response = await fetch("/demo/face.png");
  await open(await response.blob(), "a drawn face", false);
}

function stopCamera() {
  camera += 1;
  for (const track of stream ? stream.getTracks() : []) track.stop();
  stream = null;
  element("live").hidden = true;
}

async function startCamera() {
  stopCamera();
  const wish = camera;
  try {
    const granted = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user" } });
    if (wish !== camera) {
      // Granted after it was given up.
      for (const track of granted.getTracks()) track.stop();
      return;
    }
    stream = granted;
  } catch (error) {
    if (wish === camera) say(`The camera can’t be used: ${error.message}`, true);
    return;
  }
  element("video").srcObject = stream;
  element("live").hidden = false;
  await element("video").play();
  element("take").focus();
}

async function takePicture() {
  const video = element("video");
  choices += 1;
  take(video, video.videoWidth, video.videoHeight, "the camera’s picture", true);
  stopCamera();
  element("camera").focus();
  await explain();
}

element("file").addEventListener("change", (event) => {
  const [file] = event.target.files;
  if (file) open(file, file.name);
  event.target.value = "";
});
element("face").addEventListener("click", drawnFace);
element("again").addEventListener("click", () => explain());
element("camera").addEventListener("click", startCamera);
element("take").addEventListener("click", takePicture);
element("cancel").addEventListener("click", () => {
  stopCamera();
  element("camera").focus();
});
element("more").addEventListener("click", () =>
  expand(element("more").getAttribute("aria-expanded") !== "true"));
for (const name of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    element("drop").classList.toggle("over", name === "dragover");
    const [file] = name === "drop" ? event.dataTransfer.files : [];
    // Before the page knows where photos are encoded it takes none.
    if (file && element("file").disabled) say("Still loading: drop the photo again when it is done.");
    else if (file) open(file, file.name);
  });
}
start();
