"""An experiment: one run's settings, directory, images and their parts, as stages pass them on."""

import dataclasses
import functools
import pathlib

import numpy as np

from arl_tf.attacks import registry
from arl_tf.auditing.encoders import recorded_codes
from arl_tf.config.settings import Config, subset
from arl_tf.data import image_sets, public_data
from arl_tf.data.image_sets import DataSettings, ImageSet
from arl_tf.data.splits import Splits, SplitSettings
from arl_tf.experiments.run_directory import RunDirectory

MOST_OTHER_IMAGES = 20_000


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What every stage works on.

    Attributes:
        config: all settings.
        run: the run directory.
        images: the data set.
        parts: its private, public and test rows.
    """

    config: Config
    run: RunDirectory
    images: ImageSet
    parts: Splits

    @property
    def cache(self) -> pathlib.Path:
        """Where prepared images, codes and references are kept."""
        return cache_folder(self.config, self.run)

    @property
    def num_images(self) -> int:
        """How many images --dataset has; those of --public_dataset, behind them, do not count."""
        others = len(self.parts.public_train) if self.config.public_dataset else 0
        return len(self.images.images) - others

    def with_settings(self, **changes) -> "Experiment":
        """The same with other settings."""
        return dataclasses.replace(self, config=dataclasses.replace(self.config, **changes))


def cache_folder(config: Config, run: RunDirectory) -> pathlib.Path:
    """Where a run keeps prepared images, codes and references."""
    return pathlib.Path(config.cache_dir or run.root / "cache")


def load(config: Config, run: RunDirectory) -> Experiment:
    """Reads the images that the settings name, and splits them.

    Raises:
        ValueError: data that can't be read or split.
    """
    cache = cache_folder(config, run)
    images, parts = split(config, load_audited_images(config, cache), cache)
    return Experiment(config, run, images, parts)


def split(config: Config, images: ImageSet, cache: pathlib.Path) -> tuple[ImageSet, Splits]:
    """The parts of a data set, X2 from --public_dataset where it is given."""
    other = None
    if config.public_dataset:
        other = load_data(config, config.public_dataset, config.public_data_dir, cache)
    return public_data.split_parts(images, other, subset(config, SplitSettings), task_flags(config))


def task_flags(config: Config) -> list[str]:
    """Names of the flags that may leave attributes outside the task."""
    return [name for name in ("task_attributes", "label_columns") if getattr(config, name)]


def load_audited_images(config: Config, cache: pathlib.Path) -> ImageSet:
    """The images that belong to recorded codes, or else the data set that the settings name."""
    if config.codes:
        images = dataclasses.replace(
            recorded(config).images, has_faces=config.identity_measures != "off"
        )
        return image_sets.choose_task(images, config.task_attributes)
    return image_sets.load_images(subset(config, DataSettings), cache)


def load_data(config: Config, dataset: str, data_dir: str, cache: pathlib.Path) -> ImageSet:
    """Another data set than the run's, prepared as the run's is; all of its attributes."""
    settings = subset(config, DataSettings)
    settings = dataclasses.replace(settings, dataset=dataset, data_dir=data_dir, task_attributes="")
    return image_sets.load_images(settings, cache)


def load_other_images(experiment: Experiment) -> np.ndarray | None:
    """The images of --attacker_dataset, uint8 [N, S, S, 3], at most MOST_OTHER_IMAGES of them.

    None without one, or where no attacker of this audit takes them: to encode them is most of a
    short audit's work.
    """
    config = experiment.config
    attackers = registry.attackers_of(config.audit, config.attacker_names).values()
    if not config.attacker_dataset or not any("other_domain" in a.needs for a in attackers):
        return None
    other = load_data(config, config.attacker_dataset, config.attacker_data_dir, experiment.cache)
    return np.asarray(other.images[:MOST_OTHER_IMAGES])


def recorded(config: Config) -> recorded_codes.RecordedCodes:
    """What --codes holds."""
    return read_once(config.codes, config.image_size, config.fit)


@functools.lru_cache(maxsize=1)
def read_once(path: str, image_size: int, fit: str) -> recorded_codes.RecordedCodes:
    """Images and codes lie in one file; it is read once."""
    return recorded_codes.read_codes(path, image_size=image_size, fit=fit)
