"""Which strengths a bench tries: the same rule for every defence, by its own results alone.

The rule halves an interval on the logarithm of the strength. It looks for the strongest setting
that still keeps the utility wanted, of each utility in turn.
"""

import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Tried:
    """A strength that was tried.

    Attributes:
        position: from 0 (weakest) to 1 (strongest) on the logarithm of the range.
        kept: mean MCC as a share of the unprotected encoder's, on validation; None where the trial
            failed, which counts as a strength that keeps nothing.
    """

    position: float
    kept: float | None

    def keeps(self, utility: float) -> bool:
        """Whether it keeps so much of the utility, by its value."""
        return self.kept is not None and self.kept >= utility


def next_position(tried: Sequence[Tried], utilities: Sequence[float]) -> float:
    """Where the next trial is.

    Args:
        tried: all earlier trials, in order.
        utilities: shares of the utility that are wanted; the trials serve them in turn.

    Returns:
        The middle between the weakest strength that missed the utility (1 where none did) and the
        strongest below it that kept it (0 where none did). It has not been tried yet.
    """
    utility = utilities[len(tried) % len(utilities)]
    missed = min((t.position for t in tried if not t.keeps(utility)), default=1.0)
    kept = [t.position for t in tried if t.keeps(utility) and t.position < missed]
    return (max(kept, default=0.0) + missed) / 2


def is_open(tried: Sequence[Tried], utility: float) -> bool:
    """Whether no trial missed this utility: a stronger setting than any tried might keep it."""
    return bool(tried) and all(t.keeps(utility) for t in tried)
