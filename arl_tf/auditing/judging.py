"""How well the identity networks judge: on pairs of test images of which the answer is known.

A network that cannot tell two people apart in pictures as blurred as an attack's cannot say that
the attack failed. So each is asked about pairs of photos of one person and of two: as the photos
are, with one of them as blurred as the worst attack's pictures, and with that attack's pictures.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from arl_tf.auditing import leakage, yardsticks
from arl_tf.auditing.attack_store import AttackStore, to_unit
from arl_tf.auditing.sealed_images import some_people
from arl_tf.metrics import measures, utility
from arl_tf.metrics.reconstruction import (
    OTHER_PHOTO,
    RANKS,
    MetricNetworks,
    Originals,
    best_network,
)

# Of the images under attack; each costs every network two looks: blurred, and as attacked.
JUDGED_IMAGES = 500
ORIGINALS, BLURRED, ATTACKED = "originals", "blurred", "attack_pictures"
# The widest blur that is sought, as a share of the image's side, and how it is sought.
WIDEST_BLUR, BLUR_IMAGES, HALVINGS = 1 / 8, 64, 10
# AUC on the photos themselves (.98 on CelebA): a judge who stays below it sees other parts of faces
# than it was trained for.
CONFUSED_AUC = 0.9


@dataclasses.dataclass(frozen=True)
class JudgedPairs:
    """What one network says of the pairs.

    Attributes:
        network: its name.
        rows: int64 [n], of the images under attack: the first picture of each pair.
        blur: deviation of the Gaussian in pixels.
        attack: whose pictures were judged.
        same: kind (ORIGINALS, BLURRED, ATTACKED) -> similarity of two pictures of one person,
            float64 [n]; NaN where a person has one photo only.
        strangers: likewise, of two people.
    """

    network: str
    rows: np.ndarray
    blur: float
    attack: str
    same: Mapping[str, np.ndarray]
    strangers: Mapping[str, np.ndarray]


def judge_worst(
    judges: MetricNetworks,
    originals: Originals,
    measured: Mapping[str, Mapping[str, np.ndarray]],
    store: AttackStore,
    seed: int,
) -> tuple[JudgedPairs, ...]:
    """How well the judges tell people apart, in photos and in the worst attack's pictures.

    Args:
        judges: the networks; without any there is nothing to judge.
        originals: the images under attack.
        measured: attack -> measure -> float64 [N].
        store: has the attacks' pictures.
        seed: of the strangers.
    """
    if not judges.identity:
        return ()
    worst = leakage.headline_attack(measured)
    pictures = to_unit(store.pictures(worst))
    return judge(judges, originals, pictures, worst.partition("@")[0], seed)


def judge(
    judges: MetricNetworks, originals: Originals, pictures: np.ndarray, attack: str, seed: int
) -> tuple[JudgedPairs, ...]:
    """Asks every identity network about the pairs.

    Args:
        judges: the networks.
        originals: the images under attack.
        pictures: float32 [N, S, S, 3] in [0, 1], the worst attack's.
        attack: its name.
        seed: of the strangers.
    """
    rows = some_people(np.arange(len(originals.images)), originals.identities, JUDGED_IMAGES)
    images, pictures = originals.images[rows], np.ascontiguousarray(pictures[rows], np.float32)
    deviation = matching_blur(images, pictures)
    soft = yardsticks.blurred(images, deviation)
    people = originals.identities[rows]
    others = yardsticks.same_person(people), yardsticks.strangers(people, seed)
    found = []
    for network in judges.identity:
        truth, mean = originals.by_network[network.name][rows], network.mean_embedding
        seen = {
            ORIGINALS: truth,
            BLURRED: network.embeddings(soft),
            ATTACKED: network.embeddings(pictures),
        }
        same, two = (
            {kind: similarities(each, truth, mean, other) for kind, each in seen.items()}
            for other in others
        )
        # An attack's picture is compared with the photo that it was made from, as its figures are.
        same[ATTACKED] = measures.face_similarity(seen[ATTACKED], truth, mean)
        found.append(JudgedPairs(network.name, rows, deviation, attack, same, two))
    return tuple(found)


def similarities(
    seen: np.ndarray, truth: np.ndarray, mean: np.ndarray, others: np.ndarray
) -> np.ndarray:
    """Similarity of each photo to another one's picture; float64 [n], NaN without a pair.

    Args:
        seen: float32 [n, D], embeddings of the photos' pictures.
        truth: float32 [n, D], embeddings of the photos.
        mean: float32 [D], the network's mean embedding.
        others: int [n], the other photo; the photo itself where there is none.
    """
    values = measures.face_similarity(seen[others], truth, mean)
    return np.where(others == np.arange(len(others)), np.nan, values)


def matching_blur(images: np.ndarray, pictures: np.ndarray) -> float:
    """The deviation, in pixels, of the Gaussian that blurs images as much as pictures are blurred.

    Blur is measured by `sharpness`, which falls as the deviation grows: the deviation is found by
    halving, and is 0 where the pictures are as sharp as the images. Float32 [n, S, S, 3] both.
    """
    images, wanted = images[:BLUR_IMAGES], sharpness(pictures[:BLUR_IMAGES])
    low, high = 0.0, images.shape[1] * WIDEST_BLUR
    if sharpness(images) <= wanted:
        return 0.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (
            (middle, high)
            if sharpness(yardsticks.blurred(images, middle)) > wanted
            else (low, middle)
        )
    return high


def sharpness(images: np.ndarray) -> float:
    """Mean squared difference of neighbouring pixels of images [n, S, S, 3]."""
    return float(sum(np.square(np.diff(images, axis=axis)).mean() for axis in (1, 2)))


def describe(judged: Sequence[JudgedPairs], weights: np.ndarray) -> list[dict[str, Any]]:
    """The report's `judges`: each network's figures on pairs of known answer.

    Args:
        judged: of every network.
        weights: float64 [R, N], bootstrap resamples of the people under attack.
    """
    return [
        {
            "network": each.network,
            "images": len(each.rows),
            "attack": each.attack,
            "blur_pixels": round(each.blur, 2),
            **{
                kind: describe_pairs(each.same[kind], each.strangers[kind], weights[:, each.rows])
                for kind in each.same
            },
        }
        for each in judged
    ]


def confused(judges: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those of the report's `judges` that confuse the people of the photos themselves.

    Their AUC is below CONFUSED_AUC with its whole interval.
    """
    found = [(judge, judge[ORIGINALS]["auc"]["ci95"]) for judge in judges]
    return [judge for judge, interval in found if interval and interval[1] < CONFUSED_AUC]


def confusion_warning(judges: Sequence[Mapping[str, Any]]) -> list[str]:
    """That judges of identity cannot judge these photos; [] where they can."""
    return [
        f"The judge {judge['network']} confuses people in the photos themselves: the AUC of photos"
        f" of one person against photos of two is {judge[ORIGINALS]['auc']['value']:.2f} (CelebA:"
        " .98). Its face similarities, ranks and leakages may be far too low. It needs upright"
        " faces, aligned as CelebA's are; --identity_measures=off leaves faces out."
        for judge in confused(judges)
    ]


def describe_pairs(
    same: np.ndarray, strangers: np.ndarray, weights: np.ndarray
) -> dict[str, dict[str, Any]]:
    """AUC of pairs of one person against pairs of two, and how similar both kinds are.

    Args:
        same: float64 [n], similarities; NaN where there is no pair.
        strangers: likewise.
        weights: float64 [R, n].

    Returns:
        `auc`, `same_person` and `strangers`, each with "value" and "ci95"; the latter two with
        "range90", between which nine of ten pairs lie.
    """
    scores = np.concatenate([same, strangers])
    known = ~np.isnan(scores)
    actual = np.repeat([1, 0], len(same))[known]
    drawn = np.vstack([np.ones(weights.shape[1]), weights])
    auc = measures.roc_auc(scores[known], actual, np.tile(drawn, 2)[:, known])
    whole = None if np.isnan(auc[0]) else float(auc[0])
    found = {"auc": utility.estimate(whole, auc[1:])}
    for kind, values in (("same_person", same), ("strangers", strangers)):
        found[kind] = {**leakage.mean_estimate(values, weights), "range90": middle(values)}
    return found


def middle(values: np.ndarray) -> list[float] | None:
    """The central 90 % of values float [n] that are not NaN; None where there are none."""
    known = values[~np.isnan(values)]
    return np.percentile(known, [5, 95]).tolist() if len(known) else None


def with_networks(
    worst: Mapping[str, Mapping[str, Any]], attacks: leakage.PerImage
) -> dict[str, dict[str, Any]]:
    """The report's `worst`, with the `network` that finds most people for each rank.

    Args:
        worst: measure -> the worst attack and its figure.
        attacks: attack -> measure, and NAME/NETWORK for ranks -> float64 [N].
    """
    described = {measure: dict(found) for measure, found in worst.items()}
    for measure in (*RANKS, OTHER_PHOTO):
        found = attacks.get(described[measure]["attack"], {})
        own = {
            key.partition("/")[2]: values
            for key, values in found.items()
            if key.startswith(f"{measure}/")
        }
        described[measure]["network"] = best_network(own) if own else None
    return described
