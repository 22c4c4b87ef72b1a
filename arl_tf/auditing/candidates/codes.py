"""What a holder of candidate photos learns of their codes, from the encoder's inside or by asking.

Where the encoder's noise is known it is drawn here: that is what asking the encoder gives, without
encoding every photo as often as it is asked for.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from arl_tf.attacks.evidence import CodeNoise, is_laplace
from arl_tf.auditing.candidates import dropped
from arl_tf.auditing.channel import Channel
from arl_tf.auditing.encoders.audited import AuditedEncoder
from arl_tf.auditing.evidence_collection import is_random
from arl_tf.data.image_sets import to_float
from arl_tf.metrics.candidates import CodeModel, as_gaussian
from arl_tf.metrics.left_values import LeftValues
from arl_tf.models import capacity
from arl_tf.models.standardisation import flattened

MOST_ANSWERS = 4
ASKED_IMAGES, ENCODED_AT_ONCE = 8, 128
# Of a value's variance over photos: less is taken for rounding errors of the encoder.
LEAST_NOISE = 1e-6


@dataclasses.dataclass(frozen=True)
class CandidateCodes:
    """What is known of the codes of N candidate photos.

    Attributes:
        answers: codes as they leave, float32 [N, K] each, one for each time that every photo was
            asked for; a single one where all would be alike.
        model: how codes are distributed; None where the encoder's inside is not at hand, and of
            codes without noise.
        noisy: whether the same photo has other codes each time.
        white_box: whether the encoder's inside is at hand.
        has_exact_rest: whether noise drops values of `answers` and leaves the others as they are.
        left: what values are that are not dropped, from the encoder's inside; None without it, and
            where others are not exact.
    """

    answers: tuple[np.ndarray, ...]
    model: CodeModel | None
    noisy: bool
    white_box: bool
    has_exact_rest: bool = False
    left: LeftValues | None = None


def codes_of(audited_encoder: AuditedEncoder, images: np.ndarray, seed: int) -> CandidateCodes:
    """Asks an encoder for the codes of candidate photos.

    Args:
        audited_encoder: has an encoder.
        images: uint8 [N, S, S, 3].
        seed: of the noise that is drawn here and in the channel.
    """
    if audited_encoder.signal is not None:
        return of_known_noise(audited_encoder, images, seed)
    if is_random(audited_encoder.encoder, images[:ASKED_IMAGES]):
        return of_unknown_noise(audited_encoder, images, seed)
    codes, channel = audited_encoder.encoder(images), audited_encoder.channel
    count = MOST_ANSWERS if channel.noise else 1
    answers = tuple(flattened(channel.send(codes, (seed, number))) for number in range(count))
    model = None
    if audited_encoder.white_box is not None and channel.noise:
        model = sent(channel, flattened(codes), np.zeros(answers[0].shape[1]))
    inside = audited_encoder.white_box is not None
    return CandidateCodes(answers, model, noisy=bool(channel.noise), white_box=inside)


def of_known_noise(
    audited_encoder: AuditedEncoder, images: np.ndarray, seed: int
) -> CandidateCodes:
    """Of an encoder that mixes its signal with noise of known shares, then may round it.

    Arguments are `codes_of`'s: images uint8 [N, S, S, 3].
    """
    limit = capacity.SIGNAL_LIMIT
    share = np.asarray(audited_encoder.signal_share, np.float64)
    means = np.sqrt(share) * np.clip(audited_encoder.signal(images), -limit, limit)
    rounding = Channel()
    if audited_encoder.levels:
        rounding = Channel(capacity.outermost_level(audited_encoder.levels), audited_encoder.levels)
    draw = np.random.default_rng(seed)
    answers = []
    for number in range(MOST_ANSWERS):
        noisy = means + np.sqrt(1 - share) * draw.standard_normal(means.shape)
        code = rounding.send(noisy.astype(np.float32), 0)
        answers.append(flattened(audited_encoder.channel.send(code, (seed, number))))
    flat = flattened(means).astype(np.float64)
    # A learned share may be 1 in float32.
    variances = np.maximum((1 - share).ravel(), least_noise(flat))
    model = CodeModel(flat, variances, rounding.clip, rounding.levels)
    if rounding.is_identity:
        model = sent(audited_encoder.channel, model.means, model.variances)
    elif not audited_encoder.channel.is_identity:
        rounded = as_gaussian(model)
        model = sent(audited_encoder.channel, rounded.means, rounded.variances)
    return CandidateCodes(tuple(answers), model, noisy=True, white_box=True)


def of_unknown_noise(
    audited_encoder: AuditedEncoder, images: np.ndarray, seed: int
) -> CandidateCodes:
    """Of an encoder that is random in its own way: the answers tell how much every value varies.

    Arguments are `codes_of`'s: images uint8 [N, S, S, 3].
    """
    channel = audited_encoder.channel
    codes = [audited_encoder.encoder(images) for _ in range(MOST_ANSWERS)]
    answers = tuple(
        flattened(channel.send(code, (seed, number))) for number, code in enumerate(codes)
    )
    codes = tuple(flattened(code) for code in codes)
    is_dropping = dropped.has_exact_rest(codes)
    known = CandidateCodes(
        answers,
        None,
        noisy=True,
        white_box=audited_encoder.differentiable is not None,
        # Behind other noise nothing is exact; rounding makes values 0 and equal by itself.
        has_exact_rest=is_dropping and not (channel.noise or channel.levels),
    )
    if not known.white_box:
        return known
    means = flattened(inner_means(audited_encoder, images)).astype(np.float64)
    if is_dropping:
        return with_dropping(known, codes, means, channel)
    if audited_encoder.noise_deviation is None:
        draws = audited_encoder.mean_draws
        # Means of draws are wrong themselves.
        variances = noise_variances(codes) * (1 + 1 / draws if draws else 1)
    else:
        told = np.square(audited_encoder.noise_deviation).ravel()
        # Some values may have been told to have no noise.
        variances = np.maximum(told, least_noise(means))
    model = sent(channel, means, variances)
    if not (channel.noise or channel.levels):
        law = CodeNoise(np.sqrt(variances).astype(np.float32), means.astype(np.float32))
        model = dataclasses.replace(model, is_laplace=is_laplace(codes[0], law))
    return dataclasses.replace(known, model=model)


def inner_means(audited_encoder: AuditedEncoder, images: np.ndarray) -> np.ndarray:
    """Codes float32 [N, ...] of uint8 [N, S, S, 3] on average, before the channel."""
    encode = tf.function(audited_encoder.differentiable, autograph=False, reduce_retracing=True)
    return np.concatenate(
        [
            encode(to_float(images[start : start + ENCODED_AT_ONCE])).numpy()
            for start in range(0, len(images), ENCODED_AT_ONCE)
        ]
    )


def with_dropping(
    known: CandidateCodes, codes: tuple[np.ndarray, ...], means: np.ndarray, channel: Channel
) -> CandidateCodes:
    """What is known where noise drops values, with the encoder's inside.

    Args:
        known: from outside.
        codes: what was answered before the channel, float32 [N, K] each.
        means: float64 [N, K], likewise.
        channel: behind the encoder.
    """
    # Where what is left is not exact, each photo's values have a variance of their own.
    variances = np.maximum(dropped.own_variances(codes, means), least_noise(means))
    left = None
    if known.has_exact_rest:
        left = dropped.from_inside(codes, means)
        if channel.clip:
            left = dataclasses.replace(left, values=left.values.clip(-channel.clip, channel.clip))
    return dataclasses.replace(known, model=sent(channel, means, variances), left=left)


def sent(channel: Channel, means: np.ndarray, variances: np.ndarray) -> CodeModel:
    """The model of codes of known means [N, K] and variances [K] or [N, K] behind a channel."""
    # Codes leave as float32, and so do values at the limit.
    clip = float(np.float32(channel.clip))
    return CodeModel(means.astype(np.float64), variances + channel.noise**2, clip, channel.levels)


def noise_variances(answers: tuple[np.ndarray, ...]) -> np.ndarray:
    """The variance of the noise of each value, from several answers [N, K]; float64 [K], > 0."""
    together = np.stack(answers).astype(np.float64)
    return np.maximum(together.var(axis=0, ddof=1).mean(axis=0), least_noise(together[0]))


def least_noise(codes: np.ndarray) -> np.ndarray:
    """The least variance of noise in each value of codes float64 [N, K]; float64 [K], > 0."""
    between = codes.var(axis=0)
    return LEAST_NOISE * np.where(between > 0, between, 1.0)
