"""How an attacker compares a predicted embedding with candidates: by cosine, or by likelihood.

A prediction is sure in some directions of the space of embeddings and vague in others. The cosine
weighs them alike. The likelihood ratio weighs each by how far held-out predictions are off in it.
"""

import dataclasses

import numpy as np

# Fewer held-out faces than these tell too little of how predictions err.
LEAST_HELD_OUT = 40
# Shares of the directions that are compared, those in which public faces differ most.
KEPT = (0.25, 0.5, 0.625, 0.75, 1.0)
FOLDS = 4
# Of the variance of public faces in a direction: an error is never taken to be smaller.
LEAST_ERROR = 1e-3
# Of the greatest variance: directions in which faces differ less tell nothing.
LEAST_SPREAD = 1e-6


class Comparison:
    """Compares by cosine."""

    name = "cosine"

    def scores(self, predicted: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """How well each candidate fits each prediction: float64 [M, C], greater is better.

        Args:
            predicted: float [M, E], of length 1.
            candidates: float [C, E], of length 1.
        """
        return predicted.astype(np.float64) @ candidates.T.astype(np.float64)


@dataclasses.dataclass(frozen=True)
class PublicSpace:
    """How public faces differ.

    Attributes:
        mean: float64 [E], of their directions.
        basis: float64 [E, D], eigenvectors of the covariance, the largest first.
        spread: float64 [D], its eigenvalues.
    """

    mean: np.ndarray
    basis: np.ndarray
    spread: np.ndarray

    def first(self, count: int) -> "PublicSpace":
        """The same with the first of its D directions alone."""
        return PublicSpace(self.mean, self.basis[:, :count], self.spread[:count])


@dataclasses.dataclass(frozen=True)
class LikelihoodComparison(Comparison):
    """Compares by the logarithm of a ratio of likelihoods.

    It is log N(c; q, error) - log N(c; 0, spread), without what is the same for all candidates; q
    is the scaled prediction and c the candidate, less the mean, both in the space's directions.

    Attributes:
        space: of the public faces, with D directions.
        scale: that a prediction is multiplied with.
        error: float64 [D], mean squared error of scaled held-out predictions.
    """

    space: PublicSpace
    scale: float
    error: np.ndarray
    name = "likelihood"

    def scores(self, predicted: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """As of `Comparison`: float64 [M, C] of predictions [M, E] and candidates [C, E]."""
        guess = self.scale * (predicted @ self.space.basis)
        seen = (candidates - self.space.mean) @ self.space.basis
        return (guess / self.error) @ seen.T + np.square(seen) @ (
            0.5 / self.space.spread - 0.5 / self.error
        )


def chosen_comparison(predicted: np.ndarray, truth: np.ndarray, public: np.ndarray) -> Comparison:
    """The comparison that finds held-out faces best among all public ones, by mean reciprocal rank.

    No image under attack is looked at. A comparison's errors are not those of the faces on which it
    is tried.

    Args:
        predicted: float32 [H, E], predicted directions of held-out public faces.
        truth: float32 [H, E], their directions.
        public: float32 [N, E], directions of the other public faces.
    """
    if len(truth) < LEAST_HELD_OUT:
        return Comparison()
    space, gallery = public_space(public), np.concatenate([truth, public])
    best, most = Comparison(), mean_reciprocal_rank(Comparison().scores(predicted, gallery))
    fold = np.arange(len(truth)) % FOLDS
    for comparison in likelihood_comparisons(predicted, truth, space):
        scores = np.empty((len(truth), len(gallery)))
        for k in range(FOLDS):
            tried = fold == k
            fitted = likelihood_comparison(predicted[~tried], truth[~tried], comparison.space)
            scores[tried] = fitted.scores(predicted[tried], gallery)
        found = mean_reciprocal_rank(scores)
        if found > most:
            best, most = comparison, found
    return best


def public_space(public: np.ndarray) -> PublicSpace:
    """How public directions float [N, E] differ; directions in which none does are left out."""
    spread, basis = np.linalg.eigh(np.cov(public, rowvar=False, dtype=np.float64))
    usable = int((spread > spread[-1] * LEAST_SPREAD).sum())
    space = PublicSpace(public.mean(axis=0, dtype=np.float64), basis[:, ::-1], spread[::-1])
    return space.first(usable)


def likelihood_comparisons(
    predicted: np.ndarray, truth: np.ndarray, space: PublicSpace
) -> list[LikelihoodComparison]:
    """One for each share in KEPT of the space; arguments as of `likelihood_comparison`, [H, E]."""
    counts = [max(1, round(share * len(space.spread))) for share in KEPT]
    return [likelihood_comparison(predicted, truth, space.first(count)) for count in counts]


def likelihood_comparison(
    predicted: np.ndarray, truth: np.ndarray, space: PublicSpace
) -> LikelihoodComparison:
    """The comparison whose scale and errors are those of held-out predictions.

    Args:
        predicted: float32 [H, E], of length 1.
        truth: float32 [H, E], of length 1.
        space: of the public faces.
    """
    centred = truth - space.mean
    scale = float((predicted * centred).sum() / max(np.square(predicted).sum(), 1e-12))
    missed = (centred - scale * predicted) @ space.basis
    error = np.clip(np.square(missed).mean(axis=0), LEAST_ERROR * space.spread, space.spread)
    return LikelihoodComparison(space, scale, error)


def mean_reciprocal_rank(scores: np.ndarray) -> float:
    """Mean of 1 / rank of the right candidate, the n-th for the n-th row.

    `scores` are float64 [n, C], of C >= n candidates.
    """
    own = np.diagonal(scores)[:, None]
    return float((1 / (1 + (scores > own).sum(axis=1))).mean())
