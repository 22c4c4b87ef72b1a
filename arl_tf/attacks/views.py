"""What attackers take of the evidence: all of it, or fewer, more, other or joined public images."""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from arl_tf.attacks.closed_form import most_pairs, sample_rows
from arl_tf.attacks.evidence import AttackerOptions, CodeNoise, Evidence, PublicPairs
from arl_tf.attacks.several_codes import join_codes

MORE_IMAGES, FEWER_IMAGES = 10, 0.1
# Of a logit's deviation: beside a noisy code the task output counts in full.
OUTPUT_NOISE = 0.1
ENCODED_AT_ONCE = 128
View = Callable[[Evidence, AttackerOptions], Evidence]


def unchanged(evidence: Evidence, settings: AttackerOptions) -> Evidence:
    """The evidence as it is."""
    del settings
    return evidence


def conditioned(evidence: Evidence, settings: AttackerOptions) -> Evidence:
    """The task output laid beside every code, and seen with it.

    What is known of the noise says how codes are weighted; the task output is a mean of nothing, so
    no other noise can be drawn for both.
    """
    del settings
    pairs, outputs = evidence.pairs, evidence.task_outputs
    noise = evidence.noise
    if noise is not None:
        small = OUTPUT_NOISE * outputs.public.std(axis=0)[None] + np.float32(1e-6)
        noise = CodeNoise(
            beside(noise.deviation[None], small)[0],
            beside(pairs.codes, outputs.public),
            noise.answers,
            remaining=1.0,
        )
    return dataclasses.replace(
        evidence,
        pairs=dataclasses.replace(
            pairs,
            codes=beside(pairs.codes, outputs.public),
            held_out_codes=beside(pairs.held_out_codes, outputs.held_out),
        ),
        target_codes=beside(evidence.target_codes, outputs.target),
        noise=noise,
    )


def beside(codes: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Codes [N, ..., c] with vectors [N, A] at every position: [N, ..., c + A]."""
    spread = vectors.reshape(len(vectors), *[1] * (codes.ndim - 2), -1)
    return np.concatenate(
        [codes, np.broadcast_to(spread, (*codes.shape[:-1], spread.shape[-1]))], -1
    )


def fewer_images(evidence: Evidence, settings: AttackerOptions) -> Evidence:
    """A tenth of the public pairs."""
    pairs = evidence.pairs
    count = max(2, round(FEWER_IMAGES * len(pairs.images)))
    rows = np.random.default_rng(settings.seed).permutation(len(pairs.images))[:count]
    noise = evidence.noise and evidence.noise.of(rows)
    return with_pairs(evidence, codes=pairs.codes[rows], images=pairs.images[rows], noise=noise)


def more_images(evidence: Evidence, settings: AttackerOptions) -> Evidence:
    """Ten times the public pairs: the encoder is asked for the codes of further images.

    Where something is known of the noise, mean codes of all of them are learned as well.
    """
    pairs = evidence.pairs
    added = evidence.more_images((MORE_IMAGES - 1) * len(pairs.images), settings.seed)
    images = np.concatenate([pairs.images, added])
    codes = np.concatenate([pairs.codes, evidence.query(added)])
    noise = other_noise(evidence, dataclasses.replace(pairs, codes=codes, images=images))
    return with_pairs(evidence, codes=codes, images=images, noise=noise)


def other_domain(evidence: Evidence, settings: AttackerOptions) -> Evidence:
    """Public pairs of another data set instead; its own held-out images choose when to stop."""
    del settings
    noise = other_noise(evidence, evidence.other_domain)
    return dataclasses.replace(evidence, pairs=evidence.other_domain, noise=noise, each=None)


def other_domain_within_limit(evidence: Evidence, settings: AttackerOptions) -> Evidence:
    """As `other_domain`, of as many images as closed forms take."""
    most = most_pairs(evidence.pairs)
    pairs = some_pairs(evidence.other_domain, most, settings.seed)
    noise = other_noise(evidence, pairs)
    return dataclasses.replace(evidence, pairs=pairs, noise=noise, each=None)


def joined(evidence: Evidence, settings: AttackerOptions) -> Evidence:
    """The public pairs and those of another data set; X2's held-out images choose."""
    del settings
    return with_other_pairs(evidence, evidence.other_domain)


def joined_within_limit(evidence: Evidence, settings: AttackerOptions) -> Evidence:
    """As `joined`, with as many of the other images as closed forms take beside X2's."""
    # Of more pairs than closed forms take, these draw: each data set then has its share.
    most = most_pairs(evidence.pairs)
    room = max(most // 2, most - len(evidence.pairs.images))
    return with_other_pairs(evidence, some_pairs(evidence.other_domain, room, settings.seed))


def with_other_pairs(evidence: Evidence, added: PublicPairs) -> Evidence:
    """The evidence with further training pairs."""
    pairs, noise = evidence.pairs, evidence.noise
    codes, images = (
        np.concatenate([getattr(part, name) for part in (pairs, added)])
        for name in ("codes", "images")
    )
    if noise is not None:
        of_added = other_noise(evidence, added)
        means = np.concatenate([noise.public_means, of_added.public_means])
        # Means of both kinds count as if they carried as much noise as the worse ones.
        remaining = max(noise.remaining, of_added.remaining)
        noise = dataclasses.replace(noise, public_means=means, remaining=remaining)
    return with_pairs(evidence, codes=codes, images=images, noise=noise)


def other_noise(evidence: Evidence, pairs: PublicPairs) -> CodeNoise | None:
    """What is known of the noise beside other pairs: their mean codes are asked for likewise."""
    noise = evidence.noise
    if noise is None:
        return None
    if evidence.known_noise is not None and evidence.encode is not None:
        means = [
            np.asarray(evidence.encode(tf.cast(part, tf.float32) / 255.0))
            for part in np.split(
                pairs.images, range(ENCODED_AT_ONCE, len(pairs.images), ENCODED_AT_ONCE)
            )
        ]
        return dataclasses.replace(noise, public_means=np.concatenate(means))
    if noise.answers and evidence.query is not None:
        answers = ((evidence.query(pairs.images), 1) for _ in range(noise.answers))
        means = join_codes(answers, noise.dropped)
        return dataclasses.replace(noise, public_means=means)
    return noise.of_single_answers(pairs.codes)


def some_pairs(pairs: PublicPairs, most: int, seed: int) -> PublicPairs:
    """At most so many of the pairs, with all held-out ones."""
    rows = sample_rows(len(pairs.images), most, seed)
    return dataclasses.replace(pairs, codes=pairs.codes[rows], images=pairs.images[rows])


def with_pairs(
    evidence: Evidence, *, codes: np.ndarray, images: np.ndarray, noise: CodeNoise | None
) -> Evidence:
    """The evidence with other training pairs and the same held-out ones.

    Codes float32 [N, ...], images uint8 [N, S, S, 3]; `noise` is what is known of these codes.
    """
    pairs = dataclasses.replace(evidence.pairs, codes=codes, images=images)
    return dataclasses.replace(evidence, pairs=pairs, noise=noise, each=None)
