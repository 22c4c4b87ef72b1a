"""What an adversary holds, and what an attack returns. No attack gets an image under attack."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from arl_tf.attacks.several_codes import SINGLE, SeveralCodes, odds

BLACK_BOX, WHITE_BOX = "black-box", "white-box"
# Share of its held-out loss; where more training takes away less, an attacker has learned enough.
ENOUGH_GAIN = 0.01
# Of the values of codes, where all of them would take long.
LOOKED_AT = 4096
# Where more of the values than this share are 0 in codes and not in their means, noise drops
# values: nothing is added to them.
MOST_DROPPED = 0.002
# Dropout takes values of any size: the means of dropped values are as large as those of others, or
# half as large where they are means of two answers.
LEAST_DROPPED_MEAN = 0.4
# Codes of at most so many different values are rounded.
FEW_LEVELS = 64
# The mean magnitude of noise, in deviations: .707 of Laplace noise, .75 of the mean of two such
# numbers, .798 of Gaussian noise. Below this it is taken for Laplace noise. The distance to a mean
# of answers has noise of all of them in it: .734 for a mean of 8, .749 for one of 4.
LAPLACE_MAGNITUDE, PER_REMAINING = 0.73, 0.14
# The largest distance of the magnitudes' distribution to that of Laplace noise. Means of 8 answers
# have .036, of 4 answers .047; Gaussian noise has .083, rounded Gaussian noise as much or more.
LAPLACE_DISTANCE, DISTANCE_PER_REMAINING = 0.03, 0.1
# Of the noise that a value is taken to have: one whose noise is less has none.
LEAST_WRONG = 0.01
# Where mean codes carry more than this share of the noise, they tell little of its law.
MOST_REMAINING = 0.25


@dataclasses.dataclass(frozen=True)
class PublicPairs:
    """What an adversary collects by asking the encoder: codes of public images.

    Attributes:
        codes: float32 [N, ...].
        images: uint8 [N, S, S, 3].
        held_out_codes: float32 [H, ...], of other images; they choose when to stop, nothing else.
        held_out_images: uint8 [H, S, S, 3], what they are codes of.
    """

    codes: np.ndarray
    images: np.ndarray
    held_out_codes: np.ndarray
    held_out_images: np.ndarray

    @property
    def mean_image(self) -> np.ndarray:
        """The mean of `images`, float32 [S, S, 3] in [0, 1]."""
        return (self.images.mean(axis=0, dtype=np.float64) / 255).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class TaskOutputs:
    """Logits of the task head, which the adversary reads wherever the code goes.

    Attributes:
        public: float32 [N, A], of PublicPairs.codes.
        held_out: float32 [H, A], of PublicPairs.held_out_codes.
        target: float32 [M, A], of the codes under attack.
    """

    public: np.ndarray
    held_out: np.ndarray
    target: np.ndarray


@dataclasses.dataclass(frozen=True)
class CodeNoise:
    """What an attacker knows of the noise in the codes.

    Attributes:
        deviation: float32 of a code's shape, > 0: the noise of every value, in the codes as they
            are attacked.
        public_means: float32 [N, ...], what the codes of `PublicPairs.images` are on average.
        answers: of the encoder to each public image, from which both were estimated; 0: both are
            known, from the inside of the encoder.
        remaining: share of the noise's variance that `public_means` still carry, in [0, 1]; also
            where they come from the inside, as the means of several draws.
        dropped: where `public_means` were put together from the values that noise has left in the
            answers, the share of values that it drops in the codes as they are attacked; means are
            0 where all answers dropped a value. Else 0.
    """

    deviation: np.ndarray
    public_means: np.ndarray
    answers: int = 0
    remaining: float = 0.0
    dropped: float = 0.0

    @property
    def never_left(self) -> float:
        """The share of the values that all answers dropped, and that are 0 in `public_means`."""
        left = self.remaining * odds(self.dropped)
        return left / (1 + left)

    def of(self, rows: np.ndarray) -> "CodeNoise":
        """The same for some of the public images; rows int [n]."""
        return dataclasses.replace(self, public_means=self.public_means[rows])

    def of_one_code(self, several: SeveralCodes) -> "CodeNoise":
        """What is known of the noise in a single code, where codes are made of several."""
        return dataclasses.replace(
            self,
            deviation=self.deviation * np.float32(np.sqrt(several.gain)),
            remaining=self.remaining / several.gain,
            dropped=several.dropped if self.dropped else 0.0,
        )

    def of_single_answers(self, codes: np.ndarray) -> "CodeNoise":
        """The same for other images, of each of which one code float32 [n, ...] is at hand."""
        return dataclasses.replace(self, public_means=codes, remaining=1.0, dropped=0.0)

    def in_units(self, codes: np.ndarray) -> np.ndarray:
        """Codes [n, ...] whose noise has variance 1 in every value; float32 [n, ...]."""
        return (codes / self.deviation).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class EachCode:
    """Codes of which those of `PublicPairs` and those under attack are means, one by one.

    Attributes:
        public: float32 [N, k, ...].
        held_out: float32 [H, k, ...].
        target: float32 [M, k, ...].
    """

    public: np.ndarray
    held_out: np.ndarray
    target: np.ndarray


@dataclasses.dataclass(frozen=True)
class Evidence:
    """Everything that an attack may use.

    Attributes:
        pairs: public codes and images.
        target_codes: float32 [M, ...], the codes to invert.
        perceptual_features: the frozen network g; image float32 [B, S, S, 3] in [0, 1] -> feature
            maps of unit-length channels.
        identity_features: an identity network; image float32 [B, S, S, 3] in [0, 1] -> float32
            [B, E] of length 1, differentiable; None where there is none.
        task_outputs: what the task head says of all these codes; None where there is none.
        query: asks the encoder: uint8 [n, S, S, 3] -> codes float32 [n, ...], drawn anew where the
            encoder is random; None where only recorded codes are at hand.
        encode: white-box: float32 [B, S, S, 3] in [0, 1] -> code, differentiable (straight through
            what is not); the mean where codes have noise. None where the encoder's inside is not at
            hand.
        noise: the best that is known of the codes' noise; None where they have none, or nothing is
            known.
        asked_noise: what is known of it without the encoder's inside; likewise.
        random_codes: whether the encoder gives another code for the same image each time.
        several: how many codes of each image all these codes were made of, and how.
        each: these codes one by one, for whoever knows more of their noise than its variance; None
            where codes are single ones, or not at hand.
        unknown_noise: whether nobody knows if the codes have noise: there are only recorded ones.
        other_domain: public pairs of another data set; None where there is none.
        more_images: draws other public images of the same kind: (count, seed) -> uint8
            [count, S, S, 3]; None where there are none.
    """

    pairs: PublicPairs
    target_codes: np.ndarray
    perceptual_features: Callable[[tf.Tensor], Sequence[tf.Tensor]]
    identity_features: Callable[[tf.Tensor], tf.Tensor] | None = None
    task_outputs: TaskOutputs | None = None
    query: Callable[[np.ndarray], np.ndarray] | None = None
    encode: Callable[[tf.Tensor], tf.Tensor] | None = None
    noise: CodeNoise | None = None
    asked_noise: CodeNoise | None = None
    random_codes: bool = False
    several: SeveralCodes = SINGLE
    each: EachCode | None = None
    unknown_noise: bool = False
    other_domain: PublicPairs | None = None
    more_images: Callable[[int, int], np.ndarray] | None = None

    @property
    def known_noise(self) -> CodeNoise | None:
        """The noise where it is known from the encoder's inside; else None."""
        return self.noise if self.noise is not None and not self.noise.answers else None

    @property
    def dropping_noise(self) -> CodeNoise | None:
        """The noise where it is known what it leaves of codes if it drops values; else None.

        Known from the inside, or by values that are left in answers. In means of answers dropped
        values are mixed with others.
        """
        noise = self.noise
        return noise if noise is not None and (not noise.answers or noise.dropped) else None

    @property
    def drops_values(self) -> bool:
        """Whether noise that something is known of drops values, as dropout does."""
        return self.noise is not None and drops_values(self.pairs.codes, self.noise.public_means)

    @property
    def has_laplace_noise(self) -> bool:
        """Whether codes have Laplace noise, and means are known well enough to see it."""
        noise, codes = self.noise, self.pairs.codes
        if noise is None:
            return False
        if self.each is not None:
            noise, codes = noise.of_one_code(self.several), self.each.public[:, 0]
        return noise.remaining <= MOST_REMAINING and is_laplace(codes, noise)

    def as_seen(self, knowledge: str) -> "Evidence":
        """What an attacker of this knowledge, BLACK_BOX or WHITE_BOX, has of it."""
        if knowledge == WHITE_BOX:
            return self
        return dataclasses.replace(self, encode=None, noise=self.asked_noise)


def drops_values(codes: np.ndarray, means: np.ndarray) -> bool:
    """Whether codes [N, ...] are 0 in places where their means [N, ...] are not, as of dropout.

    Rounding and ReLU give zeros, too: among few levels, and where means are small.
    """
    if takes_few_levels(codes):
        return False
    seen, known = sample(codes), sample(means)
    dropped, left = (seen == 0) & (known != 0), seen != 0
    if not dropped.mean() > MOST_DROPPED or not left.any():
        return False
    return bool(typical(known[dropped]) > LEAST_DROPPED_MEAN * typical(known[left]))


def typical(values: np.ndarray) -> float:
    """The median magnitude of values [n], n >= 1."""
    return float(np.median(np.abs(values)))


def sample(values: np.ndarray) -> np.ndarray:
    """Up to LOOKED_AT of the values [N, ...], of all rows and places; the same for one shape."""
    rows = np.random.default_rng(0).choice(values.size, min(values.size, LOOKED_AT), replace=False)
    return values.reshape(-1)[rows]


def takes_few_levels(codes: np.ndarray) -> bool:
    """Whether codes [N, ...] are rounded so coarsely that their values repeat."""
    seen = sample(codes)
    return len(np.unique(seen)) <= min(FEW_LEVELS, len(seen) // 2)


def share_at_limit(codes: np.ndarray) -> float:
    """Which share of the values of codes [N, ...] has the largest magnitude, as of a limit."""
    magnitudes = np.abs(sample(codes))
    return float((np.count_nonzero(magnitudes == magnitudes.max()) - 1) / len(magnitudes))


def is_laplace(codes: np.ndarray, noise: CodeNoise) -> bool:
    """Whether codes [N, ...] differ from their means as by Laplace noise, dropped values apart.

    Gaussian noise that was rounded or limited, or whose size depends on the image, can have the
    mean magnitude of Laplace noise; the whole distribution is compared (Kolmogorov and Smirnov).
    """
    if drops_values(codes, noise.public_means):
        return False
    few = max(1, 16 * LOOKED_AT // codes[0].size)
    wrong = ((codes[:few] - noise.public_means[:few]) / noise.deviation).astype(np.float64)
    # Values without noise, beside others with Gaussian noise, would look like small Laplace noise.
    noisy = np.square(wrong).mean(axis=0) > LEAST_WRONG**2
    if not noisy.any():
        return False
    magnitudes = np.sort(np.abs(wrong[:, noisy]), axis=None)
    mean, remaining = magnitudes.mean(), noise.remaining
    heavy = mean < (LAPLACE_MAGNITUDE + PER_REMAINING * remaining) * np.sqrt(
        np.square(magnitudes).mean()
    )
    ranks = (np.arange(len(magnitudes)) + 0.5) / len(magnitudes)
    distance = np.abs(1 - np.exp(-magnitudes / mean) - ranks).max()
    return bool(heavy and distance < LAPLACE_DISTANCE + DISTANCE_PER_REMAINING * remaining)


def silent(share: float, held_out_loss: float) -> None:
    """Tells nobody how far an attack is."""


@dataclasses.dataclass(frozen=True)
class AttackerOptions:
    """Size and training of an attack's networks; single attacks scale them.

    Attributes:
        width: of a decoder (see `architectures.build_decoder`).
        depth: of a decoder.
        steps: of the optimizer, at most.
        batch_size: public images in a step.
        learning_rate: peak of a cosine decay.
        mu: weight of the perceptual beside the pixel loss.
        seed: draws weights and order.
        progress: called now and then with the share of the work that is done and the held-out loss.
    """

    width: int
    depth: int
    steps: int
    batch_size: int
    learning_rate: float
    mu: float
    seed: int
    progress: Callable[[float, float], None] = silent

    def as_json(self) -> dict[str, Any]:
        """The settings as JSON can hold them."""
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name != "progress"
        }


@dataclasses.dataclass(frozen=True)
class AttackResult:
    """What an attack made of the codes it was given.

    Attributes:
        name: of the attack.
        knowledge: BLACK_BOX (codes of chosen images) or WHITE_BOX (the encoder itself).
        settings: JSON-able.
        seconds: wall time of attacker's training and reconstruction.
        held_out_loss: formula (1) on held-out public images, checked at equal intervals of the
            attacker's work; a single value where it is solved in closed form.
        reconstructions: float32 [M, S, S, 3] in [0, 1].
        held_out_reconstructions: float32 [H, S, S, 3] in [0, 1], of the held-out public codes.
    """

    name: str
    knowledge: str
    settings: Mapping[str, Any]
    seconds: float
    held_out_loss: tuple[float, ...]
    reconstructions: np.ndarray
    held_out_reconstructions: np.ndarray
