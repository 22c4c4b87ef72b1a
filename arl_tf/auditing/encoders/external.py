"""What arl_tf did not train: recorded codes, and encoders and task heads as SavedModels.

A SavedModel can do whatever TensorFlow's operations can, writing files included: load only those
that you would run. The stages ask `experiments.trusted_encoders` first.
"""

import dataclasses
import math
import pathlib
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from arl_tf.auditing.encoders.changes import has_changed
from arl_tf.auditing.encoders.recorded_codes import (
    RecordedCodes,
    codes_image_size,
    kept_shape,
    read_codes,
)
from arl_tf.auditing.encoders.saved_model_gradients import (
    DifferentiableForm,
    NotDifferentiableError,
    differentiable_signature,
    random_images,
)
from arl_tf.auditing.encoders.saved_model_io import (
    REMEDY,
    Signature,
    files_hash,
    load_signature,
    shape_words,
    version_folder,
)
from arl_tf.utils import run_files

__all__ = [
    "ExternalEncoder",
    "ExternalTaskHead",
    "RecordedCodes",
    "codes_image_size",
    "load_saved_model",
    "load_task_head",
    "read_codes",
]

PROBED_IMAGES = 8
ENCODER_SIGNATURES = ("serving_default", "encode")
TASK_HEAD_SIGNATURES = ("serving_default",)
TASK_OUTPUTS = ("logits", "value")
ATTRIBUTE_FILE = pathlib.Path("assets") / "attributes.txt"


@dataclasses.dataclass(frozen=True)
class ExternalEncoder:
    """An encoder of which only its SavedModel is at hand.

    Attributes:
        encode: uint8 [n, S, S, 3] -> codes float32 [n, ...], of a shape that decoders take.
        differentiable: image float32 [B, S, S, 3] in [0, 1] -> the same code, with gradients; of
            random codes their mean. None where there is no way to them.
        why_not: why not; empty where there is.
        random_codes: whether the same images give other codes each time.
        image_size: S, pixels.
        code_shape: of a code in the SavedModel; where no decoder takes it, codes are flattened.
        sha256: of all files of the SavedModel and their names.
        mean_draws: of so many random codes `differentiable` gives the mean, of new ones each time;
            0: it is exact.
        straight_through: whether its gradients pass rounding as if it were not there.
    """

    encode: Callable[[np.ndarray], np.ndarray]
    differentiable: Callable[[tf.Tensor], tf.Tensor] | None
    why_not: str
    random_codes: bool
    image_size: int
    code_shape: tuple[int, ...]
    sha256: str
    mean_draws: int = 0
    straight_through: bool = False


@dataclasses.dataclass(frozen=True)
class ExternalTaskHead:
    """A task head of which only its SavedModel is at hand.

    Attributes:
        classify: codes float32 [n, ...], flattened ones too -> logits float32 [n, A].
        attribute_names: A names, of its asset attributes.txt; None without that.
        sha256: of all files of the SavedModel and their names.
    """

    classify: Callable[[np.ndarray], np.ndarray]
    attribute_names: tuple[str, ...] | None
    sha256: str


def load_saved_model(path: str | pathlib.Path, image_size: int | None = None) -> ExternalEncoder:
    """Loads an encoder that takes uint8 images and gives codes.

    Its signature serving_default, or encode, has the one input `image`, uint8 [N, S, S, 3], and
    among its outputs `code`, floats [N, ...]; N, or the sides, may be free.

    Args:
        path: of the SavedModel, or of a folder of its numbered versions: the highest counts.
        image_size: S; needed where the signature leaves the sides free.

    Raises:
        ValueError: there is no such SavedModel, or it takes or gives something else.
    """
    folder = version_folder(path)
    signature = load_signature(folder, ENCODER_SIGNATURES, "image", tf.uint8, "code")
    side = square_side(folder, signature.shape, image_size)
    signature = dataclasses.replace(signature, shape=(signature.shape[0], side, side, 3))
    probe = random_images(PROBED_IMAGES, side)
    codes = signature(probe)
    random_codes = has_changed(codes, signature(probe))
    code_shape = codes.shape[1:]
    kept = kept_shape(code_shape, side)
    differentiable, why_not = white_box(signature, side, kept, random_codes)
    return ExternalEncoder(
        encode=lambda images: signature(checked_images(images)).reshape(-1, *kept),
        differentiable=differentiable,
        why_not=why_not,
        random_codes=random_codes,
        image_size=side,
        code_shape=code_shape,
        sha256=files_hash(folder),
        mean_draws=differentiable.draws if differentiable else 0,
        straight_through=differentiable is not None and differentiable.straight_through,
    )


def load_task_head(path: str | pathlib.Path) -> ExternalTaskHead:
    """Loads a task head that takes codes and gives logits or values.

    Its signature serving_default has the one input `code`, float32 [N, ...], and among its outputs
    `logits`, or the `value` of a regression, floats [N, A].

    Args:
        path: as in `load_saved_model`.

    Raises:
        ValueError: there is no such SavedModel, or it takes or gives something else.
    """
    folder = version_folder(path)
    signature = load_signature(folder, TASK_HEAD_SIGNATURES, "code", tf.float32, *TASK_OUTPUTS)
    logits_shape = signature.function.structured_outputs[signature.output_name].shape
    if logits_shape.rank not in (None, 2):
        raise ValueError(f"{folder}: logits are {logits_shape}; expected [N, A].")
    names = read_attribute_names(folder)
    if names is not None and logits_shape.rank == 2 and logits_shape[1] not in (None, len(names)):
        raise ValueError(
            f"{folder}: {ATTRIBUTE_FILE} has {len(names)} names for {logits_shape[1]} logits."
        )

    def classify(codes: np.ndarray) -> np.ndarray:
        return signature(in_shape(codes.astype(np.float32), signature.shape[1:]))

    return ExternalTaskHead(classify, names, files_hash(folder))


def square_side(folder: pathlib.Path, shape: tuple[int | None, ...], image_size: int | None) -> int:
    """Side of the images that the encoder takes; pixels."""
    sides = {side for side in shape[1:3] if side is not None} or {image_size}
    if len(shape) != 4 or shape[3] not in (None, 3) or len(sides) > 1:
        raise ValueError(
            f"{folder} takes images {shape_words(shape)}; expected square ones of three channels,"
            " [N, S, S, 3]."
        )
    side = sides.pop()
    if side is None:
        raise ValueError(f"{folder} takes images of any size; give --image_size.")
    if image_size not in (None, side):
        raise ValueError(f"{folder} takes images of {side} pixels; got --image_size={image_size}.")
    return side


def checked_images(images: np.ndarray) -> np.ndarray:
    """Images uint8 [n, ...], as given; ValueError for others, which would be misread or abort."""
    if images.dtype != np.uint8:
        raise ValueError(f"image is {images.dtype}; expected uint8, 0 to 255.")
    return images


def white_box(
    signature: Signature, side: int, kept: tuple[int, ...], random_codes: bool
) -> tuple[DifferentiableForm | None, str]:
    """(The differentiable form, "") or (None, why there is none).

    The form: image float32 [B, S, S, 3] in [0, 1] -> code float32 [B, *kept].
    """
    try:
        encode = differentiable_signature(signature, side, random_codes)
    except NotDifferentiableError as error:
        return None, str(error)
    return dataclasses.replace(encode, run=lambda image: tf.reshape(encode(image), (-1, *kept))), ""


def read_attribute_names(folder: pathlib.Path) -> tuple[str, ...] | None:
    """A name a line of the asset attributes.txt; None where there is none."""
    path = folder / ATTRIBUTE_FILE
    if not path.is_file():
        return None
    return tuple(run_files.read_text(path, remedy=REMEDY).splitlines())


def in_shape(codes: np.ndarray, shape: tuple[int | None, ...]) -> np.ndarray:
    """Codes [n, ...] in the shape that a task head takes, where that is a matter of reshaping."""
    if None in shape or math.prod(codes.shape[1:]) != math.prod(shape):
        return codes
    return codes.reshape(-1, *shape)
