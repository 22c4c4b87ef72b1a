"""Speed of drawing, reading, training and encoding on this machine, for `python -m arl_tf.bench`.

Times of a shared machine drift, so every figure that is meant to be compared is a ratio of two
times of this run.
"""

import pathlib
import tempfile
from collections.abc import Mapping, Sequence

import numpy as np

from arl_tf.experiments.speed import encoding, readers, training_steps


def measure(data_dir: str) -> dict[str, float]:
    """Every figure by name; `data_dir` is a CelebA-layout folder, or "" for drawn faces."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(data_dir or readers.drawn_folder(pathlib.Path(scratch) / "faces"))
        return {
            **readers.measure_drawing(),
            **readers.measure_readers(folder, pathlib.Path(scratch) / "tfds"),
            **training_steps.measure_training(),
            **encoding.measure_tflite(),
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
