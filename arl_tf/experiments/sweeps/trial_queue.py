"""The list of points that are to be done, are being done and are done: an Optuna study on disk.

Several processes may work on one study. A process that is killed leaves its trial running in the
study; the lock file that it held tells the others that it is gone, and its point is queued again.
"""

import dataclasses
import functools
import pathlib
import sqlite3
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import filelock
import optuna
from absl import logging
from optuna.exceptions import OptunaError
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from arl_tf.experiments.sweeps import databases
from arl_tf.experiments.sweeps.search_space import Choices, Range
from arl_tf.experiments.sweeps.trials import FINISHED, Trial
from arl_tf.utils import files, run_files

STORAGE = "optuna.db"
STORAGE_ERRORS = (OptunaError, SQLAlchemyError, RuntimeError, KeyError, ValueError)
REMEDY = (
    "Delete it: the points are then queued anew, and those that are finished in points/ are taken"
    " as they are."
)
# Sampled points before the sampler goes by what it found.
STARTUP_TRIALS = 6
OVERRIDES, POINT, RETRY, MESSAGE = "overrides", "point", "retry", "message"
Sampler = Callable[[optuna.Trial], Trial]


@dataclasses.dataclass(frozen=True)
class Claim:
    """A point that this process has taken; others leave it alone while the lock is held."""

    trial: optuna.Trial
    point: Trial
    lock: filelock.BaseFileLock


@dataclasses.dataclass(frozen=True)
class TrialQueue:
    """The study `name` in a folder; made on first use.

    Attributes:
        folder: of the storage and its locks.
        name: of the study: another list of points has another name.
        seed: of the sampler.
        url: of a database that holds the study instead of a file in the folder; "": the file. The
            locks stay in the folder, which all processes share.

    Every method raises UnreadableFileError where the storage is damaged.
    """

    folder: pathlib.Path
    name: str
    seed: int
    url: str = ""

    def study(self) -> optuna.Study:
        """The study: it maximises mean MCC and minimises leakage.

        The sampler is drawn anew for every trial from (seed, number of trials), so that neither
        another process nor a later one repeats its draws.
        """
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = self._in_database() if self.url else self._in_file()
        number = len(study.get_trials(deepcopy=False))
        study.sampler = optuna.samplers.TPESampler(
            seed=(self.seed * 1_000_003 + number) % 2**32, n_startup_trials=STARTUP_TRIALS
        )
        return study

    def _in_file(self) -> optuna.Study:
        """The study in the folder's own file."""
        path = self.folder.resolve() / STORAGE
        try:
            study = self._opened(storage(path), self.name)
            study.get_trials(deepcopy=False)
        except STORAGE_ERRORS as error:
            # Sound, but another program holds it.
            if "database is locked" in str(error):
                raise
            found = run_files.flaw(path) or f"can't be read: {run_files.one_line(error)}"
            raise run_files.refusal(path, found, REMEDY) from error
        return study

    def _in_database(self) -> optuna.Study:
        """The study in the database of `url`, which may hold those of other folders, too."""
        with databases.saying_what_to_do(self.url):
            return self._opened(databases.opened(self.url), f"{self.name}_{self._folder_name()}")

    def _opened(self, stored: optuna.storages.BaseStorage, name: str) -> optuna.Study:
        """The study of a name, made where the storage has none."""
        return optuna.create_study(
            storage=stored,
            study_name=name,
            directions=["maximize", "minimize"],
            load_if_exists=True,
        )

    def _folder_name(self) -> str:
        """What tells this folder from others in a database; it stays when the folder is moved."""
        path = self.folder / "database_name"
        with self.guard():
            if not path.exists():
                files.write_text(path, uuid.uuid4().hex[:12])
            return path.read_text(encoding="utf-8")

    def guard(self) -> filelock.BaseFileLock:
        """One process at a time looks through the list; within it, the lock may be taken again."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return filelock.FileLock(self.folder / "queue.lock", is_singleton=True)

    def lock_of(self, number: int) -> filelock.BaseFileLock:
        """Held by the process that works on a trial; the system frees it when that one dies."""
        (self.folder / "locks").mkdir(exist_ok=True)
        return filelock.FileLock(self.folder / "locks" / f"{number}.lock")

    def enqueue(self, points: Sequence[Trial]) -> None:
        """Adds the points that the study has not."""
        with self.guard():
            study = self.study()
            known = {trial.user_attrs.get(POINT) for trial in study.get_trials(deepcopy=False)}
            for point in points:
                if point.name not in known:
                    known.add(point.name)
                    study.enqueue_trial(dict(point.overrides), user_attrs=attributes(point))

    def retry_failed(self) -> None:
        """Queues the points again that failed and have not been queued again since."""
        self._queue_again(lambda trial: trial.state == TrialState.FAIL)

    def redo(self, is_gone: Callable[[str], bool]) -> None:
        """Queues the points again that are done, but whose results are gone.

        Args:
            is_gone: point's name -> whether its results can't be read.
        """
        self._queue_again(
            lambda trial: (
                trial.state in (TrialState.COMPLETE, TrialState.FAIL)
                and POINT in trial.user_attrs
                and is_gone(trial.user_attrs[POINT])
            )
        )

    def _queue_again(self, is_wanted: Callable[[FrozenTrial], bool]) -> None:
        with self.guard():
            study = self.study()
            latest = {t.user_attrs.get(POINT): t for t in study.get_trials() if not is_lost(t)}
            for trial in latest.values():
                if is_wanted(trial):
                    again = attributes(trial_of(trial.user_attrs)) | {RETRY: True}
                    study.enqueue_trial(trial.params, user_attrs=again)

    def claim(self, sampler: Sampler | None = None, num_trials: int = 0) -> Claim | None:
        """Takes the next point; None where none is left for this process.

        Args:
            sampler: makes a point of a trial; without it points are as they were queued.
            num_trials: how many points there shall be, sampled ones included.
        """
        with self.guard():
            study = self.study()
            self.requeue_lost(study)
            trials = study.get_trials(deepcopy=False)
            wanted = sum(not is_lost(trial) and RETRY not in trial.user_attrs for trial in trials)
            if wanted >= num_trials and not any(t.state == TrialState.WAITING for t in trials):
                return None
            trial = study.ask()
            lock = self.lock_of(trial.number)
            lock.acquire(timeout=0)
            point = sampler(trial) if sampler else trial_of(trial.user_attrs)
            for name, value in attributes(point).items():
                trial.set_user_attr(name, value)
            return Claim(trial, point, lock)

    def requeue_lost(self, study: optuna.Study) -> None:
        """Fails the running trials whose process is gone, and queues their points again."""
        for trial in study.get_trials(states=(TrialState.RUNNING,)):
            lock = self.lock_of(trial.number)
            try:
                lock.acquire(timeout=0)
            except filelock.Timeout:
                continue
            try:
                # In this order: a kill between the two must not lose the point.
                if POINT in trial.user_attrs and not is_queued_again(study, trial):
                    study.enqueue_trial(
                        trial.params or trial.user_attrs[OVERRIDES], user_attrs=trial.user_attrs
                    )
                study.tell(trial.number, state=TrialState.FAIL)
            finally:
                lock.release()

    def finish(self, claim: Claim, record: Mapping[str, Any], values: Sequence[float]) -> None:
        """Records what became of a claimed point, and lets go of it.

        Without values (mean MCC, leakage) the sampler learns nothing from it.
        """
        with self.guard():
            study = self.study()
            if values:
                study.tell(claim.trial.number, list(values))
            else:
                claim.trial.set_user_attr(MESSAGE, record["message"])
                study.tell(claim.trial.number, state=TrialState.FAIL)
        claim.lock.release()

    def trials(self) -> list[FrozenTrial]:
        """The latest trial of every point, in the order in which points were first queued."""
        with self.guard():
            trials = self.study().get_trials()
        latest = {t.user_attrs[POINT]: t for t in trials if POINT in t.user_attrs}
        return list(latest.values())


def storage(path: pathlib.Path) -> optuna.storages.RDBStorage:
    """The database in a file of any path: signs such as ? and { have a meaning in Optuna's URLs."""
    connect = functools.partial(sqlite3.connect, path.resolve(), check_same_thread=False)
    return optuna.storages.RDBStorage("sqlite://", engine_kwargs={"creator": connect})


def is_lost(trial: FrozenTrial) -> bool:
    """Whether its process was killed: it failed, and nobody noted why."""
    return trial.state == TrialState.FAIL and MESSAGE not in trial.user_attrs


def is_queued_again(study: optuna.Study, trial: FrozenTrial) -> bool:
    """Whether a later trial is of the same point."""
    point = trial.user_attrs[POINT]
    return any(
        other.number > trial.number and other.user_attrs.get(POINT) == point
        for other in study.get_trials(deepcopy=False)
    )


def attributes(trial: Trial) -> dict[str, Any]:
    """What Optuna's trial says of ours."""
    return {POINT: trial.name, "label": trial.label, OVERRIDES: dict(trial.overrides)}


def trial_of(user_attrs: Mapping[str, Any]) -> Trial:
    """The point that a trial is of."""
    return Trial(user_attrs[POINT], user_attrs["label"], user_attrs[OVERRIDES])


def suggest(trial: optuna.Trial, space: Mapping[str, Choices | Range]) -> dict[str, Any]:
    """Lets the study's sampler choose a value of every setting."""
    return {name: suggest_value(trial, name, values) for name, values in space.items()}


def suggest_value(trial: optuna.Trial, name: str, values: Choices | Range) -> Any:
    """Lets the sampler choose a setting's value."""
    if isinstance(values, Choices):
        return trial.suggest_categorical(name, values.values)
    is_integer = isinstance(values.low, int)
    draw = trial.suggest_int if is_integer else trial.suggest_float
    return draw(name, values.low, values.high, log=values.is_logarithmic)


def work_through(
    queue: TrialQueue,
    run_one: Callable[[Trial], dict[str, Any]],
    values_of: Callable[[Mapping[str, Any]], Sequence[float]],
    *,
    sampler: Sampler | None = None,
    num_trials: int = 0,
    after_each: Callable[[], None],
) -> None:
    """Takes point after point until none is left for this process.

    Args:
        queue: of the points.
        run_one: trains and audits a point; returns its record.
        values_of: (mean MCC, leakage) of a finished point's record; empty where one is unknown.
        sampler: as for `TrialQueue.claim`.
        num_trials: likewise.
        after_each: called when a point is done or has failed.
    """
    start, done = time.monotonic(), 0
    while claim := queue.claim(sampler, num_trials):
        logging.info("Trial %s", claim.point.label)
        try:
            record = run_one(claim.point)
            values = values_of(record) if record["state"] == FINISHED else ()
            queue.finish(claim, record, values)
        finally:
            # A point that was interrupted is free, even where this process lives on.
            claim.lock.release()
        done += 1
        after_each()
        trials = queue.trials()
        left = max(num_trials, len(trials)) - sum(trial.state.is_finished() for trial in trials)
        minutes = (time.monotonic() - start) / done * left / 60
        logging.info("%d points are left, about %.0f min at this pace", left, minutes)
