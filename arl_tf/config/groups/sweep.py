"""Sweeps and studies: many trainings side by side."""

import dataclasses

from arl_tf.config.choices import STUDIES
from arl_tf.config.option import option


@dataclasses.dataclass(frozen=True)
class SweepGroup:
    """Sweeps and studies: many trainings side by side."""

    sweep: str = option(
        "",
        "What --stages=sweep varies: settings of model and training, each with its values, such as"
        " 'lambda_pixel=0.5|1.5|5;code_noise=0|1|2' (every combination is tried). With"
        " --sweep_trials also ranges, 'lambda_pixel=0.1..10', logarithmic where they begin above"
        " 0. Finished points are never redone; --overwrite tries failed ones again.",
        group="sweep",
    )
    sweep_trials: int = option(
        0,
        "How many points a sampler chooses within --sweep; it looks for more mean MCC and less"
        " leakage; 0: every combination.",
        group="sweep",
        low=0,
        compared=False,
    )
    point_epochs: int = option(
        2,
        "Task epochs of each point, instead of --warmup_epochs. A point starts from an encoder that"
        " all points of its shape share, and that was trained for --warmup_epochs.",
        group="sweep",
        low=0,
    )
    target: str = option(
        "",
        "After --stages=sweep, choose by these conditions, such as 'face_similarity<=0.25' (with"
        " the most mean MCC) or 'mean_mcc>=0.95*reference' (with the least leakage): judged on"
        " validation data by the cautious end of the 95 % interval. The chosen point is audited"
        " on T once and exported.",
        group="run",
        topic="sweep",
    )
    storage: str = option(
        "",
        "Database of the list of points of a sweep, study or bench, such as"
        " postgresql://user@host/database, for processes on several machines; empty: a file in"
        " --workdir, for processes of one machine. All processes share --workdir. The password"
        " comes from PGPASSWORD or ~/.pgpass, never from this setting.",
        group="run",
        topic="sweep",
    )
    study: str = option(
        "",
        "What --stages=study varies: features (cut and channels), tasks (attributes), data (X1,"
        " X2), adversary (its strength in training and in the audit), defence (one ingredient"
        " more at a time) or later_tasks (what codes buy over the task output, by price per bit).",
        group="sweep",
        choices=("", *STUDIES),
    )
