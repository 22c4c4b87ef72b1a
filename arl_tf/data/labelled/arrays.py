"""--dataset=numpy: an .npz file of images and labels.

images   uint8 [N, H, W, 3], [N, H, W, 1] or [N, H, W]
labels   classes [N] (texts or whole numbers), 0 or 1 [N, K], one-hot or floats [N] or [N, K]
groups   optional, [N] texts or whole numbers: who or what is on the image
names    optional, [K] texts: of the attributes, classes or targets
"""

import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from absl import logging

from arl_tf.data.image_cache import Chunk, Source
from arl_tf.data.labelled import array_labels
from arl_tf.data.labelled.labels import numbered, refuse_one_group
from arl_tf.utils import run_files

REMEDY = (
    "--dataset=numpy expects an .npz file with the arrays images and labels:"
    " numpy.savez(FILE, images=images, labels=labels)."
)
ARRAYS = ("images", "labels", "groups", "names")
CHUNK = 256

# A picture uint8 [h, w, 3] -> prepared pixels uint8 [S, S, 3].
Prepare = Callable[[np.ndarray], np.ndarray]


def arrays_source(settings: Any, prepare: Prepare) -> Source:
    """The images of an .npz file, with their labels and groups.

    Args:
        settings: an `image_sets.DataSettings`, which module can't be imported here.
        prepare: the way from a picture to its prepared pixels.

    Raises:
        ValueError: the file is none, lacks an array, or holds arrays that do not go together.
    """
    path = pathlib.Path(settings.data_dir)
    with run_files.open_arrays(path, remedy=REMEDY) as saved:
        missing = [name for name in ("images", "labels") if name not in saved.files]
        if missing:
            held = ", ".join(saved.files) or "none"
            raise run_files.refusal(
                path, f"has no array {' and '.join(missing)}; it has {held}", REMEDY
            )
        unused = sorted(set(saved.files) - set(ARRAYS))
        known = {name: saved[name] for name in ARRAYS if name in saved.files}
    if unused:
        logging.warning("The arrays %s of %s are not used", ", ".join(unused), path)
    images = known.pop("images")
    check_images(images, path)
    count = len(images)
    for name in ("labels", "groups"):
        if name in known and (known[name].ndim < 1 or len(known[name]) != count):
            raise ValueError(
                f"{path}: images has {count} rows, {name} has the shape"
                f" {list(known[name].shape)}; expected a row for each image."
            )
    names = names_of(known.get("names"), path)
    found = array_labels.of_array(known["labels"], names, settings.task_kind, str(path))
    stamp = path.stat()
    return Source(
        fingerprint=f"{path.resolve()} {stamp.st_size} {stamp.st_mtime_ns}",
        names=tuple(f"{path.stem}_{row:06d}" for row in range(count)),
        attribute_names=found.names,
        attributes=found.values,
        identities=groups_of(known["groups"], path) if "groups" in known else None,
        read=lambda: read(path, prepare),
        task_kind=found.kind,
        has_faces=False,
    )


def check_images(images: np.ndarray, path: pathlib.Path) -> None:
    """Raises ValueError where images are not bytes [N, H, W, 3], [N, H, W, 1] or [N, H, W]."""
    channels = images.shape[3] if images.ndim == 4 else 1
    if (
        images.dtype != np.uint8
        or images.ndim not in (3, 4)
        or channels not in (1, 3)
        or not images.size
    ):
        raise ValueError(
            f"{path}: images is {images.dtype} {list(images.shape)}; expected uint8 [N, H, W, 3],"
            f" [N, H, W, 1] or [N, H, W]. {image_remedy(images)}".rstrip()
        )
    if images.max() <= 1:
        raise ValueError(
            f"{path}: images holds nothing above {images.max()}; expected levels of 0 to 255."
            " Shares become levels by (images * 255).round(), before astype('uint8')."
        )


def image_remedy(images: np.ndarray) -> str:
    """How images [...] of any shape and type become what `check_images` expects.

    A sentence; empty where nobody knows.
    """
    steps = "images"
    if images.ndim == 4 and images.shape[3] not in (1, 3):
        if images.shape[1] in (1, 3):
            steps += ".transpose(0, 2, 3, 1)"
        elif images.shape[3] in (2, 4):
            steps += f"[..., :{images.shape[3] - 1}]"
    if images.dtype.kind == "f" and not np.isfinite(images).all():
        return "They hold NaN or infinite values."
    if images.dtype.kind in "fi" and images.size and images.min() < 0:
        return "They hold negative values: bring them back to 0..255 before they become uint8."
    highest = images.max() if images.size and images.dtype.kind in "fiu" else 255
    if images.dtype.kind == "b" or highest <= 1:
        steps = f"({steps} * 255)"
    elif highest > 255:
        # Of 12 bits, such as 4095, the upper 8.
        steps = f"({steps} / {2 ** (int(highest).bit_length() - 8)})"
    if images.dtype.kind == "f":
        steps += ".round()"
    if images.ndim in (3, 4) and images.dtype != np.uint8:
        steps += ".astype('uint8')"
    return "" if steps == "images" else f"Most likely you want {steps}."


def names_of(names: np.ndarray | None, path: pathlib.Path) -> tuple[str, ...] | None:
    """Names [K] as texts, or None as it is; ValueError where they are no list of texts."""
    if names is None:
        return None
    if names.ndim != 1 or names.dtype.kind != "U":
        raise ValueError(f"{path}: names is {names.dtype} {list(names.shape)}; expected texts [K].")
    return tuple(names.tolist())


def groups_of(groups: np.ndarray, path: pathlib.Path) -> np.ndarray:
    """Groups as numbers int64 [N]; ValueError where they are neither texts nor whole numbers."""
    if groups.ndim != 1 or groups.dtype.kind not in "biuU":
        raise ValueError(
            f"{path}: groups is {groups.dtype} {list(groups.shape)}; expected texts or whole"
            " numbers [N]."
        )
    texts = groups.astype(str).tolist()
    if "" in texts:
        raise ValueError(
            f"{path}: groups of image {texts.index('')} is empty. Give each image without a group"
            " one of its own."
        )
    refuse_one_group("groups", texts, lambda row: f"{path}, image {row}")
    return numbered(texts, f"The groups of {path}")


def read(path: pathlib.Path, prepare: Prepare) -> Iterator[Chunk]:
    """Prepared images uint8 [S, S, 3] in order."""
    with run_files.open_arrays(path, remedy=REMEDY) as saved:
        images = saved["images"]
    images = images[..., None] if images.ndim == 3 else images
    for start in range(0, len(images), CHUNK):
        some = images[start : start + CHUNK]
        if some.shape[3] == 1:
            some = np.repeat(some, 3, axis=3)
        pixels = np.stack([prepare(image) for image in some])
        yield Chunk(np.arange(start, start + len(some)), pixels)
