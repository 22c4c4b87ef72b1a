"""Codes whose dropped values are filled in: everybody sees which ones are 0.

To a map of the whole code, a dropped value is noise. To whoever leaves it out it is a value that is
missing, and the others tell what it was: their values vary together.
"""

import dataclasses
import time

import numpy as np
from scipy import linalg

from arl_tf.attacks.closed_form import directions
from arl_tf.attacks.evidence import AttackerOptions, AttackResult, Evidence
from arl_tf.attacks.noise_aware import map_result, pixels
from arl_tf.attacks.regression.code_maps import pixel_error, ridge_map

# Directions along which public mean codes vary, tried from the fewest on. A code's time grows with
# their square.
RANKS = (8, 16, 32, 64, 128, 256)
# Share of the public mean codes that chooses among them, and at most so many.
CHOOSING_SHARE, MOST_CHOOSING = 0.1, 100
# No value has less of its variance outside the directions than this share.
LEAST_SHARE = 1e-4
# Share of the squares of codes by which values that are left may differ from their means.
MOST_WRONG = 0.01


@dataclasses.dataclass(frozen=True)
class CodeModel:
    """Codes as a mean, some directions, and what varies in each value by itself (Gaussian).

    Probabilistic principal components (Tipping and Bishop 1999) with a variance of its own for
    every value.

    Attributes:
        mean: float64 [D].
        basis: float64 [D, r], directions times their deviations.
        alone: float64 [D], > 0, the variance that the directions leave in each value.
    """

    mean: np.ndarray
    basis: np.ndarray
    alone: np.ndarray

    def of_rank(self, rank: int, variances: np.ndarray) -> "CodeModel":
        """The first directions alone; `variances` float64 [D] are those of the values."""
        basis = self.basis[:, :rank]
        alone = variances - np.square(basis).sum(axis=1)
        return CodeModel(self.mean, basis, np.maximum(alone, LEAST_SHARE * variances.mean()))

    def completed(self, values: np.ndarray, seen: np.ndarray) -> np.ndarray:
        """Codes with their missing values at the mean of what they can be, given the others.

        Args:
            values: float [n, D]; what is missing is not looked at.
            seen: bool [n, D].
        """
        found = np.array(values, np.float64)
        # In units of what each value varies by itself; single precision, as this takes the time.
        units = np.sqrt(self.alone)
        scaled = (self.basis / units[:, None]).astype(np.float32)
        for row, at_hand in zip(found, seen, strict=True):
            known = scaled[at_hand]
            told = (row[at_hand] - self.mean[at_hand]) / units[at_hand]
            products = (known.T @ known).astype(np.float64)
            products[np.diag_indices_from(products)] += 1.0
            latent = linalg.solve(products, known.T @ told, assume_a="pos", check_finite=False)
            row[~at_hand] = self.mean[~at_hand] + self.basis[~at_hand] @ latent
        return found


def completed(evidence: Evidence, settings: AttackerOptions) -> Evidence:
    """The evidence with codes whose dropped values are filled in.

    Values that are left are divided by what dropout multiplies them with, which the public codes
    tell. No noise is told any more: what is wrong in a completed code lies along the directions of
    the codes, and public codes have it as those under attack have.

    Args:
        evidence: with `noise`, whose public codes have values of 0 that their means have not.
        settings: seed.

    Raises:
        ValueError: no mean codes are known.
    """
    pairs, means = evidence.pairs, flat(known_means(evidence))
    factor = factor_of_the_left(flat(pairs.codes), means)
    model = best_model(means, flat(pairs.codes) != 0, settings.seed)

    def fill(codes: np.ndarray) -> np.ndarray:
        values = flat(codes)
        filled = model.completed(values / factor, values != 0)
        return filled.reshape(codes.shape).astype(np.float32)

    return dataclasses.replace(
        evidence,
        pairs=dataclasses.replace(
            pairs, codes=fill(pairs.codes), held_out_codes=fill(pairs.held_out_codes)
        ),
        target_codes=fill(evidence.target_codes),
        noise=None,
    )


def observed(evidence: Evidence, settings: AttackerOptions) -> Evidence:
    """The evidence with mean codes of public images, and NaN for dropped values under attack.

    For searches: a picture's mean code must equal what is left of a code, and the rest is unknown.
    No noise is told any more: what is left is exact.

    Args:
        evidence: as of `completed`.
        settings: not used.

    Raises:
        ValueError: no mean codes are known.
    """
    del settings
    pairs, means = evidence.pairs, known_means(evidence)
    factor = factor_of_the_left(flat(pairs.codes), flat(means))

    def left(codes: np.ndarray) -> np.ndarray:
        return np.where(codes != 0, codes / np.float32(factor), np.float32(np.nan))

    return dataclasses.replace(
        evidence,
        pairs=dataclasses.replace(pairs, codes=means, held_out_codes=left(pairs.held_out_codes)),
        target_codes=left(evidence.target_codes),
        noise=None,
    )


def can_complete(evidence: Evidence) -> bool:
    """Whether codes have dropped values, their mean codes are known, and nothing else is wrong.

    The mean of several codes of a photo has zeros, too, but its other values are not exact.
    """
    if evidence.known_noise is None or not evidence.drops_values:
        return False
    codes, means = flat(evidence.pairs.codes), flat(evidence.known_noise.public_means)
    left, expected = codes != 0, factor_of_the_left(codes, means) * means
    wrong = np.square(codes - expected, where=left, out=np.zeros_like(codes)).sum()
    return bool(wrong <= MOST_WRONG * np.square(codes).sum())


def linear_attack(evidence: Evidence, settings: AttackerOptions, *, name: str) -> AttackResult:
    """The best linear map from completed codes to pixels.

    The better, on held-out public images, of ridge regressions on completed public codes and on
    mean codes. Where all is Gaussian, the second is the best guess that there is: what a linear map
    makes of mean codes is, on average, what it makes of their average.

    Args:
        evidence: as of `completed`.
        settings: seed, and mu for the reported loss.
        name: of the attack in the report.
    """
    started = time.perf_counter()
    filled, means = completed(evidence, settings), known_means(evidence)
    score = pixel_error(filled.pairs.held_out_images)
    tried = (filled.pairs, dataclasses.replace(filled.pairs, codes=means))
    found = min(
        (ridge_map(each, pixels(each), score, seed=settings.seed) for each in tried),
        key=lambda candidate: candidate.score,
    )
    words = "the best linear map from the code, its dropped values filled in, to pixels"
    return map_result(filled, settings, found, name=name, started=started, words=words)


def known_means(evidence: Evidence) -> np.ndarray:
    """Mean codes of the public images float32 [N, ...]; ValueError where nothing is known."""
    if evidence.noise is None:
        raise ValueError("Codes are completed by Evidence.noise, the public mean codes; got None.")
    return evidence.noise.public_means


def factor_of_the_left(codes: np.ndarray, means: np.ndarray) -> float:
    """What values that are not dropped are multiplied by: codes and their means, float [N, D]."""
    left = codes != 0
    below = np.square(means, where=left, out=np.zeros_like(means)).sum()
    return float((codes * means).sum() / below) if below else 1.0


def best_model(means: np.ndarray, seen: np.ndarray, seed: int) -> CodeModel:
    """The model of mean codes float64 [N, D] whose number of directions fills in others best.

    Args:
        means: mean codes of public images.
        seen: bool [N, D], values that a code of each has left: what is filled in to choose.
        seed: chooses the codes that choose.
    """
    order = np.random.default_rng(seed).permutation(len(means))
    count = min(MOST_CHOOSING, max(1, round(CHOOSING_SHARE * len(means))))
    choosing, fitting = order[:count], order[count:]
    full, variances = fitted(means[fitting])
    truth, masks = means[choosing], seen[choosing]

    def error(rank: int) -> float:
        filled = full.of_rank(rank, variances).completed(truth, masks)
        return float(np.square(filled - truth).sum())

    ranks = sorted({min(rank, full.basis.shape[1]) for rank in RANKS})
    best = min(ranks, key=error)
    full, variances = fitted(means)
    return full.of_rank(best, variances)


def fitted(means: np.ndarray) -> tuple[CodeModel, np.ndarray]:
    """A model with as many directions as RANKS can ask for, and the variances float64 [D].

    Args:
        means: float64 [N, D], mean codes.
    """
    found = directions(means)
    first = np.argsort(found.values)[::-1][: max(RANKS)]
    basis = found.rotation[:, first] * np.sqrt(found.values[first] / len(means))
    variances = means.var(axis=0)
    return CodeModel(found.centre, basis, np.ones_like(variances)), variances


def flat(codes: np.ndarray) -> np.ndarray:
    """Codes [N, ...] as rows of numbers; float64 [N, D]."""
    return codes.reshape(len(codes), -1).astype(np.float64)
