"""Linear maps from codes to pixels, by what is known of a code's noise.

They see every value of a code in units of its noise: a value that is all noise weighs nothing, one
that is nearly free of it weighs most.
"""

import dataclasses
import time

import numpy as np

from arl_tf.attacks.closed_form import closed_form_result, linear_pictures, within_limit
from arl_tf.attacks.evidence import (
    WHITE_BOX,
    AttackerOptions,
    AttackResult,
    Evidence,
    PublicPairs,
)
from arl_tf.attacks.regression.code_maps import CodeMap, best_code_map, pixel_error, wiener_map
from arl_tf.models.standardisation import flattened


def linear_attack(evidence: Evidence, settings: AttackerOptions, *, name: str) -> AttackResult:
    """The best linear map from codes to pixels, by whatever is known of the noise.

    The better, on held-out public images, of a ridge regression and, where something is known of
    the noise, the Wiener map (`code_maps`).

    Args:
        evidence: public pairs and target codes; `noise` where something is known of it.
        settings: seed, and mu for the reported loss.
        name: of the attack in the report.
    """
    started = time.perf_counter()
    pairs, noise = within_limit(evidence.pairs, evidence.noise, settings.seed)
    evidence = dataclasses.replace(evidence, pairs=pairs, noise=noise)
    found = best_code_map(
        pairs, noise, pixels(pairs), pixel_error(pairs.held_out_images), seed=settings.seed
    )
    words = "the best linear map from the code to pixels, in closed form"
    return map_result(evidence, settings, found, name=name, started=started, words=words)


def wiener_attack(evidence: Evidence, settings: AttackerOptions, *, name: str) -> AttackResult:
    """The best linear map from noisy codes to pixels, by the noise that is known from the inside.

    Args:
        evidence: with `noise`.
        settings: seed, and mu for the reported loss.
        name: of the attack in the report.

    Raises:
        ValueError: the noise is not known.
    """
    started = time.perf_counter()
    if evidence.noise is None:
        raise ValueError("A Wiener map needs Evidence.noise, the noise's deviation; got None.")
    pairs, noise = within_limit(evidence.pairs, evidence.noise, settings.seed)
    evidence = dataclasses.replace(evidence, pairs=pairs, noise=noise)
    found = wiener_map(
        pairs, noise, pixels(pairs), pixel_error(pairs.held_out_images), seed=settings.seed
    )
    words = "the best linear map from the code to pixels for the known noise"
    result = map_result(evidence, settings, found, name=name, started=started, words=words)
    return dataclasses.replace(result, knowledge=WHITE_BOX)


def refined_from(evidence: Evidence, settings: AttackerOptions) -> Evidence:
    """The evidence with a linear map's pictures [N, S, S, 3] in place of the codes [N, ...].

    Without noise this is `closed_form.linear_pictures`. Where something is known of the noise the
    map is that of `linear_attack`, and public codes see the map of the other half of the images:
    the map of all has seen their means.

    Args:
        evidence: public pairs and target codes; `noise` where something is known of it.
        settings: seed.
    """
    if evidence.noise is None:
        return linear_pictures(evidence, settings)
    pairs, noise = within_limit(evidence.pairs, evidence.noise, settings.seed)
    shape, score = (-1, *pairs.images.shape[1:]), pixel_error(pairs.held_out_images)

    def map_of(rows: np.ndarray) -> CodeMap:
        some = dataclasses.replace(pairs, codes=pairs.codes[rows], images=pairs.images[rows])
        return best_code_map(some, noise.of(rows), pixels(some), score, seed=settings.seed)

    # A mirror image stands half of the images behind its image, and in the same part.
    every = np.arange(len(pairs.codes))
    second = every % max(1, len(every) // 2) % 2 == 1
    learned = np.empty(pairs.images.shape, np.float32)
    for part, others in ((every[second], every[~second]), (every[~second], every[second])):
        learned[part] = map_of(others).predict(pairs.codes[part]).reshape(shape)
    whole = map_of(every)
    return dataclasses.replace(
        evidence,
        pairs=dataclasses.replace(
            pairs,
            codes=learned,
            held_out_codes=whole.predict(pairs.held_out_codes).reshape(shape).astype(np.float32),
        ),
        target_codes=whole.predict(evidence.target_codes).reshape(shape).astype(np.float32),
        noise=None,
    )


def pixels(pairs: PublicPairs) -> np.ndarray:
    """The public images as rows of numbers; float32 [N, K] in [0, 1]."""
    return flattened(pairs.images) / np.float32(255)


def map_result(
    evidence: Evidence,
    settings: AttackerOptions,
    found: CodeMap,
    *,
    name: str,
    started: float,
    words: str,
) -> AttackResult:
    """What a linear map to pixels makes of the codes."""
    pictures = tuple(
        np.clip(found.predict(codes), 0, 1)
        for codes in (evidence.target_codes, evidence.pairs.held_out_codes)
    )
    return closed_form_result(
        evidence,
        settings,
        name=name,
        started=started,
        words=words,
        extra={**found.facts, "public_images": len(evidence.pairs.images)},
        pictures=pictures,
    )
