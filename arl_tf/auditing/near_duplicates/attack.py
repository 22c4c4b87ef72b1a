"""Attacks 16 shots of each photo with the best linear map: noise of their own, or shared.

Shots that share their noise have it in their mean as a single code has. But it cancels in their
differences, which tell how the shots differ at the encoder's full precision. Where a part of the
noise is shared and the rest is each shot's own, neither mean nor differences are without noise.
"""

import dataclasses
import functools
from collections.abc import Mapping

import numpy as np

from arl_tf.attacks.closed_form import sample_rows
from arl_tf.attacks.regression.code_maps import NOISE_FACTORS, pixel_error
from arl_tf.auditing import noise_knowledge
from arl_tf.auditing.encoders.audited import AuditedEncoder
from arl_tf.auditing.near_duplicates import shots
from arl_tf.auditing.near_duplicates.kernels import Products, predictions
from arl_tf.models.standardisation import flattened
from arl_tf.utils import progress

# More public photos add time, not strength: products of all with all are solved for.
MOST_PUBLIC = 2000
SHOT_NOISE, OWN_NOISE = 107, 109
# Variances, in shares of the noise's, that the map takes differences to have beside what they have.
FURTHER_NOISES = (1e-4, 1e-3, 1e-2, 1e-1)
NO_NOISES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
# Share of the noise's variance that all shots of a photo have in common.
OWN, HALF, SHARED = 0.0, 0.5, 1.0
KNOWS = ", and the attacker knows how each shot changes a photo"
WAYS = {
    "one_code": "the code of one shot",
    "own_noise": "the mean of all codes; each shot has noise of its own",
    "own_noise_differences": "the mean and the differences of all codes; each shot has noise of its"
    f" own{KNOWS}",
    "half_shared_noise": "the mean of all codes; the shots share half of their noise",
    "half_shared_noise_differences": "the mean and the differences of all codes; the shots share"
    f" half of their noise{KNOWS}",
    "shared_noise": "the mean of all codes; the shots share their noise",
    "shared_noise_differences": "the mean and the differences of all codes; the shots share their"
    f" noise{KNOWS}",
    "no_noise": "the mean of all codes, without any noise: the limit",
}
SHARES = {"own_noise": OWN, "half_shared_noise": HALF, "shared_noise": SHARED}


@dataclasses.dataclass(frozen=True)
class ShotCodes:
    """Mean codes of shots in units of their noise, and products of their differences.

    A shot's difference is its mean code less the mean over the shots. Products are summed over the
    shots, with the differences of each public photo.

    Attributes:
        first: float32 [N, D], of the first shot.
        mean: float32 [N, D], over all shots.
        differences: float64 [N, public], products of the differences.
        noise: float32 [N, D], the mean of standard normal noise that each shot has of its own.
        noise_differences: float64 [N, public], products of this noise; 0 for public photos.
    """

    first: np.ndarray
    mean: np.ndarray
    differences: np.ndarray
    noise: np.ndarray
    noise_differences: np.ndarray


@dataclasses.dataclass(frozen=True)
class ShotPictures:
    """What the attacks made of the codes.

    Attributes:
        count: shots of each photo.
        pictures: way -> float32 [M, S, S, 3] in [0, 1].
        errors: way -> mean squared error of the held-out public photos' pixels.
        public_images: how many the map was learned from.
    """

    count: int
    pictures: Mapping[str, np.ndarray]
    errors: Mapping[str, float]
    public_images: int


def missing(audited_encoder: AuditedEncoder) -> str:
    """Why the shots of this encoder can't be attacked; empty where they can."""
    if audited_encoder.white_box is None:
        return audited_encoder.not_white_box or "the encoder's inside is not at hand"
    if noise_knowledge.gaussian_variance(audited_encoder) is None:
        return "the codes have no noise of known variance, and noise is what shots could share"
    return ""


def attack(
    audited_encoder: AuditedEncoder,
    public: np.ndarray,
    held_out: np.ndarray,
    target: np.ndarray,
    *,
    count: int,
    seed: int,
) -> ShotPictures:
    """Attacks `count` shots of every photo.

    The map is learned from public photos alone; of the photos under attack it gets codes.

    Args:
        audited_encoder: has noise of known variance, see `missing`.
        public: uint8 [N, S, S, 3], MOST_PUBLIC of them are used.
        held_out: uint8 [H, S, S, 3], other public photos: they choose the map.
        target: uint8 [M, S, S, 3].
        count: shots of each photo, >= 2.
        seed: of the shots and of the noise.
    """
    public = public[sample_rows(len(public), MOST_PUBLIC, seed)]
    deviation = np.sqrt(noise_knowledge.gaussian_variance(audited_encoder)).ravel()
    images = np.concatenate([public, held_out, target])
    codes = shot_codes(audited_encoder, images, deviation, len(public), count, seed)
    parts = Parts(len(public), len(held_out))
    common = np.random.default_rng([seed, SHOT_NOISE]).standard_normal(codes.mean.shape, np.float32)
    solve = functools.partial(
        predictions, outputs=flattened(public) / np.float32(255), score=pixel_error(held_out)
    )
    with progress.bar("Shots attacked", 1 + len(SHARES)) as advance:
        found = {
            "one_code": solve(parts.products(codes.first, common), noises=NOISE_FACTORS),
            "no_noise": solve(parts.products(codes.mean, 0 * common), noises=NO_NOISES),
        }
        advance()
        for way, share in SHARES.items():
            mean, differences = shared_products(codes, parts, common, share, count)
            found[way] = solve(mean, noises=NOISE_FACTORS)
            found[f"{way}_differences"] = min(
                (
                    solve(mean + differences * (1 / (1 - share + further)), noises=NOISE_FACTORS)
                    for further in FURTHER_NOISES
                ),
                key=lambda each: each.held_out_error,
            )
            advance()
    pictures = {
        way: np.clip(found[way].values, 0, 1).astype(np.float32).reshape(target.shape)
        for way in WAYS
    }
    errors = {way: found[way].held_out_error for way in WAYS}
    return ShotPictures(count, pictures, errors, len(public))


def shared_products(
    codes: ShotCodes, parts: "Parts", common: np.ndarray, share: float, count: int
) -> tuple[Products, Products]:
    """Products of means and of differences of `count` shots that share a part of their noise.

    The mean is in units of its own noise, the differences are in units of a single code's.

    Args:
        codes: of the shots, with noise of their own.
        parts: how the images are laid out.
        common: float32 [N, D], standard normal noise that all shots of a photo have.
        share: of the noise's variance that is common, in [0, 1].
        count: shots of each photo.
    """
    of_mean = np.float32(np.sqrt(share + (1 - share) / count))
    noise = np.float32(np.sqrt(share)) * common + np.float32(np.sqrt(1 - share)) * codes.noise
    differences = codes.differences + np.sqrt(1 - share) * codes.noise_differences
    return parts.products(codes.mean / of_mean, noise / of_mean), parts.split(differences)


@dataclasses.dataclass(frozen=True)
class Parts:
    """How images are laid out: public ones, held-out public ones, and those under attack.

    Attributes:
        public: how many.
        held_out: how many.
    """

    public: int
    held_out: int

    def split(self, products: np.ndarray) -> Products:
        """Products [N, public] of all images by part."""
        return Products(*np.split(products, [self.public, self.public + self.held_out]))

    def products(self, means: np.ndarray, noise: np.ndarray) -> Products:
        """Products of codes with mean public codes; public codes come without their noise.

        Mean codes and noise float32 [N, D].
        """
        known = means[: self.public].astype(np.float64)
        noisy = (means + noise)[self.public :].astype(np.float64)
        return self.split(np.concatenate([known, noisy]) @ known.T)


def shot_codes(
    audited_encoder: AuditedEncoder,
    images: np.ndarray,
    deviation: np.ndarray,
    public: int,
    count: int,
    seed: int,
) -> ShotCodes:
    """Mean codes of all shots, and the products of the differences of shots.

    Args:
        audited_encoder: the encoder.
        images: uint8 [N, S, S, 3].
        deviation: float [D], of the noise.
        public: how many of the images, the first ones, are public: these have no noise.
        count: shots of each.
        seed: of the shots and their noise.
    """
    rng = np.random.default_rng([seed, OWN_NOISE])
    first, total, products = None, 0.0, 0.0
    all_noise, noise_products = 0.0, 0.0
    with progress.bar("Shots encoded", count) as advance:
        for shown in shots.shots_of(images, count, seed):
            code = (
                flattened(noise_knowledge.mean_codes(audited_encoder, shown)).astype(np.float64)
                / deviation
            )
            noise = rng.standard_normal(code.shape, np.float32)
            noise[:public] = 0
            first = code if first is None else first
            total, all_noise = total + code, all_noise + noise
            products = products + code @ code[:public].T
            noise_products = noise_products + noise.astype(np.float64) @ code[:public].T
            advance()
    mean = total / count
    public_mean = mean[:public].T
    return ShotCodes(
        first.astype(np.float32),
        mean.astype(np.float32),
        products - count * (mean @ public_mean),
        (all_noise / count).astype(np.float32),
        noise_products - all_noise.astype(np.float64) @ public_mean,
    )
