"""Codes whose dropped values are filled in: everybody sees which ones are 0.

To a map of the whole code, a dropped value is noise. To whoever leaves it out it is a value that is
missing, and the others tell what it was: their values vary together.
"""

import dataclasses
import time

import numpy as np
from scipy import linalg

from arl_tf.attacks.closed_form import directions
from arl_tf.attacks.evidence import AttackerOptions, AttackResult, CodeNoise, Evidence
from arl_tf.attacks.noise_aware import map_result, pixels
from arl_tf.attacks.regression.code_maps import pixel_error, ridge_map

# Directions along which public mean codes vary, tried from the fewest on. A code's time grows with
# their square.
RANKS = (8, 16, 32, 64, 128, 256)
# Share of the public mean codes that chooses among them, and at most so many.
CHOOSING_SHARE, MOST_CHOOSING = 0.1, 100
# Of mean codes that were put together from answers: where all of these dropped more of the values,
# too little is known; where less, the mean of the others fills in well enough. Else values are
# filled in and the model is fitted again, so often.
MOST_UNKNOWN, FEW_UNKNOWN, ROUNDS = 0.5, 0.01, 3
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
    tell. Mean codes come from the encoder's inside, or are put together from what answers have left
    of each image's codes. No noise is told any more: what is wrong in a completed code lies along
    the directions of the codes, and public codes have it as those under attack have.

    Args:
        evidence: with `noise`, whose public codes have values of 0 that their means have not.
        settings: seed.

    Raises:
        ValueError: no mean codes are known.
    """
    pairs, means = evidence.pairs, flat(known_means(evidence, settings.seed))
    seen = flat(pairs.codes) != 0
    factor = factor_of_the_left(flat(pairs.codes), means)
    model = best_model(means, seen, settings.seed, known_values(evidence.noise))

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
        settings: seed.

    Raises:
        ValueError: no mean codes are known.
    """
    pairs, means = evidence.pairs, known_means(evidence, settings.seed)
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

    The mean of several codes of a photo has zeros, too, but its other values are not exact. Mean
    codes may also be what answers have left, if that is enough of them.
    """
    noise = evidence.dropping_noise
    if noise is None or not evidence.drops_values or noise.never_left > MOST_UNKNOWN:
        return False
    codes, means = flat(evidence.pairs.codes), flat(noise.public_means)
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
    filled, means = completed(evidence, settings), known_means(evidence, settings.seed)
    score = pixel_error(filled.pairs.held_out_images)
    tried = (filled.pairs, dataclasses.replace(filled.pairs, codes=means))
    found = min(
        (ridge_map(each, pixels(each), score, seed=settings.seed) for each in tried),
        key=lambda candidate: candidate.score,
    )
    words = "the best linear map from the code, its dropped values filled in, to pixels"
    return map_result(filled, settings, found, name=name, started=started, words=words)


def known_means(evidence: Evidence, seed: int) -> np.ndarray:
    """Mean codes of the public images float32 [N, ...]; ValueError where nothing is known.

    Of what answers have left, values that all of them dropped are filled in. `seed` is as of
    `best_model`.
    """
    noise = evidence.noise
    if noise is None:
        raise ValueError("Codes are completed by Evidence.noise, the public mean codes; got None.")
    if not noise.dropped:
        return noise.public_means
    means = filled_in(flat(noise.public_means), noise.never_left, seed)
    return means.reshape(noise.public_means.shape).astype(np.float32)


def known_values(noise: CodeNoise) -> np.ndarray | None:
    """Which values of public mean codes are known, bool [N, D]; None where all are."""
    if not noise.dropped:
        return None
    return ~are_dropped(flat(noise.public_means), noise.never_left)


def filled_in(means: np.ndarray, dropped: float, seed: int) -> np.ndarray:
    """Mean codes float64 [N, D] with the values filled in that all answers dropped, which are 0.

    By the mean of the known ones; where many are unknown, by the others of the code.

    Args:
        means: what answers have left.
        dropped: share of the values that all answers dropped.
        seed: as of `best_model`; also draws known values that choose.
    """
    unknown = are_dropped(means, dropped)
    known = ~unknown
    mean_of_known = np.where(known, means, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    filled = np.where(known, means, mean_of_known)
    if dropped > FEW_UNKNOWN:
        seen = known & (np.random.default_rng(seed).random(known.shape) >= dropped)
        for _ in range(ROUNDS):
            filled = best_model(filled, seen, seed, known).completed(means, known)
    return filled


def are_dropped(means: np.ndarray, dropped: float) -> np.ndarray:
    """Which values of means [N, D] are rather 0 because they were dropped than by themselves.

    Of each value, by how often it is 0, and the share `dropped` of other values. Bool [N, D].
    """
    zero = means == 0
    often = np.maximum(zero.mean(axis=0), np.finfo(np.float64).tiny)
    by_themselves = np.clip((often - dropped) / (1 - dropped), 0, None)
    return zero & (by_themselves < often / 2)


def factor_of_the_left(codes: np.ndarray, means: np.ndarray) -> float:
    """What values that are not dropped are multiplied by: codes and their means, float [N, D]."""
    left = codes != 0
    below = np.square(means, where=left, out=np.zeros_like(means)).sum()
    return float((codes * means).sum() / below) if below else 1.0


def best_model(
    means: np.ndarray, seen: np.ndarray, seed: int, known: np.ndarray | None = None
) -> CodeModel:
    """The model of mean codes float64 [N, D] whose number of directions fills in others best.

    Args:
        means: mean codes of public images.
        seen: bool [N, D], values that a code of each has left: what is filled in to choose.
        seed: chooses the codes that choose.
        known: bool [N, D], of the means; None where all are.
    """
    order = np.random.default_rng(seed).permutation(len(means))
    count = min(MOST_CHOOSING, max(1, round(CHOOSING_SHARE * len(means))))
    choosing, fitting = order[:count], order[count:]
    full, variances = fitted(means[fitting])
    truth, masks = means[choosing], seen[choosing]
    counted = True if known is None else known[choosing]

    def error(rank: int) -> float:
        filled = full.of_rank(rank, variances).completed(truth, masks)
        return float(np.square(filled - truth).sum(where=counted))

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
