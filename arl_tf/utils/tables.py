"""Plain tables for the terminal."""

from collections.abc import Sequence

# Further columns would be pushed off a terminal by one long cell.
WIDEST = 60
GAP = "  "


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells with their columns aligned; the last column is not padded."""
    columns = max((len(row) for row in rows), default=0)
    widths = [column_width(rows, column) for column in range(columns - 1)]
    return "\n".join(line(row, widths) for row in rows)


def column_width(rows: Sequence[Sequence[str]], column: int) -> int:
    """Characters of a column: its widest cell's, but at most WIDEST."""
    cells = [row[column] for row in rows if column < len(row) - 1]
    return min(WIDEST, max(map(len, cells), default=0))


def line(row: Sequence[str], widths: Sequence[int]) -> str:
    """One row; cells beyond their column push the others to the right."""
    *padded, last = row
    cells = [f"{cell:{width}s}" for cell, width in zip(padded, widths, strict=False)]
    return GAP.join([*cells, last]).rstrip()


def sections(parts: Sequence[tuple[str, Sequence[Sequence[str]]]]) -> str:
    """Titles, each with its table below; sections without rows are left out."""
    return "\n\n".join(f"{title}\n{indented(rows)}" for title, rows in parts if rows)


def indented(rows: Sequence[Sequence[str]]) -> str:
    """A table, two blanks from the margin."""
    return "\n".join(f"{GAP}{each}" for each in table(rows).splitlines())


def bytes_words(count: float) -> str:
    """A size for people: "512 B", "3.4 MiB"."""
    units = ("B", "KiB", "MiB", "GiB", "TiB")
    unit = 0
    while count >= 1024 and unit < len(units) - 1:
        count, unit = count / 1024, unit + 1
    return f"{count:.0f} B" if unit == 0 else f"{count:.1f} {units[unit]}"


def duration_words(seconds: float) -> str:
    """A duration for people: "7 s", "3 min", "2.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
