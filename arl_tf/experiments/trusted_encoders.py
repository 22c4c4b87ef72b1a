"""Which SavedModels may be loaded: a run's own exports, and those that the user says to trust."""

import pathlib
from collections.abc import Mapping
from typing import Any

from arl_tf.auditing.encoders import saved_model_io
from arl_tf.config.settings import Config
from arl_tf.experiments.run_directory import RunDirectory
from arl_tf.exporting import build
from arl_tf.utils import publishing, run_files

# Settings that name SavedModels.
SAVED_MODELS = ("encoder_saved_model", "task_head_saved_model")


def check(config: Config, run: RunDirectory) -> None:
    """Before any of them is loaded: refuses SavedModels of unknown origin without --trust_encoder.

    Raises:
        ValueError: there is no such SavedModel, or it is neither trusted nor the run's own export.
    """
    for name in SAVED_MODELS:
        path = getattr(config, name)
        if not path:
            continue
        folder = saved_model_io.version_folder(path)
        if not config.trust_encoder and not is_export(folder, run):
            raise ValueError(
                f"--{name}={path} is no export of {run.root}. A SavedModel is a program: its"
                " operations could read and write every file that you can, were it not for the"
                " limits of the process that runs it. If you know where it comes from, allow it"
                " with --trust_encoder; recorded codes (--codes) and .tflite files"
                " (--encoder_tflite) need no such trust."
            )


def is_export(folder: pathlib.Path, run: RunDirectory) -> bool:
    """Whether a SavedModel is the latest export of a run, file by file as its manifest says."""
    export, manifest = run.export.resolve(), run.export / build.MANIFEST
    folder = folder.resolve()
    if not folder.is_relative_to(export) or not manifest.exists():
        return False
    content = run_files.read_json(manifest, remedy="Export again.", keys=("files",))
    return publishing.describe_files(folder) == below(content["files"], folder, export)


def below(
    described: Mapping[str, Any], folder: pathlib.Path, export: pathlib.Path
) -> dict[str, Any]:
    """A manifest's files in a folder of the export, by their path in that folder."""
    start = f"{folder.relative_to(export).as_posix()}/"
    return {
        path.removeprefix(start): facts
        for path, facts in described.items()
        if path.startswith(start)
    }
