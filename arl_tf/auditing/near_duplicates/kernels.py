"""The Wiener map in its dual form: from products of codes, however long these are together.

The codes of 16 shots are too long to solve for in one piece. Their products with those of the
public photos are sums over the shots.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from scipy import linalg

Score = Callable[[np.ndarray], float]


@dataclasses.dataclass(frozen=True)
class Products:
    """Inner products with the codes of n public photos, float64.

    Attributes:
        public: [n, n], of their mean codes.
        held_out: [h, n], of the codes of held-out public photos, noise and all.
        target: [m, n], of the codes under attack, noise and all.
    """

    public: np.ndarray
    held_out: np.ndarray
    target: np.ndarray

    def __add__(self, other: "Products") -> "Products":
        """The products of codes one behind the other."""
        return Products(
            self.public + other.public,
            self.held_out + other.held_out,
            self.target + other.target,
        )

    def __mul__(self, factor: float) -> "Products":
        """The products of codes that are multiplied by the root of a factor."""
        return Products(self.public * factor, self.held_out * factor, self.target * factor)


def centred(products: np.ndarray, public: np.ndarray) -> np.ndarray:
    """The products [m, n] of codes less the public mean; `public` are those of the n photos."""
    return products - products.mean(axis=1, keepdims=True) - public.mean(axis=0) + public.mean()


@dataclasses.dataclass(frozen=True)
class Predicted:
    """What a map predicts.

    Attributes:
        values: float64 [m, K], for the codes under attack.
        held_out_error: the score of its predictions for the held-out photos.
    """

    values: np.ndarray
    held_out_error: float


def predictions(
    products: Products, *, outputs: np.ndarray, noises: Sequence[float], score: Score
) -> Predicted:
    """What the best linear map for the known noise predicts (Wiener 1949), in its dual form.

    In units in which codes' noise has the variance v, the map (F'F / n + v)^-1 F'y / n of mean
    codes F is F' (FF' + n v)^-1 y.

    Args:
        products: of codes.
        outputs: float [n, K], what to predict for each public photo.
        noises: variances v to choose from.
        score: predictions [h, K] for the held-out photos -> the lower the better.
    """
    values, vectors = linalg.eigh(centred(products.public, products.public))
    values, mean = np.maximum(values, 0.0), outputs.mean(axis=0, dtype=np.float64)
    along = vectors.T @ (outputs - mean)
    held_out, target = (
        centred(each, products.public) @ vectors for each in (products.held_out, products.target)
    )
    count = len(values)
    found = [(score(held_out @ (along / (values + count * v)[:, None]) + mean), v) for v in noises]
    least, chosen = min(found)
    return Predicted(target @ (along / (values + count * chosen)[:, None]) + mean, least)
