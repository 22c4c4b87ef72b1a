"""Benchmark: python -m arl_tf.bench [--only=GROUPS] [--json] [--repeats=N] [--data_dir=DIR].

The last line is JSON: of every figure the least, the median and the greatest of the repeats.
"""

import argparse
import dataclasses
import json
import logging
import math
import os
import sys
from collections.abc import Sequence
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from arl_tf.utils import interruption

if __name__ == "__main__":
    interruption.at_once("arl_tf.bench")

from arl_tf.config.path_values import clean_path
from arl_tf.experiments.speed import groups, growth

DESCRIPTION = "Measures the speed of arl_tf on this machine, as ratios of one run."
REPEATS = 3


def main() -> None:
    """Runs every measurement and prints its figures, readable or as one JSON object."""
    arguments = parse()
    only = groups.asked_groups(arguments.only)
    if arguments.growth:
        sides = growth.asked_sizes("sides", arguments.sides or growth.SIDES)
        print_growth(
            sides, growth.asked_sizes("counts", arguments.counts or growth.COUNTS), arguments.json
        )
        return
    if arguments.gpu:
        print_gpu(arguments.json)
        return
    # Imported late: --help and wrong flags are answered without TensorFlow.
    from arl_tf.experiments.speed import benchmark

    # TensorFlow counts every new network of the audits as a function that is traced too often.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    data_dir = clean_path("data_dir", arguments.data_dir or "")
    runs = [benchmark.measure(data_dir, only) for _ in range(arguments.repeats or REPEATS)]
    figures = benchmark.spread(runs)
    if not arguments.json:
        print(f"{'':45s} {'median':>10s} {'min':>10s} {'max':>10s}")
        for name, found in figures.items():
            shown = [found[key] for key in ("median", "min", "max")]
            print(f"{name:45s} " + " ".join(f"{value:10.4f}" for value in shown))
    print(json.dumps(figures))


def parse() -> argparse.Namespace:
    """The flags; SystemExit where they do not go together."""
    parser = argparse.ArgumentParser(prog="python -m arl_tf.bench", description=DESCRIPTION)
    parser.add_argument("--json", action="store_true", help="print the JSON object only")
    parser.add_argument(
        "--only",
        default="",
        help="what to measure, comma-separated: some of"
        f" {', '.join(groups.GROUPS)}; all but {' and '.join(groups.LONG)}, which take long, unless"
        " given",
    )
    parser.add_argument(
        "--data_dir",
        help="a folder in CelebA's layout that the readers read; else drawn faces as JPEGs",
    )
    parser.add_argument(
        "--repeats", type=int, help=f"how often everything is measured (default {REPEATS})"
    )
    parser.add_argument(
        "--growth",
        action="store_true",
        help="measure memory and time at several resolutions and numbers of drawn faces instead;"
        " the last line is one JSON object of its rows",
    )
    parser.add_argument(
        "--sides", default="", help=f"of --growth: sides of the faces (default {growth.SIDES})"
    )
    parser.add_argument(
        "--counts", default="", help=f"of --growth: numbers of faces (default {growth.COUNTS})"
    )
    parser.add_argument(
        "--gpu",
        action="store_true",
        help="train on drawn faces on the CPU and on the GPU, in each precision, and compare time,"
        " mean MCC and codes instead; the last line is one JSON object",
    )
    arguments = parser.parse_args()
    if arguments.repeats is not None and arguments.repeats < 1:
        parser.error(f"--repeats must be >= 1, got {arguments.repeats}.")
    instead = [name for name in ("growth", "gpu") if getattr(arguments, name)]
    if len(instead) > 1:
        parser.error("--growth and --gpu measure different things; give one of them.")
    if instead and arguments.only:
        parser.error(f"--{instead[0]} measures none of what --only names; leave one of them out.")
    for name in ("repeats", "data_dir"):
        if instead and getattr(arguments, name) is not None:
            parser.error(f"--{instead[0]} measures once, on drawn faces; leave out --{name}.")
    for name in ("sides", "counts"):
        if getattr(arguments, name) and not arguments.growth:
            parser.error(f"--{name} belongs to --growth; give both or none.")
    return arguments


def print_growth(sides: Sequence[int], counts: Sequence[int], only_json: bool) -> None:
    """Measures growth, once, and prints a table with exponents, and all of it as JSON."""
    rows = growth.measure(sides, counts)
    if not only_json:
        print("\n".join(growth.table(rows)))
    print(json.dumps(growth.as_json(rows)))


def print_gpu(only_json: bool) -> None:
    """Measures the GPU, once, and prints a table, and everything as JSON.

    Raises:
        RuntimeError: TensorFlow sees no GPU.
    """
    from arl_tf.experiments.speed import gpu

    gpu.require_gpu()
    found = gpu.measure()
    if not only_json:
        print("\n".join(gpu.table(found)))
    print(json.dumps(without_nan(dataclasses.asdict(found))))


def without_nan(value: Any) -> Any:
    """The same with null for what is not a number, which JSON has no word for."""
    if isinstance(value, dict):
        return {key: without_nan(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def console() -> None:
    """Runs `main`; what the user can mend, and Ctrl-C, end it with a line."""
    with interruption.in_one_line("arl_tf.bench", "nothing is kept; start the command again."):
        try:
            main()
        except (ValueError, OSError, RuntimeError) as error:
            print(f"arl_tf.bench: {error}", file=sys.stderr)
            sys.exit(2)


if __name__ == "__main__":
    console()
