"""How an attacker compares a predicted embedding with candidates: by cosine, or by likelihood.

A prediction is sure in some directions of the space of embeddings and vague in others. The cosine
weighs them alike. The likelihood ratio weighs each by how far held-out predictions are off in it.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np

COSINE, LIKELIHOOD = "cosine", "likelihood"
# Fewer held-out faces than these tell too little of how predictions err.
LEAST_HELD_OUT = 40
# Shares of the directions that are compared, those in which public faces differ most.
KEPT = (0.25, 0.5, 0.625, 0.75, 1.0)
FOLDS = 4
# Of the variance of public faces in a direction: an error is never taken to be smaller.
LEAST_ERROR = 1e-3


@dataclasses.dataclass(frozen=True)
class Ruler:
    """A way to compare predictions with candidates.

    Attributes:
        name: COSINE or LIKELIHOOD; the other attributes are of the second alone.
        mean: float64 [E], of public directions.
        basis: float64 [E, K], eigenvectors of their covariance, the largest first.
        spread: float64 [K], its eigenvalues.
        scale: that a prediction is multiplied with.
        error: float64 [K], mean squared error of scaled held-out predictions.
    """

    name: str = COSINE
    mean: np.ndarray | None = None
    basis: np.ndarray | None = None
    spread: np.ndarray | None = None
    scale: float = 1.0
    error: np.ndarray | None = None

    def scores(self, predicted: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """How well each candidate fits each prediction: float64 [M, C], greater is better.

        The likelihood ratio is log N(c; q, error) - log N(c; 0, spread), without what is the same
        for all candidates; q is the scaled prediction and c the candidate, less the mean.

        Args:
            predicted: float [M, E], of length 1.
            candidates: float [C, E], of length 1.
        """
        if self.mean is None or self.basis is None or self.spread is None or self.error is None:
            return predicted.astype(np.float64) @ candidates.T.astype(np.float64)
        guess = self.scale * (predicted @ self.basis)
        seen = (candidates - self.mean) @ self.basis
        return (guess / self.error) @ seen.T + np.square(seen) @ (
            0.5 / self.spread - 0.5 / self.error
        )


def choose_ruler(predicted: np.ndarray, truth: np.ndarray, public: np.ndarray) -> Ruler:
    """The ruler that finds held-out faces best among all public ones, by mean reciprocal rank.

    No image under attack is looked at. A ruler's errors are not those of the faces it is tried on.

    Args:
        predicted: float32 [H, E], predicted directions of held-out public faces.
        truth: float32 [H, E], their directions.
        public: float32 [N, E], directions of the other public faces.
    """
    if len(truth) < LEAST_HELD_OUT:
        return Ruler()
    gallery = np.concatenate([truth, public])
    best, most = Ruler(), mean_reciprocal_rank(Ruler().scores(predicted, gallery))
    fold = np.arange(len(truth)) % FOLDS
    fitted = likelihood_rulers(predicted, truth, public)
    in_folds = [
        list(likelihood_rulers(predicted[fold != k], truth[fold != k], public))
        for k in range(FOLDS)
    ]
    for place, ruler in enumerate(fitted):
        scores = np.empty((len(truth), len(gallery)))
        for k in range(FOLDS):
            scores[fold == k] = in_folds[k][place].scores(predicted[fold == k], gallery)
        found = mean_reciprocal_rank(scores)
        if found > most:
            best, most = ruler, found
    return best


def likelihood_rulers(
    predicted: np.ndarray, truth: np.ndarray, public: np.ndarray
) -> Iterator[Ruler]:
    """A ruler for each share in KEPT, of held-out [H, E] and public [N, E] directions."""
    mean = public.mean(axis=0, dtype=np.float64)
    spread, basis = np.linalg.eigh(np.cov(public, rowvar=False, dtype=np.float64))
    # Directions in which no face differs from another tell nothing.
    usable = int((spread > spread[-1] * 1e-6).sum())
    spread, basis = spread[::-1][:usable], basis[:, ::-1][:, :usable]
    scale = float((predicted * (truth - mean)).sum() / max(np.square(predicted).sum(), 1e-12))
    missed = (truth - mean - scale * predicted) @ basis
    error = np.clip(np.square(missed).mean(axis=0), LEAST_ERROR * spread, spread)
    for share in KEPT:
        kept = max(1, round(share * usable))
        yield Ruler(LIKELIHOOD, mean, basis[:, :kept], spread[:kept], scale, error[:kept])


def mean_reciprocal_rank(scores: np.ndarray) -> float:
    """Mean of 1 / rank of the right candidate, the n-th for the n-th row.

    `scores` are float64 [n, C], of C >= n candidates.
    """
    own = np.diagonal(scores)[:, None]
    return float((1 / (1 + (scores > own).sum(axis=1))).mean())
