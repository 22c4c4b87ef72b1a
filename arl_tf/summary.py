"""Several trainings side by side: python -m arl_tf.summary RUN RUN RUN [--out=FILE].

Each RUN is a run directory, or the folder of an audit. Prints one Markdown table: every figure of
the audits with its spread, the worst training to quote, absolute figures beside relative ones.
"""

import argparse
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from arl_tf.utils import interruption

if __name__ == "__main__":
    interruption.at_once("arl_tf.summary")

from arl_tf.config.path_values import clean_path
from arl_tf.utils import files

# Exit code of everything that the user can mend, as of arl_tf.main.
USAGE_ERROR = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the table, writes it where --out says so; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m arl_tf.summary", description="Several trainings side by side, as Markdown."
    )
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", help="a run directory, or an audit's folder"
    )
    parser.add_argument("--out", default="", metavar="FILE", help="also write the table here")
    arguments = parser.parse_args(argv)
    # Imported late, as in `read`: --help and wrong flags are answered at once.
    from arl_tf.report import trainings

    try:
        found = trainings.markdown(read(arguments.runs))
        if arguments.out:
            files.write_text(pathlib.Path(clean_path("out", arguments.out)), found)
    except (ValueError, OSError) as error:
        print(f"arl_tf.summary: {error}", file=sys.stderr)
        return USAGE_ERROR
    print(found, end="")
    return 0


def read(runs: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
    """Run -> report.json's content.

    Raises:
        ValueError: a run is named twice, or has no whole report.
    """
    from arl_tf.experiments.run_directory import RunDirectory
    from arl_tf.report import report_files

    found = {}
    for run in runs:
        if run in found:
            raise ValueError(f"{run} is named twice.")
        folder = pathlib.Path(clean_path("run", run))
        if not (folder / report_files.REPORT_JSON).exists():
            folder = RunDirectory(folder).audit("test")
        if not (folder / report_files.REPORT_JSON).exists():
            raise ValueError(f"{run} holds no audit of T; run --stages=audit on it first.")
        found[run] = report_files.read_content(folder)
    return found


if __name__ == "__main__":
    with interruption.in_one_line("arl_tf.summary", "nothing is kept; start it again."):
        sys.exit(main())
