"""ResSFL: decoders must not come nearer to the picture than a structural similarity."""

import tensorflow as tf

from arl_tf.defences import similarity
from arl_tf.defences.definition import Defence, Number, Step


def loss(step: Step, bound: float) -> tf.Tensor:
    """max(0, SSIM(decoder(code), image) - bound), a mean over decoders; a scalar in [0, 1].

    The regulariser of attacker-aware training (Li et al., CVPR 2022, algorithm 1) with the
    threshold of the authors' published code. Their decoder is trained for SSIM; ours, as every
    adversary here, for formula (1) of docs/method.md. What they then transfer to clients is here
    the encoder itself.
    """
    excess = [
        tf.nn.relu(similarity.ssim(picture, step.images) - bound) for picture in step.pictures
    ]
    return tf.add_n(excess) / len(excess)


SSIM_HINGE = Defence(
    "ResSFL (Li et al., CVPR 2022, arXiv 2205.04007)",
    Number("Weight of the similarity beyond the bound, in nats.", 1.0, 1e-6),
    Number("SSIM that decoders may reach.", 0.3, 1e-3, 1.0),
    loss=loss,
    adversary=True,
)
