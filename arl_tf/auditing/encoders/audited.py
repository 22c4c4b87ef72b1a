"""What is audited: a run's encoder, a file's, or recorded codes; all alike to the audit."""

import dataclasses
import hashlib
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from arl_tf.auditing.channel import Channel
from arl_tf.auditing.encoders import measured_noise
from arl_tf.auditing.encoders.external import ExternalEncoder, RecordedCodes
from arl_tf.data.image_sets import to_float
from arl_tf.models import code_layers, costs
from arl_tf.models.fingerprint import weights_hash
from arl_tf.models.inference import in_batches

BATCH = 128
RECORDED = "only recorded codes are at hand"
Encode = Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class AuditedEncoder:
    """An encoder, or what it once said, and the channel through which its codes leave.

    Attributes:
        words: what it is, for the report.
        sha256: of the encoder's weights or of the recorded codes.
        code_shape: of one code, before it may have been flattened.
        channel: what happens to every code before anybody else sees it.
        encoder: uint8 [n, S, S, 3] -> codes float32 [n, ...], before the channel; None where there
            are only recorded codes.
        differentiable: float32 [B, S, S, 3] in [0, 1] -> code, before the channel; None where the
            encoder's inside is not at hand.
        not_white_box: why not.
        task_output: codes [n, ...] -> logits float32 [n, A]; None where there is no task head yet.
        recorded: codes float32 [N, ...] of every image of the data set; None with an encoder.
        recorded_logits: float32 [N, A], likewise.
        adversary: codes [n, ...] -> reconstructions float32 [n, S, S, 3]: training's own decoder;
            None where none was trained.
        levels: that the encoder rounds every value to; 0: none.
        signal_share: float32 of a code's shape, the share of each value's variance that is not the
            encoder's noise; None without noise.
        signal: images -> codes before that noise; None without noise.
        spread: float32 [B, S, S, 3] -> codes float32 [k, B, ...] with noise that stands for all of
            the encoder's, where that is known or measured and no deviation tells it; else None.
        noise_deviation: float64 of a code's shape, the deviation of the Gaussian noise that the
            encoder draws, where whoever asks for the audit has told it; else None.
        multiply_adds: of one image up to the code, and of the task head; None where not known.
        mean_draws: of so many random codes `differentiable` gives the mean, of new ones each time;
            0: it is exact.
        straight_through: whether its gradients pass a file's rounding as if it were not there.
        share: (which one, of how many) where codes are one share of a divided code; else None.
    """

    words: str
    sha256: str
    code_shape: tuple[int, ...]
    channel: Channel
    encoder: Encode | None = None
    differentiable: Callable[[tf.Tensor], tf.Tensor] | None = None
    not_white_box: str = ""
    task_output: Encode | None = None
    recorded: np.ndarray | None = None
    recorded_logits: np.ndarray | None = None
    adversary: Encode | None = None
    levels: int = 0
    signal_share: np.ndarray | None = None
    signal: Encode | None = None
    spread: Callable[[tf.Tensor], tf.Tensor] | None = None
    noise_deviation: np.ndarray | None = None
    multiply_adds: tuple[int, int] | None = None
    mean_draws: int = 0
    straight_through: bool = False
    share: tuple[int, int] | None = None

    def codes_of(self, rows: np.ndarray, images: np.ndarray, seed: int) -> np.ndarray:
        """Codes float32 [n, ...], as they leave, of rows int [n] of the data set's images.

        These are uint8 [N, S, S, 3]; the seed draws the channel's noise.
        """
        if self.recorded is not None:
            codes = self.recorded[rows]
        else:
            codes = self.encoder(np.asarray(images[rows]))
        return self.channel.send(codes, seed)

    def query(self, images: np.ndarray, seed: int) -> np.ndarray:
        """Codes of any images, as they leave; uint8 [n, S, S, 3] -> float32 [n, ...]."""
        return self.channel.send(self.encoder(images), seed)

    @property
    def white_box(self) -> Callable[[tf.Tensor], tf.Tensor] | None:
        """The encoder and the channel as a differentiable function; None where it is closed.

        Image float32 [B, S, S, 3] in [0, 1] -> code float32 [B, ...]; of noisy codes the mean.
        """
        if self.differentiable is None:
            return None
        if self.spread is not None and self.channel.clip:
            return lambda image: tf.reduce_mean(self.channel.differentiable(self.spread(image)), 0)
        deviation = self._deviation()
        return lambda image: self.channel.differentiable(self.differentiable(image), deviation)

    def _deviation(self) -> np.ndarray | float:
        """Of Gaussian noise before the channel, of a code's shape; 0 where none is known."""
        if self.noise_deviation is not None:
            return self.noise_deviation
        # What is rounded behind the noise has noise of no such form.
        if self.signal_share is None or self.levels:
            return 0.0
        return np.sqrt(1 - self.signal_share)


def trained_encoder(
    encoder: keras.Model,
    task_head: keras.Model,
    decoder: keras.Model | None,
    *,
    channel: Channel,
    words: str,
) -> AuditedEncoder:
    """A run's players as an audited encoder; the decoder is training's own adversary."""
    noisy, quantised = code_layers.bounding_layers(encoder)
    # Other noise has no shares: what attackers know of it is measured.
    gaussian = noisy if noisy is not None and noisy.is_gaussian else None
    code_layers.make_unpredictable(encoder)
    return AuditedEncoder(
        words=words,
        sha256=weights_hash(encoder),
        code_shape=encoder.output_shape[1:],
        channel=channel,
        encoder=encoding(encoder),
        differentiable=code_layers.mean_encoder(encoder),
        task_output=predicting(task_head),
        adversary=decoder and predicting(decoder),
        levels=quantised.levels if quantised else 0,
        signal_share=gaussian and np.asarray(gaussian.signal_share),
        spread=code_layers.spread_encoder(encoder),
        signal=gaussian and encoding(code_layers.signal_encoder(encoder)),
        multiply_adds=(costs.multiply_adds(encoder), costs.multiply_adds(task_head)),
    )


def external_audited_encoder(
    external: ExternalEncoder, task_output: Encode | None, *, channel: Channel, words: str
) -> AuditedEncoder:
    """An encoder that is only a file, with a SavedModel's task head or none."""
    return AuditedEncoder(
        words=words,
        sha256=external.sha256,
        code_shape=external.code_shape,
        channel=channel,
        encoder=external.encode,
        differentiable=external.differentiable,
        not_white_box=external.why_not,
        task_output=task_output,
        # Without a limit the channel leaves the mean as it is.
        spread=measured_noise.spread_of(external) if channel.clip else None,
        mean_draws=external.mean_draws,
        straight_through=external.straight_through,
    )


def recorded_encoder(codes: RecordedCodes, *, channel: Channel, words: str) -> AuditedEncoder:
    """Recorded codes as an audited encoder: nothing can be asked, nothing differentiated."""
    return AuditedEncoder(
        words=words,
        sha256=hashlib.sha256(np.ascontiguousarray(codes.codes).tobytes()).hexdigest(),
        code_shape=codes.code_shape,
        channel=channel,
        not_white_box=RECORDED,
        recorded=codes.codes,
        recorded_logits=codes.logits,
    )


def as_recorded(audited_encoder: AuditedEncoder, images: np.ndarray) -> AuditedEncoder:
    """The same encoder as if only its codes of the data set had been recorded.

    `images` are all of the data set, uint8 [N, S, S, 3].
    A reference beside recorded codes must not be attacked in ways that those can't be.
    """
    if audited_encoder.encoder is None:
        return audited_encoder
    return dataclasses.replace(
        audited_encoder,
        encoder=None,
        differentiable=None,
        not_white_box=RECORDED,
        recorded=audited_encoder.encoder(np.asarray(images)),
    )


def encoding(encoder: keras.Model) -> Encode:
    """A Keras encoder as a function: uint8 [n, S, S, 3] -> codes float32 [n, ...]."""

    @tf.function(autograph=False, reduce_retracing=True)
    def encode(images):
        return encoder(to_float(images), training=False)

    return lambda images: np.concatenate(
        [
            encode(tf.constant(images[start : start + BATCH])).numpy()
            for start in range(0, len(images), BATCH)
        ]
    )


def predicting(model: keras.Model) -> Encode:
    """A Keras model's output in inference mode as a function: float32 [n, ...] -> [n, ...]."""
    return lambda values: in_batches(model, values, BATCH)
