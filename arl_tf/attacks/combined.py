"""Attackers that work on what others made of a code: pictures fused, and the step from the mean."""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import optimize

from arl_tf.attacks.evidence import BLACK_BOX, WHITE_BOX, AttackerOptions, AttackResult, Evidence
from arl_tf.attacks.identity.faces import Directions, mean_cosine
from arl_tf.attacks.objectives import held_out_loss, reconstruction_loss

# Held-out images that weights and factors are chosen on.
WEIGHING_IMAGES, CHOOSING_IMAGES = 256, 64
FACTORS = (1.0, 1.5, 2.0, 3.0, 4.0)
# A weight below it is left out: its attacker adds nothing that is seen.
LEAST_WEIGHT = 0.01
# Of the mean squared difference from the mean image: attackers that are alike share a weight.
SHRINKAGE = 1e-4

# Pictures uint8 [n, S, S, 3] -> network -> directions float32 [n, E].
Faces = Callable[[np.ndarray], Directions]


@dataclasses.dataclass(frozen=True)
class Finished:
    """An attack that is done, with its pictures, which are read when asked for.

    Attributes:
        name: of the attack.
        knowledge: BLACK_BOX or WHITE_BOX.
        held_out: gives the pictures of the held-out images, uint8 [H, S, S, 3].
        target: gives those of the images under attack, uint8 [M, S, S, 3].
    """

    name: str
    knowledge: str
    held_out: Callable[[], np.ndarray]
    target: Callable[[], np.ndarray]


def fused_attack(
    evidence: Evidence, members: Sequence[Finished], settings: AttackerOptions, *, name: str
) -> AttackResult:
    """The weighted mean of several attackers' pictures, less the mean image.

    The weights are those that predict held-out public images best, by non-negative least squares
    (stacked regressions, Breiman 1996).

    Args:
        evidence: public images.
        members: the attacks.
        settings: mu, for the reported loss.
        name: of the attack in the report.
    """
    started = time.perf_counter()
    mean = evidence.pairs.mean_image
    truth = evidence.pairs.held_out_images[:WEIGHING_IMAGES]
    found = fusion_weights([m.held_out()[:WEIGHING_IMAGES] for m in members], truth, mean)
    weights = {m.name: w for m, w in zip(members, found.tolist(), strict=True) if w > LEAST_WEIGHT}
    # Where nobody's pictures help it is the mean image.
    weights = weights or {members[0].name: 0.0}
    used = [member for member in members if member.name in weights]
    return combined_result(
        evidence,
        settings,
        used,
        name=name,
        started=started,
        facts={
            "words": "the weighted mean of several attackers' pictures",
            "weights": {member: round(weight, 3) for member, weight in weights.items()},
        },
        pictures=tuple(
            np.clip(mean + sum(weights[m.name] * offsets(read(m), mean) for m in used), 0, 1)
            for read in (lambda m: m.target(), lambda m: m.held_out())
        ),
    )


def fusion_weights(
    pictures: Sequence[np.ndarray], truth: np.ndarray, mean: np.ndarray
) -> np.ndarray:
    """Weights >= 0 of K attackers' pictures; float64 [K].

    Args:
        pictures: uint8 [H, S, S, 3], K times.
        truth: uint8 [H, S, S, 3].
        mean: float32 [S, S, 3] in [0, 1]; pictures and truth count by their offsets from it.
    """
    rows = [offsets(each, mean).ravel() for each in pictures]
    wanted = offsets(truth, mean).ravel()
    gram = np.array([[np.dot(one, other) for other in rows] for one in rows], np.float64)
    gram += SHRINKAGE * np.trace(gram) / len(gram) * np.eye(len(gram))
    if not gram.any():
        return np.zeros(len(rows))
    # With G = L L', least squares of L' w = L^-1 b has the same minimum as those of the pictures.
    factor = np.linalg.cholesky(gram)
    given = np.linalg.solve(factor, np.array([np.dot(one, wanted) for one in rows], np.float64))
    return optimize.nnls(factor.T, given)[0]


def amplified_attack(
    evidence: Evidence,
    members: Sequence[Finished],
    settings: AttackerOptions,
    *,
    name: str,
    faces: Faces,
    judged: bool,
) -> AttackResult:
    """The best attacker's pictures with their step from the mean image enlarged.

    What is uncertain in a code draws pictures towards the mean image. That is best for pixels; a
    face is recognised better with the step undone. First the attacker is chosen whose pictures of
    held-out public images have the highest mean cosine to the originals by the attacker's own
    identity network, the last one of `faces`; then the factor for it, likewise.

    Args:
        evidence: public images.
        members: the attacks.
        settings: mu, for the reported loss.
        name: of the attack in the report.
        faces: the attacker's identity networks.
        judged: whether the network that chooses judges the pictures, too; the report says so.
    """
    started = time.perf_counter()
    mean = evidence.pairs.mean_image
    truth = own_view(faces, evidence.pairs.held_out_images[:CHOOSING_IMAGES])
    shown = {member.name: member.held_out()[:CHOOSING_IMAGES] for member in members}
    similarity = {n: mean_cosine(own_view(faces, rows), truth) for n, rows in shown.items()}
    best = max(members, key=lambda member: similarity[member.name])
    by_factor = {
        factor: mean_cosine(own_view(faces, stepped(shown[best.name], mean, factor)), truth)
        for factor in FACTORS
    }
    factor = max(by_factor, key=by_factor.get)
    network = [*faces(evidence.pairs.held_out_images[:1])][-1]
    return combined_result(
        evidence,
        settings,
        [best],
        name=name,
        started=started,
        facts={
            "words": f"the pictures of {best.name}, {factor:g} times as far from the mean image",
            "start": best.name,
            "factor": factor,
            "chosen_by": network,
            "chosen_by_the_judge": judged,
        },
        pictures=tuple(
            stepped(pictures, mean, factor).astype(np.float32) / 255
            for pictures in (best.target(), best.held_out())
        ),
    )


def own_view(faces: Faces, pictures: np.ndarray) -> np.ndarray:
    """Directions float32 [n, E] of pictures uint8 by the last of the attacker's networks."""
    return [*faces(pictures).values()][-1]


def offsets(pictures: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Pictures uint8 [n, S, S, 3] less the mean image, float32 in [-1, 1]."""
    return pictures.astype(np.float32) / np.float32(255) - mean


def stepped(pictures: np.ndarray, mean: np.ndarray, factor: float) -> np.ndarray:
    """Pictures uint8 [n, S, S, 3] moved to `factor` times their offset from the mean image."""
    moved = np.clip(mean + np.float32(factor) * offsets(pictures, mean), 0, 1)
    return np.round(moved * 255).astype(np.uint8)


def combined_result(
    evidence: Evidence,
    settings: AttackerOptions,
    used: Sequence[Finished],
    *,
    name: str,
    started: float,
    facts: Mapping[str, Any],
    pictures: tuple[np.ndarray, np.ndarray],
) -> AttackResult:
    """Wraps (target, held-out) pictures up, with formula (1) on the held-out images.

    `pictures` are float [M, S, S, 3] and [H, S, S, 3] in [0, 1].
    """
    target, held_out = pictures
    loss = reconstruction_loss(evidence.perceptual_features, settings.mu)
    return AttackResult(
        name=name,
        knowledge=WHITE_BOX if any(m.knowledge == WHITE_BOX for m in used) else BLACK_BOX,
        settings={"seed": settings.seed, **facts},
        seconds=time.perf_counter() - started,
        held_out_loss=(held_out_loss(held_out, evidence.pairs.held_out_images, loss),),
        reconstructions=target.astype(np.float32),
        held_out_reconstructions=held_out.astype(np.float32),
    )
