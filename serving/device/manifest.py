"""The facts of an export that a client needs: the manifest.json beside the exported files."""

import dataclasses
import json
import pathlib

from serving.device.packing import outermost_level


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What manifest.json says of images, codes and attributes.

    Attributes:
        attribute_names: A names, in the order of the task head's outputs.
        image_size: side of the encoder's images, pixels.
        code_shape: of one code.
        levels: how many values a number of a code can take; 0: any.
        outer: the levels lie equally spaced in [-outer, outer]; 0.0 where there are none.
    """

    attribute_names: tuple[str, ...]
    image_size: int
    code_shape: tuple[int, ...]
    levels: int = 0
    outer: float = 0.0


def read_manifest(path: str | pathlib.Path) -> Manifest:
    """Reads manifest.json.

    Raises:
        ValueError: it can't be read, or lacks what a client needs.
    """
    try:
        content = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        code = content["code"]
        levels = int(code.get("levels") or 0)
        return Manifest(
            attribute_names=tuple(content["attribute_names"]),
            image_size=int(content["image_size"]),
            code_shape=tuple(int(side) for side in code["shape"]),
            levels=levels,
            outer=float(code.get("outer") or (outermost_level(levels) if levels else 0.0)),
        )
    except OSError as error:
        raise ValueError(
            f"The manifest can't be read: {error}; it is written by the export, as"
            " export/manifest.json."
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} is no manifest of an export ({type(error).__name__}: {error}); expected"
            " attribute_names, image_size and code."
        ) from error


def manifest_of(tflite_file: str | pathlib.Path) -> pathlib.Path:
    """Where the export that wrote a TFLite file (export/tflite/NAME.tflite) put its manifest.

    A manifest in the file's own folder goes first: files are copied to devices together.
    """
    folder = pathlib.Path(tflite_file).resolve().parent
    beside = folder / "manifest.json"
    return beside if beside.is_file() else folder.parent / "manifest.json"
