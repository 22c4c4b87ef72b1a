"""Decoders of the audit's attackers that training's adversary has nothing like; named models."""

import keras
from keras import layers

from arl_tf.models.architectures import (
    build_decoder,
    check_decodable,
    convolution,
    decoder_block,
    last_layer,
    spread_over_grid,
)

ATTENTION_GRID = 8
ATTENTION_HEADS = 4
MOST_WIDTHS = 8


def build_attention_decoder(
    code_shape: tuple[int, ...], *, image_size: int, width: int, depth: int, name: str = "attention"
) -> keras.Model:
    """A U-shaped decoder with self-attention: code -> reconstruction [B, S, S, 3] in [0, 1].

    The code's grid is contracted to at most 8 x 8 positions, where every position looks at every
    other (Vaswani et al. 2017, pre-normalised), and expanded again; the way down is laid beside the
    way up (Ronneberger et al. 2015). `architectures.build_decoder` sees neighbours only.

    Args:
        code_shape: (h, h, c) with image_size / h a power of two, or (c,).
        image_size: S, pixels.
        width: channels at full resolution; a grid of half the side has twice as many, up to eight
            times.
        depth: attention blocks, and residual blocks at every resolution but the full one.
        name: of the model.

    Raises:
        ValueError: as `architectures.build_decoder`.
    """
    check_decodable(code_shape, image_size)
    code = keras.Input(code_shape, name="code")
    features = spread_over_grid(code, image_size, 4 * width) if len(code_shape) == 1 else code
    # The last layer leaps to full resolution, where convolutions would take half of the time.
    last_side = image_size if features.shape[1] == image_size else image_size // 2
    features = convolution(features, grid_channels(features, image_size, width), "first")
    features, passed = contract(features, image_size, width)
    for block in range(1, max(1, depth) + 1):
        features = attention_block(features, f"attention{block}")
    while features.shape[1] < last_side:
        features = expand(features, passed, image_size, width, depth)
    features = beside(features, passed, grid_channels(features, image_size, width))
    return keras.Model(code, last_layer(features, image_size), name=name)


def build_dense_decoder(
    code_shape: tuple[int, ...], *, image_size: int, width: int, depth: int, name: str = "dense"
) -> keras.Model:
    """A decoder whose first layer is dense over all values of a code -> [B, S, S, 3] in [0, 1].

    A convolution sees the neighbours of a position. What an encoder scatters over the whole code,
    or says in few of its values, a dense layer gathers in one step.

    Args:
        code_shape: any.
        image_size: S, pixels.
        width: as `architectures.build_decoder`'s.
        depth: likewise.
        name: of the model.
    """
    code = keras.Input(code_shape, name="code")
    flat = layers.Flatten(name="flat")(code)
    spread = build_decoder(flat.shape[1:], image_size=image_size, width=width, depth=depth)
    return keras.Model(code, spread(flat), name=name)


def grid_channels(features: keras.KerasTensor, image_size: int, width: int) -> int:
    """Channels on the grid of features [B, h, h, c]: twice as many for each halving, to a point."""
    return width * min(max(1, image_size // features.shape[1]), MOST_WIDTHS)


def contract(
    features: keras.KerasTensor, image_size: int, width: int
) -> tuple[keras.KerasTensor, dict[int, keras.KerasTensor]]:
    """Halves the grid of features [B, h, h, c] until attention is affordable.

    Returns:
        The features on the smallest grid, [B, g, g, C]; and side -> the features left on each of
        the others.
    """
    passed = {}
    while features.shape[1] > ATTENTION_GRID and features.shape[1] % 2 == 0:
        side = features.shape[1]
        passed[side] = features
        channels = width * min(2 * image_size // side, MOST_WIDTHS)
        features = layers.Conv2D(
            channels, 4, 2, padding="same", activation="relu", name=f"contract{side}"
        )(features)
    return features, passed


def beside(
    features: keras.KerasTensor, passed: dict[int, keras.KerasTensor], channels: int
) -> keras.KerasTensor:
    """Mixes into features [B, h, h, c] what was left on their grid on the way down.

    They have `channels` channels then; where nothing was left they are returned as they are.
    """
    side = features.shape[1]
    if side not in passed:
        return features
    both = layers.Concatenate(name=f"beside{side}")([features, passed[side]])
    return layers.Conv2D(channels, 1, name=f"mix{side}")(both)


def expand(
    features: keras.KerasTensor,
    passed: dict[int, keras.KerasTensor],
    image_size: int,
    width: int,
    depth: int,
) -> keras.KerasTensor:
    """Residual blocks on this grid, then twice the grid by resizing and a convolution.

    Features [B, h, h, c] -> [B, 2 h, 2 h, C], C being `grid_channels`.
    """
    side = features.shape[1]
    features = beside(features, passed, grid_channels(features, image_size, width))
    for block in range(1, depth + 1):
        features = decoder_block(features, f"grid{side}_block{block}")
    features = layers.UpSampling2D(2, name=f"double{side}")(features)
    channels = grid_channels(features, image_size, width)
    return convolution(features, channels, f"grid{side}_out", activation="relu")


def attention_block(features: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Self-attention over positions, then a perceptron at each; [B, h, h, c] keeps its shape."""
    side, channels = features.shape[1], features.shape[-1]
    tokens = layers.Reshape((side * side, channels), name=f"{name}_tokens")(features)
    normalised = layers.LayerNormalization(name=f"{name}_norm1")(tokens)
    attended = layers.MultiHeadAttention(
        ATTENTION_HEADS, max(4, channels // ATTENTION_HEADS), name=f"{name}_heads"
    )(normalised, normalised)
    tokens = layers.Add(name=f"{name}_add1")([tokens, attended])
    branch = layers.LayerNormalization(name=f"{name}_norm2")(tokens)
    branch = layers.Dense(2 * channels, activation="relu", name=f"{name}_widen")(branch)
    branch = layers.Dense(channels, name=f"{name}_project")(branch)
    tokens = layers.Add(name=f"{name}_add2")([tokens, branch])
    return layers.Reshape((side, side, channels), name=f"{name}_grid")(tokens)
