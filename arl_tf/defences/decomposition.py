"""Drops redundant directions of the code, then adds noise to what is left."""

from arl_tf.defences.bottleneck import ProjectedCode
from arl_tf.defences.definition import Defence, Number
from arl_tf.models.code_layers import NoisyCode

# Where ours differs: InfoDecom removes visual information in the frequency domain and task-free
# information by an information-bottleneck loss, and sizes its Gaussian noise by a Fisher bound.
# Here one learned projection, trained by the task, does the removing, and the noise's size is set.
DECOMPOSITION = Defence(
    "After InfoDecom (Deng et al., AAAI 2026, arXiv 2511.13365)",
    Number("Deviation of the noise, for a code of variance 1.", 1.0, 1e-3, 100.0),
    Number("Share of the channels' directions that is kept.", 0.25, 1e-3, 1.0),
    layers=lambda strength, bound: [
        ProjectedCode(bound, name="defence_projection"),
        NoisyCode(strength, name="defence_noise"),
    ],
)
