"""dlib's face identity network (King 2017): the reader of its file, and the network rebuilt.

dlib itself is not needed. The networks are named functional `keras.Model`s on float32 RGB in
[0, 1], differentiable with respect to the image; nothing in them is trainable, and nothing behaves
differently in training: dlib's affine layers are folded into the convolutions.
"""

import math
import pathlib
from typing import NamedTuple

import keras
import numpy as np
from keras import layers, ops

from arl_tf.models.pretrained import face_crop, weight_files

# The square dlib's alignment cuts, as shares of the side of CelebA's centre square; measured.
_FACE_SQUARE = face_crop.Square(top=0.328, left=0.191, side=0.616)


class DlibConvolution(NamedTuple):
    """A convolution with the affine layer behind it folded in."""

    kernel: np.ndarray  # [height, width, inputs, outputs] float32
    bias: np.ndarray  # [outputs] float32
    strides: int
    padding: int  # zeros added on every side, in pixels


class DlibFaceNetwork(NamedTuple):
    """What dlib's face recognition file holds; the order of the layers is ResNet-29's."""

    mean_rgb: tuple[float, float, float]  # subtracted from 0..255; the rest is divided by 256
    chip_size: int  # side of the input in pixels
    convolutions: tuple[DlibConvolution, ...]  # the stem, then two for each of 14 residual units
    embedding: np.ndarray  # [256, 128] float32, applied to the pooled features without bias


def face_identity_network(image_size: int) -> keras.Model:
    """Builds dlib's face recognition network behind the crop it wants.

    The image is a centre square cut from an aligned CelebA picture; the network sees the square of
    it that dlib's own landmark alignment would cut, resampled to 150 x 150 pixels.

    Trap: the embeddings are not centred. Any two images, noise included, have a raw cosine of about
    0.8. Subtract the mean embedding of many faces before taking a cosine (`metrics` does), or
    compare Euclidean distances; dlib's threshold for the same person is 0.6.

    Args:
        image_size: S, the side of the square images in pixels. On CelebA pairs the area under the
            ROC curve falls from .990 at full size to .983 at 64 and .940 at 32 pixels.

    Returns:
        A model: image [B, S, S, 3] float32 in [0, 1] -> embedding [B, 128] float32, raw.

    Raises:
        ValueError: an image size below one pixel, or missing or altered weights.
    """
    image = face_crop.image_input(image_size)
    chip_network = face_chip_network()
    chip_size = chip_network.input_shape[1]
    chip = face_crop.cropped(image, _FACE_SQUARE, chip_size)
    embedding = chip_network(chip, training=False)
    return keras.Model(image, embedding, trainable=False, name="face_identity_dlib")


def face_chip_network() -> keras.Model:
    """Builds dlib's ResNet-29 (King 2017) on face chips as dlib itself cuts them.

    Returns:
        A model: chip [B, 150, 150, 3] float32 RGB in [0, 1] -> embedding [B, 128] float32, raw (see
        the trap in `face_identity_network`).

    Raises:
        ValueError: missing or altered weights.
    """
    network = read_dlib_face_network(weight_files.verified_path(weight_files.DLIB_FACE_NETWORK))
    chip = face_crop.image_input(network.chip_size)
    offset = [-mean / 256 for mean in network.mean_rgb]
    x = layers.Rescaling(255 / 256, offset=offset, dtype="float32", name="preprocess")(chip)
    stem, *units = network.convolutions
    x = ops.relu(_convolution(x, stem, "stem"))
    x = ops.max_pool(x, 3, 2)
    for unit, pair in enumerate(zip(units[::2], units[1::2], strict=True), start=1):
        x = _residual_unit(x, pair, f"unit{unit}")
    x = ops.mean(x, axis=(1, 2))
    embedding = face_crop.matrix_product(x, network.embedding, "bc,ce->be", "embedding")
    return keras.Model(chip, embedding, trainable=False, name="dlib_resnet29")


def read_dlib_face_network(path: str | pathlib.Path) -> DlibFaceNetwork:
    """Reads dlib_face_recognition_resnet_model_v1.dat without dlib.

    Args:
        path: the file as dlib publishes it (metric network, version 1).

    Returns:
        The network's parameters in evaluation mode.

    Raises:
        ValueError: the file is damaged or holds another network.
    """
    path = pathlib.Path(path)
    data = path.read_bytes()
    try:
        # The network is written from the loss inwards to the input, and then the layers' own
        # parameters from the input outwards: everything needed follows the input layer's name.
        return _read_layers(_Stream(data, data.index(b"input_rgb_image_sized") - 2))
    except weight_files.PARSE_ERRORS as error:
        raise ValueError(
            f"{path} cannot be read as dlib's face recognition network: {error}; "
            "expected the unmodified dlib_face_recognition_resnet_model_v1.dat."
        ) from error


class _Stream:
    """dlib's serialisation of integers, reals, strings, booleans and tensors."""

    def __init__(self, data: bytes, position: int):
        self._data = data
        self._position = position

    def take(self, count: int) -> bytes:
        taken = self._data[self._position : self._position + count]
        if len(taken) != count:
            raise EOFError(f"it ends at byte {len(self._data)}, in the middle of a value")
        self._position += count
        return taken

    def integer(self) -> int:
        """A byte with the sign in its top bit and a length in its low four, then the magnitude."""
        control = self.take(1)[0]
        magnitude = int.from_bytes(self.take(control & 0x0F), "little")
        return -magnitude if control & 0x80 else magnitude

    def integers(self, count: int) -> list[int]:
        return [self.integer() for _ in range(count)]

    def reals(self, count: int) -> list[float]:
        return [math.ldexp(self.integer(), self.integer()) for _ in range(count)]

    def text(self) -> str:
        return self.take(self.integer()).decode("ascii")

    def skip_booleans(self, count: int) -> None:
        for value in self.take(count):
            if value not in b"01":
                raise ValueError(f"byte {self._position} should be a boolean")

    def tensor(self) -> np.ndarray:
        """A tensor float32 of the shape that it states, of four axes."""
        version, *shape = self.integers(5)
        if version != 2:
            raise ValueError(f"tensor version {version} before byte {self._position}, not 2")
        return np.frombuffer(self.take(4 * math.prod(shape)), "<f4").reshape(shape)

    def alias(self) -> list[int]:
        """The shape of a part of a parameter tensor."""
        return self.integers(5)[1:]


def _read_layers(stream: _Stream) -> DlibFaceNetwork:
    stream.text()
    red, green, blue = stream.reals(3)
    chip_size, _ = stream.integers(2)
    convolutions: list[DlibConvolution] = []
    kind = ""
    while not kind.startswith("fc_"):
        kind = stream.text()
        if kind == "con_4":
            convolutions.append(_read_convolution(stream))
        elif kind == "affine_":
            convolutions[-1] = _fold_affine(stream, convolutions[-1])
        elif kind in ("max_pool_2", "avg_pool_2"):
            stream.integers(6)
        elif kind.startswith("fc_"):
            embedding = _read_embedding(stream)
        elif kind != "relu_" and not kind.startswith("add_prev"):
            raise ValueError(f"unexpected layer {kind!r}")
        _skip_layer_state(stream, lowest=kind == "con_4" and len(convolutions) == 1)
    if len(convolutions) != 29:
        raise ValueError(f"{len(convolutions)} convolutions, expected 29")
    return DlibFaceNetwork((red, green, blue), chip_size, tuple(convolutions), embedding)


def _read_convolution(stream: _Stream) -> DlibConvolution:
    parameters = stream.tensor().ravel()
    *_, strides, _, padding, _ = stream.integers(7)
    shape = stream.alias()  # outputs, inputs, height, width
    stream.alias()
    stream.reals(4)
    kernel, bias = np.split(parameters, [math.prod(shape)])
    return DlibConvolution(kernel.reshape(shape).transpose(2, 3, 1, 0), bias, strides, padding)


def _fold_affine(stream: _Stream, convolution: DlibConvolution) -> DlibConvolution:
    scale, shift = np.split(stream.tensor().ravel(), 2)
    stream.alias()
    stream.alias()
    stream.integer()
    return convolution._replace(
        kernel=convolution.kernel * scale, bias=convolution.bias * scale + shift
    )


def _read_embedding(stream: _Stream) -> np.ndarray:
    """The last layer's weights, float32 [inputs, outputs]."""
    outputs, inputs = stream.integers(2)
    embedding = stream.tensor().reshape(inputs, outputs)
    stream.alias()
    stream.alias()
    stream.integer()
    stream.reals(4)
    return embedding


def _skip_layer_state(stream: _Stream, *, lowest: bool) -> None:
    """Three flags and three work tensors of training, and the input's expansion factor."""
    stream.skip_booleans(3)
    for _ in range(3):
        stream.tensor()
    if lowest:
        stream.integer()


def _convolution(
    x: keras.KerasTensor, convolution: DlibConvolution, name: str
) -> keras.KerasTensor:
    """A convolution of x [B, h, w, inputs]: [B, h', w', outputs]."""
    kernel, bias, strides, padding = convolution
    same = padding > 0 and strides == 1 and 2 * padding + 1 == kernel.shape[0]
    if padding and not same:
        x = ops.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    layer = layers.Conv2D(
        kernel.shape[3],
        kernel.shape[:2],
        strides,
        padding="same" if same else "valid",
        kernel_initializer="zeros",  # random initial values would move Keras's global random state
        bias_initializer="zeros",
        dtype="float32",
        name=name,
    )
    y = layer(x)
    layer.set_weights([kernel, bias])
    return y


def _residual_unit(
    x: keras.KerasTensor, pair: tuple[DlibConvolution, DlibConvolution], name: str
) -> keras.KerasTensor:
    """A residual unit of [B, h, w, c]; where it halves them, an average pool is its shortcut."""
    y = ops.relu(_convolution(x, pair[0], f"{name}_first"))
    y = _convolution(y, pair[1], f"{name}_second")
    if pair[0].strides > 1:
        x = ops.average_pool(x, 2, 2)
    shape = [max(sizes) for sizes in zip(x.shape[1:], y.shape[1:], strict=True)]
    return ops.relu(_zero_extended(x, shape) + _zero_extended(y, shape))


def _zero_extended(x: keras.KerasTensor, shape: list[int]) -> keras.KerasTensor:
    """Pads with zeros at the end of each axis, as dlib does to add tensors of different shapes."""
    missing = [target - size for target, size in zip(shape, x.shape[1:], strict=True)]
    return ops.pad(x, [(0, 0), *((0, count) for count in missing)]) if any(missing) else x
