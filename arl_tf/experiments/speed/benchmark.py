"""Speed of the parts of arl_tf on this machine, for `python -m arl_tf.bench`.

Times of a shared machine drift, so every figure that is meant to be compared is a ratio of two
times of this run.
"""

import functools
import pathlib
import tempfile
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from arl_tf.experiments.speed import audits, encoding, readers, sweeps, training_steps
from arl_tf.experiments.speed.groups import GROUPS


def measure(data_dir: str, groups: Sequence[str] = GROUPS) -> dict[str, float]:
    """Every figure of some groups by name, in the order of `groups`.

    `data_dir` is a CelebA-layout folder, or "" for drawn faces.
    """
    with tempfile.TemporaryDirectory() as scratch:
        measured = measurements(data_dir, pathlib.Path(scratch))
        return {name: value for group in groups for name, value in measured[group]().items()}


def measurements(
    data_dir: str, scratch: pathlib.Path
) -> dict[str, Callable[[], Mapping[str, float]]]:
    """Group -> what measures it; arguments as of `measure`, `scratch` is an empty folder."""

    @functools.cache
    def folder() -> pathlib.Path:
        # Drawn for the first group that reads it.
        return pathlib.Path(data_dir or readers.drawn_folder(scratch / "faces"))

    return {
        "drawing": readers.measure_drawing,
        "reading": lambda: readers.measure_readers(folder(), scratch / "tfds"),
        "training": lambda: training_steps.measure_training(folder()),
        "encoding": encoding.measure_tflite,
        "audit": audits.measure_audit,
        "sweep": sweeps.measure_sweep,
    }


def spread(runs: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Figure -> {"min", "median", "max"} over repeated measurements of the same figures."""
    return {
        name: {
            key: float(of([run[name] for run in runs]))
            for key, of in (("min", min), ("median", np.median), ("max", max))
        }
        for name in runs[0]
    }
