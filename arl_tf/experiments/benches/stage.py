"""The bench stage: every defence tried on validation, its choices audited on T, one table.

First each defence has its trials. When all of them are done, the choices are trained with the other
seeds and audited on T. Nobody looks at T before.
"""

import dataclasses
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from absl import logging

from arl_tf.config.settings import Config
from arl_tf.experiments import run_directory
from arl_tf.experiments.benches import bench_report, choice, contestants, finals, results
from arl_tf.experiments.benches.contestants import Contestant
from arl_tf.experiments.experiment import Experiment
from arl_tf.experiments.run_directory import RunDirectory
from arl_tf.experiments.sweeps import kept_results, trials
from arl_tf.experiments.sweeps.trial_queue import TrialQueue, work_through
from arl_tf.experiments.sweeps.trials import Trial
from arl_tf.utils import files

FOLDER, RESULTS = "bench", "bench.json"
# Seconds between two looks at what other processes still work on.
PATIENCE = 10.0


def check(config: Config, run: RunDirectory, todo: list[str]) -> None:
    """Before data are read: raises ValueError for defences or utilities that there are not.

    Also where the directory holds a bench of other settings.
    """
    contestants.chosen_contestants(config)
    choice.utilities(config)
    refuse_another_bench(config, run.root)


def run(experiment: Experiment) -> None:
    """Works on the bench until all of it is done, beside other processes that do the same.

    Raises:
        ValueError: all trials or all audits on T have failed, or the directory holds a bench of
            other settings.
    """
    config, root = experiment.config, experiment.run.root
    refuse_another_bench(config, root)
    bench = Bench(experiment, contestants.chosen_contestants(config), contestants.left_out(config))
    logging.info("Compared: %s", ", ".join(contestant.name for contestant in bench.contestants))
    for name, reason in bench.left_out.items():
        logging.info("Left out: %s. %s", name, reason)
    bench.work(
        "trials",
        bench.next_trials,
        lambda point: run_trial(experiment, point),
        lambda name: not trials.read_record(trials.directory(root, name)),
    )
    bench.work(
        "audits",
        bench.next_finals,
        lambda point: finals.run_final(config, root, point, bench.load),
        lambda name: not finals.read_record(config, root, name),
    )
    require_results(bench.write())


def require_results(results: Mapping[str, Any]) -> None:
    """Raises ValueError where all trials have failed, or all audits on T; of bench.json."""
    entries = results["defences"]
    tried = [row for entry in entries for row in entry["trials"]]
    audited = [
        run for entry in entries for final in entry["finals"].values() for run in final["runs"]
    ]
    kept_results.require_results(tried, "trials of the bench")
    kept_results.require_results(audited, "audits on T of the bench")


def bench_settings(config: Config) -> dict[str, Any]:
    """What decides the results of a bench; who attacks on T may change, see `finals.attacked_by`.

    Nor do more defences, trials, seeds or utilities make another bench.
    """
    return kept_results.settings_of(config, "bench", attackers="")


def refuse_another_bench(config: Config, root: pathlib.Path) -> None:
    """Raises ValueError where a bench of other settings would be replaced without --overwrite."""
    path = root / FOLDER / RESULTS
    kept_results.refuse_others(path, bench_settings(config), overwrite=config.overwrite)


def run_trial(experiment: Experiment, trial: Trial) -> dict[str, Any]:
    """Trains a point and audits it on validation."""
    base = choice.trial_base(experiment.config, trial.overrides)
    data = (experiment.images, experiment.parts)
    return trials.run_trial(base, experiment.run.root, trial, lambda _: data)


@dataclasses.dataclass(frozen=True)
class Bench:
    """A bench at work.

    Attributes:
        experiment: what all points have.
        contestants: who takes part.
        left_out: defence that the settings do not allow -> why.
    """

    experiment: Experiment
    contestants: Sequence[Contestant]
    left_out: Mapping[str, str]

    @property
    def root(self) -> pathlib.Path:
        """Its directory."""
        return self.experiment.run.root

    def load(self, _: Config) -> tuple[Any, Any]:
        """The same images and parts for every seed: what differs is the training alone."""
        return self.experiment.images, self.experiment.parts

    def replayed(self) -> dict[str, tuple[Contestant, list[choice.TrialRow], Trial | None]]:
        """Name -> contestant, its trials that are done, the next one."""
        config = self.experiment.config
        return {c.name: (c, *choice.replay(config, self.root, c)) for c in self.contestants}

    def chosen(self) -> finals.Chosen:
        """Name -> contestant and its trials that are done."""
        return {name: (c, rows) for name, (c, rows, _) in self.replayed().items()}

    def next_trials(self) -> list[Trial]:
        """The next trial of every contestant that has one."""
        return [point for _, _, point in self.replayed().values() if point]

    def next_finals(self) -> list[Trial]:
        """The audits on T that are not done and have not failed."""
        config = self.experiment.config
        planned = finals.planned(config, self.chosen())
        return [point for point in planned if not finals.read_record(config, self.root, point.name)]

    def queue(self, phase: str) -> TrialQueue:
        """The points of one phase, of these very settings and contestants.

        Processes with other contestants have lists of their own; what a point has found is shared.
        """
        config = self.experiment.config
        settings = config.stage_settings("bench")
        # These say who attacks on T: trials do not depend on them.
        known = settings | {"audit": "quick", "attackers": ""} if phase == "trials" else settings
        names = sorted(contestant.name for contestant in self.contestants)
        name = f"{phase}_{run_directory.settings_hash(known | {'contestants': names})}"
        return TrialQueue(self.root / FOLDER, name, config.seed, config.storage)

    def work(
        self,
        phase: str,
        find: Callable[[], list[Trial]],
        run_one: Callable[[Trial], dict[str, Any]],
        is_gone: Callable[[str], bool],
    ) -> None:
        """Does points until `find` finds none: those of other processes are waited for.

        Args:
            phase: of the queue's name.
            find: the points that can be done now.
            run_one: does one; returns its record.
            is_gone: point's name -> whether it has no record.
        """
        queue, seen = self.queue(phase), set()

        def look() -> list[Trial]:
            points = find()
            # The storage is slow: it is asked about points that are new to this process alone.
            new = [point for point in points if point.name not in seen]
            if new:
                queue.enqueue(new)
            seen.update(point.name for point in new)
            return points

        def after_each() -> None:
            look()
            self.write()

        queue.redo(is_gone)
        if self.experiment.config.overwrite:
            queue.retry_failed()
        while True:
            look()
            # Nothing is sampled: the queue need not know what was found.
            work_through(queue, run_one, lambda record: (0.0, 0.0), after_each=after_each)
            if not look():
                return
            time.sleep(PATIENCE)

    def write(self) -> dict[str, Any]:
        """Writes bench.json and its page as far as the bench has come; returns the content."""
        with self.queue("trials").guard():
            found = results.assemble(
                self.experiment.config, self.root, self.chosen(), self.left_out
            )
            found[kept_results.SETTINGS] = bench_settings(self.experiment.config)
            files.write_json(self.root / FOLDER / RESULTS, found)
            bench_report.write_page(found, self.root / FOLDER)
        return found
