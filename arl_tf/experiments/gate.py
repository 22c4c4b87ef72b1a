"""The privacy gate: whether an encoder's audit lets it be exported."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from arl_tf.config.audit_figures import report_figures
from arl_tf.config.conditions import Condition, Figures, Outcome, check_conditions

REMEDY = "--allow_unaudited exports it in any case, and the manifest says so."


@dataclasses.dataclass(frozen=True)
class Gate:
    """What stands between an encoder and its export.

    Attributes:
        outcomes: of the conditions, where there is an audit to hold them against.
        obstacle: why there is none, or why it is not of what would be exported; empty where it is.
    """

    outcomes: tuple[Outcome, ...] = ()
    obstacle: str = ""

    @property
    def passed(self) -> bool:
        """Whether the audit is there and meets every condition."""
        return not self.obstacle and all(outcome.holds for outcome in self.outcomes)

    @property
    def words(self) -> str:
        """Why the export is refused; empty where it is not."""
        missed = [outcome.words for outcome in self.outcomes if not outcome.holds]
        return self.obstacle or "; ".join(missed)

    def describe(self, *, allow_unaudited: bool) -> dict[str, Any]:
        """The manifest's section `gate`."""
        return {
            "passed": self.passed,
            "allowed_unaudited": allow_unaudited and not self.passed,
            "obstacle": self.obstacle or None,
            "conditions": [
                {
                    "condition": str(outcome.condition),
                    "value": outcome.value,
                    "compared": outcome.compared,
                    "bound": outcome.bound,
                    "holds": outcome.holds,
                }
                for outcome in self.outcomes
            ],
        }


def judge(
    conditions: Sequence[Condition],
    report: Mapping[str, Any] | None,
    encoder_sha256: str,
    reference: Figures | None,
) -> Gate:
    """Holds an audit of T against the conditions of an export.

    Args:
        conditions: what is required.
        report: report.json's content of the audit of T; None where there was none.
        encoder_sha256: of the weights that would be exported.
        reference: measure -> {"value", "ci95"} of the unprotected encoder, as
            `audit_figures.reference_figures` has them; None where nothing is known.
    """
    if report is None:
        return Gate(obstacle="the run has no audit of T; run --stages=audit first")
    if report["provenance"]["encoder_sha256"] != encoder_sha256:
        return Gate(
            obstacle="the run's audit is of another encoder; run --stages=audit --overwrite first"
        )
    if report["codes"]["channel"]:
        return Gate(
            obstacle="the run's audit is of codes behind a channel (--channel_*), which the"
            " exported files do not hold; audit the codes themselves"
        )
    return Gate(check_conditions(conditions, report_figures(report), reference))


def require_passed(gate: Gate, where: str, *, allow_unaudited: bool) -> None:
    """Raises ValueError where the gate is closed and nobody has said to go around it."""
    if not gate.passed and not allow_unaudited:
        raise ValueError(f"{where} is not exported: {gate.words}. {REMEDY}")
