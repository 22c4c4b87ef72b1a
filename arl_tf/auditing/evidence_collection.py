"""Collects what the attackers of an audit get, and the task head where the encoder has none."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
from absl import logging

from arl_tf.attacks.evidence import CodeNoise, EachCode, Evidence, PublicPairs, TaskOutputs
from arl_tf.attacks.knowledge import UNKNOWN_NOISE
from arl_tf.attacks.several_codes import SINGLE, SeveralCodes
from arl_tf.auditing import noise_knowledge
from arl_tf.auditing.caches.code_cache import CodeCache, joined_code
from arl_tf.auditing.encoders import fitted_head
from arl_tf.auditing.encoders.audited import AuditedEncoder
from arl_tf.auditing.encoders.changes import has_changed
from arl_tf.auditing.sealed_images import Rows, SealedImages, further_images, mirrored
from arl_tf.auditing.settings import AuditSettings
from arl_tf.data.image_sets import ImageSet
from arl_tf.data.splits import Splits
from arl_tf.metrics.tasks.registry import task_of

# Noise of the channel is drawn anew for every set of codes.
PUBLIC_NOISE, HELD_OUT_NOISE, TARGET_NOISE, UTILITY_NOISE, QUERY_NOISE = range(100, 105)
# Views of images have the noise behind their seed's, see `CodeCache.query`.
MIRROR_NOISE = 108
STABILITY_IMAGES = 8
# Numbers of codes that are kept one by one, beside their means; 1.2 GB.
MOST_KEPT = 300_000_000


def with_task_head(
    seed: int, images: ImageSet, splits: Splits, audited_encoder: AuditedEncoder, cache: CodeCache
) -> AuditedEncoder:
    """The audited encoder with a task head: its own, or one fitted on X1's codes.

    None without labels.
    """
    if audited_encoder.task_output or audited_encoder.recorded_logits is not None:
        return audited_encoder
    if not images.attribute_names:
        return audited_encoder
    logging.info("The encoder comes without a task head: fitting one on the codes of X1")
    parts = [splits.private_train, splits.private_validation]
    codes = [cache.codes(part, UTILITY_NOISE + seed) for part in parts]
    head = fitted_head.fit_task_head(
        codes[0],
        images.attributes[parts[0]],
        codes[1],
        images.attributes[parts[1]],
        seed=seed,
        task=task_of(images.task_kind),
    )
    return dataclasses.replace(audited_encoder, task_output=head)


def collect(
    settings: AuditSettings,
    images: ImageSet,
    rows: Rows,
    sealed: SealedImages,
    cache: CodeCache,
    audited_encoder: AuditedEncoder,
    other_images: np.ndarray | None,
    perceptual_features: Callable[[tf.Tensor], Sequence[tf.Tensor]],
) -> Evidence:
    """Everything that the attackers get.

    Where they get several codes of each photo they work on their means, or on what is left in one
    of them where noise drops values; the task output, which is the floor, stays that of a single
    code.

    Args:
        settings: seed, kind of images, codes of each photo.
        images: the data set.
        rows: who is who.
        sealed: its images, of which those under attack can't be read.
        cache: of single codes.
        audited_encoder: what is attacked, with its task head.
        other_images: uint8 [N, S, S, 3] of another data set, or None.
        perceptual_features: the frozen network g.
    """
    single = seen_codes(rows, sealed, cache, audited_encoder, settings.seed)
    pairs, target_codes = single
    query, random_codes = None, bool(audited_encoder.channel.noise)
    if audited_encoder.encoder is not None:
        query = NoisyQueries(audited_encoder, QUERY_NOISE + settings.seed)
        random_codes = is_random(query, pairs.images[:STABILITY_IMAGES])
    dropped = 0.0
    if random_codes:
        dropped = noise_knowledge.dropped_by_noise(rows, cache, audited_encoder, settings.seed)
    several, each = SeveralCodes(settings.codes_per_photo, dropped), None
    if several.count > 1:
        kept = kept_codes(several, audited_encoder, len(pairs.codes) + len(target_codes))
        several = dataclasses.replace(several, kept=kept)
        of_all = cache.repeated(several)
        pairs, target_codes = seen_codes(rows, sealed, of_all, audited_encoder, settings.seed)
        each = each_code(rows, of_all, settings.seed) if kept else None
        query = query and NoisyQueries(audited_encoder, QUERY_NOISE + settings.seed, several)
    known, asked = None, None
    if random_codes:
        known, asked = told_noise(settings, rows, cache, audited_encoder, pairs, several)
    # One code of a photo does not tell. The noise of a channel is known to be there.
    unknown_noise = query is None and not random_codes
    if unknown_noise:
        logging.warning("%s", UNKNOWN_NOISE)
    return Evidence(
        pairs=pairs,
        target_codes=target_codes,
        noise=noise_knowledge.best_known(known, asked),
        asked_noise=asked,
        perceptual_features=perceptual_features,
        task_outputs=outputs_of(rows, audited_encoder, single),
        query=query,
        encode=audited_encoder.white_box,
        random_codes=random_codes,
        several=several,
        each=each,
        unknown_noise=unknown_noise,
        other_domain=query and other_pairs(other_images, query),
        more_images=query
        and further_images(
            images, sealed[rows.attacker], drawn_faces=settings.drawn_faces, seed=settings.seed
        ),
    )


def kept_codes(several: SeveralCodes, audited_encoder: AuditedEncoder, images: int) -> int:
    """How many codes of each image are kept one by one: those of noise of an unknown law.

    Means of Gaussian noise, which is known where our own layers draw it, tell all. Laplace noise
    has half of its variance where each code counts: if less than half of the codes can be kept,
    the mean of all tells more.

    Args:
        several: how many codes attackers get of each image.
        audited_encoder: the encoder and its channel.
        images: of which there are codes.
    """
    is_gaussian = audited_encoder.signal_share is not None
    is_gaussian |= audited_encoder.noise_deviation is not None
    is_own = audited_encoder.encoder is not None and audited_encoder.channel.is_identity
    if several.dropped or is_gaussian or not is_own:
        return 0
    most = MOST_KEPT // (images * int(np.prod(audited_encoder.code_shape)))
    return min(several.count, most) if 2 * most >= several.count else 0


def each_code(rows: Rows, cache: CodeCache, seed: int) -> EachCode:
    """The codes one by one that `seen_codes` joins, with those of mirror images."""
    public = (
        cache.each("codes", rows.attacker, PUBLIC_NOISE + seed),
        cache.each("mirrored", rows.attacker, MIRROR_NOISE + seed),
    )
    return EachCode(
        np.concatenate(public),
        cache.each("codes", rows.held_out, HELD_OUT_NOISE + seed),
        cache.each("codes", rows.target, TARGET_NOISE + seed),
    )


def outputs_of(
    rows: Rows, audited_encoder: AuditedEncoder, single: tuple[PublicPairs, np.ndarray]
) -> TaskOutputs | None:
    """The task head's outputs [n, A], recorded or of single codes; None without a task head."""
    if audited_encoder.recorded_logits is not None:
        parts = (rows.attacker, rows.held_out, rows.target)
        return TaskOutputs(*(audited_encoder.recorded_logits[part] for part in parts))
    if audited_encoder.task_output is None:
        return None
    of_public, of_target = single
    codes = (of_public.codes, of_public.held_out_codes, of_target)
    return TaskOutputs(*(audited_encoder.task_output(each) for each in codes))


def told_noise(
    settings: AuditSettings,
    rows: Rows,
    cache: CodeCache,
    audited_encoder: AuditedEncoder,
    pairs: PublicPairs,
    several: SeveralCodes,
) -> tuple[CodeNoise | None, CodeNoise | None]:
    """What attackers with the encoder's inside, and those without it, know of the codes' noise."""
    known = noise_knowledge.known_noise(audited_encoder, pairs, several.count)
    asked = noise_knowledge.asked_noise(
        rows,
        cache,
        audited_encoder,
        pairs,
        answers=settings.attacker_queries,
        codes_per_photo=several.count,
        dropped=several.dropped,
        seed=settings.seed,
        known=known,
    )
    return known, asked


def single_noise(
    rows: Rows,
    cache: CodeCache,
    audited_encoder: AuditedEncoder,
    pairs: PublicPairs,
    *,
    answers: int,
    seed: int,
) -> CodeNoise | None:
    """What attackers of single codes learn of their noise by asking; None where there is none.

    Arguments are those of `noise_knowledge.asked_noise`.
    """
    if not is_random(
        NoisyQueries(audited_encoder, QUERY_NOISE + seed), pairs.images[:STABILITY_IMAGES]
    ):
        return None
    return noise_knowledge.asked_noise(
        rows,
        cache,
        audited_encoder,
        pairs,
        answers=answers,
        codes_per_photo=1,
        dropped=noise_knowledge.dropped_by_noise(rows, cache, audited_encoder, seed),
        seed=seed,
    )


def seen_codes(
    rows: Rows, sealed: SealedImages, cache: CodeCache, audited_encoder: AuditedEncoder, seed: int
) -> tuple[PublicPairs, np.ndarray]:
    """Public pairs, and the codes under attack, float32 [M, ...]."""
    pairs = public_pairs(rows, sealed, cache, audited_encoder, seed)
    return pairs, cache.codes(rows.target, TARGET_NOISE + seed)


def public_pairs(
    rows: Rows, sealed: SealedImages, cache: CodeCache, audited_encoder: AuditedEncoder, seed: int
) -> PublicPairs:
    """Codes of the public images as they leave, noise and all.

    Where the encoder can be asked the public images come with their mirror images, as an adversary
    would collect them; the held-out ones do not.
    """
    codes, images = cache.codes(rows.attacker, PUBLIC_NOISE + seed), sealed[rows.attacker]
    if audited_encoder.encoder is not None:
        mirror_codes = cache.query("mirrored", rows.attacker, MIRROR_NOISE + seed)
        codes, images = np.concatenate([codes, mirror_codes]), mirrored(images)
    held_out_codes = cache.codes(rows.held_out, HELD_OUT_NOISE + seed)
    return PublicPairs(codes, images, held_out_codes, sealed[rows.held_out])


class NoisyQueries:
    """Asks an encoder for codes; the channel's noise is new each time, and the same in each run."""

    def __init__(self, audited_encoder: AuditedEncoder, seed: int, several: SeveralCodes = SINGLE):
        """Takes the encoder, the seed of the first answer's noise, and the codes of an answer.

        An answer is made of so many codes.
        """
        self._audited_encoder, self._seed, self._count = audited_encoder, seed, 0
        self._several = several

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Codes float32 [n, ...] of images uint8 [n, S, S, 3]."""
        self._count += 1
        return joined_code(
            lambda draw: self._audited_encoder.query(images, draw),
            self._seed * 1_000_003 + self._count,
            self._several,
        )


def is_random(query: Callable[[np.ndarray], np.ndarray], images: np.ndarray) -> bool:
    """Whether the same images, uint8 [n, S, S, 3], get other codes when asked again."""
    return has_changed(query(images), query(images))


def other_pairs(
    images: np.ndarray | None, query: Callable[[np.ndarray], np.ndarray]
) -> PublicPairs | None:
    """Public pairs of another data set's images uint8 [n, S, S, 3]; every tenth is held out.

    None where `images` is. `query`: uint8 [m, S, S, 3] -> codes float32 [m, ...].
    """
    if images is None:
        return None
    held_out = np.arange(len(images)) % 10 == 0
    public = mirrored(images[~held_out])
    return PublicPairs(query(public), public, query(images[held_out]), images[held_out])


def on_task_output(evidence: Evidence) -> Evidence:
    """The evidence of an adversary who sees the task output alone."""
    outputs = evidence.task_outputs
    pairs = dataclasses.replace(
        evidence.pairs, codes=outputs.public, held_out_codes=outputs.held_out
    )
    return Evidence(
        pairs=pairs,
        target_codes=outputs.target,
        perceptual_features=evidence.perceptual_features,
        unknown_noise=evidence.unknown_noise,
    )
