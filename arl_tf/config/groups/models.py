"""Networks: encoder, cut, code, task head, decoder."""

import dataclasses

from arl_tf.config.choices import CUTS, ENCODERS, NOISE_SHARES, PERCEPTUAL_NETWORKS
from arl_tf.config.option import option


@dataclasses.dataclass(frozen=True)
class ModelGroup:
    """Networks: encoder, cut, code, task head, decoder."""

    encoder: str = option(
        "small",
        "Backbone that encoder and task head are cut from.",
        group="model",
        choices=ENCODERS,
        shared="model",
    )
    weights: str = option(
        "",
        "Weights that the backbone starts from: imagenet, or a file; empty: random. Those of"
        " efficientnet_lite0 come with the requirements; Keras downloads those of resnet50,"
        " mobilenet_v2, mobilenet_v3_small and mobilenet_v3_large. A file is a PyTorch state dict"
        " of EfficientNet-Lite0, or Keras' own weight file without top.",
        group="model",
        path=True,
        shared="model",
    )
    head_width: int = option(
        512,
        "Units of each hidden layer of the task head (--head_depth).",
        group="model",
        low=1,
        high=65536,
        shared="model",
    )
    head_depth: int = option(
        0,
        "Hidden layers of the task head behind the backbone. They run where the code arrives and"
        " cost the device nothing; 0: a linear classifier.",
        group="model",
        low=0,
        high=16,
        shared="model",
    )
    head_rest: bool = option(
        True,
        "The rest of the backbone behind the cut is part of the task head. false: the head reads"
        " the code itself, so that encoder and head cost a device little more than the encoder"
        " alone.",
        group="model",
        shared="model",
    )
    cut: str = option(
        "middle",
        "Where the backbone is cut into encoder and task head. The code's side is 1/4 of the"
        " image's (early), 1/8 (middle) or 1/16 (late); pooled gives a vector.",
        group="model",
        choices=CUTS,
        shared="model",
    )
    code_channels: int = option(
        32,
        "Channels of the code, by a 1x1 bottleneck; 0: the backbone's own.",
        group="model",
        low=0,
        high=4096,
        shared="model",
    )
    code_levels: int = option(
        0,
        "Round every value of the code to one of so many levels; 2 keeps its sign; 0: not rounded."
        " A value then carries at most log2 of that number of bits.",
        group="model",
        low=0,
        high=256,
        defence=True,
        unprotected=0,
    )
    code_noise: float = option(
        0.0,
        "Standard deviation of the Gaussian noise that the encoder adds to a code of variance 1;"
        " 0: none. The noise is drawn anew for every code, in training and in use.",
        group="model",
        low=0,
        high=100,
        defence=True,
        unprotected=0.0,
    )
    noise_shares: str = option(
        "value",
        "Which values of a code have one amount of learned noise together: none (value), those of a"
        " channel, or those at a position of the grid. Without --lambda_rate all have the same.",
        group="model",
        choices=NOISE_SHARES,
        defence=True,
        ingredient=True,
    )
    decoder_width: int = option(
        32,
        "Width of the adversary, a decoder: half the channels on its largest grid.",
        group="model",
        low=4,
        high=1024,
        defence=True,
    )
    decoder_depth: int = option(
        1,
        "Residual blocks of the adversary, a decoder, for each resolution.",
        group="model",
        low=0,
        high=8,
        defence=True,
    )
    perceptual: str = option(
        "efficientnet_lite0",
        "Perceptual network g, by which training and attackers compare pictures. efficientnet_lite0"
        " comes with the requirements; the others are keras.applications with ImageNet weights,"
        " which Keras downloads.",
        group="model",
        choices=PERCEPTUAL_NETWORKS,
        attack_identity=True,
        shared="audit",
    )
    perceptual_layers: str = option(
        "",
        "Layers of g, comma-separated; empty: its default layers.",
        group="model",
        attack_identity=True,
        shared="audit",
    )
