"""EfficientNet-Lite0 as a backbone that trains: its batch normalisation is not folded away.

Source: Tan and Le 2019 (arXiv 1905.11946), table 1, in the Lite variant (no squeeze and excitation,
ReLU6, stem and head of fixed width). `pretrained.perceptual` builds the frozen, folded form.
"""

from typing import NamedTuple

import keras
import numpy as np
from keras import layers

from arl_tf.models.pretrained import weight_files

STEM_CHANNELS, HEAD_CHANNELS = 32, 1280
EPSILON = 1e-3


class Stage(NamedTuple):
    """Inverted residual blocks of one width; only the first has the stride."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    channels: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


def efficientnet_lite0(image_size: int, momentum: float) -> keras.Model:
    """The network up to its pooled features, with random weights.

    Args:
        image_size: S, pixels; a multiple of 32.
        momentum: of the moving statistics.

    Returns:
        image float32 [B, S, S, 3] in [0, 1] -> float32 [B, 1280], layers `block<k>_add` at the end
        of residual blocks and `pooled` at its own.
    """
    image = keras.Input((image_size, image_size, 3), name="image")
    # To (x - 127) / 128 of bytes, as the published weights want it.
    features = layers.Rescaling(255 / 128, offset=-127 / 128, name="centred")(image)
    stem = layers.Conv2D(STEM_CHANNELS, 3, 2, **unbiased("conv_stem"))(features)
    features = activated(normalised(stem, "bn0", momentum), "conv_stem")
    number = 0
    for stage in STAGES:
        for block in range(stage.blocks):
            stride = 1 if block else stage.stride
            features = inverted_residual(features, number, stage, stride, momentum)
            number += 1
    head = layers.Conv2D(HEAD_CHANNELS, 1, **unbiased("conv_head"))(features)
    features = activated(normalised(head, "bn1", momentum), "conv_head")
    pooled = layers.GlobalAveragePooling2D(name="pooled")(features)
    return keras.Model(image, pooled, name="efficientnet_lite0")


def inverted_residual(
    inputs: keras.KerasTensor, number: int, stage: Stage, stride: int, momentum: float
) -> keras.KerasTensor:
    """Expands channels, filters each by itself, projects; `number` counts blocks from 0.

    Inputs [B, h, w, c] -> [B, h / stride, w / stride, stage.channels].
    """
    prefix, features = f"blocks_{number}__", inputs
    if stage.expansion > 1:
        wide = stage.expansion * inputs.shape[-1]
        features = layers.Conv2D(wide, 1, **unbiased(f"{prefix}expand_conv"))(features)
        features = normalised(features, f"{prefix}bn0", momentum)
        features = activated(features, f"{prefix}expand_conv")
    features = layers.DepthwiseConv2D(stage.kernel, stride, **unbiased(f"{prefix}depthwise_conv"))(
        features
    )
    features = normalised(features, f"{prefix}bn1", momentum)
    features = activated(features, f"{prefix}depthwise_conv")
    features = layers.Conv2D(stage.channels, 1, **unbiased(f"{prefix}project_conv"))(features)
    features = normalised(features, f"{prefix}bn2", momentum)
    if stride == 1 and inputs.shape[-1] == stage.channels:
        features = layers.Add(name=f"block{number + 1}_add")([inputs, features])
    return features


def unbiased(name: str) -> dict:
    """Arguments of a convolution in front of a normalisation."""
    return {"padding": "same", "use_bias": False, "name": name}


def normalised(features: keras.KerasTensor, name: str, momentum: float) -> keras.KerasTensor:
    """Batch normalisation of features [B, h, w, c]."""
    return layers.BatchNormalization(momentum=momentum, epsilon=EPSILON, name=name)(features)


def activated(features: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """ReLU6 of features [B, h, w, c]."""
    return layers.ReLU(max_value=6.0, name=f"{name}_relu6")(features)


def load_state(network: keras.Model, state: dict[str, np.ndarray]) -> None:
    """Copies the published weights of a PyTorch state dict into `efficientnet_lite0`.

    Args:
        network: from `efficientnet_lite0`, of any image size.
        state: parameter -> array, from `weight_files.read_torch_state_dict`: kernels [outputs,
            inputs, h, w], vectors [C].

    Raises:
        ValueError: the state lacks a layer of the network, or has it in another shape.
    """
    sources = {layer_name(key): key.rpartition(".")[0] for key in state}
    for layer in network.layers:
        if not layer.weights:
            continue
        if layer.name not in sources:
            raise ValueError(
                f"the weights have no layer {layer.name}; expected those of EfficientNet-Lite0."
            )
        values = layer_weights(state, sources[layer.name])
        shapes = [value.shape for value in values], [tuple(w.shape) for w in layer.weights]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"layer {layer.name} of the weights has the shapes {shapes[0]}, expected"
                f" {shapes[1]} of EfficientNet-Lite0."
            )
        layer.set_weights(values)


def layer_name(key: str) -> str:
    """Keras' name of a parameter's layer: `_blocks.0._bn1.weight` -> `blocks_0__bn1`."""
    return key.rpartition(".")[0].strip("_").replace(".", "_")


def layer_weights(state: dict[str, np.ndarray], prefix: str) -> list[np.ndarray]:
    """Weights of one convolution or normalisation in Keras' order and layout.

    A kernel [h, w, inputs, outputs], of a depthwise one [h, w, C, 1]; of a normalisation four
    vectors [C].
    """
    if f"{prefix}.running_mean" in state:
        parts = ("weight", "bias", "running_mean", "running_var")
        return [state[f"{prefix}.{part}"] for part in parts]
    kernel = state[f"{prefix}.weight"]
    if kernel.ndim != 4:
        return [kernel]
    depthwise = kernel.shape[1] == 1 and kernel.shape[0] > 1
    return [kernel.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))]


def imagenet_state() -> dict[str, np.ndarray]:
    """The published weights, see `load_state`; of the packaged file.

    Parameter -> array of PyTorch's layout, such as [outputs, inputs, h, w].

    Raises:
        ValueError: the file is missing or altered.
    """
    path = weight_files.verified_path(weight_files.EFFICIENTNET_LITE0)
    return weight_files.read_torch_state_dict(path)
