"""The device's side: photos to codes with TFLite, without TensorFlow; no picture goes anywhere.

Needs numpy, pillow and ai_edge_litert. Photos are decoded and set upright as the exported encoder
does it (serving/pictures); `prepare` repeats the rest with pillow: a square (the largest in the
centre, or the whole photo on black, as the manifest says), an antialiased bilinear resize in
float32, rounding to whole numbers. Measured on the same pixels, at most one value in 300 differs,
and by 1: a tie that rounds the other way. Pillow's own 8-bit resize, which rounds twice, is off by
up to 87 in sharp noise, hence float32.
"""

import hashlib
import math
import os
import pathlib
from collections.abc import Iterable, Iterator

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

from serving.clients.errors import EncoderError
from serving.clients.file_batches import OnUnreadable, Path, log_unreadable
from serving.common import files
from serving.device.manifest import CROP, manifest_of, read_manifest
from serving.device.noise_key import check_key, keyed_noise
from serving.device.similar import SHARED_VARIANCE, SimilarPhotos
from serving.pictures.pixels import read_pixels

REMEDY = "Expected an exported encoder_*.tflite: fetch or export it again."


class DeviceEncoder:
    """An exported .tflite file, run on the CPU. One thread at a time may use it.

    Attributes:
        image_size: side of its images, pixels.
        code_shape: of one code.
        sha256: of the file, in hexadecimal digits.
        fit: how photos become square, "crop" or "pad": as the manifest of the file's export says;
            "crop" where there is none beside it.
    """

    def __init__(
        self,
        path: Path,
        *,
        num_threads: int | None = None,
        noise_key: bytes | None = None,
        similar: SimilarPhotos | None = None,
    ):
        """Loads the file.

        Args:
            path: export/tflite/encoder_*.tflite.
            num_threads: None: LiteRT's choice.
            noise_key: a secret of 32 bytes that decides an encoder's noise together with photo and
                file (serving/device/noise_key.py); None: noise is new for every code.
            similar: what the device remembers of photos, so that the key gives similar ones half
                of their noise in common (serving/device/similar.py); None: none of it.

        Raises:
            ValueError: it is no TFLite file, no exported encoder, or adds no noise that a key could
                decide; the key has another length, or is missing beside `similar`.
        """
        files.require_whole(path, REMEDY)
        try:
            interpreter = Interpreter(model_path=os.fspath(path), num_threads=num_threads)
            self._run = interpreter.get_signature_runner()
        except (ValueError, RuntimeError) as error:
            raise ValueError(
                f"{path} can't be loaded by LiteRT: {files.one_line(error)}. {REMEDY}"
            ) from error
        inputs = self._run.get_input_details()
        image, code = checked_shapes(inputs, self._run.get_output_details(), path)
        self.image_size = image[1]
        self.code_shape = code[1:]
        self._is_noisy = "noise" in inputs
        if noise_key is not None and not self._is_noisy:
            raise ValueError(f"{path} adds no noise that a key could decide; leave it out.")
        self._key = None if noise_key is None else check_key(noise_key)
        if similar is not None and noise_key is None:
            raise ValueError("similar photos share what a noise_key decides, which is missing.")
        self._similar = similar
        self._sha256 = hashlib.sha256(pathlib.Path(path).read_bytes()).digest()
        self.sha256 = self._sha256.hex()
        self.fit = fit_of(path, self.sha256)

    def encode(self, images: np.ndarray) -> np.ndarray:
        """Encodes prepared images one by one.

        Args:
            images: uint8 [N, S, S, 3], N >= 1, S = image_size.

        Returns:
            Codes, float32 [N, *code_shape].

        Raises:
            ValueError: the images don't fit.
            EncoderError: the codes aren't finite.
        """
        shape = (self.image_size, self.image_size, 3)
        if images.dtype != np.uint8 or images.shape[1:] != shape or not len(images):
            raise ValueError(
                f"images are {images.dtype} {list(images.shape)}; expected uint8"
                f" [N, {', '.join(map(str, shape))}], N >= 1."
            )
        codes = np.concatenate([self._encode_one(image) for image in images])
        if not np.isfinite(codes).all():
            raise EncoderError("The encoder's codes hold NaN or inf: the file is broken.")
        return codes

    def _encode_one(self, image: np.ndarray) -> np.ndarray:
        """The code float32 [1, ...] of an image uint8 [S, S, 3], with noise of its own."""
        inputs = {"image": image[None].astype(np.float32) / np.float32(255)}
        if self._is_noisy:
            inputs["noise"] = self._noise_of(image)[None]
        return self._run(**inputs)["code"]

    def _noise_of(self, image: np.ndarray) -> np.ndarray:
        """Standard normal noise, float32 [*code_shape]: new, or what the key says."""
        if self._key is not None:
            own = keyed_noise(self._key, self._sha256, image, self.code_shape)
            if self._similar is None:
                return own
            mark = self._similar.mark(image)
            common = keyed_noise(self._key, self._sha256, mark, self.code_shape)
            share = np.float32(SHARED_VARIANCE)
            return np.sqrt(share) * common + np.sqrt(1 - share) * own
        # Who can guess the noise can take it off. The operating system seeds every code's anew, so
        # that no code's noise follows from that of others.
        return np.random.default_rng().standard_normal(self.code_shape, np.float32)

    def encode_files(
        self, paths: Iterable[Path], *, on_unreadable: OnUnreadable = log_unreadable
    ) -> Iterator[tuple[pathlib.Path, np.ndarray]]:
        """Encodes photos of any size, reading each as it is needed.

        Args:
            paths: JPEG, PNG, BMP, GIF or WebP files.
            on_unreadable: is called with the path and the reason for one that can't be read.

        Yields:
            (path, code float32 [*code_shape]), in the order of `paths`.
        """
        for path in map(pathlib.Path, paths):
            try:
                image = load_image(path, self.image_size, self.fit)
            except ValueError as error:
                on_unreadable(path, str(error))
            else:
                yield path, self.encode(image[None])[0]


def checked_shapes(
    inputs: dict, outputs: dict, path: Path
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shapes of a file's `image` and `code`; a code's `noise` is of the code's shape.

    Raises:
        ValueError: it has other inputs or outputs than an exported encoder.
    """
    found = {
        name: (np.dtype(tensor["dtype"]).name, tuple(int(side) for side in tensor["shape"]))
        for name, tensor in (*inputs.items(), *outputs.items())
    }
    if set(inputs) in ({"image"}, {"image", "noise"}) and list(outputs) == ["code"]:
        (image_type, image), (code_type, code) = found["image"], found["code"]
        square = len(image) == 4 and image[1] == image[2]
        fits = found.get("noise", found["code"]) == ("float32", code)
        if image_type == code_type == "float32" and square and image[::3] == (1, 3) and fits:
            return image, code
    raise ValueError(
        f"{path} has the inputs {list(inputs)} and the outputs {list(outputs)}, {found}; expected"
        " image float32 [1, S, S, 3] (and noise float32 [1, ...]) and code float32 [1, ...]."
    )


def fit_of(path: Path, sha256: str) -> str:
    """How photos become square for a .tflite file: as the manifest of its own export says.

    Raises:
        ValueError: the manifest can't be read.
    """
    manifest_path = manifest_of(path)
    if not manifest_path.is_file():
        return CROP
    manifest = read_manifest(manifest_path)
    return manifest.fit if sha256 in manifest.file_hashes else CROP


def load_image(path: Path, image_size: int, fit: str = CROP) -> np.ndarray:
    """Reads a photo as the encoder sees it, upright: uint8 [image_size, image_size, 3].

    Raises:
        ValueError: it is no complete picture of a kind that is read, or has more pixels than
            Image.MAX_IMAGE_PIXELS (89 million): a small file can claim any size.
    """
    try:
        content = pathlib.Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"can't be opened: {error.strerror or error}") from error
    pixels = read_pixels(content, Image.MAX_IMAGE_PIXELS)
    try:
        return prepare(Image.fromarray(np.ascontiguousarray(pixels)), image_size, fit)
    # Pillow has a limit of its own in many places, and its error is no ValueError.
    except Image.DecompressionBombError as error:
        height, width = pixels.shape[:2]
        raise ValueError(f"{width} x {height} pixels are too many: {error}") from error


def prepare(image: Image.Image, image_size: int, fit: str = CROP) -> np.ndarray:
    """Makes an RGB picture square and resizes it as in training; uint8 [S, S, 3], S = image_size.

    `fit` is CROP (the largest square in the centre) or PAD (all of it on a black square). The odd
    pixel of a margin is right or below.
    """
    resized = cropped(image, image_size) if fit == CROP else padded(image, image_size)
    return np.clip(np.rint(resized), 0, 255).astype(np.uint8)


def cropped(image: Image.Image, image_size: int) -> np.ndarray:
    """The largest square of an RGB picture, resized; float32 [S, S, 3], S = image_size."""
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    square = image.crop((left, top, left + side, top + side))
    return resized_channels(square, (image_size, image_size))


def padded(image: Image.Image, image_size: int) -> np.ndarray:
    """An RGB picture on a black square, resized; float64 [S, S, 3], S = image_size.

    The square itself is never made: of a panorama it has many times the pixels. The longer side is
    resized first.
    """
    width, height = image.size
    weights = weights_in_square(min(width, height), max(width, height), image_size)
    if width >= height:
        return np.tensordot(weights, resized_channels(image, (image_size, height)), 1)
    columns = np.tensordot(weights, resized_channels(image, (width, image_size)), (1, 1))
    return columns.transpose(1, 0, 2)


def resized_channels(image: Image.Image, size: tuple[int, int]) -> np.ndarray:
    """An RGB picture, resized to `size` (width, height) without rounding; float32 [h, w, 3]."""
    channels = [
        np.asarray(image.getchannel(name).convert("F").resize(size, Image.Resampling.BILINEAR))
        for name in "RGB"
    ]
    return np.stack(channels, axis=-1)


def weights_in_square(length: int, side: int, outputs: int) -> np.ndarray:
    """What `length` pixels in the middle of `side` weigh in each of so many outputs.

    The others of `side` are black. The filter is the one that pillow and TensorFlow have: a
    triangle, as wide as the scale, or two pixels if the picture grows.

    Returns:
        float64 [outputs, length].
    """
    scale, start = side / outputs, (side - length) // 2
    reach = max(scale, 1.0)
    weights = np.zeros((outputs, length))
    for output in range(outputs):
        centre = (output + 0.5) * scale
        first = max(0, math.ceil(centre - reach - 0.5))
        last = min(side - 1, math.floor(centre + reach - 0.5))
        places = np.arange(first, last + 1)
        triangle = np.maximum(0.0, 1 - np.abs(places + 0.5 - centre) / reach)
        on_picture = (places >= start) & (places < start + length)
        weights[output, places[on_picture] - start] = (triangle / triangle.sum())[on_picture]
    return weights
