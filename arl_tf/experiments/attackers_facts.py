"""attackers.json: what the audit says of shipped attackers; and the attackers stage in words."""

import pathlib
from collections.abc import Mapping
from typing import Any

from arl_tf.auditing import remarks
from arl_tf.auditing.attack_runs import FLOOR_PREFIX
from arl_tf.auditing.encoders.audited import AuditedEncoder
from arl_tf.config.scopes import marked
from arl_tf.config.settings import Config
from arl_tf.experiments import run_directory
from arl_tf.experiments.run_directory import RunDirectory
from arl_tf.report import identity_words, report_files, summary, wording
from arl_tf.utils import publishing

MEASURE, RANK = "face_similarity", "reid_rank1"
PROTECTED, UNPROTECTED, TASK_OUTPUT = "protected", "unprotected", "task_output"
NOT_AUDITED = "this encoder was not audited on T, so there are no figures"
NO_REFERENCE = "no unprotected encoder was named (--reference)"
ITSELF_UNPROTECTED = "this is an unprotected encoder itself"
TARGETS = {
    PROTECTED: "this encoder's code",
    UNPROTECTED: "the unprotected code",
    TASK_OUTPUT: "the task output",
}


def audit_of(run: RunDirectory, audited_encoder: AuditedEncoder) -> dict[str, Any] | None:
    """report.json of a run's audit of T, where it is of this very encoder's codes; else None.

    An audit behind a channel is one of other codes.
    """
    folder = run.audit("test")
    if not (folder / report_files.REPORT_JSON).exists():
        return None
    content = report_files.read_content(folder)
    is_of_encoder = content["provenance"]["encoder_sha256"] == audited_encoder.sha256
    return content if is_of_encoder and not content["codes"]["channel"] else None


def similarities(content: Mapping[str, Any] | None, *, floor: bool = False) -> dict[str, Any]:
    """Attack -> face similarity {"value", "ci95"}, as far as it was measured; empty without audit.

    Args:
        content: of report.json.
        floor: those on the task output alone instead of those on the code.
    """
    if content is None:
        return {}
    attacks = content.get("floor_attacks", ()) if floor else content["attacks"]
    return {
        each["name"].removeprefix(FLOOR_PREFIX): each[MEASURE]
        for each in attacks
        if each[MEASURE]["value"] is not None
    }


def measured_leakage(
    run: RunDirectory,
    content: Mapping[str, Any] | None,
    reference: RunDirectory | None,
    unprotected: Mapping[str, Any] | None,
) -> tuple[dict[str, Any] | None, str]:
    """Leakage by face similarity, and why there is none where there is none.

    The audit's own figure, where it had a reference. Else it is computed from the reports of both
    encoders, and has no interval.

    Args:
        run: whose encoder is shipped.
        content: of its audit; None without.
        reference: the unprotected run; None without.
        unprotected: of the reference's audit; None without.
    """
    if content is None:
        return None, NOT_AUDITED
    if content["worst"][MEASURE]["value"] is None:
        return None, "the images are not taken to be of faces, so face similarity is not measured"
    if content["leakage"][MEASURE]["value"] is not None:
        return content["leakage"][MEASURE], ""
    if reference is None:
        return None, NO_REFERENCE
    if unprotected is None:
        return None, "the unprotected encoder was not audited on T"
    different = differing_audits(run, reference)
    if different:
        return None, f"both encoders were audited differently: {', '.join(different)}"
    share = leakage_of_means(content, unprotected)
    if share is None:
        return None, "the unprotected code gives away no more than the floor"
    return {"value": share, "ci95": None}, ""


def differing_audits(run: RunDirectory, reference: RunDirectory) -> list[str]:
    """Flags in which two runs' audits of T differ, so that leakage would compare unlike things."""
    recorded = [
        run_directory.finished_stages(each).get("audit_test", {}) for each in (run, reference)
    ]
    names = (*marked(Config, "shared", value="audit"), *marked(Config, "shared", value="model"))
    now = {name: recorded[0][name] for name in (*names, "seed") if name in recorded[0]}
    return run_directory.differing_settings(recorded[1], now)


def leakage_of_means(content: Mapping[str, Any], unprotected: Mapping[str, Any]) -> float | None:
    """`leakage.leakage` from two reports' means; None where the reference is below the floor."""
    on_code, on_unprotected = similarities(content), similarities(unprotected)
    shared = [on_unprotected[name]["value"] for name in on_code if name in on_unprotected]
    if shared:
        on_output = similarities(unprotected, floor=True)
        both = on_output.keys() & similarities(content, floor=True).keys()
        shared += [on_output[name]["value"] for name in both]
    floors = [
        each[MEASURE]["value"]
        for each in content["floors"].values()
        if each[MEASURE]["value"] is not None
    ]
    if not shared or not floors or max(shared) <= max(floors):
        return None
    # Whoever has the code can show the floor, too.
    worst = max(*floors, *(each["value"] for each in on_code.values()))
    return (worst - max(floors)) / (max(shared) - max(floors))


def told(name: str, facts: Mapping[str, Any], folder: pathlib.Path) -> dict[str, Any]:
    """An attacker's facts and size; what is attacked is named in its words.

    Args:
        name: PROTECTED, UNPROTECTED or TASK_OUTPUT.
        facts: with "words", as of an attacker on codes.
        folder: of its SavedModel.
    """
    words = wording.of_task_output(facts["words"]) if name == TASK_OUTPUT else facts["words"]
    return {**facts, "words": words, "bytes": size_of(folder)}


def audited_facts(
    content: Mapping[str, Any] | None, unprotected: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What attackers.json repeats of an audit: floors, the worst attack, rank 1, warnings.

    Args:
        content: report.json of the run's audit; None without.
        unprotected: the same of the reference's; None without, and where the two can't be compared.
    """
    if content is None:
        return {"floors": None, "worst": None, "measured_on": None, "rank1": {}, "warnings": []}
    return {
        "floors": {name: each[MEASURE] for name, each in content["floors"].items()},
        "worst": {**content["worst"][MEASURE], "attackers": number_of_attackers(content)},
        "measured_on": {"images": content["measured_on"]["images"]},
        "rank1": rank_ones(content, unprotected),
        # `why_no_leakage` says this; where the stage computed a leakage it is not true.
        "warnings": [
            each for each in content["warnings"] if not each.startswith(remarks.NO_REFERENCE)
        ],
    }


def rank_ones(
    content: Mapping[str, Any], unprotected: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """How often attackers find the right person first, by pictures and by predicted embeddings.

    Args:
        content: report.json of the run's audit.
        unprotected: the same of the reference's, which tells of the unprotected code where the
            run's audit had no reference.

    Returns:
        Of `pictures` and `embeddings` those that were measured: code, task_output, unprotected ->
        the best attacker's share of the test images.
    """
    ways = {"embeddings": identity_words.best_worst(content, RANK)}
    if RANK in wording.shown_measures(content):
        ways["pictures"] = dict(
            zip(identity_words.SOURCES, summary.three(content, RANK), strict=True)
        )
    known = {way: found for way, found in ways.items() if found}
    for way, found in (rank_ones(unprotected) if unprotected else {}).items():
        if way in known and known[way][UNPROTECTED]["value"] is None:
            known[way] = {**known[way], UNPROTECTED: found["code"]}
    return known


def number_of_attackers(content: Mapping[str, Any]) -> int:
    """How many attacks the worst is the worst of: on the code and on the task output."""
    return len(content["attacks"]) + len(content.get("floor_attacks", ()))


def facts_lines(facts: Mapping[str, Any]) -> list[str]:
    """What the stage did, a line each for the terminal.

    Args:
        facts: of attackers.json.
    """
    lines = []
    for name, each in facts["attackers"].items():
        found = each[MEASURE]
        likeness = "not audited" if found is None else wording.format_estimate(found)
        lines.append(f"Attacker on {TARGETS[name]}: {each['attack']}, face similarity {likeness}")
    share = facts["leakage"]
    known = share is not None and share["value"] is not None
    lines.append(
        f"Leakage by face similarity: {wording.leakage_figure(share)}"
        if known
        else f"Leakage is not known: {facts.get('why_no_leakage') or NO_REFERENCE}"
    )
    if known and share["ci95"] is None:
        lines.append(
            "It has no interval: it is computed from the reports of both encoders. The run's report"
            " stays as it is; --stages=audit with the same --reference measures it there."
        )
    return lines


def size_of(folder: pathlib.Path) -> int:
    """Bytes of all files below a folder."""
    return sum(file["bytes"] for file in publishing.describe_files(folder).values())
