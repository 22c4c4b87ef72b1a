"""Weights that come with packages, and the data that the settings name."""

import contextlib
import dataclasses
import itertools
import pathlib
from collections.abc import Iterator
from typing import Any

from arl_tf.config.settings import Config, subset
from arl_tf.experiments.doctor.findings import MEND, NOTE, OK, Finding

# Pictures that are decoded: those that come first.
LOOKED_AT = 2048


def check_places(config: Config) -> Iterator[Finding]:
    """The folders that a training would write, beside the data, and the clock."""
    from arl_tf.experiments import first_checks
    from arl_tf.experiments.run_directory import RunDirectory

    try:
        first_checks.check(config, RunDirectory(pathlib.Path(config.workdir)), ["train"])
    except ValueError as error:
        yield Finding("folders, clock", MEND, str(error), "Mend what the line names.")
        return
    yield Finding("folders, clock", OK, f"{config.workdir} can be written")


def check_weights() -> Iterator[Finding]:
    """The hashes of the networks' weights that come with packages."""
    from arl_tf.models.pretrained import weight_files  # Late, as all that may be missing.

    good = 0
    for name in weight_files.PINNED_SHA256:
        try:
            weight_files.verified_path(name)
            good += 1
        except ValueError as error:
            found, _, remedy = str(error).partition("; ")
            yield Finding(f"weights {name.partition('/')[0]}", MEND, found, remedy)
    if good:
        yield Finding("weights", OK, f"{good} files as pinned by hash")


def data_settings(config: Config) -> dict[str, Any]:
    """Flag -> settings of every data set that a run opens: its own, X2's and the attackers'."""
    from arl_tf.data.image_sets import DataSettings

    own = subset(config, DataSettings)
    others = {
        "public_dataset": (config.public_dataset, config.public_data_dir),
        "attacker_dataset": (config.attacker_dataset, config.attacker_data_dir),
    }
    return {"dataset": own} | {
        flag: dataclasses.replace(own, dataset=name, data_dir=folder, task_attributes="")
        for flag, (name, folder) in others.items()
        if name
    }


def opened(settings: Any) -> Any:
    """The source of one data set, as `image_sets.open_source` gives it."""
    from arl_tf.data import image_sets

    return image_sets.open_source(settings)


def check_data(config: Config) -> Iterator[Finding]:
    """Format and count of every data set, its parts, and how many pictures can't be read."""
    for flag, settings in data_settings(config).items():
        yield from check_data_set(config, flag, settings)


def check_data_set(config: Config, flag: str, settings: Any) -> Iterator[Finding]:
    """The data set that a flag names; the run's own is also split."""
    is_own = flag == "dataset"
    what = "data" if is_own else f"data of --{flag}"
    try:
        source = opened(settings)
    except ValueError as error:
        yield Finding(what, MEND, str(error), "Mend the data or the flag that the line names.")
        return
    people = "unknown" if source.identities is None else str(len(set(source.identities.tolist())))
    found = f"{settings.dataset}: {len(source.names)} images, people: {people}"
    if source.identities is None and is_own:
        remedy = "Add identities: without them, photos of one person may be in X1 and in T."
        yield Finding(what, NOTE, found, remedy)
    else:
        yield Finding(what, OK, found)
    if is_own:
        yield from check_parts(config, source)
    pictures = "pictures" if is_own else f"pictures of --{flag}"
    yield from check_pictures(config, source, settings.dataset, pictures)


def check_parts(config: Config, source) -> Iterator[Finding]:
    """Whether the data can be split as the settings say."""
    import numpy as np

    from arl_tf.data import splits

    count = len(source.names)
    identities = np.arange(count) if source.identities is None else source.identities
    try:
        parts = splits.split_by_identity(identities, subset(config, splits.SplitSettings))
    except ValueError as error:
        remedy = "More images, or other sizes of the parts."
        yield Finding("parts of the data", MEND, str(error), remedy)
        return
    sizes = ", ".join(f"{name} {len(rows)}" for name, rows in parts.parts().items())
    yield Finding("parts of the data", OK, sizes)


def check_pictures(config: Config, source, dataset: str, what: str) -> Iterator[Finding]:
    """How many of the first pictures can't be read; `what` names them in the table."""
    if dataset == "faces":
        yield Finding(what, OK, "drawn, none is read")
        return
    looked, refused = 0, {}
    for chunk in itertools.islice(source.read(), 0, 1 + LOOKED_AT // 256):
        looked += len(chunk.rows) + len(chunk.refused)
        refused.update(chunk.refused)
        if looked >= LOOKED_AT:
            break
    named = {source.names[row]: why for row, why in refused.items()}
    yield picture_finding(looked, named, config, what)


def picture_finding(
    looked: int, refused: dict[str, str], config: Config, what: str = "pictures"
) -> Finding:
    """What is said of `refused` (name -> reason) among the pictures that were looked at."""
    if not refused:
        return Finding(what, OK, f"the first {looked} can be read")
    name, reason = next(iter(refused.items()))
    found = f"{len(refused)} of the first {looked} can't be read; {name}: {reason}"
    if len(refused) > config.max_bad_images * looked:
        remedy = "Replace them, or allow more with --max_bad_images."
        return Finding(what, MEND, found, remedy)
    return Finding(what, NOTE, found, "They are skipped; splits.json will name them.")


def bytes_to_prepare(config: Config, cache: pathlib.Path) -> int:
    """Bytes of the images that are still to be prepared into the cache, of every data set.

    Data that can't be opened count as none: they are a finding of their own.
    """
    from arl_tf.data.image_cache import missing_bytes
    from arl_tf.data.preprocessing import cache_version

    # By file: data sets that are named twice are prepared once.
    needed: dict[pathlib.Path, int] = {}
    for settings in data_settings(config).values():
        with contextlib.suppress(ValueError):
            source, version = opened(settings), cache_version(settings.fit)
            needed |= missing_bytes(source, settings.image_size, version, cache)
    return sum(needed.values())
