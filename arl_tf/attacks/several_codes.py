"""Several codes of one image made into one that has less noise: their mean, or what is left of all.

Where noise drops values (makes them 0) and leaves the others as they are, a mean would mix both.
The codes are united instead: a value that is left in one of them is known, and dropped are only
values that all of them drop.
"""

import dataclasses
from collections.abc import Iterable

import numpy as np

# Of a value that all codes drop: a smaller probability counts as this one.
LEAST_DROPPED = 1e-6


@dataclasses.dataclass(frozen=True)
class SeveralCodes:
    """How the codes of an image become the one that attackers work on.

    Attributes:
        count: codes of each image, >= 1.
        dropped: share of the values that noise drops in a single code, leaving the others as they
            are; 0 where it does not: then codes are averaged.
        kept: so many of them, the first ones, are at hand one by one, too; 0: none.
    """

    count: int = 1
    dropped: float = 0.0
    kept: int = 0

    @property
    def left_out(self) -> float:
        """The share of the values that all codes of an image drop; 0 for means."""
        return max(self.dropped**self.count, LEAST_DROPPED) if self.dropped else 0.0

    @property
    def scale(self) -> float:
        """What united codes multiply values by that are left: so their mean is that of the codes.

        1 for a single code and for means.
        """
        return (1 - self.dropped) / (1 - self.left_out) if self.dropped else 1.0

    @property
    def gain(self) -> float:
        """How many times the variance of the noise of what codes become a single code has.

        A value m that is left with the probability p, as m / p, has the variance m^2 (1 - p) / p.
        """
        if not self.dropped:
            return float(self.count)
        return odds(self.dropped) / odds(self.left_out)


SINGLE = SeveralCodes()


def odds(share: float) -> float:
    """How much of a share p < 1 stands beside the rest: p / (1 - p)."""
    return share / (1 - share)


def join_codes(parts: Iterable[tuple[np.ndarray, int]], dropped: float = 0.0) -> np.ndarray:
    """One code of each image from several, float32 [N, ...].

    Args:
        parts: (codes float32 [N, ...], how many codes each of them was made of by this function).
        dropped: as of `SeveralCodes`.
    """
    total, left, count = 0.0, 0.0, 0
    for codes, made_of in parts:
        of_part = SeveralCodes(made_of, dropped)
        total = total + codes.astype(np.float64) * (made_of / of_part.scale)
        left = left + made_of * (codes != 0) if dropped else left
        count += made_of
    if not dropped:
        return (total / count).astype(np.float32)
    scale = SeveralCodes(count, dropped).scale
    return (scale * total / np.maximum(left, 1)).astype(np.float32)
