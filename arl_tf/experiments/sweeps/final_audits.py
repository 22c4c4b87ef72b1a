"""Audits of chosen points on T: the only place of sweeps and benches that looks at T."""

from typing import Any

from arl_tf.config.settings import Config, from_mapping
from arl_tf.data.image_sets import ImageSet
from arl_tf.data.splits import Splits
from arl_tf.experiments import run_directory
from arl_tf.experiments.experiment import Experiment
from arl_tf.experiments.run_directory import RunDirectory
from arl_tf.experiments.sweeps import trials
from arl_tf.utils import run_lock


def ensure(run: RunDirectory, images: ImageSet, parts: Splits, **changes: Any) -> None:
    """Audits a trained point, or a reference, on T, where that is not done with these settings.

    Args:
        run: its directory.
        images: the data that it was trained on.
        parts: of them.
        **changes: settings of the audit that differ from the point's own: its level, and the
            reference by its present path, since the point may have been moved with it.
    """
    config = recorded_config(run, audit_split="test", **changes)
    with run_lock.owned(run.root, wait=True):
        trials.ensure_audited(Experiment(config, run, images, parts))


def recorded_config(run: RunDirectory, **changes: Any) -> Config:
    """A run's settings with changes."""
    return from_mapping(run_directory.recorded_settings(run) | changes)
