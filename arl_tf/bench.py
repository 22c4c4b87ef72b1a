"""Benchmark: python -m arl_tf.bench [--json] [--data_dir=DIR]. The last line is JSON."""

import argparse
import json
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from arl_tf.config.path_values import clean_path
from arl_tf.utils import interruption


def main() -> None:
    """Runs every measurement and prints its figures, readable or as one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m arl_tf.bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the JSON object only")
    parser.add_argument(
        "--data_dir", help="a CelebA-layout folder for the readers; else procedural faces as JPEGs"
    )
    arguments = parser.parse_args()
    data_dir = clean_path("data_dir", arguments.data_dir or "")
    # Imported late: --help and wrong flags are answered without TensorFlow.
    from arl_tf.experiments import benchmark

    figures = benchmark.measure(data_dir)
    if not arguments.json:
        for name, value in figures.items():
            print(f"{name:45s} {value:10.4f}")
    print(json.dumps(figures))


def console() -> None:
    """Runs `main`; what the user can mend, and Ctrl-C, end it with a line."""
    with interruption.in_one_line("arl_tf.bench", "nothing is kept; start it again."):
        try:
            main()
        except (ValueError, OSError) as error:
            print(f"arl_tf.bench: {error}", file=sys.stderr)
            sys.exit(2)


if __name__ == "__main__":
    console()
