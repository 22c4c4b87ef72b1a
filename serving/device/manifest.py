"""The facts of an export that a client needs: the manifest.json beside the exported files."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from serving.common import files
from serving.device.packing import outermost_level

REMEDY = "The export writes it, as export/manifest.json; take it along with the .tflite file."

# How a photo that is not square becomes so, as arl_tf's --fit.
CROP, PAD = "crop", "pad"


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What manifest.json says of images, codes and attributes.

    Attributes:
        attribute_names: A names, in the order of the task head's outputs.
        image_size: side of the encoder's images, pixels.
        code_shape: of one code.
        levels: how many values a number of a code can take; 0: any.
        outer: the levels lie equally spaced in [-outer, outer]; 0.0 where there are none.
        version: of the exported models; None where the manifest does not tell.
        encoder_sha256: of the encoder's weights, which a task head names too; None likewise.
        file_hashes: sha256 of the exported .tflite files; empty likewise.
        task_kind: whether these are names of attributes, of classes or of values: multi_label,
            single_label or regression; older exports are of attributes.
        fit: how photos become square: CROP or PAD.
    """

    attribute_names: tuple[str, ...]
    image_size: int
    code_shape: tuple[int, ...]
    levels: int = 0
    outer: float = 0.0
    version: int | None = None
    encoder_sha256: str | None = None
    file_hashes: frozenset[str] = frozenset()
    task_kind: str = "multi_label"
    fit: str = CROP


def read_manifest(path: str | pathlib.Path) -> Manifest:
    """Reads manifest.json.

    Raises:
        ValueError: it can't be read, or lacks what a client needs.
    """
    content = files.read_object(path, REMEDY)
    try:
        code, encoder = content["code"], content.get("encoder_sha256")
        levels = int(code.get("levels") or 0)
        return Manifest(
            attribute_names=tuple(map(str, listed(content["attribute_names"]))),
            image_size=side_of(content["image_size"]),
            code_shape=tuple(map(side_of, listed(code["shape"]))),
            levels=levels,
            outer=float(code.get("outer") or (outermost_level(levels) if levels else 0.0)),
            version=None if content.get("version") is None else int(content["version"]),
            encoder_sha256=None if encoder is None else str(encoder),
            file_hashes=tflite_hashes(content.get("files") or {}),
            task_kind=str(content.get("task_kind") or "multi_label"),
            fit=fit_of(content),
        )
    except (ArithmeticError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} is no manifest of an export ({type(error).__name__}: {error}); expected"
            f" attribute_names, image_size and code. {REMEDY}"
        ) from error


def listed(value: Any) -> list[Any]:
    """A list of JSON; ValueError for anything else, such as a string, which has items as well."""
    if not isinstance(value, list):
        raise ValueError(f"expected a list, got {value!r}")
    return value


def side_of(value: Any) -> int:
    """A number of pixels or values, at least 1; ValueError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"expected a whole number of at least 1, got {value!r}")
    return value


def fit_of(content: Mapping[str, Any]) -> str:
    """How the photos of an export become square; ValueError for a way that is not known here."""
    fit = (content.get("preprocessing") or {}).get("fit", CROP)
    if fit not in (CROP, PAD):
        raise ValueError(f"preprocessing.fit is {fit!r}; expected {CROP} or {PAD}")
    return fit


def tflite_hashes(described: Mapping[str, Mapping[str, Any]]) -> frozenset[str]:
    """sha256 of the .tflite files among an export's files."""
    return frozenset(
        facts["sha256"] for name, facts in described.items() if name.endswith(".tflite")
    )


def manifest_of(tflite_file: str | pathlib.Path) -> pathlib.Path:
    """Where the export that wrote a TFLite file (export/tflite/NAME.tflite) put its manifest.

    A manifest in the file's own folder goes first: files are copied to devices together.
    """
    folder = pathlib.Path(tflite_file).resolve().parent
    beside = folder / "manifest.json"
    return beside if beside.is_file() else folder.parent / "manifest.json"
