"""Yardsticks: the audit's measures of pairs of pictures that everybody can judge by themselves.

A face similarity of 0.3 means nothing alone. Beside it stand the similarity of two photos of the
same person, of two strangers, and of a photo and its blurred copy, by the same judge on the same
test images.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import ndimage

from arl_tf.attacks.evidence import Evidence
from arl_tf.auditing import leakage
from arl_tf.auditing.attack_store import AttackStore, to_bytes
from arl_tf.auditing.encoders.audited import AuditedEncoder
from arl_tf.metrics import reconstruction, utility
from arl_tf.metrics.reconstruction import MEASURES, MetricNetworks, Originals

SAME_PERSON, STRANGERS, BLURRED = "same_person", "two_strangers", "blurred_copy"
YARDSTICKS = (SAME_PERSON, STRANGERS, BLURRED)
# Deviation of the blur as a share of the image's side: 4 of 64 pixels.
BLUR_SHARE = 1 / 16


def measure_all(
    judges: MetricNetworks,
    originals: Originals,
    store: AttackStore,
    seed: int,
) -> dict[str, dict[str, np.ndarray]]:
    """The yardsticks that these images have; name -> measure -> float64 [N]. Kept in the store."""
    found = {}
    for name in YARDSTICKS:
        measured = store.measures(name)
        if not reconstruction.is_complete(measured, originals):
            measured = measure(judges, originals, name, seed)
            if measured is None:
                continue
            store.save_measures(name, measured)
        found[name] = measured
    return found


def measure(
    judges: MetricNetworks, originals: Originals, name: str, seed: int
) -> dict[str, np.ndarray] | None:
    """The measures of one yardstick, as if its pictures were reconstructions.

    Args:
        judges: the judging networks.
        originals: the images under attack.
        name: one of YARDSTICKS.
        seed: of the strangers.

    Returns:
        Measure -> float64 [N], NaN for an image that has no other to be compared with; None where
        no image has one. Where another photo is compared, re-identification does not find that very
        photo: it is left out of the images that are searched.
    """
    if name == BLURRED:
        deviation = originals.images.shape[1] * BLUR_SHARE
        return reconstruction.measure(judges, blurred(originals.images, deviation), originals)
    identities = originals.identities
    others = same_person(identities) if name == SAME_PERSON else strangers(identities, seed)
    alone = others == np.arange(len(others))
    if alone.all():
        return None
    found = reconstruction.measure(judges, originals.images[others], originals, others)
    return {measure: np.where(alone, np.nan, values) for measure, values in found.items()}


def same_person(identities: np.ndarray) -> np.ndarray:
    """Each image's next image of the same person, int64 [N]; itself where there is no other."""
    order, starts, counts = people(identities)
    following = np.arange(len(order)) + 1
    # After a person's last image comes the first.
    following[starts + counts - 1] = starts
    return others_of(order, following)


def strangers(identities: np.ndarray, seed: int) -> np.ndarray:
    """A random image of another person for each, int64 [N]; itself where all are of one person."""
    order, starts, counts = people(identities)
    if len(starts) < 2:
        return np.arange(len(order))
    start, count = np.repeat(starts, counts), np.repeat(counts, counts)
    drawn = np.random.default_rng([seed, 11]).integers(0, len(order) - count)
    # Behind the person's own images, none of which may be drawn.
    return others_of(order, drawn + np.where(drawn >= start, count, 0))


def people(identities: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows sorted by person int64 [N], each person's first place among them, and how many."""
    order = np.argsort(identities, kind="stable")
    _, starts, counts = np.unique(identities[order], return_index=True, return_counts=True)
    return order, starts, counts


def others_of(order: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Places in `order`, one for each place, as rows, one for each row; int64 [N]."""
    others = np.empty_like(order)
    others[order] = order[chosen]
    return others


def blurred(images: np.ndarray, deviation: float) -> np.ndarray:
    """Images [N, S, S, 3] as float32, blurred by a Gaussian of `deviation` pixels."""
    return ndimage.gaussian_filter(images.astype(np.float32), (0, deviation, deviation, 0))


def describe(
    measured: Mapping[str, Mapping[str, np.ndarray]], weights: np.ndarray
) -> dict[str, dict[str, Any]]:
    """The report's `yardsticks`: name -> measure -> {"value", "ci95"}, and the number of images.

    Args:
        measured: yardstick -> `measure`'s result, of those that could be measured.
        weights: float64 [R, N], bootstrap resamples of the people under attack.
    """
    return {
        name: means(measured[name], weights)
        if name in measured
        else {**{measure: utility.estimate(None) for measure in MEASURES}, "images": 0}
        for name in YARDSTICKS
    }


def means(found: Mapping[str, np.ndarray], weights: np.ndarray) -> dict[str, Any]:
    """One yardstick's means over the images that have a pair, with their intervals.

    `found`: measure -> float64 [N], NaN without a pair; `weights` float64 [R, N].
    """
    rows = np.flatnonzero(~np.isnan(found[MEASURES[0]]))
    drawn = weights[:, rows]
    # A resample may hold nobody who has a pair.
    drawn = drawn[drawn.any(axis=1)]
    return {
        **{name: leakage.mean_estimate(found[name][rows], drawn) for name in MEASURES},
        "images": len(rows),
    }


def pictures_of(
    audited_encoder: AuditedEncoder, evidence: Evidence, public_images: np.ndarray
) -> dict[str, np.ndarray]:
    """Pictures uint8 [M, S, S, 3] that no attacker had to be trained for, by name.

    X2's mean image, the floor without any code; and what training's own adversary makes of it.
    `public_images` are X2's, uint8 [N, S, S, 3].
    """
    pictures = {"mean_image": mean_pictures(public_images, len(evidence.target_codes))}
    if audited_encoder.adversary is not None:
        pictures["training_adversary"] = to_bytes(audited_encoder.adversary(evidence.target_codes))
    return pictures


def mean_pictures(public_images: np.ndarray, count: int) -> np.ndarray:
    """X2's mean image `count` times, the floor without any code: uint8 [count, S, S, 3]."""
    mean = to_bytes(public_images.mean(axis=0, dtype=np.float64) / 255.0)
    return np.broadcast_to(mean, (count, *mean.shape))
