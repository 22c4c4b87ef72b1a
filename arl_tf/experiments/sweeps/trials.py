"""Operating points: runs that start from one shared unprotected encoder, audited on validation.

A point is a run directory below points/; the encoder that it starts from lies in shared/, and that
encoder's audit, which its leakage is measured against, in references/. Nothing here looks at T.
"""

import dataclasses
import json
import pathlib
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf
from absl import logging

from arl_tf.config.scopes import shared_encoder_values
from arl_tf.config.settings import Config
from arl_tf.data import splits
from arl_tf.data.image_sets import ImageSet
from arl_tf.data.splits import Splits
from arl_tf.experiments import audit_stage, run_directory, train_stage
from arl_tf.experiments.experiment import Experiment
from arl_tf.experiments.run_directory import RunDirectory
from arl_tf.utils import files, interruption, run_files, run_lock

FINISHED, FAILED = "finished", "failed"
SECONDS, RECORD = "seconds.json", "point.json"
VALIDATION = "validation"
# In place of a path: the point learns from the encoder that it starts from.
SHARED_TEACHER = "shared"
FAILURES = (ValueError, RuntimeError, OSError, ArithmeticError, tf.errors.OpError)
# The images and parts that a config asks for; the same objects while it asks for the same.
Loader = Callable[[Config], tuple[ImageSet, Splits]]


@dataclasses.dataclass(frozen=True)
class Trial:
    """One choice of settings.

    Attributes:
        name: of its directory.
        label: for tables and plots.
        overrides: setting -> value, where it differs from what all points have.
    """

    name: str
    label: str
    overrides: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Shared:
    """The unprotected encoder that points start from.

    Attributes:
        trained: its run directory.
        audited: a run directory of the same encoder with the audit that leakage is measured by.
    """

    trained: RunDirectory
    audited: RunDirectory


def named_trial(base: Config, overrides: Mapping[str, Any], label: str = "") -> Trial:
    """Names a point by its settings; the same settings have the same name."""
    text = label or ", ".join(f"{name}={value}" for name, value in overrides.items())
    settings = {
        **base.stage_settings("audit"),
        "audit": "quick",
        "point_epochs": base.point_epochs,
        **overrides,
    }
    slug = re.sub(r"[^\w.=-]+", "_", text)[:60].strip("_")
    return Trial(f"{slug}_{run_directory.settings_hash(settings)[:8]}", text, dict(overrides))


def directory(root: pathlib.Path, name: str) -> RunDirectory:
    """The run directory of a point of a sweep or study."""
    return RunDirectory(root / "points" / name)


def run_trial(base: Config, root: pathlib.Path, chosen: Trial, load: Loader) -> dict[str, Any]:
    """Trains and audits one point where that is not done yet; a point that was killed goes on.

    Args:
        base: the settings that all points have.
        root: the directory of the sweep or study.
        chosen: the point.
        load: gives the images.

    Returns:
        The record that is kept in the point's directory: state, message, settings, seconds, and
        paths of the encoders. A point that can't be trained or audited is recorded with the reason.

    Raises:
        OSError: the disk is full; libraries say so by other errors, too.
    """
    run = directory(root, chosen.name)
    with run_lock.owned(run.root, wait=True):
        run_directory.remove_unfinished(run)
        record = read_record(run)
        if record.get("state") == FINISHED:
            return record
        try:
            record = finished_record(base, root, chosen, run, load)
        except FAILURES as error:
            # Of a full disk no point is to blame: the same command goes on when there is room.
            if interruption.came() or files.is_of_the_disk(error):
                raise
            logging.warning("Point %s failed: %s", chosen.label, error)
            message = f"{type(error).__name__}: {error}"
            record = trial_facts(chosen, run) | {"state": FAILED, "message": message}
        files.write_json(run.root / RECORD, record)
        keras.utils.clear_session()
        return record


def finished_record(
    base: Config, root: pathlib.Path, chosen: Trial, run: RunDirectory, load: Loader
) -> dict[str, Any]:
    """Trains and audits a point; raises one of FAILURES where that can't be done."""
    experiment, shared = prepared(base, root, chosen, run, load)
    ensure_trained(experiment, root)
    ensure_audited(experiment)
    return trial_facts(chosen, run) | {
        "state": FINISHED,
        "message": "",
        "seconds": read_seconds(run),
        "shared": shared.trained.root.name,
        "reference": shared.audited.root.name,
        "shared_seconds": read_seconds(shared.trained),
        "reference_seconds": read_seconds(shared.audited),
    }


def prepared(
    base: Config, root: pathlib.Path, chosen: Trial, run: RunDirectory, load: Loader
) -> tuple[Experiment, Shared]:
    """A point with its images, and the encoder that it starts from, which is made if missing."""
    plain = shared_config(base, chosen.overrides)
    config = trial_config(base, chosen.overrides, run)
    images, parts = load(config)
    shared = ensure_shared(plain, root, images, parts)
    start = str(shared.trained.root)
    changes = {"warm_start": start, "reference": str(shared.audited.root)}
    if chosen.overrides.get("distil_from") == SHARED_TEACHER:
        changes["distil_from"] = start
    return Experiment(dataclasses.replace(config, **changes), run, images, parts), shared


def trial_facts(chosen: Trial, run: RunDirectory) -> dict[str, Any]:
    """What is known of a point before it has run."""
    return {
        "name": chosen.name,
        "label": chosen.label,
        "settings": dict(chosen.overrides),
        "directory": f"points/{run.root.name}",
    }


def trial_config(base: Config, overrides: Mapping[str, Any], run: RunDirectory) -> Config:
    """A point's settings but for its warm start and reference; ValueError for impossible ones."""
    cache = base.cache_dir or str(run.root.parent.parent / "cache")
    return dataclasses.replace(
        base,
        **{"audit": "quick", **overrides, "warmup_epochs": base.point_epochs},
        workdir=str(run.root),
        cache_dir=cache,
        stages="train,audit",
        audit_split=VALIDATION,
        overwrite=False,
        sweep="",
        study="",
        target="",
    )


def shared_config(base: Config, overrides: Mapping[str, Any]) -> Config:
    """A point's unprotected encoder: no adversary, nothing that bounds the code or its channel."""
    return dataclasses.replace(
        base,
        **{"audit": "quick", **overrides, **shared_encoder_values(Config)},
        stages="train,audit",
        audit_split=VALIDATION,
        overwrite=False,
        sweep="",
        study="",
        target="",
    )


def ensure_shared(config: Config, root: pathlib.Path, images: ImageSet, parts: Splits) -> Shared:
    """Trains the unprotected encoder of these settings and audits it, where that is not done."""
    data = splits.same_data(parts, images)
    trained_key = run_directory.settings_hash(config.stage_settings("train") | data)
    audited_key = run_directory.settings_hash(config.stage_settings("audit") | data)
    shared = Shared(
        RunDirectory(root / "shared" / trained_key), RunDirectory(root / "references" / audited_key)
    )
    cache = config.cache_dir or str(root / "cache")
    with (
        run_lock.owned(shared.trained.root, wait=True),
        run_lock.owned(shared.audited.root, wait=True),
    ):
        for run in (shared.trained, shared.audited):
            run_directory.remove_unfinished(run)
        here = dataclasses.replace(config, workdir=str(shared.trained.root), cache_dir=cache)
        ensure_trained(Experiment(here, shared.trained, images, parts), root)
        there = dataclasses.replace(here, workdir=str(shared.audited.root))
        adopt(shared.trained, shared.audited)
        ensure_audited(Experiment(there, shared.audited, images, parts))
    return shared


def ensure_trained(experiment: Experiment, root: pathlib.Path) -> None:
    """Trains a run; players that were trained with the very same settings are copied instead."""
    config, run = experiment.config, experiment.run
    if "train" in run_directory.finished_stages(run):
        return
    # What was begun here goes on here: players are copied into an empty run only.
    twin = None if run.checkpoints.exists() else trained_twin(config, root, run)
    if twin:
        adopt(twin, run)
        return
    run_directory.write_config(run, config)
    files.write_json(run.splits, splits.describe_splits(experiment.parts, experiment.images))
    timed(run, "train", run.checkpoints, lambda: train_stage.run(experiment))
    run_directory.mark_finished(run, "train", config.stage_settings("train"))


def trained_twin(config: Config, root: pathlib.Path, run: RunDirectory) -> RunDirectory | None:
    """Another point with the same training: points may differ in their attackers alone."""
    wanted = json.loads(json.dumps(config.stage_settings("train")))
    for other in map(RunDirectory, sorted((root / "points").glob("*/"))):
        if other.root != run.root and run_directory.finished_stages(other).get("train") == wanted:
            return other
    return None


def adopt(trained: RunDirectory, run: RunDirectory) -> None:
    """Gives a run that never trained the players of another; whole, or not at all."""
    if "train" in run_directory.finished_stages(run):
        return
    if not run.checkpoints.exists():
        unfinished = run.root / "unfinished_checkpoints"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        for player in trained.checkpoints.glob("*.keras"):
            shutil.copy2(player, unfinished)
        for name in ("config.json", "splits.json", "metrics.jsonl"):
            if (trained.root / name).exists():
                shutil.copy2(trained.root / name, run.root)
        unfinished.rename(run.checkpoints)
    run_directory.mark_finished(run, "train", run_directory.finished_stages(trained)["train"])


def ensure_audited(experiment: Experiment) -> None:
    """Audits a run's encoder where that is not done: on validation, or on what the config says."""
    config, run = experiment.config, experiment.run
    stage = f"audit_{config.audit_name}"
    settings = json.loads(json.dumps(config.stage_settings("audit")))
    if run_directory.finished_stages(run).get(stage) == settings:
        return
    run_directory.write_config(run, config)
    store = run.audit(config.audit_name) / "attacks"
    timed(run, stage, store, lambda: audit_stage.run(experiment))
    run_directory.mark_finished(run, stage, settings)


def timed(run: RunDirectory, stage: str, traces: pathlib.Path, work: Callable[[], None]) -> None:
    """Does the work and notes its seconds; None where an earlier, killed process did a part."""
    is_whole = not traces.exists()
    start = time.monotonic()
    work()
    seconds = time.monotonic() - start if is_whole else None
    files.write_json(run.root / SECONDS, {**read_seconds(run), stage: seconds})


def read_seconds(run: RunDirectory) -> dict[str, float | None]:
    """Stage -> seconds that it took; None where it was interrupted."""
    return read_note(run.root / SECONDS, (), "The point goes without its times.")


def read_record(run: RunDirectory) -> dict[str, Any]:
    """A point's record; empty where it has none, or a damaged one: the point is then done again."""
    return read_note(run.root / RECORD, ("name", "state", "message"), "The point is done again.")


def read_note(path: pathlib.Path, keys: Sequence[str], remedy: str) -> dict[str, Any]:
    """What a JSON file beside a point's results says; empty where it is missing or damaged."""
    if not path.exists():
        return {}
    try:
        return run_files.read_json(path, remedy=remedy, keys=keys)
    except run_files.UnreadableFileError as error:
        logging.warning("%s", error)
        return {}
