"""What attackers get to know of the noise in codes: from the encoder's inside, or by asking again.

Both rest on a mean code for each public image, and on how far single codes lie from it.
"""

import numpy as np
import tensorflow as tf

from arl_tf.attacks.evidence import CodeNoise, PublicPairs
from arl_tf.attacks.several_codes import SeveralCodes, join_codes
from arl_tf.auditing.caches.code_cache import CodeCache
from arl_tf.auditing.candidates.dropped import dropped_share, has_exact_rest
from arl_tf.auditing.encoders.audited import AuditedEncoder
from arl_tf.auditing.sealed_images import Rows
from arl_tf.data.image_sets import to_float
from arl_tf.models.standardisation import channel_moments, flattened

# A further set of codes of the public images, with noise of its own.
ANSWERS_NOISE = 105
# Single codes of a few public images, which tell whether noise drops values.
DROPPED_NOISE, DROPPED_ANSWERS, DROPPED_IMAGES = 110, 4, 256
ENCODED_AT_ONCE = 128
# No value has less noise than this share of its variance over photos: it would count for all.
LEAST_SHARE = 1e-6
# Below it nothing is estimated: a variance needs two values.
FEWEST_ANSWERS = 2


def known_noise(
    audited_encoder: AuditedEncoder, pairs: PublicPairs, codes_per_photo: int
) -> CodeNoise | None:
    """What a white-box attacker knows of the noise in codes that differ each time.

    Mean codes come from the encoder itself. The variances of Gaussian noise are those of encoder
    and channel. Where the codes are limited or rounded, or the encoder is a file, they are measured
    as the mean squared distance of public codes from their means: what rounding adds is in it.
    Means of several draws are wrong themselves, by noise that the codes at hand do not have.

    Args:
        audited_encoder: the encoder and its channel.
        pairs: public images and their codes.
        codes_per_photo: codes that attackers average.

    Returns:
        None where the encoder's inside is not at hand.
    """
    if audited_encoder.white_box is None:
        return None
    means = mean_codes(audited_encoder, pairs.images)
    variance = gaussian_variance(audited_encoder)
    draws = audited_encoder.mean_draws
    remaining = codes_per_photo / draws if draws else 0.0
    if variance is None:
        spread = np.square(pairs.codes - means, dtype=np.float64).mean(axis=0)
        variance = spread / (1 + remaining)
    else:
        variance = variance / codes_per_photo
    return CodeNoise(
        deviation_of(variance, pairs.codes), means, remaining=float(min(remaining, 1.0))
    )


def mean_codes(audited_encoder: AuditedEncoder, images: np.ndarray) -> np.ndarray:
    """What codes of uint8 [N, S, S, 3] are on average, from the inside; float32 [N, ...]."""
    encode = tf.function(audited_encoder.white_box, autograph=False, reduce_retracing=True)
    means = [
        encode(to_float(images[start : start + ENCODED_AT_ONCE])).numpy()
        for start in range(0, len(images), ENCODED_AT_ONCE)
    ]
    return np.concatenate(means)


def gaussian_variance(audited_encoder: AuditedEncoder) -> np.ndarray | None:
    """Variance of a code's noise float64 [...] where it is Gaussian and known; else None."""
    channel = audited_encoder.channel
    if channel.clip or audited_encoder.levels:
        return None
    if audited_encoder.noise_deviation is not None:
        return np.square(audited_encoder.noise_deviation) + channel.noise**2
    if audited_encoder.signal_share is None:
        return None
    return 1.0 - audited_encoder.signal_share.astype(np.float64) + channel.noise**2


def dropped_by_noise(
    rows: Rows, cache: CodeCache, audited_encoder: AuditedEncoder, seed: int
) -> float:
    """The share of the values that noise drops in a code, leaving the others as they are.

    0 where it does not: also behind a channel's noise or levels, and where nobody can be asked.

    Args:
        rows: who is who.
        cache: of single codes.
        audited_encoder: the encoder and its channel.
        seed: of the audit.
    """
    channel = audited_encoder.channel
    if audited_encoder.encoder is None or channel.noise or channel.levels:
        return 0.0
    some = rows.attacker[:DROPPED_IMAGES]
    answers = [
        flattened(cache.codes(some, DROPPED_NOISE + number + seed))
        for number in range(DROPPED_ANSWERS)
    ]
    return dropped_share(answers) if has_exact_rest(answers) else 0.0


def best_known(known: CodeNoise | None, asked: CodeNoise | None) -> CodeNoise | None:
    """What whoever has the encoder's inside uses: what it tells, or what answers tell.

    Means of random draws mix dropped values with others. The values that answers have left are
    exact.
    """
    if known is None or (known.remaining and asked is not None and asked.dropped):
        return asked
    return known


def asked_noise(
    rows: Rows,
    cache: CodeCache,
    audited_encoder: AuditedEncoder,
    pairs: PublicPairs,
    *,
    answers: int,
    codes_per_photo: int,
    dropped: float = 0.0,
    seed: int,
    known: CodeNoise | None = None,
) -> CodeNoise | None:
    """What asking the encoder again about its public images tells of the noise in their codes.

    The mean of n answers, one of them the code at hand, and from the distance of that code to the
    mean the variance of every value, unless that was told and no limit changes it. Where attackers
    average k codes of each photo, the code at hand is k answers, and at least as many are asked for
    beside it. Where noise drops values, the values that answers have left take the mean's place.

    Args:
        rows: who is who.
        cache: of single codes.
        audited_encoder: the encoder and its channel.
        pairs: public images and their codes, from `public_pairs` of the same rows.
        answers: n, >= 1; for each public image.
        codes_per_photo: k, codes that attackers average.
        dropped: from `dropped_by_noise`.
        seed: of the audit.
        known: from `known_noise` of the same pairs; answers are then drawn where their law is
            known, which takes no time.

    Returns:
        None where the encoder can't be asked, and where n is less than FEWEST_ANSWERS.
    """
    if audited_encoder.encoder is None or answers < FEWEST_ANSWERS:
        return None
    further = max(answers - codes_per_photo, codes_per_photo)
    total = codes_per_photo + further
    draw = ANSWERS_NOISE + seed
    if known is not None and has_known_law(audited_encoder):
        answered = mean_answers(known, codes_per_photo / further, draw)
    else:
        means_of = cache.repeated(SeveralCodes(further, dropped))
        views = means_of.codes(rows.attacker, draw), means_of.query("mirrored", rows.attacker, draw)
        answered = np.concatenate(views)
    means = join_codes(((pairs.codes, codes_per_photo), (answered, further)), dropped)
    at_hand = SeveralCodes(codes_per_photo, dropped)
    # The code at hand is part of the mean, which is by so much nearer to it than the truth.
    remaining = at_hand.gain / SeveralCodes(total, dropped).gain
    told = None
    if audited_encoder.noise_deviation is not None:
        # Behind a limit it is not what arrives.
        told = gaussian_variance(audited_encoder)
    if told is None:
        spread = np.square(pairs.codes - means, dtype=np.float64).mean(axis=0)
        variance = spread / (1 - remaining)
    else:
        variance = told / codes_per_photo
    deviation = deviation_of(variance, pairs.codes)
    return CodeNoise(deviation, means, total, remaining, at_hand.left_out)


def has_known_law(audited_encoder: AuditedEncoder) -> bool:
    """Whether codes are their means with Gaussian noise, all of it drawn by our own layers."""
    own = audited_encoder.signal_share is not None
    return own and gaussian_variance(audited_encoder) is not None


def mean_answers(known: CodeNoise, variance: float, seed: int) -> np.ndarray:
    """What the mean of several answers is for each public image, drawn; float32 [N, ...].

    `variance` is that of the mean, in units of the variance of the codes at hand.
    """
    noise = np.random.default_rng(seed).standard_normal(known.public_means.shape, np.float32)
    return known.public_means + np.float32(np.sqrt(variance)) * known.deviation * noise


def deviation_of(variance: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Deviation float32 [...] of a variance; a value without noise gets next to none.

    How much that is, each value of the codes [N, ...] decides for itself: they may be of different
    scales. One that is constant counts as one of variance 1.
    """
    spread = channel_moments(flattened(codes))[1].reshape(codes.shape[1:])
    least = LEAST_SHARE * np.square(spread)
    return np.sqrt(np.maximum(variance, least)).astype(np.float32)
