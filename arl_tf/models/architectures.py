"""Encoders cut from a backbone, task heads (the backbone's rest), and decoders of any code.

All are named functional `keras.Model`s of layers that convert to TFLite.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from arl_tf.models.backbones import BATCH_NORM_MOMENTUM, CUT_LAYERS, build_backbone
from arl_tf.models.code_layers import NoisyCode, QuantisedCode
from arl_tf.models.shares import head_of_shares

LARGEST_VECTOR_GRID = 4


@dataclasses.dataclass(frozen=True)
class CodeBounds:
    """What limits the bits in a code, whatever the attacker.

    Attributes:
        noise: deviation of the Gaussian noise beside a signal of variance 1; 0: none.
        learned_noise: whether training chooses the noise of every position and channel.
        noise_shared_by: which values have one noise together, of `code_layers.SHARED_BY`.
        levels: that every value is rounded to after the noise; 0: not rounded.
        layers: a defence's own, before the others.
    """

    noise: float = 0.0
    learned_noise: bool = False
    noise_shared_by: str = "value"
    levels: int = 0
    layers: Sequence[keras.Layer] = ()


@dataclasses.dataclass(frozen=True)
class HeadSize:
    """Hidden layers of the task head behind the backbone's pooled features.

    They run where the code arrives and cost the device nothing.

    Attributes:
        width: units of each.
        depth: how many; 0: the classifier is linear.
        shares: into how many shares codes are divided, each for a server of its own; 1: not.
        rest: whether the backbone's rest is part of the head; else it reads the code itself.
    """

    width: int = 512
    depth: int = 0
    shares: int = 1
    rest: bool = True


def build_encoder_and_task_head(
    name: str,
    *,
    image_size: int,
    cut: str,
    code_channels: int,
    num_attributes: int,
    bounds: CodeBounds | None = None,
    weights: str = "",
    as_published: bool = False,
    head: HeadSize | None = None,
) -> tuple[keras.Model, keras.Model]:
    """Cuts a backbone in two.

    Args:
        name: backbone, a key of BACKBONES.
        image_size: side of the image, pixels; a multiple of 32.
        cut: a key of CUT_LAYERS[name].
        code_channels: channels that a 1x1 bottleneck leaves in the code, normalised to mean 0 and
            variance 1 (so that no loss can be won by scaling the code); 0: the backbone's own
            activations.
        num_attributes: A.
        bounds: of what the code can carry; None for a code without any.
        weights: of the backbone, see `backbones.build_backbone`.
        as_published: likewise.
        head: layers that the task head has beyond the backbone's rest; None: none.

    Returns:
        encoder: float32 [B, S, S, 3] in [0, 1] -> code float32 [B, h, h, c], or [B, c] at the
            pooled cut.
        task_head: code -> logits float32 [B, A].

    Raises:
        ValueError: an unknown backbone or cut, or weights that can't be had.
    """
    if cut not in CUT_LAYERS.get(name, (cut,)):
        raise ValueError(f"Unknown cut {cut!r} of {name}; one of {', '.join(CUT_LAYERS[name])}.")
    backbone = build_backbone(name, image_size, weights, as_published=as_published)
    features = backbone.get_layer(CUT_LAYERS[name][cut]).output
    code = bottleneck(features, code_channels) if code_channels else features
    code = bounded(code, bounds or CodeBounds())
    encoder = keras.Model(
        backbone.input, layers.Identity(name="code")(code), name=f"{name}_{cut}_encoder"
    )
    task_head = build_task_head(
        backbone, features, encoder.output_shape[1:], num_attributes, head or HeadSize()
    )
    return encoder, task_head


def bounded(code: keras.KerasTensor, bounds: CodeBounds) -> keras.KerasTensor:
    """The code [B, ...] through a defence's layers, noise and rounding, where asked for."""
    for layer in bounds.layers:
        code = layer(code)
    if bounds.noise:
        noisy = NoisyCode(
            bounds.noise, bounds.learned_noise, bounds.noise_shared_by, name="code_noise"
        )
        code = noisy(code)
    if bounds.levels:
        code = QuantisedCode(bounds.levels, name="code_levels")(code)
    return code


def bottleneck(features: keras.KerasTensor, channels: int) -> keras.KerasTensor:
    """Projects features [B, ..., C] to `channels` channels of mean 0, variance 1 over the batch."""
    if len(features.shape) == 2:
        projected = layers.Dense(channels, use_bias=False, name="bottleneck")(features)
    else:
        projected = layers.Conv2D(channels, 1, use_bias=False, name="bottleneck")(features)
    return layers.BatchNormalization(
        center=False, scale=False, momentum=BATCH_NORM_MOMENTUM, name="bottleneck_norm"
    )(projected)


def build_task_head(
    backbone: keras.Model,
    features: keras.KerasTensor,
    code_shape: tuple[int, ...],
    num_attributes: int,
    size: HeadSize,
) -> keras.Model:
    """The rest of the backbone after `features`, hidden layers, a linear classifier.

    Code float32 [B, *code_shape] -> logits float32 [B, A]; `features` are [B, ..., C].
    """
    code = keras.Input(code_shape, name="code")
    pooled = after_rest(backbone, features, code) if size.rest else layers.Flatten()(code)
    for number in range(1, size.depth + 1):
        pooled = layers.Dense(size.width, activation="relu", name=f"hidden{number}")(pooled)
    logits = layers.Dense(num_attributes, name="logits")(pooled)
    head = keras.Model(code, logits, name="task_head")
    return head if size.shares == 1 else head_of_shares(head, size.shares)


def after_rest(
    backbone: keras.Model, features: keras.KerasTensor, code: keras.KerasTensor
) -> keras.KerasTensor:
    """The code [B, ..., c] behind the rest of the backbone after `features` [B, ..., C].

    It is widened to C channels where it has others; the result is the backbone's, [B, D].
    """
    code_shape, widened = code.shape[1:], code
    if code_shape != features.shape[1:]:
        channels = features.shape[-1]
        if len(code_shape) == 1:
            widened = layers.Dense(channels, name="widen")(code)
        else:
            widened = layers.Conv2D(channels, 1, name="widen")(code)
    if features is backbone.output:
        return widened
    return keras.Model(features, backbone.output, name="rest")(widened)


def build_decoder(
    code_shape: tuple[int, ...],
    *,
    image_size: int,
    width: int,
    depth: int,
    name: str = "decoder",
) -> keras.Model:
    """A decoder that mirrors an encoder: code -> reconstruction float32 [B, S, S, 3] in [0, 1].

    It doubles the grid until the image's side is reached. Its features have twice `width` channels
    on a grid of half the image's side, four times `width` on smaller ones.

    Args:
        code_shape: (h, h, c) with image_size / h a power of two, or (c,).
        image_size: S, pixels.
        width: half the channels on the largest grid of features.
        depth: residual blocks at every resolution but the full one.
        name: of the model.

    Raises:
        ValueError: the code is neither a vector nor a grid that, doubled again and again, becomes
            the image.
    """
    check_decodable(code_shape, image_size)
    code = keras.Input(code_shape, name="code")
    features = spread_over_grid(code, image_size, 4 * width) if len(code_shape) == 1 else code
    side = features.shape[1]
    features = convolution(features, decoder_channels(width, image_size // side), "first")
    while side < image_size:
        for block in range(1, depth + 1):
            features = decoder_block(features, f"grid{side}_block{block}")
        side *= 2
        if side < image_size:
            channels = decoder_channels(width, image_size // side)
            features = double_grid(features, channels, f"grid{side}")
    return keras.Model(code, last_layer(features, image_size), name=name)


def last_layer(features: keras.KerasTensor, image_size: int) -> keras.KerasTensor:
    """The reconstruction [B, S, S, 3] in [0, 1] of features on the grid of S or of S / 2.

    Convolutions between features at full resolution would cost half of a decoder's time; a
    transposed one, whose kernel is a multiple of its stride, leaves no checkerboard.
    """
    features = layers.ReLU(name="last_relu")(features)
    if features.shape[1] == image_size:
        return convolution(features, 3, "reconstruction", activation="sigmoid")
    return layers.Conv2DTranspose(
        3, 4, 2, padding="same", activation="sigmoid", name="reconstruction"
    )(features)


def check_decodable(code_shape: tuple[int, ...], image_size: int) -> None:
    """Raises ValueError where no decoder leads from the code to the image."""
    if len(code_shape) == 1:
        return
    if len(code_shape) == 3 and code_shape[0] == code_shape[1]:
        ratio, rest = divmod(image_size, code_shape[0])
        if rest == 0 and ratio & (ratio - 1) == 0:
            return
    raise ValueError(
        f"A code of shape {code_shape} can't be decoded to {image_size} x {image_size} pixels:"
        " expected a vector (c,), or a square grid (h, h, c) whose side is the image's divided by a"
        " power of two; flatten other codes to vectors."
    )


def spread_over_grid(code: keras.KerasTensor, image_size: int, channels: int) -> keras.KerasTensor:
    """Spreads codes [B, D] over the grid [B, h, w, channels] that doubling leads to the image."""
    side = vector_grid(image_size)
    features = layers.Dense(side * side * channels, name="spread")(code)
    return layers.Reshape((side, side, channels), name="grid")(features)


def vector_grid(image_size: int) -> int:
    """Side of that grid, the image's halved while it is even and above 4: 64 -> 4, 96 -> 3."""
    side = image_size
    while side % 2 == 0 and side > LARGEST_VECTOR_GRID:
        side //= 2
    return side


def convolution(
    features: keras.KerasTensor, channels: int, name: str, **settings: Any
) -> keras.KerasTensor:
    """A 3x3 convolution that keeps the grid: [B, h, w, c] -> [B, h, w, channels]."""
    return layers.Conv2D(channels, 3, padding="same", name=name, **settings)(features)


def decoder_channels(width: int, reduction: int) -> int:
    """Channels of decoder features on a grid `reduction` times smaller than the image."""
    return width * min(reduction, 4)


def decoder_block(features: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """A pre-activation residual block; features [B, h, w, c] keep their shape.

    Its branch starts at zero, so that any depth trains without normalisation.
    """
    channels = features.shape[-1]
    branch = layers.ReLU(name=f"{name}_relu1")(features)
    branch = convolution(branch, channels, f"{name}_conv1")
    branch = layers.ReLU(name=f"{name}_relu2")(branch)
    branch = convolution(branch, channels, f"{name}_conv2", kernel_initializer="zeros")
    return layers.Add(name=f"{name}_add")([features, branch])


def double_grid(features: keras.KerasTensor, channels: int, name: str) -> keras.KerasTensor:
    """Activation, then a transposed convolution: every sub-pixel has its own weights.

    Features [B, h, w, c] -> [B, 2 h, 2 w, channels].
    """
    features = layers.ReLU(name=f"{name}_relu")(features)
    return layers.Conv2DTranspose(channels, 4, 2, padding="same", name=name)(features)
