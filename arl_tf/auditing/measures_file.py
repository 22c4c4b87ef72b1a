"""Where the per-image measures of an audit are kept, for later audits with it as the reference."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from absl import logging

from arl_tf.auditing.identity.measurements import with_all_measures
from arl_tf.auditing.leakage import PerImage, Reference
from arl_tf.data.image_sets import ImageSet
from arl_tf.data.splits import differing_labels, label_hashes, names_hash, pixels_hash_of
from arl_tf.metrics.reconstruction import MEASURES
from arl_tf.utils import files, run_files

MEASURES_FILE = "measures.npz"
# Raised when older files lack what a reference must have.
MEASURES_VERSION = 3
REMEDY = "Put back an intact copy, or audit the reference again: --stages=audit --overwrite."
# What keys of attacks on identity begin with in MEASURES_FILE.
IDENTITY = "identity_attacks"
# Before the names of candidates' hits in that file; no attack has such a name.
CANDIDATES = "candidates:"
# Likewise before what was predicted of attributes outside the task.
LATER_TASKS = "later_tasks:"
PIXELS, LABELS = "pixels_sha256", "labels_sha256"


def is_current(path: pathlib.Path) -> bool:
    """Whether a file of `save_measures` was written by this version."""
    with run_files.open_arrays(path, remedy=REMEDY) as saved:
        return "version" in saved.files and int(saved["version"]) == MEASURES_VERSION


@dataclasses.dataclass(frozen=True)
class Measured:
    """The images that measures are of.

    Attributes:
        test_hash: of their names.
        pixels_sha256: of the pixels of some of them; "": not known.
        labels_sha256: of their labels, by attribute, class or target.
    """

    test_hash: str
    pixels_sha256: str = ""
    labels_sha256: Mapping[str, str] = dataclasses.field(default_factory=dict)


def measured_images(images: ImageSet, rows: np.ndarray) -> Measured:
    """What tells the images of rows int64 [n], which are under attack, from others."""
    return Measured(
        names_hash([images.names[row] for row in rows]),
        pixels_hash_of(images, rows),
        label_hashes(images, rows),
    )


def load_measures(path: pathlib.Path, workdir: str, attacked: Measured) -> Reference:
    """Reads what `save_measures` wrote of an unprotected encoder.

    Args:
        path: of the file.
        workdir: the reference as --reference names it.
        attacked: the images now under attack.

    Raises:
        ValueError: it is damaged, of an earlier version, or was measured on other images.
    """
    if not is_current(path):
        raise ValueError(
            f"--reference={workdir} was audited by an earlier version of arl_tf, which kept no"
            " attacks on the task output or no second judge of identity; audit it again:"
            " --stages=audit --overwrite."
        )
    with run_files.open_arrays(path, remedy=REMEDY) as saved:
        measured_on = read_measured(saved)
        per_attack = {name: measures_of(saved, name) for name in saved["attacks"].tolist()}
        code_shape = tuple(saved["code_shape"].tolist())
        identity = identity_measures(saved)
        candidate_hits, later_tasks = (
            {key.removeprefix(kind): saved[key] for key in saved if key.startswith(kind)}
            for kind in (CANDIDATES, LATER_TASKS)
        )
    check_same_images(workdir, measured_on, attacked)
    return Reference(workdir, per_attack, code_shape, identity, candidate_hits, later_tasks)


def read_measured(saved: Mapping[str, np.ndarray]) -> Measured:
    """The images that `save_measures`' arrays are of; older files know their names alone.

    Among `saved` are the hashes: str [] of names and of pixels, str [2, A] of labels.
    """
    pixels, labels = (
        saved[name] if name in saved else np.zeros(0, np.str_) for name in (PIXELS, LABELS)
    )
    return Measured(
        str(saved["test_hash"]),
        str(pixels) if pixels.size else "",
        dict(zip(*labels.tolist(), strict=True)) if labels.size else {},
    )


def check_same_images(workdir: str, measured_on: Measured, attacked: Measured) -> None:
    """Raises ValueError where a reference was measured on other images than those under attack.

    Equal names are not enough: a shared cache or folder may hold other pictures by these names.
    """
    if measured_on.test_hash != attacked.test_hash:
        raise ValueError(
            f"--reference={workdir} was measured on other images; use the same data and --seed."
        )
    remedy = "use the same data, or audit the reference again: --stages=audit --overwrite."
    if not measured_on.pixels_sha256:
        logging.warning(
            "--reference=%s was audited by an earlier version of arl_tf, which kept the names of"
            " its images and no hash of their pixels. If they may show something else now, audit it"
            " again: --stages=audit --overwrite.",
            workdir,
        )
    elif measured_on.pixels_sha256 != attacked.pixels_sha256:
        raise ValueError(
            f"--reference={workdir} was measured on images of the same names, but with other"
            f" pixels; {remedy}"
        )
    labels = differing_labels(measured_on.labels_sha256, attacked.labels_sha256)
    if labels:
        raise ValueError(
            f"--reference={workdir} was measured on images with other labels of"
            f" {', '.join(labels)}; {remedy}"
        )


def measures_of(saved: Mapping[str, np.ndarray], attack: str) -> dict[str, np.ndarray]:
    """Measure, and RANK/NETWORK -> float64 [N] of an attack in `save_measures`' arrays."""
    begins = tuple(f"{attack}/{measure}/" for measure in MEASURES)
    keys = [key for key in saved if f"{key}/".startswith(begins)]
    return {key.removeprefix(f"{attack}/"): saved[key] for key in keys}


def identity_measures(saved: Mapping[str, np.ndarray]) -> dict[str, dict[str, dict]]:
    """Network -> attack on identity -> measure -> float64 [N], of `save_measures`' arrays.

    An older version's arrays lack measures; these are NaN.
    """
    found: dict[str, dict[str, dict]] = {}
    for key in saved:
        kind, _, rest = key.partition("/")
        if kind == IDENTITY and rest.count("/") == 2:
            network, attack, measure = rest.split("/")
            found.setdefault(network, {}).setdefault(attack, {})[measure] = saved[key]
    return {network: with_all_measures(attacks) for network, attacks in found.items()}


def save_measures(
    path: pathlib.Path,
    per_image: PerImage,
    attack_names: Sequence[str],
    measured_on: Measured,
    code_shape: Sequence[int],
    identity: Mapping[str, PerImage] | None = None,
    candidate_hits: Mapping[str, np.ndarray] | None = None,
    later_tasks: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Writes the per-image measures (no image), by rename, for later audits with this reference.

    `per_image`: attack -> measure -> float64 [N]; the others are as `Reference` has them.
    """
    arrays = {
        f"{name}/{measure}": values
        for name, measures in per_image.items()
        for measure, values in measures.items()
    }
    arrays |= {
        f"{IDENTITY}/{network}/{attack}/{measure}": values
        for network, attacks in (identity or {}).items()
        for attack, measures in attacks.items()
        for measure, values in measures.items()
    }
    arrays |= {CANDIDATES + name: values for name, values in (candidate_hits or {}).items()}
    arrays |= {LATER_TASKS + name: values for name, values in (later_tasks or {}).items()}
    with files.replacing(path) as unfinished:
        np.savez_compressed(
            unfinished,
            version=np.array(MEASURES_VERSION),
            attacks=np.array(attack_names),
            test_hash=np.array(measured_on.test_hash),
            **{PIXELS: np.array(measured_on.pixels_sha256)},
            **{LABELS: label_table(measured_on.labels_sha256)},
            code_shape=np.array(code_shape),
            **arrays,
        )


def label_table(hashes: Mapping[str, str]) -> np.ndarray:
    """Names over their hashes, str [2, A]; empty without any."""
    return np.array([[*hashes], [*hashes.values()]], np.str_)
