"""DeepObfuscator: decoders are led to a picture that shows nobody."""

import numpy as np
import tensorflow as tf

from arl_tf.defences import similarity
from arl_tf.defences.adversaries import attribute_adversary
from arl_tf.defences.definition import Defence, Number, Step

SEED = 1909


def target(side: int) -> np.ndarray:
    """Gaussian noise around grey, the same in every run; float32 [1, S, S, 3] in [0, 1]."""
    noise = np.random.default_rng(SEED).normal(0.5, 0.25, (1, side, side, 3))
    return np.clip(noise, 0, 1).astype(np.float32)


def loss(step: Step, bound: float) -> tf.Tensor:
    """1 - MS-SSIM(decoder(code), target), a mean over decoders; a scalar >= 0.

    The obfuscator's term against the reconstructor in the adversarial training of DeepObfuscator
    (Li et al., arXiv 1909.04126; IoTDI 2021) makes its picture unlike the photo by MS-SSIM; their
    published code also pulls it to a fixed picture of noise. Ours has this target alone, because a
    term that only grows with the distance from the photo has no end. It differs in the scales of
    MS-SSIM, too (see `similarity.ms_ssim`). The paper's second adversary guesses private attributes
    and is to fail; ours is to know nothing (`attribute_adversary.information`), and takes part
    where --private_attributes names some.
    """
    del bound
    aim = tf.constant(target(step.images.shape[1]))
    apart = [1 - similarity.ms_ssim(picture, aim) for picture in step.pictures]
    return tf.add_n(apart) / len(apart) + attribute_adversary.information(step)


TARGET_IMAGE = Defence(
    "DeepObfuscator (Li et al., arXiv 1909.04126, IoTDI 2021)",
    Number("Weight of the distance to the target by MS-SSIM, in nats.", 1.0, 1e-6),
    loss=loss,
    observe=attribute_adversary.observe,
    memory=attribute_adversary.memory,
    adversary=True,
    private_optional=True,
)
