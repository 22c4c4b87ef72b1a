"""What somebody may have meant who wrote a name that is not known."""

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str], most: int = 1) -> str:
    """A question that names the nearest known names, with a blank before it; empty if none is near.

    It asks "Did you mean a?", and where more are wanted, "Did you mean: a, b?".

    Args:
        name: as written.
        known: names.
        most: names to suggest.
    """
    near = difflib.get_close_matches(name, list(known), n=most)
    colon = ":" if most > 1 else ""
    return f" Did you mean{colon} {', '.join(near)}?" if near else ""
