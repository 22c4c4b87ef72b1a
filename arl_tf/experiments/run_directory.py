"""The run directory: fixed file names, files that appear by rename, which stages are finished."""

import dataclasses
import hashlib
import json
import pathlib
import re
from collections.abc import Mapping
from typing import Any

from arl_tf.config import checks
from arl_tf.config.settings import Config, as_dict, same_place
from arl_tf.data.task_kinds import MULTI_LABEL, TASK_KINDS
from arl_tf.utils import files, revision, run_files

CONFIG_REMEDY = (
    "Put back an intact copy, or delete it and give the flags of this run again"
    " (--flagfile=configs/NAME.cfg ...)."
)
SPLITS_REMEDY = "Put back an intact copy."
STAGES_REMEDY = (
    "Delete it: stages then go on from what they saved, and are finished again in a short time."
)
# How a command goes on that has removed what it replaces: with --overwrite it would begin anew.
WITHOUT_OVERWRITE = (
    "the same command without --overwrite (or with --nooverwrite at its end) goes on from here."
)
# What `RunDirectory.audit` names, of every `Config.audit_name`.
AUDIT = re.compile(r"audit(_validation)?(_share\d+)?(_\d+_codes)?")


@dataclasses.dataclass(frozen=True)
class RunDirectory:
    """Paths inside one run directory (docs/run_directory.md)."""

    root: pathlib.Path
    # Where exports go, if not into this directory: a sweep's chosen point is the sweep's export.
    export_root: pathlib.Path | None = None

    @property
    def config(self) -> pathlib.Path:
        """Every setting as used, with versions and git revision."""
        return self.root / "config.json"

    @property
    def stages(self) -> pathlib.Path:
        """Finished stages, and the settings that they were run with."""
        return self.root / "stages.json"

    @property
    def splits(self) -> pathlib.Path:
        """Counts and hashes of the private, public and test sets."""
        return self.root / "splits.json"

    @property
    def metrics(self) -> pathlib.Path:
        """One JSON line an epoch."""
        return self.root / "metrics.jsonl"

    @property
    def decisions(self) -> pathlib.Path:
        """Thresholds and temperature of the trained task head, and the encoder that they are of."""
        return self.root / "decisions.json"

    @property
    def checkpoints(self) -> pathlib.Path:
        """Training state, and the trained players as .keras files."""
        return self.root / "checkpoints"

    @property
    def logs(self) -> pathlib.Path:
        """TensorBoard's folder."""
        return self.root / "logs"

    def audit(self, name: str) -> pathlib.Path:
        """Folder of the audit on T ("test"), or of another (`Config.audit_name`)."""
        return self.root / ("audit" if name == "test" else f"audit_{name}")

    @property
    def export(self) -> pathlib.Path:
        """SavedModels, TFLite files and their manifest."""
        return (self.export_root or self.root) / "export"

    def player(self, name: str) -> pathlib.Path:
        """The trained encoder, task_head or decoder."""
        return self.checkpoints / f"{name}.keras"


def audit_folders(run: RunDirectory) -> list[pathlib.Path]:
    """The folders of all audits of a run; those of other names may be the user's own."""
    return [path for path in sorted(run.root.glob("audit*")) if AUDIT.fullmatch(path.name)]


def remove_unfinished(run: RunDirectory) -> None:
    """Removes files that a killed process left half written; the run's lock must be held alone.

    Not those of the cache, which several runs can share.
    """
    stores = [path for audit in audit_folders(run) for path in audit.rglob("*") if path.is_dir()]
    for folder in (run.root, run.checkpoints, *audit_folders(run), *stores):
        files.remove_unfinished(folder)


def settings_hash(settings: Mapping[str, Any]) -> str:
    """A short name for a set of settings."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def write_config(run: RunDirectory, config: Config) -> None:
    """Writes config.json."""
    files.write_json(run.config, {"settings": as_dict(config), **revision.provenance()})


def recorded_settings(run: RunDirectory) -> dict[str, Any]:
    """The settings in config.json; empty for a new run directory.

    Raises:
        ValueError: config.json is damaged, or holds settings that this version does not know.
    """
    if not run.config.exists():
        return {}
    content = run_files.read_json(run.config, remedy=CONFIG_REMEDY, keys=("settings",))
    check_recorded(content["settings"], run.config)
    return content["settings"]


def check_recorded(settings: Any, path: pathlib.Path) -> None:
    """Raises ValueError where recorded settings are not those of this version.

    An unknown one can't be left out: what the run did by it would be done otherwise in silence.
    """
    fields = {field.name: field for field in dataclasses.fields(Config)}
    if not isinstance(settings, Mapping):
        raise run_files.refusal(path, "has 'settings' that are no object", CONFIG_REMEDY)
    unknown = sorted(set(settings) - set(fields))
    if unknown:
        raise run_files.refusal(
            path,
            f"holds settings that this version of arl_tf does not know ({', '.join(unknown)}):"
            " another version wrote it",
            "Use that version, or another --workdir.",
        )
    for name, value in settings.items():
        try:
            checks.check_value(fields[name], value)
        except ValueError as error:
            found = f"can't be used: {run_files.one_line(error)}"
            raise run_files.refusal(path, found, CONFIG_REMEDY) from error


def recorded_attributes(run: RunDirectory) -> tuple[str, ...]:
    """Names of the task's attributes in splits.json; empty where it does not hold them."""
    if not run.splits.exists():
        return ()
    found = run_files.read_json(run.splits, remedy=SPLITS_REMEDY).get("attributes", [])
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise run_files.refusal(run.splits, "has 'attributes' that are no names", SPLITS_REMEDY)
    return tuple(found)


def recorded_task_kind(run: RunDirectory) -> str:
    """The kind of the run's task in splits.json; older runs are of attributes."""
    if not run.splits.exists():
        return MULTI_LABEL
    kind = run_files.read_json(run.splits, remedy=SPLITS_REMEDY).get("task_kind", MULTI_LABEL)
    if kind not in TASK_KINDS:
        raise run_files.refusal(run.splits, f"names the unknown task_kind {kind!r}", SPLITS_REMEDY)
    return kind


def finished_stages(run: RunDirectory) -> dict[str, Any]:
    """Finished stage -> the settings it was run with.

    Raises:
        ValueError: stages.json is damaged.
    """
    if not run.stages.exists():
        return {}
    stages = run_files.read_json(run.stages, remedy=STAGES_REMEDY)
    for name, settings in stages.items():
        if not isinstance(settings, dict):
            raise run_files.refusal(run.stages, f"holds no settings for '{name}'", STAGES_REMEDY)
    return stages


def mark_finished(run: RunDirectory, stage: str, settings: Mapping[str, Any]) -> None:
    """Records that a stage is finished, with its settings."""
    files.write_json(run.stages, {**finished_stages(run), stage: dict(settings)})


def forget_finished(run: RunDirectory, stage: str) -> None:
    """Forgets that a stage was finished; all others build on "train" and are forgotten with it."""
    stages = finished_stages(run)
    if stage in stages:
        kept = {} if stage == "train" else stages
        files.write_json(run.stages, {name: kept[name] for name in kept if name != stage})


def differing_settings(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Flags whose value differs, as '--name=then (now: value)'.

    A setting that the record does not know is younger than the record; its default is what was done
    before there was a choice. Paths differ where they lead to different places from here.
    """
    defaults = {field.name: field.default for field in dataclasses.fields(Config)}
    then = {name: recorded.get(name, defaults.get(name)) for name in now}
    names = [
        name
        for name in now
        if then[name] != now[name] and not same_place(name, then[name], now[name])
    ]
    return [f"--{name}={then[name]!r} (now: {now[name]!r})" for name in names]
