"""What `arl_tf.audit` returns: figures, a summary, the report's files, a table in notebooks."""

import dataclasses
import html
import pathlib
from typing import Any

from arl_tf.auditing.audit import AuditReport
from arl_tf.report import report_files, terminal, verdict, wording


@dataclasses.dataclass(frozen=True, repr=False)
class AuditResult:
    """What an audit found.

    Attributes:
        content: report.json as a dictionary.
    """

    content: dict[str, Any]
    _report: AuditReport
    _drawn: bool

    @property
    def measures(self) -> dict[str, dict[str, Any]]:
        """Measure -> {"attack", "value", "ci95"} of the worst attack.

        On the code or on the task output computed from it ("task_output/NAME").
        """
        return self.content["worst"]

    def __repr__(self) -> str:
        """One line: `content` would fill a terminal's pages."""
        kind = wording.headline(self.content)
        worst = self.measures[kind]
        return (
            f"AuditResult(level={self.content['level']!r}, {kind}={number(worst['value'])} by"
            f" {worst['attack']!r}; summary() says more)"
        )

    def summary(self) -> str:
        """Every attack beside the floors, the warnings and the verdict, as text."""
        return terminal.headline(self.content)

    def save(self, folder: str | pathlib.Path, *, originals: bool = False) -> pathlib.Path:
        """Writes report.json, report.html and pictures.

        Args:
            folder: made where it is missing.
            originals: whether report.html embeds the images under attack. Drawn faces are embedded
                in any case.

        Returns:
            The path of report.html.
        """
        folder = pathlib.Path(folder).expanduser()
        report_files.write_report(self._report, folder, embed_originals=originals or self._drawn)
        return folder / report_files.REPORT_HTML

    def _repr_html_(self) -> str:
        """The verdict and a table, for notebooks."""
        shown = wording.shown_measures(self.content)
        head = "".join(f"<th>{html.escape(name)}</th>" for name in ("", *shown))
        rows = "".join(
            f"<tr><td>{html.escape(label)}</td>"
            + "".join(f"<td>{number(measures[name]['value'])}</td>" for name in shown)
            + "</tr>"
            for label, measures in terminal.table_rows(self.content)
        )
        said = html.escape(verdict.verdict(self.content))
        return f"<p>{said}</p><table><tr>{head}</tr>{rows}</table>"


def number(value: float | None) -> str:
    """A figure of a table; a dash where it is not defined."""
    return "-" if value is None else f"{value:.3f}"
