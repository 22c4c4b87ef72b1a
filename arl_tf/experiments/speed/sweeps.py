"""What a sweep costs beside the same points as runs of their own, on this machine."""

import dataclasses
import functools
import pathlib
import tempfile
from collections.abc import Sequence

import keras

from arl_tf.config.settings import Config
from arl_tf.experiments import stages
from arl_tf.experiments.run_directory import RunDirectory
from arl_tf.experiments.speed.timing import seconds_of
from arl_tf.experiments.sweeps import search_space, trials

# What the points differ in; a grid of 8.
SPACE = "lambda_pixel=0.5|1|2|4;code_noise=0|1"
# Half of the epochs that are the defaults of a training, at a few seconds a point.
SETTINGS = Config(
    dataset="faces",
    num_faces=400,
    image_size=32,
    code_channels=8,
    defence="pixel",
    decoder_width=8,
    batch_size=32,
    warmup_epochs=7,
    point_epochs=1,
    decoder_warmup_epochs=1,
    epochs=3,
    audit="quick",
    attacker_width=8,
    attacker_depth=0,
    attacker_steps=120,
)


def measure_sweep() -> dict[str, float]:
    """Seconds of a sweep of 8 points over those of 8 runs, each with a reference of its own.

    All of it runs in this process: no start of a process counts, on neither side.
    """
    # Its packages are imported now, or named where they are missing.
    stages.stage_module("sweep")
    with tempfile.TemporaryDirectory() as scratch:
        place = pathlib.Path(scratch)
        # Networks that all audits share are built in the first one.
        run_whole(warm_up(), place / "warm_up")
        sweep = seconds_of(functools.partial(run_whole, swept(), place / "sweep"))
        separate = [
            seconds_of(functools.partial(run_whole, config, place / f"point_{number}"))
            for number, config in enumerate(separate_points())
        ]
    return {"sweep_over_separate": sweep_share(sweep, separate)}


def sweep_share(sweep: float, separate: Sequence[float]) -> float:
    """Seconds of a sweep over the sum of those of its points as runs of their own."""
    return sweep / sum(separate)


def swept() -> Config:
    """The sweep."""
    return dataclasses.replace(SETTINGS, stages="sweep", sweep=SPACE)


def separate_points() -> list[Config]:
    """The sweep's points as commands: trained from random weights, audited as the sweep does."""
    return [
        dataclasses.replace(
            SETTINGS,
            **overrides,
            stages="train,audit",
            audit_split=trials.VALIDATION,
            reference="auto",
        )
        for overrides in search_space.grid(search_space.parse_space(SPACE))
    ]


def warm_up() -> Config:
    """As short a run as there is, of the same shapes."""
    epochs = {"warmup_epochs": 1, "decoder_warmup_epochs": 0, "epochs": 1, "attacker_steps": 6}
    return dataclasses.replace(SETTINGS, **epochs, stages="train,audit", audit_split="validation")


def run_whole(config: Config, folder: pathlib.Path) -> None:
    """Runs the stages of a config in a folder of its own, with a cache of its own."""
    run = RunDirectory(folder)
    stages.do_stages(dataclasses.replace(config, workdir=str(folder)), run)
    keras.utils.clear_session()
