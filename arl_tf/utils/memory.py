"""How much memory this process has taken."""

import resource
import sys

# macOS counts bytes, Linux KiB.
UNIT = 1 if sys.platform == "darwin" else 1024


def peak_bytes() -> int:
    """The most memory that this process has held at once, bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT
