"""Backbones that encoders are cut from, with random or published weights.

All are named functional `keras.Model`s: image float32 [B, S, S, 3] in [0, 1] -> the layer `pooled`.
"""

import dataclasses
import functools
import json
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from keras import layers

from arl_tf.models import efficientnet_lite
from arl_tf.models.pretrained import weight_files

# Layer after which a backbone is cut; strides 4, 8, 16, then the pooled vector.
OWN_CUTS = {"early": "stage1", "middle": "stage2", "late": "stage3"}
LITE_CUTS = {"early": "block3_add", "middle": "block5_add", "late": "block11_add"}
# Moving statistics that follow within ~10 steps: the adversary sees the encoder in inference mode,
# so a slow average would show it an encoder of long ago.
BATCH_NORM_MOMENTUM = 0.9
# Weights that were trained on ImageNet; any other text but "" is a file.
IMAGENET = "imagenet"
# ImageNet's mean colour in bytes, RGB, which Keras' ResNet-50 wants subtracted.
MEAN_COLOUR = (123.68, 116.779, 103.939)


@dataclasses.dataclass(frozen=True)
class Application:
    """A network of keras.applications as a backbone.

    Attributes:
        name: of the function that builds it.
        cuts: as OWN_CUTS.
        settings: arguments that all of its models get.
        wants_bgr: whether its published weights want bytes in the order BGR less MEAN_COLOUR; else
            they want [-1, 1], as random weights do.
    """

    name: str
    cuts: Mapping[str, str]
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    wants_bgr: bool = False


# No part of these is what .tflite files or GPU delegates lack, and none draws random numbers:
# EfficientNet-B0 and its kin have dropout and a normalisation with counters inside.
APPLICATIONS: Mapping[str, Application] = {
    "resnet50": Application(
        "ResNet50",
        {"early": "conv2_block3_out", "middle": "conv3_block4_out", "late": "conv4_block6_out"},
        wants_bgr=True,
    ),
    "mobilenet_v2": Application(
        "MobileNetV2", {"early": "block_2_add", "middle": "block_5_add", "late": "block_12_add"}
    ),
    "mobilenet_v3_small": Application(
        "MobileNetV3Small",
        {
            "early": "expanded_conv_project_bn",
            "middle": "expanded_conv_2_add",
            "late": "expanded_conv_7_add",
        },
        {"include_preprocessing": False},
    ),
    "mobilenet_v3_large": Application(
        "MobileNetV3Large",
        {
            "early": "expanded_conv_2_add",
            "middle": "expanded_conv_5_add",
            "late": "expanded_conv_11_add",
        },
        {"include_preprocessing": False},
    ),
}


def build_backbone(
    name: str, image_size: int, weights: str = "", *, as_published: bool = False
) -> keras.Model:
    """Builds a backbone.

    Args:
        name: a key of BACKBONES.
        image_size: S, pixels; a multiple of 32.
        weights: "" for random ones; "imagenet" for the published ones: EfficientNet-Lite0's come
            with the requirements, Keras downloads the others; or a file: a PyTorch state dict of
            EfficientNet-Lite0, or Keras' weight file without top of the others.
        as_published: whether the image is prepared as published weights want it, though none are
            loaded: others that began as published ones replace the random ones.

    Raises:
        ValueError: an unknown backbone, one that has no published weights, or weights that can't be
            read or do not fit.
    """
    if name not in BACKBONES:
        raise ValueError(f"Unknown encoder {name!r}; one of {', '.join(sorted(BACKBONES))}.")
    if not weights:
        if as_published and has_published_form(name):
            return application_backbone(name, image_size, as_published=True)
        return BACKBONES[name](image_size)
    if name not in PRETRAINED:
        raise ValueError(
            f"The encoder {name} has no published weights; weights={weights!r} needs one of"
            f" {', '.join(sorted(PRETRAINED))}."
        )
    return PRETRAINED[name](image_size, weights)


def has_published_form(name: str) -> bool:
    """Whether a backbone prepares the image in another way for published weights."""
    return name in APPLICATIONS and APPLICATIONS[name].wants_bgr


def preprocessing(encoder: keras.Model) -> list[str]:
    """How an encoder prepares images float32 [B, S, S, 3]: its layers before the first weights.

    Each as its class with its settings, in words that are equal where the layers do the same.
    """
    found = []
    for layer in encoder.layers:
        if layer.weights:
            break
        if not isinstance(layer, layers.InputLayer):
            settings = layer.get_config()
            # These change nothing, or are the machine's.
            for name in ("name", "dtype", "trainable", "data_format"):
                settings.pop(name, None)
            found.append(
                f"{type(layer).__name__}({json.dumps(settings, sort_keys=True, default=repr)})"
            )
    return found


def conv_norm(
    inputs: keras.KerasTensor, filters: int, size: int, strides: int, name: str
) -> keras.KerasTensor:
    """Convolution and batch normalisation.

    Inputs [B, h, w, c] -> [B, h / strides, w / strides, filters].
    """
    features = layers.Conv2D(
        filters, size, strides, padding="same", use_bias=False, name=f"{name}_conv"
    )(inputs)
    return layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, name=f"{name}_norm")(features)


def residual_block(
    inputs: keras.KerasTensor, filters: int, strides: int, name: str
) -> keras.KerasTensor:
    """ResNet's basic block: two 3x3 convolutions beside a shortcut; the last layer is `name`.

    Inputs [B, h, w, c] -> [B, h / strides, w / strides, filters].
    """
    features = layers.ReLU(name=f"{name}_relu1")(
        conv_norm(inputs, filters, 3, strides, f"{name}_1")
    )
    features = conv_norm(features, filters, 3, 1, f"{name}_2")
    shortcut = inputs
    if strides > 1 or inputs.shape[-1] != filters:
        shortcut = conv_norm(inputs, filters, 1, strides, f"{name}_shortcut")
    return layers.ReLU(name=name)(layers.Add(name=f"{name}_add")([features, shortcut]))


def residual_stages(
    features: keras.KerasTensor, stages: tuple[tuple[int, int, int], ...]
) -> keras.KerasTensor:
    """Stages of (blocks, filters, first stride); the last layer of stage k is called `stage<k>`.

    Features [B, h, w, c] -> the last stage's, pooled: [B, filters].
    """
    for stage, (blocks, filters, strides) in enumerate(stages, start=1):
        for block in range(1, blocks + 1):
            name = f"stage{stage}" if block == blocks else f"stage{stage}_block{block}"
            features = residual_block(features, filters, strides if block == 1 else 1, name)
    return layers.GlobalAveragePooling2D(name="pooled")(features)


def small_backbone(image_size: int) -> keras.Model:
    """A residual network of about 1 M parameters, for 64-pixel faces on a CPU."""
    image = keras.Input((image_size, image_size, 3), name="image")
    features = layers.Rescaling(2.0, offset=-1.0, name="centred")(image)
    features = layers.ReLU(name="stem_relu")(conv_norm(features, 24, 3, 2, "stem"))
    pooled = residual_stages(features, ((1, 48, 2), (2, 96, 2), (1, 192, 2)))
    return keras.Model(image, pooled, name="small")


def resnet18_backbone(image_size: int) -> keras.Model:
    """ResNet-18 (arXiv 1512.03385, table 1): a stem of stride 4, four stages of two blocks."""
    image = keras.Input((image_size, image_size, 3), name="image")
    features = layers.Rescaling(2.0, offset=-1.0, name="centred")(image)
    features = layers.ReLU(name="stem_relu")(conv_norm(features, 64, 7, 2, "stem"))
    features = layers.MaxPooling2D(3, 2, padding="same", name="stem_pool")(features)
    pooled = residual_stages(features, ((2, 64, 1), (2, 128, 2), (2, 256, 2), (2, 512, 2)))
    return keras.Model(image, pooled, name="resnet18")


def application_backbone(
    backbone: str, image_size: int, weights: str = "", *, as_published: bool = False
) -> keras.Model:
    """A network of keras.applications without its classifier; `backbone` is one of APPLICATIONS.

    `as_published` as of `build_backbone`.
    """
    described = APPLICATIONS[backbone]
    image = keras.Input((image_size, image_size, 3), name="image")
    if not (described.wants_bgr and (weights or as_published)):
        centred = layers.Rescaling(2.0, offset=-1.0, name="centred")(image)
        network = application(described.name, centred, weights, **described.settings)
        return with_pooling(image, network, backbone)
    offset = [-value for value in MEAN_COLOUR]
    centred = layers.Rescaling(255.0, offset=offset, name="centred")(image)
    network = application(described.name, centred, weights, **described.settings)
    if weights:
        # The published weights want BGR. A kernel turned round costs nothing on the device.
        first = next(layer for layer in network.layers if isinstance(layer, layers.Conv2D))
        kernel, *others = first.get_weights()
        first.set_weights([np.ascontiguousarray(kernel[:, :, ::-1]), *others])
    return with_pooling(image, network, backbone)


def application(name: str, image: keras.KerasTensor, weights: str, **settings) -> keras.Model:
    """A network of keras.applications on an image [B, S, S, 3], without its classifier.

    Raises:
        ValueError: its weights can't be had.
    """
    build = getattr(keras.applications, name)
    try:
        return build(include_top=False, weights=weights or None, input_tensor=image, **settings)
    except Exception as error:  # Keras raises plain Exception when a download fails.
        raise ValueError(
            f"The weights {weights!r} of {name} could not be loaded ({error}); expected 'imagenet',"
            " which Keras downloads once, or Keras' own weight file of this network without top."
        ) from error


def with_pooling(image: keras.KerasTensor, network: keras.Model, name: str) -> keras.Model:
    """Adds the layer `pooled` to a network of keras.applications; speeds up its statistics.

    Image [B, S, S, 3] -> [B, C].
    """
    for layer in network.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = BATCH_NORM_MOMENTUM
    pooled = layers.GlobalAveragePooling2D(name="pooled")(network.output)
    return keras.Model(image, pooled, name=name)


def efficientnet_lite0_backbone(image_size: int, weights: str = "") -> keras.Model:
    """EfficientNet-Lite0 with batch normalisation that trains."""
    network = efficientnet_lite.efficientnet_lite0(image_size, BATCH_NORM_MOMENTUM)
    if weights == IMAGENET:
        efficientnet_lite.load_state(network, efficientnet_lite.imagenet_state())
    elif weights:
        try:
            state = weight_files.read_torch_state_dict(weights)
            efficientnet_lite.load_state(network, state)
        except (OSError, ValueError) as error:
            raise ValueError(
                f"The weights {weights!r} can't be used: {error} Expected 'imagenet' or a PyTorch"
                " state dict of EfficientNet-Lite0."
            ) from error
    return network


PRETRAINED: dict[str, Callable[..., keras.Model]] = {
    **{name: functools.partial(application_backbone, name) for name in APPLICATIONS},
    "efficientnet_lite0": efficientnet_lite0_backbone,
}
BACKBONES: dict[str, Callable[..., keras.Model]] = {
    "small": small_backbone,
    "resnet18": resnet18_backbone,
    **PRETRAINED,
}
CUT_LAYERS = {
    name: {**cuts, "pooled": "pooled"}
    for name, cuts in {
        "small": OWN_CUTS,
        "resnet18": OWN_CUTS,
        **{name: described.cuts for name, described in APPLICATIONS.items()},
        "efficientnet_lite0": LITE_CUTS,
    }.items()
}
