"""Runs for scripts: train, export and load a run directory without the command line."""

import dataclasses
import pathlib
from typing import TYPE_CHECKING, Any

from arl_tf.config import idle, inheritance, settings
from arl_tf.config.path_values import clean_path
from arl_tf.data.task_kinds import MULTI_LABEL
from arl_tf.experiments import run_directory
from arl_tf.experiments.run_directory import RunDirectory
from arl_tf.models import code_layers
from arl_tf.training import checkpoints
from arl_tf.utils.suggestions import did_you_mean

if TYPE_CHECKING:
    import keras


@dataclasses.dataclass(frozen=True)
class Run:
    """A trained run.

    Attributes:
        folder: the run directory.
        encoder: image float32 [B, S, S, 3] in [0, 1] -> code; no seed decides its noise.
        task_head: code -> logits, or the values of a regression, float32 [B, A].
        attributes: A names of the task's attributes; empty where the run is older than their
            record; or names of its classes or targets.
        settings: every setting as used.
        report: report.json of the audit of T; None where there is none.
        task_kind: multi_label, single_label or regression.
    """

    folder: pathlib.Path
    encoder: "keras.Model"
    task_head: "keras.Model"
    attributes: tuple[str, ...]
    settings: dict[str, Any]
    report: dict[str, Any] | None
    task_kind: str = MULTI_LABEL


def train(workdir: str | pathlib.Path, **flags: Any) -> Run:
    """Trains a run, or goes on with one that was interrupted; a finished one is loaded.

    Args:
        workdir: the run directory.
        **flags: settings by the names of the command's flags, such as dataset="celeba",
            data_dir="...", epochs=3. Those not given are the run's own, or the defaults.

    Raises:
        TypeError: an argument that is no setting.
        ValueError: impossible settings, settings that can't act, data that can't be read, or a run
            with other settings.
    """
    run_stage(workdir, "train", flags)
    return load_run(workdir)


def export(workdir: str | pathlib.Path, **flags: Any) -> pathlib.Path:
    """Exports a trained run: SavedModels, TFLite files and their manifest.

    Args:
        workdir: the run directory.
        **flags: settings by the names of the command's flags, such as require="..." or
            allow_unaudited=True.

    Returns:
        The export folder.

    Raises:
        TypeError: an argument that is no setting.
        ValueError: the run is not trained, or its audit does not let it be exported.
    """
    run_stage(workdir, "export", flags)
    return run_at(workdir).export


def refuse_unknown(stage: str, flags: dict[str, Any]) -> None:
    """Raises TypeError for arguments that are no settings, with the names that are nearest."""
    known = [field.name for field in dataclasses.fields(settings.Config)]
    if "stages" in flags:
        raise TypeError(
            f"{stage}() takes no stages: it is one of them. For others use arl_tf.audit,"
            " arl_tf.export or the command (python -m arl_tf.main --stages=...)."
        )
    for name in flags:
        if name not in known:
            hint = did_you_mean(name, known, most=3)
            raise TypeError(
                f"{stage}() takes no {name}.{hint} It takes the flags of the command by name:"
                " python -m arl_tf.main --helpfull lists them."
            )


def run_stage(workdir: str | pathlib.Path, stage: str, flags: dict[str, Any]) -> None:
    """Runs one stage with the run's own settings where others are not given."""
    from arl_tf.experiments import stages  # Slow to import; not needed to load a run.

    refuse_unknown(stage, flags)
    run = run_at(workdir)
    given = {**flags, "stages": stage, "workdir": str(run.root)}
    inherited = inheritance.inherited(
        run_directory.recorded_settings(run), run_directory.finished_stages(run), given
    )
    config = settings.from_mapping({**inherited, **given})
    idle.check(config, flags, flags)
    stages.run_stages(config, run)


def load_run(folder: str | pathlib.Path) -> Run:
    """Reads a run directory that was trained to its end.

    Raises:
        ValueError: it holds no trained encoder and task head.
    """
    from arl_tf.report import report_files

    run = run_at(folder)
    audit = run.audit("test")
    encoder = checkpoints.load_player(run.player("encoder"))
    # Its codes may leave this process, and Keras would write a seed into what it exports.
    code_layers.make_unpredictable(encoder)
    return Run(
        folder=run.root,
        encoder=encoder,
        task_head=checkpoints.load_player(run.player("task_head")),
        attributes=run_directory.recorded_attributes(run),
        settings=run_directory.recorded_settings(run),
        report=report_files.read_content(audit)
        if (audit / report_files.REPORT_JSON).exists()
        else None,
        task_kind=run_directory.recorded_task_kind(run),
    )


def run_at(folder: str | pathlib.Path) -> RunDirectory:
    """The run directory of a name that may begin with ~; ValueError where it can't be meant."""
    return RunDirectory(pathlib.Path(clean_path("workdir", str(folder))))
