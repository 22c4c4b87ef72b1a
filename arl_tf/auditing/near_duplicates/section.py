"""The report's `codes.near_duplicates`: what several shots of a photo give away together."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from absl import logging

from arl_tf.auditing import leakage
from arl_tf.auditing.encoders.audited import AuditedEncoder
from arl_tf.auditing.leakage import PerImage, Reference, mean_estimate
from arl_tf.auditing.near_duplicates import attack, shots
from arl_tf.metrics import utility
from arl_tf.metrics.measures import interval

MEASURES = ("psnr", "feature_similarity", "face_similarity", "face_similarity_2", "reid_rank1")


@dataclasses.dataclass(frozen=True)
class MeasuredShots:
    """What the attacks on shots got.

    Attributes:
        count: shots of each photo; 0: none were asked for.
        measured: way -> measure -> float64 [M].
        errors: way -> mean squared error of pixels of held-out public photos.
        public_images: that the maps were learned from.
        missing: why nothing was measured; empty where it was.
    """

    count: int = 0
    measured: PerImage = dataclasses.field(default_factory=dict)
    errors: Mapping[str, float] = dataclasses.field(default_factory=dict)
    public_images: int = 0
    missing: str = ""


def measure(
    audited_encoder: AuditedEncoder,
    images: tuple[np.ndarray, np.ndarray, np.ndarray],
    judge: Callable[[np.ndarray], Mapping[str, np.ndarray]],
    *,
    count: int,
    seed: int,
) -> MeasuredShots:
    """Attacks the shots and judges the pictures.

    Args:
        audited_encoder: the encoder.
        images: uint8 [., S, S, 3]: public, held-out public, and those under attack.
        judge: pictures float32 [M, S, S, 3] in [0, 1] -> measure -> float64 [M].
        count: shots of each photo; 0: nothing is attacked.
        seed: of shots and noise.
    """
    missing = attack.missing(audited_encoder) if count else ""
    if missing or not count:
        return MeasuredShots(count, missing=missing)
    logging.info("Encoding and attacking %d shots of each photo", count)
    found = attack.attack(audited_encoder, *images, count=count, seed=seed)
    measured = {way: judge(pictures) for way, pictures in found.pictures.items()}
    return MeasuredShots(count, measured, found.errors, found.public_images)


def describe(
    found: MeasuredShots,
    attacks: PerImage,
    floors: PerImage,
    reference: Reference | None,
    weights: np.ndarray,
) -> dict[str, Any] | None:
    """The report's `codes.near_duplicates`; None where no shots were asked for.

    Args:
        found: what was measured.
        attacks: attack -> measure -> float64 [M], of the audit on single codes.
        floors: of the audit; leakage counts from the best of them.
        reference: the unprotected encoder's audit; leakage is null without it.
        weights: float [R, M], bootstrap resamples.
    """
    if not found.count:
        return None
    return {
        "shots": found.count,
        "changes": shots.WORDS,
        "public_images": found.public_images,
        "ways": {
            way: {
                "words": attack.WAYS[way],
                "held_out_error": found.errors[way],
                **{name: mean_estimate(values[name], weights) for name in MEASURES},
                "leakage": {
                    name: way_leakage(name, values, attacks, floors, reference, weights)
                    for name in MEASURES
                },
            }
            for way, values in found.measured.items()
        },
        "missing": found.missing,
    }


def way_leakage(
    name: str,
    values: Mapping[str, np.ndarray],
    attacks: PerImage,
    floors: PerImage,
    reference: Reference | None,
    weights: np.ndarray,
) -> dict[str, Any]:
    """The leakage of one measure by one way alone, on the scale of the audit's other leakages.

    `values`: measure -> float64 [M], of that way; the rest is as of `describe`.
    """
    shots_alone = {**attacks, "shots": {name: values[name]}}
    shares = leakage.attack_shares(name, shots_alone, floors, reference, weights)
    if shares is None:
        return utility.estimate(None)
    # The last attack on the code.
    value, resampled = float(shares[0][-1]), shares[1][:, -1]
    ends = None
    if np.isnan(resampled).mean() <= 0.05:
        ends = [max(0.0, end) for end in interval(resampled)]
    return {"value": max(0.0, value), "ci95": ends}
