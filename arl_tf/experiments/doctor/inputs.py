"""Weights that come with packages, and the data that the settings name."""

import itertools
import pathlib
from collections.abc import Iterator

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


def check_data(config: Config) -> Iterator[Finding]:
    """Format and count of the data set, its parts, and how many pictures can't be read."""
    from arl_tf.data import image_sets

    try:
        source = image_sets.open_source(subset(config, image_sets.DataSettings))
    except ValueError as error:
        yield Finding("data", MEND, str(error), "Mend the data or the flag that the line names.")
        return
    people = "unknown" if source.identities is None else str(len(set(source.identities.tolist())))
    found = f"{config.dataset}: {len(source.names)} images, people: {people}"
    if source.identities is None:
        remedy = "Add identities: without them, photos of one person may be in X1 and in T."
        yield Finding("data", NOTE, found, remedy)
    else:
        yield Finding("data", OK, found)
    yield from check_parts(config, source)
    yield from check_pictures(config, source)


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


def check_pictures(config: Config, source) -> Iterator[Finding]:
    """How many of the first pictures can't be read."""
    if config.dataset == "faces":
        yield Finding("pictures", OK, "drawn, none is read")
        return
    looked, refused = 0, {}
    for chunk in itertools.islice(source.read(), 0, 1 + LOOKED_AT // 256):
        looked += len(chunk.rows) + len(chunk.refused)
        refused.update(chunk.refused)
        if looked >= LOOKED_AT:
            break
    yield picture_finding(looked, {source.names[row]: why for row, why in refused.items()}, config)


def picture_finding(looked: int, refused: dict[str, str], config: Config) -> Finding:
    """What is said of `refused` (name -> reason) among the pictures that were looked at."""
    if not refused:
        return Finding("pictures", OK, f"the first {looked} can be read")
    name, reason = next(iter(refused.items()))
    found = f"{len(refused)} of the first {looked} can't be read; {name}: {reason}"
    if len(refused) > config.max_bad_images * looked:
        remedy = "Replace them, or allow more with --max_bad_images."
        return Finding("pictures", MEND, found, remedy)
    return Finding("pictures", NOTE, found, "They are skipped; splits.json will name them.")


def prepared_bytes(config: Config) -> int:
    """Bytes of the prepared images; 0 where the data can't be opened."""
    from arl_tf.data import image_sets

    try:
        source = image_sets.open_source(subset(config, image_sets.DataSettings))
    except ValueError:
        return 0
    return len(source.names) * config.image_size**2 * 3
