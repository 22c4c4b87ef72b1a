"""Would more public images help the attacker? The best linear map, learned from ever more of them.

It is solved in closed form, so that the curve costs little and no chance of a training is in it.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging

from arl_tf.attacks.closed_form import most_pairs
from arl_tf.attacks.evidence import WHITE_BOX, Evidence
from arl_tf.attacks.noise_aware import linear_attack
from arl_tf.auditing.attack_runs import ATTACK_SEED
from arl_tf.auditing.attack_store import AttackStore
from arl_tf.auditing.leakage import mean_estimate
from arl_tf.auditing.settings import AuditSettings

# One in so many public images.
PARTS = (8, 4, 2, 1)
LEAST_IMAGES = 8
# An image and its mirror image.
PAIRS_OF_AN_IMAGE = 2
CURVE_MEASURES = ("psnr", "feature_similarity", "face_similarity")


@dataclasses.dataclass(frozen=True)
class CurvePoint:
    """One attack of the curve.

    Attributes:
        name: in the store.
        share: of the public images, in (0, 1].
        images: public images, without their mirror images.
    """

    name: str
    share: float
    images: int


def points_of(count: int, most: int | None = None) -> list[CurvePoint]:
    """The curve's points for so many public images; those with too few to learn from are left out.

    Nothing is left of a curve that would have a single point.

    Args:
        count: public images.
        most: that the linear map is fitted to; more of them would not show in the curve.
    """
    learned = min(count, most or count)
    points = [
        CurvePoint(f"learning_curve/one_in_{part}", (learned / count) / part, learned // part)
        for part in PARTS
        if learned // part >= LEAST_IMAGES
    ]
    return points if len(points) > 1 else []


def run(
    settings: AuditSettings, evidence: Evidence, num_images: int, store: AttackStore
) -> list[CurvePoint]:
    """Attacks the codes with ever more public images; what is finished already is not done again.

    Args:
        settings: seed and mu.
        evidence: on the codes; the attacker knows all that an attacker can know.
        num_images: public images, without their mirror images.
        store: of results.
    """
    most = most_pairs(evidence.pairs) // PAIRS_OF_AN_IMAGE
    points = points_of(num_images, most)
    seed = settings.seed + ATTACK_SEED
    options = dataclasses.replace(settings.attacker, seed=seed)
    order = np.random.default_rng(seed).permutation(num_images)
    for point in points:
        if store.facts(point.name) is None:
            logging.info("The linear map from %d public images", point.images)
            seen = of_images(evidence.as_seen(WHITE_BOX), order[: point.images], num_images)
            store.save(linear_attack(seen, options, name=point.name))
    return points


def of_images(evidence: Evidence, rows: np.ndarray, num_images: int) -> Evidence:
    """The evidence with some of the public images, and their mirror images where there are any.

    Args:
        evidence: whose pairs are `num_images` images, or these and their mirror images behind them.
        rows: int [n], of the images.
        num_images: without mirror images.
    """
    pairs = evidence.pairs
    rows = np.concatenate([rows + start for start in range(0, len(pairs.images), num_images)])
    return dataclasses.replace(
        evidence,
        pairs=dataclasses.replace(pairs, codes=pairs.codes[rows], images=pairs.images[rows]),
        noise=evidence.noise and evidence.noise.of(rows),
        each=None,
    )


def describe(
    points: Sequence[CurvePoint],
    measured: Mapping[str, Mapping[str, np.ndarray]],
    weights: np.ndarray,
) -> dict[str, Any] | None:
    """report.json's `learning_curve`; None where there were too few public images.

    Args:
        points: from `run`.
        measured: name -> measure -> float64 [N].
        weights: float [R, N], bootstrap resamples.
    """
    if not points:
        return None
    *_, half, whole = (measured[point.name] for point in points)
    return {
        "points": [
            {
                "share": point.share,
                "public_images": point.images,
                **{m: mean_estimate(measured[point.name][m], weights) for m in CURVE_MEASURES},
            }
            for point in points
        ],
        # Of the same images, so that the interval is that of the difference.
        "last_doubling": {m: mean_estimate(whole[m] - half[m], weights) for m in CURVE_MEASURES},
    }
