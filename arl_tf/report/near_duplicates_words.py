"""Several shots of a photo in words: whether their codes give away more together than one does."""

from collections.abc import Iterator, Mapping
from typing import Any

COLUMNS = {
    "face_similarity": "Face similarity",
    "face_similarity_2": "Face similarity, second judge",
    "feature_similarity": "Feature similarity",
    "reid_rank1": "Rank 1",
}
LEAKAGE = "Leakage of face similarity"


def section(content: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The section of report.json; None where no shots were asked for, and in older audits."""
    return content["codes"].get("near_duplicates")


def rows(content: Mapping[str, Any]) -> Iterator[tuple[str, list[tuple[str, str, Any]]]]:
    """(what the attacker has, [(column, measure, estimate)]): the rows of the page's table.

    Columns that no row has a figure of are left out.
    """
    ways = (section(content) or {}).get("ways", {})
    known = {
        name: words
        for name, words in COLUMNS.items()
        if any(way[name]["value"] is not None for way in ways.values())
    }
    for way in ways.values():
        cells = [(words, name, way[name]) for name, words in known.items()]
        measure = "face_similarity" if "face_similarity" in known else "feature_similarity"
        words = LEAKAGE if "face_similarity" in known else "Leakage of feature similarity"
        yield way["words"], [*cells, (words, "leakage", way["leakage"][measure])]
