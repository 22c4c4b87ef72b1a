"""Words about images that can't be used: which are missing, which are unreadable and why."""

import pathlib

from absl import logging

from arl_tf.data import folder_contents
from arl_tf.data.pictures.reader import MISSING

NAMED = 5
# As `pictures.formats.OTHERS` names it.
LFS = "Git LFS pointer"


def report(bad: tuple[str, ...], reasons: tuple[str, ...], total: int, allowed: float) -> None:
    """Logs the skipped images, or refuses them when they are too many.

    Args:
        bad: names of images that can't be used.
        reasons: why not, of each.
        total: number of images.
        allowed: share of them that may be bad.

    Raises:
        ValueError: more are bad, or all are.
    """
    if not bad:
        return
    described = reasons_words(bad, reasons)
    if len(bad) > allowed * total:
        raise ValueError(
            f"{len(bad)} of {total} images can't be used, more than --max_bad_images={allowed:g}"
            f" allows: {described}. Repair or convert them, remove them with their rows, or raise"
            " --max_bad_images."
        )
    if len(bad) == total:
        raise ValueError(f"None of the {total} images can be used: {described}.")
    logging.warning("Skipped %d of %d images that can't be used: %s", len(bad), total, described)


def report_missing(missing: list[str], total: int, folder: pathlib.Path, allowed: float) -> None:
    """Says what stands in place of missing files; refuses too many before anything is decoded.

    Args:
        missing: names of files that are not there.
        total: number of files.
        folder: where they are expected.
        allowed: share of files that may be missing.

    Raises:
        ValueError: more are missing, or all are.
    """
    if not missing:
        return
    text = (
        f"{len(missing)} of {total} images are missing in {folder} ({listed(missing)})."
        f" {folder_contents.instead(missing, folder)}"
    )
    if len(missing) > allowed * total or len(missing) == total:
        raise ValueError(
            f"{text} --max_bad_images={allowed:g} is the share that may be missing or unreadable."
        )
    logging.warning("%s", text)


def reasons_words(bad: tuple[str, ...], reasons: tuple[str, ...]) -> str:
    """'2 missing (a.jpg; b.jpg), 2 unreadable (c.jpg, d.jpg: a damaged JPEG)'; a reason once."""
    names_of: dict[str, list[str]] = {}
    for name, reason in zip(bad, reasons, strict=True):
        names_of.setdefault(reason, []).append(name)
    missing = names_of.pop(MISSING, [])
    unreadable = [
        f"{listed(names, ', ')}: {reason.rstrip('.')}{remedy(reason)}"
        for reason, names in names_of.items()
    ]
    parts = [f"{len(missing)} missing ({listed(missing)})"] if missing else []
    if unreadable:
        parts.append(f"{len(bad) - len(missing)} unreadable ({listed(unreadable)})")
    return ", ".join(parts)


def remedy(reason: str) -> str:
    """What mends a reason, behind it; empty where nothing is known to."""
    return " ('git lfs pull' fetches the files themselves)" if LFS in reason else ""


def listed(names: list[str], between: str = "; ") -> str:
    """The first names."""
    return between.join([*names[:NAMED], *(["..."] if len(names) > NAMED else [])])
