"""What the doctor finds: a state, words, and a remedy."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence

from arl_tf.utils.tables import table

# Fine; works, but slowly or in part; a run would fail, or be wrong.
OK, NOTE, MEND = "ok", "note", "MEND"


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: it is.
        state: OK, NOTE or MEND.
        found: what there is.
        remedy: what to do; empty where nothing is to be done.
    """

    what: str
    state: str
    found: str
    remedy: str = ""


Check = Callable[[], Iterable[Finding]]


def collected(checks: Sequence[tuple[str, Check]]) -> list[Finding]:
    """The findings of all checks; one that can't be made is a finding, too.

    Args:
        checks: (what is looked at, a function that gives findings).
    """
    return [finding for what, check in checks for finding in findings_of(what, check)]


def findings_of(what: str, check: Check) -> Iterator[Finding]:
    """The findings of one check; its failure is told as one."""
    try:
        yield from check()
    # Broken installations fail in ways of their own, and are what is looked for here.
    except Exception as error:
        yield Finding(
            what, MEND, f"{type(error).__name__}: {first_line(error)}", "See the message."
        )


def first_line(error: BaseException) -> str:
    """The first line of an error's message."""
    return next(iter(str(error).strip().splitlines()), "")


def shown(findings: Sequence[Finding]) -> str:
    """The findings as a table, with each remedy on a line of its own below what it mends."""
    rows = [(f.state, f.what, f.found) for f in findings]
    lines = table(rows).splitlines()
    pairs = zip(lines, findings, strict=True)
    told = [f"{line}\n      -> {f.remedy}" if f.remedy else line for line, f in pairs]
    return "\n".join(told)


def to_mend(findings: Sequence[Finding]) -> list[Finding]:
    """Those that a run can't do without."""
    return [finding for finding in findings if finding.state == MEND]
