"""What a code tells besides pictures, beside what the task output alone tells."""

import dataclasses
from typing import Any

import numpy as np

from arl_tf.attacks import noise_views
from arl_tf.attacks.evidence import CodeNoise, Evidence
from arl_tf.attacks.regression import undone
from arl_tf.attacks.regression.attributes import attribute_scores
from arl_tf.attacks.regression.code_view import code_view
from arl_tf.auditing.candidates import match
from arl_tf.auditing.evidence_collection import on_task_output
from arl_tf.auditing.identity.runs import CODE, TASK_OUTPUT
from arl_tf.auditing.later_tasks import section as later_section
from arl_tf.auditing.measurements import Measurements
from arl_tf.auditing.near_duplicates import section as near_duplicates
from arl_tf.auditing.remarks import comparable_candidates
from arl_tf.metrics import linkage, probes
from arl_tf.models import capacity


def describe_codes(found: Measurements) -> dict[str, Any]:
    """The report's `codes`: size, linkage and probes, beside the same from the task output."""
    evidence, rows = found.evidence, found.rows
    target = evidence.target_codes
    seen = with_noise_undone(found)
    linked, best = describe_linkage(seen)
    return {
        "linkage_auc": best,
        "linkage": linked,
        "attribute_probe": describe_attribute_probe(seen),
        "identity_probe": describe_identity_probe(seen),
        "later_tasks": describe_later_tasks(found),
        "candidate_match": describe_candidates(found),
        "near_duplicates": near_duplicates.describe(
            found.near_duplicates,
            found.attacks,
            found.floors,
            found.reference,
            found.weights(rows.target),
        ),
        "shape": list(target.shape[1:]),
        "bytes": int(target[0].nbytes),
        "noisy": is_noisy(found),
        "codes_per_photo": found.settings.codes_per_photo,
        **describe_bits(found),
        **describe_task_output(found),
        "channel": None
        if found.audited_encoder.channel.is_identity
        else dataclasses.asdict(found.audited_encoder.channel),
        "share": found.audited_encoder.share and list(found.audited_encoder.share),
        "images": len(rows.target),
    }


def with_noise_undone(found: Measurements) -> Measurements:
    """What linkage and probes see: of the codes' noise, what can be undone is."""
    seen = undone.undone(found.evidence, found.settings.attacker)
    return found if seen is found.evidence else dataclasses.replace(found, evidence=seen)


def is_noisy(found: Measurements) -> bool | None:
    """Whether a code carries noise: that of the encoder, or that of the channel.

    None where nobody knows: only recorded codes are at hand.
    """
    audited_encoder = found.audited_encoder
    random = (
        audited_encoder.signal_share is not None
        or audited_encoder.channel.noise
        or found.evidence.random_codes
    )
    return None if not random and found.evidence.unknown_noise else bool(random)


def describe_bits(found: Measurements) -> dict[str, Any]:
    """How many bits the codes of a photo carry: at most, and as they are used.

    The ceiling is the least of what bounds it: float32's own 32 bits a value, levels, noise. Where
    attackers get n codes of each photo (--codes_per_photo) it is that of n codes: without noise all
    n are the same.
    """
    audited_encoder, values = (
        found.audited_encoder,
        int(np.prod(found.evidence.target_codes.shape[1:])),
    )
    codes = found.settings.codes_per_photo
    # How many of them are different as they leave, and as they come from the encoder.
    sent = codes if is_noisy(found) else 1
    encoded = codes if audited_encoder.signal_share is not None else 1
    ceilings = {capacity.UNBOUNDED: 32.0 * values * sent}
    for levels, times in (
        (audited_encoder.channel.levels, sent),
        (audited_encoder.levels, encoded),
    ):
        if levels:
            ceilings[f"{levels} levels"] = times * capacity.quantised_bits(values, levels)
    if audited_encoder.signal_share is not None:
        ceilings["noise"] = capacity.noisy_bits(audited_encoder.signal_share, codes=codes)
    if audited_encoder.channel.noise and audited_encoder.levels:
        # The channel limits what is noisy already. Levels alone bound the code before its noise.
        share = np.full(values, 1 / (1 + audited_encoder.channel.noise**2))
        outermost = capacity.outermost_level(audited_encoder.levels)
        bits = capacity.noisy_bits(share, outermost, codes // encoded)
        ceilings["the channel's noise"] = encoded * bits
    bound = min(ceilings, key=ceilings.get)
    return {
        "capacity_bits": ceilings[bound],
        "bounded_by": bound,
        "rate_bits": rate_bits(found),
        "packed_bytes": capacity.packed_bytes(values, audited_encoder.levels)
        if audited_encoder.levels
        else None,
    }


def rate_bits(found: Measurements) -> float | None:
    """Bits that the codes of the attackers' images carry at most; None where nothing bounds them.

    Measured on public images, so as not to touch those under attack.
    """
    audited_encoder, rows = found.audited_encoder, found.rows.attacker
    if audited_encoder.signal_share is not None:
        signals = audited_encoder.signal(np.asarray(found.images.images[rows]))
        inside = np.clip(signals, -capacity.SIGNAL_LIMIT, capacity.SIGNAL_LIMIT)
        return capacity.gaussian_rate_bits(
            inside, audited_encoder.signal_share, found.settings.codes_per_photo
        )
    # Noise on its way leaves nothing of a code's levels to count.
    if audited_encoder.levels and not audited_encoder.channel.noise:
        return capacity.entropy_bits(found.evidence.pairs.codes[: len(rows)])
    return None


def describe_task_output(found: Measurements) -> dict[str, Any]:
    """The trivial alternative: not a code but the task output is sent.

    It costs the device the task head's multiply-adds, too, and no other task can be learned from
    it later.
    """
    costs, logits = found.audited_encoder.multiply_adds, found.evidence.task_outputs
    return {
        "encoder_multiply_adds": costs and costs[0],
        "task_head_multiply_adds": costs and costs[1],
        "task_output_bits": logits and 32 * logits.target.shape[1],
        "task_decision_bits": logits and found.task.decision_bits(logits.target.shape[1]),
    }


def describe_linkage(found: Measurements) -> tuple[dict[str, Any], dict[str, Any]]:
    """Can two codes of a person be linked? By each metric, and by the task output alone.

    Then the highest AUC of all: whoever has the code can compute the task output.
    """
    evidence, config = found.evidence, found.settings
    # Without mirror images: they are no further pictures of a person.
    count = len(found.rows.attacker)
    shared = {
        "public_identities": found.images.identities[found.rows.attacker],
        "public_embeddings": found.public_embeddings,
        "samples": config.bootstrap_samples,
        "seed": config.seed,
    }
    targets = found.originals.identities
    codes = evidence.pairs.codes[:count]
    predicted = found.predicted_alone.get
    if evidence.noise is None:
        on_code, drawn = linkage.link_drawn(
            evidence.target_codes, targets, public_codes=codes, predicted=predicted(CODE), **shared
        )
    else:
        in_units = evidence.noise.in_units
        on_code, drawn = linkage.link_drawn(
            in_units(evidence.target_codes),
            targets,
            public_codes=in_units(codes),
            predicted=predicted(CODE),
            **mean_units(evidence.noise, count, "public_means"),
            **shared,
        )
    on_output, of_output = {}, {}
    if evidence.task_outputs is not None:
        outputs = evidence.task_outputs
        on_output, of_output = linkage.link_drawn(
            outputs.target,
            targets,
            public_codes=outputs.public[:count],
            predicted=predicted(TASK_OUTPUT),
            **shared,
        )
    described = {
        metric: {"code": values, "task_output": on_output.get(metric)}
        for metric, values in on_code.items()
    }
    of_output = {metric: each for metric, each in of_output.items() if metric in on_code}
    return described, linkage.best_auc([*drawn.values(), *of_output.values()])


def mean_units(noise: CodeNoise, count: int, name: str) -> dict[str, Any]:
    """The first public images' mean codes in units of their noise, and what noise they lack."""
    return {name: noise.in_units(noise.public_means[:count]), "lacking": 1 - noise.remaining}


def describe_candidates(found: Measurements) -> dict[str, Any]:
    """Is a code of this photo? Beside the same from the task output and an unprotected code."""
    reference = None
    if found.reference and comparable_candidates(found):
        reference = found.reference.candidate_hits
    return match.describe(found.candidates, reference, found.weights(found.rows.target))


def describe_attribute_probe(found: Measurements) -> dict[str, Any]:
    """Attributes that are not in the task, read from the code and from the task output."""
    images, rows, evidence = found.images, found.rows, found.evidence
    names = images.other_attribute_names
    if not names:
        return {}
    labels = images.other_attributes
    repeats = len(evidence.pairs.images) // len(rows.attacker)
    public_rows = np.concatenate([rows.attacker] * repeats)
    given = (labels[public_rows], labels[rows.held_out], labels[rows.target])

    def probe(seen: Evidence) -> dict[str, dict[str, float]]:
        pairs, seed = seen.pairs, found.settings.seed
        read = probes.attribute_probe(
            pairs.codes,
            given[0],
            pairs.held_out_codes,
            given[1],
            seen.target_codes,
            given[2],
            names,
            seed=seed,
            scale=noise_views.seen_codes(pairs, seen.noise),
        )
        scores = attribute_scores(code_view(seen, seed), given[0], given[1], seed)
        by_kernel = probes.thresholded_mcc(*scores, given[1], given[2])
        return {
            name: {**read[name], "kernel": float(value)}
            for name, value in zip(names, by_kernel, strict=True)
        }

    described = probe(evidence)
    if evidence.task_outputs is not None:
        for name, values in probe(on_task_output(evidence)).items():
            described[name] |= {f"task_output_{kind}": value for kind, value in values.items()}
    # Whoever has the code can compute the task output.
    return {name: {"mcc": max(values.values()), **values} for name, values in described.items()}


def describe_later_tasks(found: Measurements) -> dict[str, Any] | None:
    """Attributes outside the task, learned from few codes and from all; None without any."""
    return later_section.describe(
        found.later_tasks, found.later_mcc, found.settings.protected_attributes
    )


def describe_identity_probe(found: Measurements) -> dict[str, Any] | None:
    """Who of the public people is it? From the code, and from the task output."""
    if not found.images.identities_known:
        return None
    # Without mirror images: the left-out photo's would be among the examples.
    count = len(found.rows.attacker)
    identities = found.images.identities[found.rows.attacker]
    settings = {"seed": found.settings.seed, "samples": found.settings.bootstrap_samples}
    codes, noise = found.evidence.pairs.codes[:count], found.evidence.noise
    if noise is None:
        on_code = probes.identity_probe(codes, identities, **settings)
    else:
        means = mean_units(noise, count, "means")
        on_code = probes.identity_probe(noise.in_units(codes), identities, **means, **settings)
    outputs = found.evidence.task_outputs
    if on_code is None or outputs is None:
        return on_code
    on_output = probes.identity_probe(outputs.public[:count], identities, **settings)
    return {**on_code, "task_output_accuracy": on_output["accuracy"]}
