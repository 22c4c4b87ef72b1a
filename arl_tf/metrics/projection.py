"""Principal components of codes, by scikit-learn."""

from collections.abc import Callable

import numpy as np
from sklearn.decomposition import PCA


def projected(known: np.ndarray, most: int) -> Callable[[np.ndarray], np.ndarray]:
    """Projects codes on the first principal components of known ones.

    Args:
        known: float [N, D].
        most: components at most; as many as there are where these are fewer.

    Returns:
        float [M, D] -> float64 [M, C], the largest component first, centred at the known codes.
    """
    count = min(most, *known.shape)
    # Codes that are all alike have no variance; PCA's shares of it are not used here.
    with np.errstate(invalid="ignore", divide="ignore"):
        components = PCA(count, svd_solver="randomized", random_state=0).fit(known)
    return lambda codes: components.transform(codes.astype(np.float64))
