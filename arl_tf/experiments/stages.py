"""The stages of a run: each is done once; a killed one is done again."""

import importlib
import shlex
import shutil
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from arl_tf.attacks import registry
from arl_tf.config.checks import ALONE
from arl_tf.config.data_checks import RANKED_BY_FACES, TFDS_PREFIX, check_ranking
from arl_tf.config.settings import Config
from arl_tf.data import shared_photos, splits, tfds_images
from arl_tf.experiments import experiment, first_checks, run_directory, train_stage
from arl_tf.experiments.attackers_stage import FOLDER as ATTACKERS_FOLDER
from arl_tf.experiments.encoding import encode_stage
from arl_tf.experiments.preview import dry_run
from arl_tf.experiments.run_directory import RunDirectory
from arl_tf.models.pretrained import perceptual
from arl_tf.report import report_files, terminal
from arl_tf.training import checkpoints, strategies
from arl_tf.utils import files, interruption, run_lock

# What builds on the audit of T.
AFTER_AUDIT = ("export", "attackers")
# Each module owns `check(config, run, todo)`, before data are read, and `run(experiment)`.
STAGES = {
    "train": "arl_tf.experiments.train_stage",
    "audit": "arl_tf.experiments.audit_stage",
    "export": "arl_tf.experiments.export_stage",
    "attackers": "arl_tf.experiments.attackers_stage",
    "sweep": "arl_tf.experiments.sweeps.sweep",
    "study": "arl_tf.experiments.sweeps.study",
    "bench": "arl_tf.experiments.benches.stage",
}
# Pages of the stages that run alone.
PAGES = {"Sweep": "sweep/sweep.html", "Study": "study/report.html", "Bench": "bench/report.html"}


def run_stages(config: Config, run: RunDirectory) -> None:
    """Runs the stages that are asked for and not finished, then says where their results lie.

    Raises:
        ValueError: settings, data or the run directory don't fit together.
        callbacks.TrainingDiverged: training went wrong.
    """
    if config.stage_names == ("encode",):
        prepare_tensorflow(config)
        encode_stage.run(config, run)
        return
    todo = stages_to_do(config, run)
    for stage in config.stage_names:
        if stage not in todo:
            logging.info("Stage '%s' is finished; --overwrite would redo it", stage)
    if todo:
        first_checks.check(config, run, todo)
        prepare_tensorflow(config)
        if not config.dry_run and trains_elsewhere(config):
            follow(config, run, todo)
            return
        check_prerequisites(config, run, todo)
    if config.dry_run:
        print(dry_run.preview_words(config, run, todo))
        return
    if todo:
        # Several processes may work through the points of one sweep or study.
        shared = bool(set(todo) & set(ALONE))
        with run_lock.owned(run.root, shared=shared):
            if not shared:
                run_directory.remove_unfinished(run)
            do_stages(config, run)
    print(summary(config, run))


def do_stages(config: Config, run: RunDirectory) -> None:
    """Does what is to be done in a run directory that this process holds."""
    # Looked at again: another process may have held it until now.
    todo = stages_to_do(config, run)
    whole = experiment.load(config, run)
    # A data set may say only now that it is of no faces.
    if not whole.images.has_faces:
        check_ranking(config)
    description = splits.describe_splits(whole.parts, whole.images)
    # Before anything is removed: a command that is refused leaves the run as it was.
    if run.splits.exists() and not trains_anew(config, todo):
        splits.check_recorded_splits(run.splits, description)
    forget(config, run, todo)
    if config.overwrite and not set(todo) & set(ALONE):
        interruption.advise(run_directory.WITHOUT_OVERWRITE)
    record_splits(run, description, whole)
    if "train" in todo:
        meet_workers(config)
    for stage in todo:
        logging.info("Stage '%s' begins", stage)
        stage_module(stage).run(whole)
        run_directory.mark_finished(run, stage_key(config, stage), config.stage_settings(stage))


def trains_elsewhere(config: Config) -> bool:
    """Whether this process only helps another one, the chief, which owns the run directory."""
    return config.strategy == strategies.MULTI_WORKER and not strategies.is_chief(
        strategies.start(config.strategy, config.devices)
    )


def meet_workers(config: Config) -> None:
    """Waits for the other workers of the training, where there are any."""
    strategy = strategies.start(config.strategy, config.devices)
    with strategies.others_may_go(strategy):
        strategies.meet(strategy)


def follow(config: Config, run: RunDirectory, todo: list[str]) -> None:
    """Trains beside the chief; writes nothing into the run directory."""
    check_prerequisites(config, run, todo)
    # The chief prepares images and removes what is to be replaced.
    meet_workers(config)
    if config.overwrite:
        interruption.advise(run_directory.WITHOUT_OVERWRITE)
    train_stage.run(experiment.load(config, run))
    logging.info("This worker is done; the chief wrote %s", run.root)


def stage_module(stage: str) -> Any:
    """The module of a stage; ValueError where a package that it alone needs is not installed."""
    try:
        return importlib.import_module(STAGES[stage])
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "arl_tf":
            raise
        raise ValueError(
            f"--stages={stage} needs the package {error.name!r}, which is not installed:"
            " pip install 'arl_tf[all]', or pip install -r requirements.txt in a checkout."
        ) from None


def stages_to_do(config: Config, run: RunDirectory) -> list[str]:
    """The stages asked for that are not finished; a new audit of T makes its followers old."""
    todo = [stage for stage in config.stage_names if not is_finished(config, run, stage)]
    if audits_test(config, todo):
        todo += [s for s in AFTER_AUDIT if s in config.stage_names and s not in todo]
    return todo


def audits_test(config: Config, todo: list[str]) -> bool:
    """Whether single codes of T are about to be audited: what is shipped rests on that."""
    return "audit" in todo and config.audit_name == "test"


def prepare_tensorflow(config: Config) -> None:
    """Threads and determinism; must come before the first operation."""
    if config.threads:
        tf.config.threading.set_intra_op_parallelism_threads(config.threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    # Workers wait for each other as soon as they start; a dry run is of one process.
    if config.strategy != strategies.MULTI_WORKER or not config.dry_run:
        strategies.start(config.strategy, config.devices)


def stage_key(config: Config, stage: str) -> str:
    """Audits on T, on validation, of several codes a photo are finished separately."""
    return f"audit_{config.audit_name}" if stage == "audit" else stage


def is_finished(config: Config, run: RunDirectory, stage: str) -> bool:
    """Whether a stage is finished with the very same settings and need not be redone.

    Raises:
        ValueError: it is finished with other settings: going on would mix two runs in one place.
    """
    recorded = run_directory.finished_stages(run).get(stage_key(config, stage))
    # What these finished they know point by point.
    if recorded is None or config.overwrite or stage in ALONE:
        return False
    refuse_other_settings(recorded, config, stage, f"Stage '{stage}' of {run.root} is finished")
    return True


def check_training_settings(config: Config, run: RunDirectory, todo: list[str]) -> None:
    """Refuses settings that contradict a training which this command continues or builds on."""
    if config.is_external or (
        "train" in todo and (config.overwrite or not run.checkpoints.exists())
    ):
        return
    recorded = run_directory.recorded_settings(run)
    if recorded:
        refuse_other_settings(recorded, config, "train", f"{run.root} was trained")


def refuse_other_settings(recorded: dict, config: Config, stage: str, found: str) -> None:
    """Raises ValueError when a stage's settings are not those it was begun with."""
    differing = run_directory.differing_settings(recorded, config.stage_settings(stage))
    if differing:
        raise ValueError(
            f"{found} with {', '.join(differing)}. Use another --workdir, or --overwrite to replace"
            " it."
        )


def check_prerequisites(config: Config, run: RunDirectory, todo: list[str]) -> None:
    """Before data are read: raises ValueError for what a stage would only miss hours later."""
    check_names(config)
    check_faces(config, todo)
    if not set(todo) & set(ALONE):
        check_training_settings(config, run, todo)
        if "train" not in todo and not config.is_external:
            for name in ("encoder", "task_head"):
                checkpoints.require_player(run.player(name))
    for stage in todo:
        stage_module(stage).check(config, run, todo)


def check_names(config: Config) -> None:
    """Raises ValueError for an attacker or a layer that there is not."""
    registry.attackers_of(config.audit, config.attacker_names)
    known = perceptual.PERCEPTUAL_NETWORKS[config.perceptual].layers
    for layer in config.perceptual_layer_names or ():
        if layer not in known:
            raise ValueError(
                f"--perceptual_layers: {config.perceptual} has no layer {layer!r}; one of"
                f" {', '.join(known)}."
            )


def check_faces(config: Config, todo: list[str]) -> None:
    """Refuses to rank encoders by faces where a tfds builder says that it is of classes."""
    if config.identity_measures != "auto" or not config.dataset.startswith(TFDS_PREFIX):
        return
    is_ranked = set(todo) & set(RANKED_BY_FACES)
    if is_ranked and tfds_images.is_of_classes(config.dataset, config.data_dir):
        check_ranking(config)


def forget(config: Config, run: RunDirectory, todo: list[str]) -> None:
    """Before stages are redone, removes what must not be mixed with their new results.

    And writes config.json as soon as no checkpoint of the old settings is left: a command after a
    kill takes over settings that it does not name, and would mix old ones with the new.
    """
    # First: a kill in between must not leave a finished training without its checkpoints.
    for stage in todo:
        run_directory.forget_finished(run, stage_key(config, stage))
    if audits_test(config, todo):
        # The audit that let it through, or chose between attackers, is no more.
        for stage in AFTER_AUDIT:
            run_directory.forget_finished(run, stage)
    if trains_anew(config, todo):
        shutil.rmtree(run.checkpoints, ignore_errors=True)
        run.metrics.unlink(missing_ok=True)
        run.splits.unlink(missing_ok=True)
    run_directory.write_config(run, config)
    if trains_anew(config, todo):
        # An audit of the old encoder must not vouch for the new one.
        audits, old_attackers = run_directory.audit_folders(run), run.export / ATTACKERS_FOLDER
        for folder in (run.logs, *audits, old_attackers):
            shutil.rmtree(folder, ignore_errors=True)


def trains_anew(config: Config, todo: list[str]) -> bool:
    """Whether a training, and all that was built on it, is replaced."""
    return "train" in todo and config.overwrite


def record_splits(
    run: RunDirectory, description: dict[str, Any], whole: experiment.Experiment
) -> None:
    """Writes splits.json where there is none yet: `description`, and which photos T shares."""
    if run.splits.exists():
        return
    parts, images = whole.parts, whole.images
    others = [rows for name, rows in parts.parts().items() if name != "test"]
    shared = shared_photos.find_shared(images.images, np.concatenate(others), parts.test)
    if shared.sentence():
        logging.warning("%s", shared.sentence())
    files.write_json(run.splits, description | {"shared_photos": shared.record(images.names)})


def summary(config: Config, run: RunDirectory) -> str:
    """Where the results of the run lie, and its headline figures, for the terminal."""
    audit_folder = run.audit(config.audit_name)
    report_path = audit_folder / report_files.REPORT_JSON
    lines = ["", f"Run directory   {run.root}"]
    if report_path.exists():
        lines += [
            f"Report          {audit_folder / report_files.REPORT_HTML}",
            f"Figures         {report_path}",
            f"Pictures        {audit_folder / report_files.GRID}",
        ]
    for name, page in PAGES.items():
        if (run.root / page).exists():
            lines.append(f"{name:15s} {run.root / page}")
    lines.append(f"TensorBoard     tensorboard --logdir {shlex.quote(str(run.logs))}")
    if (run.export / "manifest.json").exists():
        lines += [
            f"Encoder         {run.export / 'saved_model' / 'encoder'}",
            f"Task head       {run.export / 'saved_model' / 'task_head'}",
            f"TFLite          {run.export / 'tflite'}",
        ]
    # A command ends with what it did, not with what an earlier one found.
    if "attackers" in config.stage_names:
        lines += stage_module("attackers").summary(run)
    if report_path.exists() and "audit" in config.stage_names:
        lines += ["", terminal.headline(report_files.read_content(audit_folder))]
    return "\n".join(lines)
