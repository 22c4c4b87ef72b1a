"""Searches whatever pictures are made of until the pictures' codes match those under attack.

The engine of the white-box attacks: `inversion` varies pixels, `generative` a generator's latents.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from arl_tf.attacks import noise_views
from arl_tf.attacks.closed_form import sample_rows
from arl_tf.attacks.evidence import WHITE_BOX, AttackerOptions, AttackResult, Evidence
from arl_tf.attacks.objectives import held_out_loss, reconstruction_loss
from arl_tf.models.standardisation import channel_moments

BATCH = 64
CHECKS = 5
# The prior's weight is chosen on this many held-out images, everything else on all of them.
CHOOSING_IMAGES = 64
# A search overshoots in what the code does not tell: going part of the way is often better, the
# less of it the noisier the code.
SHARES = (0.15, 0.35, 0.7, 1.0)
# Of the scale of a prior's weights: a code that is all noise must not switch the prior off.
LEAST_SCALE = 1e-3
ADAM_MOMENTA, ADAM_EPSILON = (0.9, 0.99), 1e-10

Path = Iterator[tuple[int, np.ndarray]]
Advance = Callable[..., tuple[tf.Tensor, tf.Tensor, tf.Tensor]]


@dataclasses.dataclass(frozen=True)
class Search:
    """What is varied to match a code, and what of it is likely before the code is known.

    Attributes:
        picture: unknowns float32 [B, ...] -> image float32 [B, S, S, 3] in [0, 1], differentiable.
        project: unknowns float32 [B, ...] -> the nearest that are allowed, likewise.
        prior: unknowns -> float32 [B], the lower the likelier.
        prior_weights: to choose from.
        learning_rate: of Adam, constant.
        iterations: of Adam, at most.
        deviation: float [...], in whose units codes are compared; None: `compared_in`'s.
    """

    picture: Callable[[tf.Tensor], tf.Tensor]
    project: Callable[[tf.Tensor], tf.Tensor]
    prior: Callable[[tf.Tensor], tf.Tensor]
    prior_weights: tuple[float, ...]
    learning_rate: float
    iterations: int
    deviation: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Choice:
    """The point of a search that gives the best pictures of held-out images.

    Attributes:
        prior_weight: of the search.
        iterations: after which it is left; 0: where it started.
        share: of the way from the start to there, in (0, 1].
        losses: formula (1) at every check, of the best share.
        pictures: float32 [H, S, S, 3] in [0, 1], of the held-out codes.
    """

    prior_weight: float
    iterations: int
    share: float
    losses: tuple[float, ...]
    pictures: np.ndarray


def compared_in(evidence: Evidence) -> np.ndarray:
    """The deviations in whose units a search compares codes; float [...], or of channels [c].

    Those of the noise, value by value, where it is known: the squared distance is then twice the
    negative logarithm of the likelihood. Else those of the public codes' channels.
    """
    if evidence.noise is not None:
        return evidence.noise.deviation
    return channel_moments(evidence.pairs.codes)[1]


def scaled_weights(weights: tuple[float, ...], evidence: Evidence) -> tuple[float, ...]:
    """A prior's weights beside distances of variance 1, in the units of `compared_in`."""
    if evidence.noise is None:
        return weights
    scale = max(noise_views.signal_to_noise(evidence.noise), LEAST_SCALE)
    return tuple(weight * scale for weight in weights)


def check_white_box(evidence: Evidence, name: str) -> None:
    """Raises ValueError where the encoder can't be differentiated."""
    if evidence.encode is None:
        raise ValueError(
            f"Attack {name} needs Evidence.encode, the differentiable encoder; got None."
        )


def search_result(
    evidence: Evidence,
    settings: AttackerOptions,
    search: Search,
    starts: tuple[np.ndarray, np.ndarray],
    *,
    name: str,
    started: float,
    extra: Mapping[str, Any],
) -> AttackResult:
    """Chooses on held-out images, then searches for the pictures under attack.

    Args:
        evidence: with `encode`.
        settings: seed and mu.
        search: what to vary.
        starts: unknowns float32 [M, ...] of the codes under attack and [H, ...] of the held-out
            ones, to start from.
        name: of the attack.
        started: time.perf_counter() at its beginning.
        extra: further settings for the report.

    Raises:
        ValueError: a picture is not finite.
    """
    advance = adam_steps(evidence, search)
    choice = choose_on_held_out(evidence, settings, search, advance, starts[1])
    found = arrived(advance, search, choice, starts[0], evidence.target_codes)
    pictures = pictures_of(search, found)
    if not (np.isfinite(pictures).all() and np.isfinite(choice.losses).all()):
        raise ValueError(
            f"Attack {name} diverged: expected finite pictures, got others; is the gradient of"
            " Evidence.encode finite?"
        )
    return AttackResult(
        name=name,
        knowledge=WHITE_BOX,
        settings={
            **extra,
            "seed": settings.seed,
            "mu": settings.mu,
            "learning_rate": search.learning_rate,
            "most_iterations": search.iterations,
            "iterations": choice.iterations,
            "prior_weight": choice.prior_weight,
            "share": choice.share,
        },
        seconds=time.perf_counter() - started,
        held_out_loss=choice.losses,
        reconstructions=pictures,
        held_out_reconstructions=choice.pictures,
    )


def code_distance(code: tf.Tensor, wanted: tf.Tensor, deviation: np.ndarray) -> tf.Tensor:
    """Mean squared difference of two codes whose channels are standardised.

    Args:
        code: float32 [B, ..., c].
        wanted: likewise; values that are not finite are unknown and do not count.
        deviation: [c], of the public codes' channels (`standardisation.channel_moments`), or
            [..., c], of every value.

    Returns:
        float32 [B]; about 2 for two unrelated images.
    """
    known = tf.math.is_finite(wanted)
    difference = (code - tf.where(known, wanted, code)) / deviation.astype(np.float32)
    axes = tuple(range(1, len(difference.shape)))
    counted = tf.reduce_sum(tf.cast(known, tf.float32), axis=axes)
    return tf.reduce_sum(tf.square(difference), axis=axes) / tf.maximum(counted, 1.0)


def choose_on_held_out(
    evidence: Evidence,
    settings: AttackerOptions,
    search: Search,
    advance: Advance,
    held_out_start: np.ndarray,
) -> Choice:
    """The prior's weight by some of the held-out images, then iterations and share by all.

    `held_out_start` float32 [H, ...] are the unknowns that the held-out codes start from.
    """
    pairs = evidence.pairs
    loss = reconstruction_loss(evidence.perceptual_features, settings.mu)

    def best_point(weight: float, rows: np.ndarray) -> Choice:
        start = held_out_start[rows]
        path = descend(
            advance, search, start, pairs.held_out_codes[rows], weight, search.iterations
        )
        return best_of_path(path, search, weight, start, pairs.held_out_images[rows], loss)

    some = sample_rows(len(held_out_start), CHOOSING_IMAGES, settings.seed)
    tried = [best_point(weight, some) for weight in search.prior_weights]
    best = min(tried, key=lambda choice: min(choice.losses))
    return best_point(best.prior_weight, np.arange(len(held_out_start)))


def best_of_path(
    path: Path,
    search: Search,
    prior_weight: float,
    start: np.ndarray,
    images: np.ndarray,
    loss: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
) -> Choice:
    """The best of all checks and shares of one search; the start where none is better than it.

    Args:
        path: of `descend`.
        search: what was varied.
        prior_weight: of the search.
        start: float32 [n, ...], the unknowns that it started from.
        images: uint8 [n, S, S, 3], what the pictures should show.
        loss: images uint8, pictures float32, [B, S, S, 3] each -> scalar, the lower the better.
    """
    best, losses = None, []
    for iterations, unknowns in path:
        values = []
        for share in SHARES if iterations else (1.0,):
            pictures = pictures_of(search, part_way(search, start, unknowns, share))
            values.append(held_out_loss(pictures, images, loss))
            if best is None or values[-1] < best[0]:
                best = (values[-1], iterations, share, pictures)
        losses.append(min(values))
    return Choice(prior_weight, best[1], best[2], tuple(losses), best[3])


def arrived(
    advance: Advance, search: Search, choice: Choice, start: np.ndarray, codes: np.ndarray
) -> np.ndarray:
    """Unknowns float32 [N, ...] where a search for codes [N, ...] is left, as was chosen."""
    path = descend(advance, search, start, codes, choice.prior_weight, choice.iterations)
    for _, found in path:
        last = found
    return part_way(search, start, last, choice.share)


def part_way(search: Search, start: np.ndarray, end: np.ndarray, share: float) -> np.ndarray:
    """A share of the way from the start to the end of a search; float32 [N, ...]."""
    return np.asarray(search.project(start + np.float32(share) * (end - start)))


def pictures_of(search: Search, unknowns: np.ndarray) -> np.ndarray:
    """What the unknowns [N, ...] look like; float32 [N, S, S, 3] in [0, 1]."""
    parts = [
        np.asarray(search.picture(tf.constant(unknowns[first : first + BATCH])))
        for first in range(0, len(unknowns), BATCH)
    ]
    return np.concatenate(parts)


def descend(
    advance: Advance,
    search: Search,
    start: np.ndarray,
    codes: np.ndarray,
    prior_weight: float,
    iterations: int,
) -> Path:
    """Yields (iterations done, unknowns float32 [N, ...]) at the start and at every check.

    Args:
        advance: from `adam_steps`.
        search: what is varied.
        start: unknowns [N, ...].
        codes: float32 [N, ...], to match.
        prior_weight: >= 0.
        iterations: to do; a number of iterations at which `search` is checked.
    """
    yield 0, start
    states = [(part, tf.zeros_like(part), tf.zeros_like(part)) for part in batches(start)]
    wanted = batches(codes)
    weight = tf.constant(prior_weight, tf.float32)
    interval = max(1, -(-search.iterations // CHECKS))
    for done in range(0, iterations, interval):
        steps = min(interval, iterations - done)
        states = [
            advance(*state, code, weight, tf.constant(done), tf.constant(steps))
            for state, code in zip(states, wanted, strict=True)
        ]
        found = np.concatenate([state[0].numpy() for state in states])
        yield done + steps, found[: len(start)]


def batches(values: np.ndarray) -> list[tf.Tensor]:
    """Tensors [BATCH, ...] of an array [N, ...], the last one filled up with its last row."""
    missing = -len(values) % BATCH
    filled = np.concatenate([values, np.repeat(values[-1:], missing, axis=0)])
    return [tf.constant(part) for part in np.split(filled, len(filled) // BATCH)]


def adam_steps(evidence: Evidence, search: Search) -> Advance:
    """A tf.function that takes some steps of Adam (Kingma and Ba 2015) on a batch of unknowns.

    Its arguments are the unknowns [BATCH, ...], their two moments, the codes to match, the prior's
    weight, and how many steps are done and to do; it returns unknowns and moments. All are
    tensors, so that it is traced once. An image's steps do not depend on the others beside it.
    """
    deviation = compared_in(evidence) if search.deviation is None else search.deviation
    momentum, second_momentum = ADAM_MOMENTA

    def improved(step, unknowns, first, second, codes, prior_weight):
        with tf.GradientTape() as tape:
            tape.watch(unknowns)
            distance = code_distance(evidence.encode(search.picture(unknowns)), codes, deviation)
            total = tf.reduce_sum(distance + prior_weight * search.prior(unknowns))
        gradient = tape.gradient(total, unknowns)
        first = momentum * first + (1 - momentum) * gradient
        second = second_momentum * second + (1 - second_momentum) * tf.square(gradient)
        count = tf.cast(step + 1, tf.float32)
        change = (first / (1 - momentum**count)) / (
            tf.sqrt(second / (1 - second_momentum**count)) + ADAM_EPSILON
        )
        return search.project(unknowns - search.learning_rate * change), first, second

    @tf.function(autograph=False)
    def advance(unknowns, first, second, codes, prior_weight, done, steps):
        _, *state = tf.while_loop(
            lambda step, *_: step < done + steps,
            lambda step, unknowns, first, second: (
                step + 1,
                *improved(step, unknowns, first, second, codes, prior_weight),
            ),
            (done, unknowns, first, second),
        )
        return tuple(state)

    return advance
