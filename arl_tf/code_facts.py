"""What a code tells besides pictures, beside what the task output alone tells."""

import dataclasses
from typing import Any

import numpy as np

from arl_tf import linkage, probes, utility
from arl_tf.findings import Findings


def describe_codes(found: Findings) -> dict[str, Any]:
    """The report's `codes`: size, linkage and probes, beside the same from the task output."""
    evidence, rows = found.evidence, found.rows
    target = evidence.target_codes
    linked = describe_linkage(found)
    best = max(
        (metric["code"]["auc"] for metric in linked.values() if metric["code"]),
        key=lambda auc: -1.0 if auc["value"] is None else auc["value"],
        default=utility.estimate(None),
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
