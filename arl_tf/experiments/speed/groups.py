"""Names of what the benchmark measures; known before TensorFlow is imported."""

from collections.abc import Sequence

# In the order of measuring.
GROUPS = ("drawing", "reading", "training", "encoding", "audit", "sweep")
# Measured only where they are named: they take many minutes.
LONG = ("audit", "sweep")


def asked_groups(text: str) -> tuple[str, ...]:
    """The groups that comma-separated names ask for, in the order of GROUPS; all but LONG without.

    Raises:
        ValueError: a name is none of GROUPS.
    """
    asked: Sequence[str] = [name for name in map(str.strip, text.split(",")) if name]
    for name in asked:
        if name not in GROUPS:
            raise ValueError(f"--only must name some of {', '.join(GROUPS)}; got {name!r}.")
    asked = asked or [name for name in GROUPS if name not in LONG]
    return tuple(name for name in GROUPS if name in asked)
