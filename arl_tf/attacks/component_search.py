"""Searches for pictures by what public pictures vary most along, until codes match.

Pictures differ most along the first principal components and along low frequencies, and a step
counts in units of that. Such a search finds in tens of steps what one over single pixels does not
find in hundreds.
"""

import dataclasses
import time

import numpy as np
import scipy.fft
import tensorflow as tf

from arl_tf.attacks.closed_form import MOST_NUMBERS, MOST_PAIRS, directions, sample_rows
from arl_tf.attacks.code_search import Search, check_white_box, search_result
from arl_tf.attacks.evidence import AttackerOptions, AttackResult, Evidence
from arl_tf.models.standardisation import flattened

# Components and iterations at most, of `map_attack`.
MAP_COMPONENTS, MAP_ITERATIONS = 500, 20
# Likewise of `match_components`, where frequencies add what the components lack. A few thousand
# public pictures tell little of more components, and these are slow.
COMPONENTS, ITERATIONS = 300, 80
# Weights of the prior to choose from where nothing is known of noise; else factors of the weight
# that gives the likeliest picture.
PRIOR_WEIGHTS, PRIOR_FACTORS = (0.03, 0.1, 0.3, 1.0), (0.3, 1.0, 3.0, 10.0)
RATE = 0.1
# In units of a pixel's range: the deviation of a frequency is never taken to be smaller.
LEAST_DEVIATION = 1e-4
# Public pictures that tell these deviations, at most.
DETAILED_IMAGES = 2000


@dataclasses.dataclass(frozen=True)
class FacePrior:
    """Pictures as mean + components scaled by what public pictures vary along them.

    Attributes:
        mean: float32 [K].
        basis: float32 [C, K], principal components times their deviations: coefficients of public
            pictures have variance 1.
        shape: of a picture.
    """

    mean: np.ndarray
    basis: np.ndarray
    shape: tuple[int, ...]

    @property
    def components(self) -> int:
        """C."""
        return len(self.basis)

    @property
    def unknowns(self) -> int:
        """Numbers that make a picture."""
        return self.components

    def picture(self, coefficients: tf.Tensor) -> tf.Tensor:
        """Coefficients float32 [B, C] -> pictures float32 [B, S, S, 3] in [0, 1]."""
        flat = coefficients @ tf.constant(self.basis) + tf.constant(self.mean)
        return tf.reshape(tf.clip_by_value(flat, 0.0, 1.0), (-1, *self.shape))

    def coefficients(self, pictures: np.ndarray) -> np.ndarray:
        """The nearest coefficients float32 [N, C] of pictures [N, S, S, 3]."""
        lengths = np.square(self.basis).sum(axis=1)
        return ((flattened(pictures) - self.mean) @ self.basis.T / lengths).astype(np.float32)


def face_prior(images: np.ndarray, most: int, seed: int) -> FacePrior:
    """The first principal components of public images uint8 [N, S, S, 3], `most` at most."""
    rows = few_enough(images, MOST_PAIRS, seed)
    pixels = flattened(images[rows]) / np.float32(255)
    found = directions(pixels)
    kept = np.argsort(found.values)[::-1][:most]
    kept = kept[found.values[kept] > 1e-9 * found.level]
    deviations = np.sqrt(found.values[kept] / len(rows))
    basis = (found.rotation[:, kept] * deviations).T.astype(np.float32)
    return FacePrior(found.centre.astype(np.float32), basis, images.shape[1:])


@dataclasses.dataclass(frozen=True)
class DetailedPrior:
    """Pictures as a `FacePrior`'s, and details in frequencies: any picture can be made.

    Unknowns are the coefficients of the components and behind them those of the frequencies
    (discrete cosine transform, Ahmed, Natarajan and Rao 1974), each of variance 1 among public
    pictures.

    Attributes:
        faces: the components.
        colours: float32 [3, 3], columns are the principal directions of public colours.
        deviations: float32 [S, S, 3], of the details of public pictures, in these colours.
        waves: float32 [S, S], rows are the cosines, of length 1.
    """

    faces: FacePrior
    colours: np.ndarray
    deviations: np.ndarray
    waves: np.ndarray

    @property
    def components(self) -> int:
        """C."""
        return self.faces.components

    @property
    def unknowns(self) -> int:
        """Numbers that make a picture."""
        return self.components + self.deviations.size

    def picture(self, unknowns: tf.Tensor) -> tf.Tensor:
        """Unknowns float32 [B, C + S * S * 3] -> pictures float32 [B, S, S, 3] in [0, 1]."""
        count = self.components
        coarse = unknowns[:, :count] @ tf.constant(self.faces.basis) + tf.constant(self.faces.mean)
        scaled = tf.reshape(unknowns[:, count:], (-1, *self.deviations.shape)) * self.deviations
        rows = tf.einsum("fy,bfgc->bygc", self.waves, scaled)
        details = tf.einsum("gx,bygc,dc->byxd", self.waves, rows, self.colours)
        return tf.clip_by_value(tf.reshape(coarse, tf.shape(details)) + details, 0.0, 1.0)

    def coefficients(self, pictures: np.ndarray) -> np.ndarray:
        """The unknowns float32 [N, C + S * S * 3] of pictures [N, S, S, 3]."""
        along = self.faces.coefficients(pictures)
        details = in_frequencies(left_by(self.faces, along, pictures), self.colours, self.waves)
        return np.concatenate([along, flattened(details / self.deviations)], axis=1)


def detailed_prior(images: np.ndarray, most: int, seed: int) -> DetailedPrior:
    """What public images uint8 [N, S, S, 3] vary along; `most` principal components at most."""
    pictures = images[few_enough(images, DETAILED_IMAGES, seed)] / np.float32(255)
    faces = face_prior(images, most, seed)
    colours = np.cov(pictures.reshape(-1, 3), rowvar=False)
    colours = np.linalg.eigh(colours)[1].astype(np.float32)
    waves = scipy.fft.dct(np.eye(images.shape[1]), axis=0, norm="ortho").astype(np.float32)
    left = left_by(faces, faces.coefficients(pictures), pictures)
    deviations = in_frequencies(left, colours, waves).std(axis=0)
    return DetailedPrior(faces, colours, np.maximum(deviations, LEAST_DEVIATION), waves)


def left_by(faces: FacePrior, along: np.ndarray, pictures: np.ndarray) -> np.ndarray:
    """What coefficients [N, C] leave of pictures [N, S, S, 3]; float32 of the pictures' shape."""
    return pictures - (along @ faces.basis + faces.mean).reshape(pictures.shape)


def in_frequencies(pictures: np.ndarray, colours: np.ndarray, waves: np.ndarray) -> np.ndarray:
    """Cosine transform of pictures [N, S, S, 3] in turned colours; float32 of this shape.

    `colours` and `waves` are a `DetailedPrior`'s.
    """
    rows = np.einsum("fy,byxd->bfxd", waves, pictures @ colours, optimize=True)
    return np.einsum("gx,bfxd->bfgd", waves, rows, optimize=True)


def few_enough(images: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Rows int64 [n] of images [N, S, S, 3], `most` at most; fewer of large ones, for memory."""
    return sample_rows(len(images), min(most, max(1, MOST_NUMBERS // images[0].size)), seed)


def map_attack(
    evidence: Evidence, settings: AttackerOptions, *, start: AttackResult | None
) -> AttackResult:
    """The likeliest picture given a noisy code: a MAP search from another attack's pictures.

    Minimises sum (m(x) - z)^2 / (2 v) + b |a|^2 / 2 over x = mean + basis a, where m is the
    encoder without its noise, v the noise's variances, and a has variance 1 among public pictures.
    b, the steps and the share of the way are chosen by formula (1) on held-out public images.

    Args:
        evidence: with `encode` and `noise`.
        settings: seed, mu, and a bound on the iterations (steps).
        start: that attack's result; None: the mean picture.

    Raises:
        ValueError: no `encode` or no `noise`, or the search diverged.
    """
    started = time.perf_counter()
    check_white_box(evidence, "map")
    if evidence.noise is None:
        raise ValueError("A MAP search needs Evidence.noise, the noise's deviation; got None.")
    found = "the mean picture" if start is None else f"what {start.name} made of it"
    return component_search(
        evidence,
        settings,
        start,
        name="map",
        started=started,
        along=face_prior(evidence.pairs.images, MAP_COMPONENTS, settings.seed),
        iterations=MAP_ITERATIONS,
        words=f"the likeliest picture given the code and its known noise, a search from {found}",
    )


def match_components(
    evidence: Evidence, settings: AttackerOptions, *, start: AttackResult | None
) -> AttackResult:
    """The likeliest picture with nearly the same code, fine details included.

    Minimises the distance of codes (`code_search.compared_in`) plus b times the mean of the squares
    of a `DetailedPrior`'s unknowns. b, the steps and the share of the way are chosen by formula (1)
    on held-out public images. Where the noise is known, this is `map_attack` with another prior.

    Args:
        evidence: with `encode`.
        settings: seed, mu, and a bound on the iterations (steps).
        start: another attack's result; None: the mean picture.

    Raises:
        ValueError: no `encode`, or the search diverged.
    """
    started = time.perf_counter()
    check_white_box(evidence, "optimisation_components")
    origin = "the public mean image" if start is None else f"the pictures of {start.name}"
    return component_search(
        evidence,
        settings,
        start,
        name="optimisation_components",
        started=started,
        along=detailed_prior(evidence.pairs.images, COMPONENTS, settings.seed),
        iterations=ITERATIONS,
        words="a search for pictures whose codes match, by what public pictures vary most along,"
        f" which starts from {origin}",
    )


def component_search(
    evidence: Evidence,
    settings: AttackerOptions,
    start: AttackResult | None,
    *,
    name: str,
    started: float,
    along: FacePrior | DetailedPrior,
    iterations: int,
    words: str,
) -> AttackResult:
    """A search for the unknowns of pictures whose codes match.

    Args:
        evidence: with `encode`.
        settings: seed, mu, and a bound on the iterations (steps).
        start: the result of another attack to start from; None: the mean picture.
        name: of the attack.
        started: time.perf_counter() at its beginning.
        along: what unknowns are.
        iterations: at most.
        words: what the report says.
    """
    search = Search(
        picture=along.picture,
        project=tf.identity,
        prior=lambda unknowns: tf.reduce_mean(tf.square(unknowns), axis=1),
        prior_weights=prior_weights(evidence, along.unknowns),
        learning_rate=RATE,
        iterations=min(iterations, settings.steps),
    )
    return search_result(
        evidence,
        settings,
        search,
        first_unknowns(evidence, along, start),
        name=name,
        started=started,
        extra={
            "words": words,
            "start": "" if start is None else start.name,
            "components": along.components,
        },
    )


def prior_weights(evidence: Evidence, unknowns: int) -> tuple[float, ...]:
    """Weights, to choose from, of the mean of the squares of so many unknowns.

    The engine takes the mean over a code's values, of which the negative logarithm of the
    likelihood is half the sum. So the likeliest picture has the weight unknowns / values.
    """
    if evidence.noise is None:
        return PRIOR_WEIGHTS
    return tuple(factor * unknowns / evidence.noise.deviation.size for factor in PRIOR_FACTORS)


def first_unknowns(
    evidence: Evidence, along: FacePrior | DetailedPrior, start: AttackResult | None
) -> tuple[np.ndarray, np.ndarray]:
    """Where a search for (target, held-out) pictures starts; float32 [M, U] and [H, U]."""
    if start is not None:
        pictures = start.reconstructions, start.held_out_reconstructions
    else:
        mean = evidence.pairs.mean_image
        counts = len(evidence.target_codes), len(evidence.pairs.held_out_codes)
        pictures = tuple(np.repeat(mean[None], count, axis=0) for count in counts)
    return tuple(along.coefficients(each) for each in pictures)
