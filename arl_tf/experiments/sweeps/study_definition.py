"""What a study is: its points, what is compared, and what its page shows."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from arl_tf.auditing.later_tasks.section import ALL_LABELS
from arl_tf.config.conditions import EMBEDDING_LEAKAGE, EMBEDDING_RANK1
from arl_tf.config.scopes import no_defence_values
from arl_tf.config.settings import Config
from arl_tf.report.utility_words import BESIDE_HEADLINE

MCC, LEAKAGE, FACE = "mean_mcc", "leakage.face_similarity", "face_similarity"
COLUMNS = (
    MCC,
    *BESIDE_HEADLINE,
    LEAKAGE,
    FACE,
    "decoder.face_similarity",
    "task_output.face_similarity",
    "reid_rank1",
    EMBEDDING_LEAKAGE,
    EMBEDDING_RANK1,
)
NO_DEFENCE = no_defence_values(Config)


@dataclasses.dataclass(frozen=True)
class StudyPlace:
    """One point of a study.

    Attributes:
        series: the line that it is drawn on.
        x: its place on the line.
        overrides: setting -> value.
        labels: number of labelled codes that the row's figures of later tasks are of.
    """

    series: str
    x: str
    overrides: Mapping[str, Any]
    labels: str = ALL_LABELS

    @property
    def label(self) -> str:
        """Series and place."""
        return f"{self.series}: {self.x}"


@dataclasses.dataclass(frozen=True)
class Contrast:
    """A finding to compute: how a figure changes from the points `first` to the points `last`.

    Attributes:
        figure: a key of a point's figures.
        words: what changes, as the subject of "rises by 0.1".
        first: a place or a series.
        last: likewise.
        on: "x" or "series": what first and last name.
        within: the one line (or place) that counts; empty: all that have both.
    """

    figure: str
    words: str
    first: str
    last: str
    on: str = "x"
    within: str = ""


@dataclasses.dataclass(frozen=True)
class Study:
    """A question, the points that answer it, and what is compared.

    Attributes:
        question: the title of its page.
        points: (settings, all attribute names of the data) -> points.
        contrasts: points -> comparisons; the first is the finding.
        figures: what the plot shows.
        note: what the reader has to know.
        is_ordered: whether a line's places follow an order, so that the plot joins them.
        columns: the figures of the table.
    """

    question: str
    points: Callable[[Config, Sequence[str]], list[StudyPlace]]
    contrasts: Callable[[Sequence[StudyPlace]], list[Contrast]]
    figures: tuple[str, str]
    note: str
    is_ordered: bool = True
    columns: tuple[str, ...] = COLUMNS


def between(
    figures: Mapping[str, str], first: str, last: str, on: str = "x", within: str = ""
) -> list[Contrast]:
    """Contrasts of several figures, with their words, between the same points."""
    return [Contrast(figure, words, first, last, on, within) for figure, words in figures.items()]
