"""Fusion: a weighted mean of what several attackers know of a face, in the space of embeddings."""

from collections.abc import Mapping

import numpy as np
from scipy import optimize

from arl_tf.attacks.identity.faces import unit


def fusion_weights(members: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Weights >= 0 of K attackers' directions, by non-negative least squares (Breiman 1996).

    Args:
        members: float32 [K, H, E], predicted directions of held-out images, of length 1 or 0.
        truth: float32 [H, E].

    Returns:
        float64 [K]; the first is 1 where none helps.
    """
    flat = members.reshape(len(members), -1).astype(np.float64)
    weights, _ = optimize.nnls(flat.T, truth.reshape(-1).astype(np.float64))
    if not weights.any():
        weights[0] = 1.0
    return weights


def fused(members: Mapping[str, np.ndarray], weights: Mapping[str, float]) -> np.ndarray:
    """The weighted mean of attackers' directions [n, E], of length 1."""
    total = sum(np.float32(weights[name]) * members[name] for name in weights)
    return unit(total)
