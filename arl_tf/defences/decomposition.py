"""Drops redundant directions of the code, then adds noise to what is left."""

import math

import keras

from arl_tf.defences.bottleneck import ProjectedCode, kept_directions
from arl_tf.defences.definition import Defence, Number
from arl_tf.models.code_layers import NoisyCode


@keras.saving.register_keras_serializable(package="arl_tf")
class NoiseOfDirections(NoisyCode):
    """Gaussian noise of a deviation in units of the directions that `ProjectedCode` kept.

    A projection from C channels onto r directions and back gives every direction C / r times the
    variance of a channel. Noise of the same deviation in all channels has in each direction the
    deviation that it has in a channel. So it is sqrt(C / r) times larger than asked for. What it
    has outside the directions hides nothing: whoever knows the directions projects it away.

    It is drawn in all channels, because attackers are told the variance of each value of a code,
    and noise within the directions alone would not be independent between channels.
    """

    def __init__(self, deviation: float, share: float, **kwargs):
        """Takes the deviation beside a direction of variance 1, > 0, and the share kept."""
        super().__init__(deviation, **kwargs)
        self.share = share

    def first_deviation(self, input_shape: tuple[int | None, ...]) -> float:
        """The deviation beside channels [B, ..., C] of variance 1; > 0."""
        channels = int(input_shape[-1] or 0)
        return self.deviation * math.sqrt(channels / kept_directions(self.share, channels))

    def get_config(self):
        """What the layer is rebuilt from."""
        return {**super().get_config(), "share": self.share}


# Where ours differs: InfoDecom removes visual information in the frequency domain ("visual
# information removal") and task-free information by an information-bottleneck loss ("mutual
# information suppression"), and then sizes its Gaussian noise by a bound from Fisher information
# (FSInfo). Here one learned projection, trained by the task, does the removing, and the noise's
# size is set.
DECOMPOSITION = Defence(
    "After InfoDecom (Deng et al., AAAI 2026, arXiv 2511.13365)",
    Number("Deviation of the noise, for a kept direction of variance 1.", 1.0, 1e-3, 100.0),
    Number("Share of the channels' directions that is kept.", 0.25, 1e-3, 1.0),
    layers=lambda strength, bound: [
        ProjectedCode(bound, name="defence_projection"),
        NoiseOfDirections(strength, bound, name="defence_noise"),
    ],
)
