"""A bench made up for tests: what strengths keep and leak is a formula instead of a training."""

import functools
import json

import numpy as np
import sweeps
from memory_queue import MemoryQueue

from arl_tf.auditing.resamples import Resamples
from arl_tf.config.settings import Config
from arl_tf.data import image_sets, splits
from arl_tf.experiments.benches import bench_report, finals, stage
from arl_tf.experiments.experiment import Experiment
from arl_tf.experiments.run_directory import RunDirectory
from arl_tf.experiments.sweeps import trials
from arl_tf.report import report_files
from arl_tf.utils import files

REFERENCE_MCC = 0.5
SETTINGS = {
    "stages": "bench",
    "num_faces": 240,
    "image_size": 32,
    "bench_defences": "none,noise,laplace",
    "bench_trials": 3,
    "bench_seeds": 1,
    "bench_utility": "0.97",
}
# Defence -> how much of the utility a unit of its strength costs.
PRICES = {"none": 0.0, "noise": 0.02, "laplace": 0.01}


def images():
    """Empty pictures with the names of three attributes."""
    return image_sets.ImageSet(
        images=np.zeros((240, 32, 32, 3), np.uint8),
        attributes=np.zeros((240, 3), np.uint8),
        identities=np.arange(240),
        attribute_names=("Male", "Young", "Smiling"),
        names=tuple(map(str, range(240))),
        bad_images=(),
        identities_known=False,
    )


class FakeBench:
    """Runs the stage on a directory without training anything.

    Attributes:
        done: labels of the trials, in order.
        audited: labels of the audits on T, in order.
        fails: labels of trials that fail.
        fails_on_t: labels of points whose audit on T fails.
        killed_at: a label at which the process is killed.
    """

    def __init__(self, monkeypatch, *, real_queue=False):
        if not real_queue:
            monkeypatch.setattr(stage, "TrialQueue", MemoryQueue)
            monkeypatch.setattr(MemoryQueue, "kept", {})
        self.done, self.audited, self.killed_at = [], [], ""
        self.fails, self.fails_on_t = (), ()
        self.images = images()
        monkeypatch.setattr(bench_report, "write_page", lambda results, folder: None)
        monkeypatch.setattr(trials, "run_trial", self.run_trial)
        monkeypatch.setattr(finals, "audited", self.audit)
        monkeypatch.setattr(report_files, "read_content", self.read_content)
        monkeypatch.setattr(report_files, "load_resamples", self.load_resamples)

    def __call__(self, folder, **values):
        config = Config(**SETTINGS | {"workdir": str(folder)} | values)
        parts = splits.split_by_identity(self.images.identities, config)
        stage.run(Experiment(config, RunDirectory(folder), self.images, parts))
        return json.loads((folder / "bench" / "bench.json").read_text())

    def record(self, point, state="finished"):
        return {
            "name": point.name,
            "label": point.label,
            "settings": dict(point.overrides),
            "state": state,
            "message": "" if state == "finished" else "ValueError: no",
            "seconds": {"train": 10.0},
            "reference": "plain",
        }

    def note(self, point, seen):
        if point.label == self.killed_at:
            self.killed_at = ""
            raise KeyboardInterrupt
        seen.append(point.label)

    def run_trial(self, base, root, point, load):
        self.note(point, self.done)
        found = self.record(point, "failed" if point.label in self.fails else "finished")
        files.write_json(trials.directory(root, point.name).root / trials.RECORD, found)
        return found

    def audit(self, config, root, point, load):
        self.note(point, self.audited)
        if point.label in self.fails_on_t:
            raise ValueError("no")
        return self.record(point)

    def read_content(self, folder):
        return content_of(*figures(settings_of(folder)))

    def load_resamples(self, folder):
        mcc, _ = figures(settings_of(folder))
        return Resamples("same", {"mean_mcc": np.linspace(mcc - 0.01, mcc + 0.01, 5)})


@functools.lru_cache
def content_of(mcc, leakage):
    """report.json's content: made once, for it draws faces."""
    return sweeps.audit(mcc, leakage)


def settings_of(folder):
    """The settings of the point that an audit's folder is of; {} for the reference."""
    for name in (trials.RECORD, finals.RECORD):
        path = folder.parent / name
        if path.exists():
            return json.loads(path.read_text())["settings"]
    return {}


def figures(settings):
    """(mean MCC, leakage): a stronger defence costs utility and leaks less."""
    if not settings:
        return REFERENCE_MCC, 1.0
    strength = settings["defence_strength"]
    mcc = REFERENCE_MCC * (1 - PRICES[settings["defence"]] * strength)
    # Another training leaks a little more.
    return mcc, 1 / (1 + strength) + 0.01 * settings.get("seed", 0)
