"""report.json's content: what the attacks' measures mean, beside floors and reference."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from arl_tf import audit_run, intervals, leakage, linkage, metrics, probes, utility
from arl_tf.adversary import Evidence
from arl_tf.audit_evidence import Rows
from arl_tf.audit_run import FLOOR_PREFIX, Task
from arl_tf.config import Config
from arl_tf.data import ImageSet
from arl_tf.leakage import Reference, mean_estimate, tail_estimate, worst_estimate
from arl_tf.rulers import MEASURES, Originals
from arl_tf.subjects import Subject

# A gap between the audit's attackers and training's own adversary that deserves a warning.
PSNR_GAP, FACE_GAP, LEAKAGE_GAP = 1.0, 0.05, 0.1
NO_ESTIMATE = {"value": None, "ci95": None}


@dataclasses.dataclass(frozen=True)
class Findings:
    """What an audit has found before it is put into words.

    Attributes:
        config: of the audit.
        images: the data set.
        rows: who was who.
        subject: what was audited.
        evidence: what the attackers had.
        originals: the images under attack.
        tasks: the attacks that were run.
        facts: task name -> what is known of it (settings, seconds, held_out_loss, ...).
        measured: task name, "mean_image", "training_adversary" -> measure -> float64 [N].
        reference: the unprotected encoder's audit; None without.
        utility_codes: codes of `rows.utility`.
        public_embeddings: float32 [n, D] of the images of `rows.attacker`, by the judge of
            identity.
        fitted_head: whether the audit had to fit the task head.
        provenance: facts for the report.
    """

    config: Config
    images: ImageSet
    rows: Rows
    subject: Subject
    evidence: Evidence
    originals: Originals
    tasks: tuple[Task, ...]
    facts: Mapping[str, Mapping[str, Any]]
    measured: Mapping[str, Mapping[str, np.ndarray]]
    reference: Reference | None
    utility_codes: np.ndarray
    public_embeddings: np.ndarray
    fitted_head: bool
    provenance: Mapping[str, Any]

    def weights(self, rows: np.ndarray) -> np.ndarray:
        """Bootstrap resamples of the people on some rows; float64 [R, n]."""
        return metrics.identity_weights(
            self.images.identities[rows], self.config.bootstrap_samples, self.config.seed
        )


def assemble(found: Findings) -> dict[str, Any]:
    """report.json's content but for its verdict (the contract is in WORKSPACE.md)."""
    weights = found.weights(found.rows.target)
    chosen = chosen_tasks(found)
    on_code = {n: found.measured[t] for n, t in chosen.items() if not is_floor(n)}
    on_output = {n: found.measured[t] for n, t in chosen.items() if is_floor(n)}
    floors = {"mean_image": found.measured["mean_image"], **on_output}
    worst = {measure: worst_estimate(measure, on_code, weights) for measure in MEASURES}
    leaks = {
        measure: leakage.leakage(measure, on_code, floors, found.reference, weights)
        for measure in MEASURES
    }
    adversary = describe_adversary(found, weights)
    reference = None
    if found.reference:
        reference = leakage.describe_reference(found.reference, on_code, weights)
    tail_attack = worst["face_similarity"]["attack"]
    return {
        "level": found.config.audit,
        "utility": describe_utility(found),
        "floors": {
            "mean_image": estimates(found.measured["mean_image"], weights),
            "task_output": best_floor(on_output, weights),
        },
        "floor_attacks": [describe_attack(found, n, weights) for n in chosen if is_floor(n)],
        "attacks": [describe_attack(found, n, weights) for n in chosen if not is_floor(n)],
        "worst": worst,
        "tail": {
            "share": intervals.TAIL_SHARE,
            "images": intervals.tail_size(len(found.rows.target)),
            "attack": tail_attack,
            **tail_estimate(on_code[tail_attack], weights),
        },
        "leakage": leaks,
        "codes": describe_codes(found),
        "reference": reference,
        "training_adversary": adversary,
        "warnings": warnings(found, worst, adversary, reference),
        "assumptions": assumptions(found),
        "not_tested": not_tested(found),
        "measured_on": {
            "split": found.config.audit_split,
            "images": len(found.rows.target),
            "identities": len(np.unique(found.originals.identities)),
            "attacker_images": len(found.rows.attacker),
        },
        "provenance": dict(found.provenance),
    }


def is_floor(name: str) -> bool:
    """Whether an attack was on the task output alone."""
    return name.startswith(FLOOR_PREFIX)


def chosen_tasks(found: Findings) -> dict[str, str]:
    """Attack -> the task, of all its seeds, that counts: the one with the best held-out loss."""
    groups: dict[str, list[str]] = {}
    for task in found.tasks:
        groups.setdefault(task.name.partition("@")[0], []).append(task.name)
    return {
        name: min(tasks, key=lambda task: min(found.facts[task]["held_out_loss"]))
        for name, tasks in groups.items()
    }


def estimates(measures: Mapping[str, np.ndarray], weights: np.ndarray) -> dict[str, Any]:
    """Each measure's mean and the tail, with intervals."""
    described = {measure: mean_estimate(measures[measure], weights) for measure in MEASURES}
    return {**described, "tail": tail_estimate(measures, weights)}


def best_floor(
    on_output: Mapping[str, Mapping[str, np.ndarray]], weights: np.ndarray
) -> dict[str, Any]:
    """What the best attack on the task output alone gets; undefined where there is no output."""
    if not on_output:
        return {name: dict(NO_ESTIMATE) for name in (*MEASURES, "tail")}
    described = {measure: worst_estimate(measure, on_output, weights) for measure in MEASURES}
    by_face = described["face_similarity"]["attack"]
    return {**described, "tail": tail_estimate(on_output[by_face], weights)}


def describe_attack(found: Findings, name: str, weights: np.ndarray) -> dict[str, Any]:
    """One entry of `attacks`."""
    tasks = [task.name for task in found.tasks if task.name.partition("@")[0] == name]
    facts = found.facts[chosen_tasks(found)[name]]
    described = {
        "name": name,
        "knowledge": facts["knowledge"],
        "settings": {k: v for k, v in facts["settings"].items() if k != "late_gain"},
        "seconds": round(sum(found.facts[task]["seconds"] for task in tasks), 1),
        "held_out_loss": facts["held_out_loss"],
        "late_gain": facts["settings"].get("late_gain"),
        **estimates(found.measured[chosen_tasks(found)[name]], weights),
    }
    if len(tasks) > 1:
        described["seeds"] = {
            "count": len(tasks),
            **{m: spread([found.measured[t][m].mean() for t in tasks]) for m in MEASURES},
        }
    return described


def spread(values: Sequence[float]) -> dict[str, float]:
    """Lowest, highest and standard deviation over seeds."""
    return {
        "lowest": float(min(values)),
        "highest": float(max(values)),
        "deviation": float(np.std(values, ddof=1)),
    }


def describe_adversary(found: Findings, weights: np.ndarray) -> dict[str, Any] | None:
    """Training's own decoder on the codes under attack; None where none was trained."""
    if "training_adversary" not in found.measured:
        return None
    return estimates(found.measured["training_adversary"], weights)


def describe_utility(found: Findings) -> dict[str, Any]:
    """The report's `utility`; undefined without labels or a task head."""
    rows = found.rows.utility
    logits = None
    if found.subject.recorded_logits is not None:
        logits = found.subject.recorded_logits[rows]
    elif found.subject.task_output is not None:
        logits = found.subject.task_output(found.utility_codes)
    if logits is None or not found.images.attribute_names:
        nothing = {name: dict(NO_ESTIMATE) for name in ("mean_mcc", "accuracy", "roc_auc")}
        return {**nothing, "attributes": {}, "undefined_mcc": []}
    return utility.measure_utility(
        logits, found.images.attributes[rows], found.images.attribute_names, found.weights(rows)
    )


def describe_codes(found: Findings) -> dict[str, Any]:
    """The report's `codes`: size, linkage and probes, beside the same from the task output."""
    evidence, rows = found.evidence, found.rows
    target = evidence.target_codes
    linked = describe_linkage(found)
    best = max(
        (metric["code"]["auc"] for metric in linked.values() if metric["code"]),
        key=lambda auc: -1.0 if auc["value"] is None else auc["value"],
        default=dict(NO_ESTIMATE),
    )
    return {
        "linkage_auc": best,
        "linkage": linked,
        "attribute_probe": describe_attribute_probe(found),
        "identity_probe": describe_identity_probe(found),
        "shape": list(target.shape[1:]),
        "bytes": int(target[0].nbytes),
        "channel": None
        if found.subject.channel.is_identity
        else dataclasses.asdict(found.subject.channel),
        "images": len(rows.target),
    }


def describe_linkage(found: Findings) -> dict[str, Any]:
    """Can two codes of a person be linked? By each metric, and by the task output alone."""
    evidence, config = found.evidence, found.config
    # Without mirror images: they are no further pictures of a person.
    count = len(found.rows.attacker)
    shared = {
        "public_identities": found.images.identities[found.rows.attacker],
        "public_embeddings": found.public_embeddings,
        "samples": config.bootstrap_samples,
        "seed": config.seed,
    }
    targets = found.originals.identities
    on_code = linkage.link(
        evidence.target_codes, targets, public_codes=evidence.pairs.codes[:count], **shared
    )
    on_output = {}
    if evidence.task_outputs is not None:
        outputs = evidence.task_outputs
        on_output = linkage.link(
            outputs.target, targets, public_codes=outputs.public[:count], **shared
        )
    return {
        metric: {"code": values, "task_output": on_output.get(metric)}
        for metric, values in on_code.items()
    }


def describe_attribute_probe(found: Findings) -> dict[str, Any]:
    """Attributes that are not in the task, read from the code and from the task output."""
    images, rows, evidence = found.images, found.rows, found.evidence
    names = images.other_attribute_names
    if not names:
        return {}
    labels = images.other_attributes
    repeats = len(evidence.pairs.images) // len(rows.attacker)
    public_rows = np.concatenate([rows.attacker] * repeats)
    given = (labels[public_rows], labels[rows.held_out], labels[rows.target])

    def probe(public: np.ndarray, held_out: np.ndarray, target: np.ndarray):
        return probes.attribute_probe(
            public, given[0], held_out, given[1], target, given[2], names, seed=found.config.seed
        )

    pairs, outputs = evidence.pairs, evidence.task_outputs
    on_code = probe(pairs.codes, pairs.held_out_codes, evidence.target_codes)
    on_output = outputs and probe(outputs.public, outputs.held_out, outputs.target)
    described = {}
    for name, values in on_code.items():
        described[name] = {"mcc": max(values.values()), **values}
        if on_output:
            described[name] |= {f"task_output_{k}": v for k, v in on_output[name].items()}
    return described


def describe_identity_probe(found: Findings) -> dict[str, Any] | None:
    """Who of the public people is it? From the code, and from the task output."""
    if not found.images.identities_known:
        return None
    # Without mirror images: the left-out photo's would be among the examples.
    count = len(found.rows.attacker)
    identities = found.images.identities[found.rows.attacker]
    settings = {"seed": found.config.seed, "samples": found.config.bootstrap_samples}
    on_code = probes.identity_probe(found.evidence.pairs.codes[:count], identities, **settings)
    outputs = found.evidence.task_outputs
    if on_code is None or outputs is None:
        return on_code
    on_output = probes.identity_probe(outputs.public[:count], identities, **settings)
    return {**on_code, "task_output_accuracy": on_output["accuracy"]}


def warnings(
    found: Findings,
    worst: Mapping[str, Any],
    adversary: Mapping[str, Any] | None,
    reference: Mapping[str, Any] | None,
) -> list[str]:
    """What a reader must not overlook, in sentences."""
    said = []
    if adversary is not None:
        said += gap_warning(worst, adversary)
    growing = [
        name
        for name, task in chosen_tasks(found).items()
        if found.facts[task]["settings"].get("late_gain", 0) >= 0.01
    ]
    if growing:
        said.append(
            "More training might give these attackers more than 1 %:"
            f" {', '.join(growing)} (--attacker_steps)."
        )
    if reference is None:
        said.append("No unprotected reference: leakage is unknown (--reference=auto trains one).")
    elif found.reference.code_shape != found.evidence.target_codes.shape[1:]:
        said.append(
            f"The reference's code has the shape {found.reference.code_shape}, this one"
            f" {found.evidence.target_codes.shape[1:]}: leakage compares codes of different sizes."
        )
    if not found.images.identities_known:
        said.append("No identities are known: pictures of one person may stand on both sides.")
    return said


def gap_warning(worst: Mapping[str, Any], adversary: Mapping[str, Any]) -> list[str]:
    """The train-versus-audit gap in words, where it is large."""
    gaps = {m: worst[m]["value"] - adversary[m]["value"] for m in ("psnr", "face_similarity")}
    if gaps["psnr"] < PSNR_GAP and gaps["face_similarity"] < FACE_GAP:
        return []
    figures = ", ".join(
        f"{words} {worst[m]['value']:.{digits}f} against {adversary[m]['value']:.{digits}f}"
        for m, words, digits in (
            ("face_similarity", "face similarity", 3),
            ("psnr", "PSNR in dB", 1),
        )
    )
    return [
        "Fresh attackers do much better than the adversary that training fought"
        f" ({figures}): the encoder has learned to fool that one decoder, and what training logged"
        " of its privacy must not be quoted."
    ]


def assumptions(found: Findings) -> list[str]:
    """What the figures rest on, in sentences."""
    said = [
        "Attackers know the encoder's codes of"
        f" {len(found.rows.attacker)} public images and nothing of the people under attack.",
        "One code of a photo is seen, once.",
        "Faces are compared by an identity network; it may judge other groups of people worse"
        " than those it was trained on.",
    ]
    if found.config.codes:
        said.append("The images belong to the recorded codes: this can't be checked.")
    if found.fitted_head:
        said.append("The task head was fitted by the audit on the codes of X1.")
    if not found.subject.channel.is_identity:
        said.append(f"Every code passes a channel: {found.subject.channel.describe()['words']}.")
    return said


def not_tested(found: Findings) -> list[str]:
    """What this audit leaves open, in sentences."""
    said = audit_run.not_tested(found.config.audit, found.evidence)
    if found.subject.not_white_box:
        said.append(f"why no white-box attack: {found.subject.not_white_box}")
    if found.evidence.task_outputs is None:
        said.append("the floor from the task output: there is no task head and there are no labels")
    return said
