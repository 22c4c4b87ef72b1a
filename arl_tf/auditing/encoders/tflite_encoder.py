"""Encoders of which only a .tflite file is at hand, run as a phone would run them."""

import hashlib
import math
import pathlib
from collections.abc import Callable

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from arl_tf.auditing.encoders.external import ExternalEncoder
from arl_tf.auditing.encoders.recorded_codes import kept_shape
from arl_tf.auditing.encoders.saved_model_gradients import random_images
from arl_tf.data import image_sets
from arl_tf.metrics import equivalence
from arl_tf.utils import run_files

Encode = Callable[[np.ndarray], np.ndarray]
NO_GRADIENTS = (
    "a .tflite file gives no gradients; --encoder_saved_model=DIR beside it, its float form, would"
)
# Two encoders whose codes are less alike are not two forms of one.
SAME_ENCODER_COSINE = 0.9
PROBED_IMAGES = 4
REMEDY = "Fetch or export the file again."
# Codes of an image, of each form, from whose means two noisy encoders are compared.
CODES_OF_A_MEAN = 32


def read_file(path: str | pathlib.Path) -> bytes:
    """A .tflite file's contents.

    Raises:
        ValueError: there is no such file, or it is none.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise ValueError(f"--encoder_tflite={path}: there is no such file.")
    run_files.require_whole(path, REMEDY)
    content = path.read_bytes()
    # A FlatBuffer's identifier stands in bytes 4 to 8.
    if content[4:8] != b"TFL3":
        raise ValueError(f"--encoder_tflite={path} is not a .tflite file (no TFL3 mark). {REMEDY}")
    return content


def load_tflite(
    path: str | pathlib.Path, float_form: ExternalEncoder | None = None
) -> ExternalEncoder:
    """Loads an encoder that takes float images and gives codes.

    Its default signature has the input `image`, float32 [1, S, S, 3] in [0, 1], and an output
    `code`, float32 [1, ...]; it may have an input `noise` of the code's shape, which is then drawn
    anew for every code, as a phone would.

    Args:
        path: of the file.
        float_form: the same encoder with gradients, for white-box attackers: a file has none. They
            then search with the float form's codes for those that the file gave.

    Raises:
        ValueError: the file is no such encoder, or `float_form` is another encoder.
    """
    content = read_file(path)
    runner = open_runner(content, path)
    side, code_shape = encoder_shapes(runner, path)
    noise = np.random.default_rng() if "noise" in runner.get_input_details() else None
    kept = kept_shape(code_shape, side)

    def encode(images: np.ndarray) -> np.ndarray:
        if images.dtype != np.uint8:
            raise ValueError(f"image is {images.dtype}; expected uint8, 0 to 255.")
        codes = [run_one(runner, image, code_shape, noise) for image in images]
        return np.concatenate(codes).reshape(-1, *kept)

    if float_form is not None:
        check_same_encoder(encode, float_form, side, path)
    return ExternalEncoder(
        encode=encode,
        differentiable=float_form and float_form.differentiable,
        why_not=float_form.why_not if float_form else NO_GRADIENTS,
        random_codes=noise is not None,
        image_size=side,
        code_shape=code_shape,
        sha256=hashlib.sha256(content).hexdigest(),
        mean_draws=float_form.mean_draws if float_form else 0,
        straight_through=float_form is not None and float_form.straight_through,
    )


def run_one(
    runner: Callable,
    image: np.ndarray,
    code_shape: tuple[int, ...],
    noise: np.random.Generator | None,
) -> np.ndarray:
    """The code float32 [1, ...] of a uint8 image [S, S, 3]."""
    inputs = {"image": image_sets.to_float(image[None]).numpy()}
    if noise is not None:
        inputs["noise"] = noise.standard_normal((1, *code_shape), np.float32)
    return runner(**inputs)["code"]


def open_runner(content: bytes, path: str | pathlib.Path) -> Callable[..., dict[str, np.ndarray]]:
    """The file's default signature: arrays by name in and out, of the shapes that it states.

    Raises:
        ValueError: the interpreter refuses the file.
    """
    try:
        return Interpreter(model_content=content).get_signature_runner()
    except (ValueError, RuntimeError) as error:
        raise ValueError(
            f"--encoder_tflite={path}: the interpreter refuses it: {run_files.one_line(error)}."
            f" {REMEDY}"
        ) from error


def encoder_shapes(runner: Callable, path: str | pathlib.Path) -> tuple[int, tuple[int, ...]]:
    """(S, shape of a code); ValueError for a file with another interface."""
    sides = {}
    for direction, details in (
        ("image", runner.get_input_details()),
        ("code", runner.get_output_details()),
    ):
        found = {
            name: (tensor["dtype"], tuple(tensor["shape"])) for name, tensor in details.items()
        }
        found.pop("noise", None)
        if set(found) != {direction} or found[direction][0] is not np.float32:
            raise ValueError(
                f"--encoder_tflite={path} has {sorted(details)}; expected one {direction}, float32."
            )
        sides[direction] = tuple(int(size) for size in details[direction]["shape"])
    image, code = sides["image"], sides["code"]
    if len(image) != 4 or image[0] != 1 or image[1] != image[2] or image[3] != 3 or len(code) < 2:
        raise ValueError(
            f"--encoder_tflite={path} takes images {list(image)} and gives codes {list(code)};"
            " expected [1, S, S, 3] and [1, ...]."
        )
    return image[1], code[1:]


def check_same_encoder(
    encode: Encode,
    float_form: ExternalEncoder,
    side: int,
    path: str | pathlib.Path,
) -> None:
    """Raises ValueError where the codes of some images say that these are two encoders."""
    if float_form.image_size != side:
        raise ValueError(
            f"--encoder_tflite={path} takes images of {side} pixels, --encoder_saved_model of"
            f" {float_form.image_size}: they are not one encoder."
        )
    probe = random_images(PROBED_IMAGES, side)
    shapes = [form(probe[:1]).shape[1:] for form in (encode, float_form.encode)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"--encoder_tflite={path} gives codes {list(shapes[0])}, --encoder_saved_model"
            f" {list(shapes[1])}: they are not one encoder."
        )
    compare = noisy_likeness if float_form.random_codes else likeness
    cosine = compare(encode, float_form.encode, probe)
    if not cosine >= SAME_ENCODER_COSINE:
        raise ValueError(
            f"--encoder_tflite={path} and --encoder_saved_model give codes with a mean cosine of"
            f" {cosine:.3f}, expected at least {SAME_ENCODER_COSINE}: they are not one encoder."
        )


def likeness(one: Encode, other: Encode, images: np.ndarray) -> float:
    """The mean cosine of two encoders' codes of uint8 images [n, S, S, 3]."""
    return float(equivalence.cosines(one(images), other(images)).mean())


def noisy_likeness(one: Encode, other: Encode, images: np.ndarray) -> float:
    """The same for encoders whose codes differ each time, as it would be without their noise.

    Images are uint8 [n, S, S, 3]; NaN where the codes of one encoder are unlike each other.
    Noise makes even the codes of one encoder unlike each other; by as much it makes the codes of
    two. The cosine across is therefore divided by the root of the product of those within
    (correction for attenuation, Spearman 1904), each between means of CODES_OF_A_MEAN codes.
    """
    first, second = (
        [np.mean([form(images) for _ in range(CODES_OF_A_MEAN)], axis=0) for _ in range(2)]
        for form in (one, other)
    )
    across = np.mean([equivalence.cosines(a, b).mean() for a in first for b in second])
    within = equivalence.cosines(*first).mean() * equivalence.cosines(*second).mean()
    return float(across / np.sqrt(within)) if within > 0 else math.nan
