"""SFace (Zhong et al. 2021, doi 10.1109/TIP.2020.3048632), the second network of face identity.

OpenCV's model zoo publishes it as an ONNX file with weights of 8 bits; the network is rebuilt here
as a named functional `keras.Model` on float32 RGB in [0, 1]. It is differentiable with respect to
the image; nothing in it is trainable, and nothing behaves differently in training: batch
normalisation is folded into the convolutions.
"""

from collections.abc import Mapping

import keras
import numpy as np
from keras import layers, ops

from arl_tf.models.pretrained import face_crop, onnx_file, weight_files

CHIP_SIZE = 112
# Of CelebA's centre square, chosen on pairs of training photos (docs/method.md).
FACE_SQUARE = face_crop.Square(top=0.2, left=0.166, side=0.662)
_BLOCKS = range(2, 15)
_HALVING_BLOCKS = (3, 5, 7, 13)
_EPSILON, _LAST_EPSILON = 1e-3, 2e-5
Weights = Mapping[str, np.ndarray]


def face_identity_network(image_size: int) -> keras.Model:
    """Builds SFace behind the crop it wants.

    The image is a centre square cut from an aligned CelebA picture. The crop is fixed; it stands
    for the alignment by five landmarks that SFace was trained with.

    Args:
        image_size: S, the side of the square images in pixels.

    Returns:
        A model: image [B, S, S, 3] float32 in [0, 1] -> embedding [B, 128] float32, raw.

    Raises:
        ValueError: an image size below one pixel, or missing or altered weights.
    """
    image = face_crop.image_input(image_size)
    chip = face_crop.cropped(image, FACE_SQUARE, CHIP_SIZE)
    embedding = face_chip_network()(chip, training=False)
    return keras.Model(image, embedding, trainable=False, name="face_identity_sface")


def face_chip_network() -> keras.Model:
    """Builds SFace on face chips that are aligned as SFace's authors align them.

    Returns:
        A model: chip [B, 112, 112, 3] float32 RGB in [0, 1] -> embedding [B, 128] float32, raw.

    Raises:
        ValueError: missing or altered weights.
    """
    path = weight_files.verified_path(weight_files.SFACE_NETWORK)
    weights = onnx_file.read_weights(path)
    chip = face_crop.image_input(CHIP_SIZE)
    # (value - 127.5) / 128, of values in 0..255.
    scale, offset = 255 / 128, -127.5 / 128
    x = layers.Rescaling(scale, offset=offset, dtype="float32", name="preprocess")(chip)
    x = _convolution(x, weights, "conv_1", strides=1)
    for number in _BLOCKS:
        strides = 2 if number in _HALVING_BLOCKS else 1
        x = _convolution(x, weights, f"conv_{number}_dw", strides)
        x = _convolution(x, weights, f"conv_{number}", strides=1)
    embedding = _embedding(x, weights)
    return keras.Model(chip, embedding, trainable=False, name="sface")


def _convolution(
    x: keras.KerasTensor, weights: Weights, name: str, strides: int
) -> keras.KerasTensor:
    """A convolution of [B, h, w, c] with zeros around it, batch normalisation and PReLU."""
    scale, shift = _normalisation(weights, f"{name}_batchnorm", _EPSILON)
    kernel = weights[f"{name}_conv2d_weight"] * scale[:, None, None, None]
    side = kernel.shape[2]
    padding = "same"
    if strides > 1:
        # "same" would pad one side only.
        x, padding = ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), "valid"
    settings = {
        "strides": strides,
        "padding": padding,
        "bias_initializer": "zeros",
        "dtype": "float32",
        "name": name,
    }
    if name.endswith("_dw"):
        layer = layers.DepthwiseConv2D(side, depthwise_initializer="zeros", **settings)
        kernel = kernel.transpose(2, 3, 0, 1)
    else:
        layer = layers.Conv2D(len(kernel), side, kernel_initializer="zeros", **settings)
        kernel = kernel.transpose(2, 3, 1, 0)
    x = layer(x)
    layer.set_weights([kernel, shift])
    return prelu(x, weights[f"{name}_relu_gamma"].reshape(-1))


def prelu(x: keras.KerasTensor, slopes: np.ndarray) -> keras.KerasTensor:
    """X [B, h, w, C] where it is positive, elsewhere x times the channel's slope, float32 [C].

    In this form it passes over the values three times; Keras' layer does five times.
    """
    return x + ops.minimum(x, 0) * (slopes - 1)


def _embedding(x: keras.KerasTensor, weights: Weights) -> keras.KerasTensor:
    """The dense layer between two batch normalisations, in one: [B, h, w, c] -> [B, 128]."""
    scale, shift = _normalisation(weights, "bn1", _LAST_EPSILON)
    last_scale, last_shift = _normalisation(weights, "fc1", _LAST_EPSILON)
    # [embedding, channels, height, width]: ONNX flattens channels first.
    kernel = weights["pre_fc1_weight"].astype("float64")
    kernel = kernel.reshape(len(kernel), x.shape[3], x.shape[1], x.shape[2])
    bias = weights["pre_fc1_bias"] + np.einsum("echw,c->e", kernel, shift)
    kernel = kernel * scale[:, None, None] * last_scale[:, None, None, None]
    layer = layers.EinsumDense(
        "bhwc,hwce->be",
        len(kernel),
        bias_axes="e",
        kernel_initializer="zeros",
        dtype="float32",
        name="embedding",
    )
    y = layer(x)
    layer.set_weights([kernel.transpose(2, 3, 1, 0), bias * last_scale + last_shift])
    return y


def _normalisation(weights: Weights, name: str, epsilon: float) -> tuple[np.ndarray, np.ndarray]:
    """Batch normalisation as a scale and a shift, float64 [C] each."""
    gamma, beta, mean, variance = (
        weights[f"{name}_{part}"].astype("float64")
        for part in ("gamma", "beta", "moving_mean", "moving_var")
    )
    scale = gamma / np.sqrt(variance + epsilon)
    return scale, beta - mean * scale
