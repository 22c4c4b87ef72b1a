"""A ridge regression from codes to embeddings, in closed form."""

import dataclasses
import time

import numpy as np

from arl_tf.attacks.evidence import AttackerOptions, Evidence
from arl_tf.attacks.identity.faces import (
    IdentityResult,
    PublicFaces,
    knowledge_of,
    known,
    mean_cosine,
    unit,
)
from arl_tf.attacks.knowledge import KNEW
from arl_tf.attacks.regression.code_view import CodeView

# In units of the noise's variance, where that is known; of the codes' mean variance, where not.
NOISE_FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
PENALTIES = (1e-8, 1e-6, 1e-4, 1e-3, 1e-2, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


def ridge(
    view: CodeView, evidence: Evidence, faces: PublicFaces, settings: AttackerOptions
) -> IdentityResult:
    """Ridge regression (Hoerl and Kennard 1970) from codes to directions of embeddings.

    The prediction with the highest mean cosine is the mean direction given the code, of which this
    is the best linear estimate. Where the noise is known the penalty is the noise itself, times a
    factor: (Cov(mu) + k diag(v))^-1 Cov(mu, direction), mu the codes without noise and v the
    noise's variances. Of little noise, a share of the codes' own variance is tried, too: there the
    number of public images decides how much to shrink. Penalty or factor: the one with the highest
    mean cosine on held-out public images, for each network.

    Args:
        view: the codes.
        evidence: says what the attacker knows.
        faces: embeddings of the public images.
        settings: seed, for the report.
    """
    started = time.perf_counter()
    penalties, held_out, target = {}, {}, {}
    for network, fitted in best_ridges(view, faces).items():
        penalties[network] = fitted.penalty
        held_out[network], target[network] = fitted(view.held_out), fitted(view.target)
    return IdentityResult(
        name="ridge",
        knowledge=knowledge_of(evidence),
        settings={
            "words": "a ridge regression from the code to the embedding, in closed form",
            "seed": settings.seed,
            "public_images": len(view.rows),
            "noise_factor" if view.noise else "penalty": penalties,
            KNEW: known(evidence),
        },
        seconds=time.perf_counter() - started,
        held_out=held_out,
        target=target,
    )


@dataclasses.dataclass(frozen=True)
class RidgeMap:
    """Codes along their principal directions -> directions of embeddings.

    Attributes:
        penalty: in units of `CodeView.level`.
        weights: float32 [R, E].
        mean: float32 [E].
    """

    penalty: float
    weights: np.ndarray
    mean: np.ndarray

    def __call__(self, codes: np.ndarray) -> np.ndarray:
        """Predictions float32 [n, E] of length 1 for codes float32 [n, R]."""
        return unit(codes @ self.weights + self.mean)


def best_ridges(view: CodeView, faces: PublicFaces) -> dict[str, RidgeMap]:
    """Network -> the ridge regression with the best held-out cosine."""
    return {
        network: best_ridge(view, wanted[view.rows], faces.held_out[network])
        for network, wanted in faces.public.items()
    }


def best_ridge(view: CodeView, wanted: np.ndarray, held_out_truth: np.ndarray) -> RidgeMap:
    """The ridge regression with the best held-out cosine.

    Args:
        view: the codes.
        wanted: float32 [N, E], directions of the public images.
        held_out_truth: float32 [H, E].
    """
    mean = wanted.mean(axis=0)
    projected = view.public.T @ (wanted - mean) / np.float32(len(wanted))
    best = None
    for penalty in penalties_of(view):
        fitted = RidgeMap(penalty, ridge_weights(view, projected, penalty), mean)
        cosine = mean_cosine(fitted(view.held_out), held_out_truth)
        if best is None or cosine > best[0]:
            best = (cosine, fitted)
    return best[1]


def penalties_of(view: CodeView) -> tuple[float, ...]:
    """The penalties to try, in units of `CodeView.level`."""
    if not view.noise:
        return PENALTIES
    unit_of_codes = float(view.variances.mean()) / view.level
    larger = (penalty * unit_of_codes for penalty in PENALTIES)
    return (*NOISE_FACTORS, *(each for each in larger if each > NOISE_FACTORS[-1]))


def ridge_weights(view: CodeView, projected: np.ndarray, penalty: float) -> np.ndarray:
    """Weights float32 [R, E] for covariances of codes and directions, [R, E], and a penalty."""
    shrunk = view.variances + penalty * view.level
    return (projected / shrunk[:, None]).astype(np.float32)
