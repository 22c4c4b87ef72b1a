"""The players' training step: encoder and task head against a decoder, the simulated adversary."""

from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from arl_tf.models import losses
from arl_tf.models.losses import TOWARD_MEAN, TOWARD_TASK

TASK, ADVERSARY, ADVERSARIAL = "task", "adversary", "adversarial"
PHASES = (TASK, ADVERSARY, ADVERSARIAL)
PROTECTOR_LOSSES = ("loss", "task_loss", "privacy_loss", "rate_bits")
ADVERSARY_LOSSES = ("reconstruction_loss", "pixel_loss", "perceptual_loss")


class AdversarialRepresentationLearner(keras.Model):
    """Encoder, task head and decoders, trained by alternating steps (arXiv 1911.10143, figure 2).

    Three phases share the code: `task` trains encoder and task head alone (a warm start, and all
    there is of the unprotected reference), `adversary` the decoders alone, `adversarial` all of
    them in turn.
    """

    def __init__(
        self,
        encoder: keras.Model,
        task_head: keras.Model,
        decoder: keras.Model,
        *,
        perceptual_features: Callable[[tf.Tensor], Sequence[tf.Tensor]],
        mean_image: np.ndarray,
        more_decoders: Sequence[keras.Model] = (),
        task_decoder: keras.Model | None = None,
        name: str = "adversarial_representation_learner",
    ):
        """Takes the players.

        Args:
            encoder: image float32 [B, S, S, 3] in [0, 1] -> code.
            task_head: code -> logits [B, A].
            decoder: code -> reconstruction [B, S, S, 3] in [0, 1].
            perceptual_features: the frozen network g as a function (a Model would be saved with the
                players): image -> a feature map of unit-length channels for each layer.
            mean_image: float32 [S, S, 3], mean of the public images; the target of `toward_mean`.
            more_decoders: further adversaries beside `decoder`, likewise.
            task_decoder: logits -> reconstruction; learns beside the adversaries, and its output is
                the target of `toward_task`.
            name: of the model.
        """
        super().__init__(name=name)
        self.encoder = encoder
        self.task_head = task_head
        self.decoder = decoder
        self.more_decoders = list(more_decoders)
        self.task_decoder = task_decoder
        self.perceptual_features = perceptual_features
        self.mean_image = tf.constant(mean_image[None], tf.float32)
        self.loss_trackers = {
            name: keras.metrics.Mean(name=name) for name in PROTECTOR_LOSSES + ADVERSARY_LOSSES
        }
        # fit() never runs call(), so Keras would take the model for unbuilt and refuse to save it.
        self.built = True

    def compile(
        self,
        protector_optimizer: keras.optimizers.Optimizer,
        adversary_optimizer: keras.optimizers.Optimizer,
        *,
        phase: str,
        privacy: losses.PrivacyObjective | None = None,
        mu: float = 0.1,
        decoder_steps: int = 1,
        lambda_rate: float = 0.0,
    ) -> None:
        """Sets how the players are trained.

        Args:
            protector_optimizer: of encoder and task head.
            adversary_optimizer: of the decoder.
            phase: one of PHASES.
            privacy: the encoder's privacy term; needed in the adversarial phase.
            mu: weight of the perceptual loss in the adversary's own loss, formula (1).
            decoder_steps: adversary steps per encoder step.
            lambda_rate: price of a bit that the code's noise lets through.

        Raises:
            ValueError: an unknown phase, the adversarial phase without a privacy term, or a target
                without its decoder.
        """
        if phase not in PHASES:
            raise ValueError(f"phase must be one of {', '.join(PHASES)}; got {phase!r}.")
        if phase == ADVERSARIAL and privacy is None:
            raise ValueError("The adversarial phase needs a privacy objective, got None.")
        if privacy and privacy.form == TOWARD_TASK and self.task_decoder is None:
            raise ValueError("The form toward_task needs a task_decoder, got None.")
        super().compile(optimizer=None, loss=None, jit_compile=False)
        self.protector_optimizer = protector_optimizer
        self.adversary_optimizer = adversary_optimizer
        # Built here, or loading a checkpoint would silently skip their state.
        protector_optimizer.build(self.protector_variables)
        adversary_optimizer.build(self.adversary_variables)
        self.phase = phase
        self.privacy = privacy
        self.mu = mu
        self.decoder_steps = decoder_steps
        self.lambda_rate = lambda_rate

    @property
    def decoders(self) -> list[keras.Model]:
        """All adversaries; the first is the one that is watched and saved."""
        return [self.decoder, *self.more_decoders]

    @property
    def adversary_variables(self) -> list:
        """Trainable variables of the adversaries' side of the game."""
        players = self.decoders + ([self.task_decoder] if self.task_decoder else [])
        return [variable for player in players for variable in player.trainable_variables]

    @property
    def protector_variables(self) -> list:
        """Trainable variables of the encoder's side of the game."""
        return self.encoder.trainable_variables + self.task_head.trainable_variables

    @property
    def metrics(self) -> list:
        """The losses that this phase updates."""
        names = {
            TASK: PROTECTOR_LOSSES,
            ADVERSARY: ("loss", *ADVERSARY_LOSSES),
            ADVERSARIAL: PROTECTOR_LOSSES + ADVERSARY_LOSSES,
        }[getattr(self, "phase", ADVERSARIAL)]
        return [self.loss_trackers[name] for name in names]

    def call(self, image: tf.Tensor, training: bool = False) -> tf.Tensor:
        """The simulated adversary's view of images; both float32 [B, S, S, 3] in [0, 1]."""
        return self.decoder(self.encoder(image, training=training), training=training)

    def train_step(self, batch) -> dict[str, tf.Tensor]:
        """One alternation: `decoder_steps` adversary steps on X2, then a protector step on X1.

        Args:
            batch: ((private_image, attributes), public_images): float32 [B, S, S, 3] in [0, 1],
                float32 [B, A] in {0, 1}, and float32 [decoder_steps, B, S, S, 3] in [0, 1].

        Returns:
            The phase's losses, running means since the epoch began; scalars.
        """
        (private_image, attributes), public_images = batch
        if self.phase != TASK:
            for step in range(self.decoder_steps):
                self.adversary_step(public_images[step])
        if self.phase != ADVERSARY:
            self.protector_step(private_image, attributes)
        return {metric.name: metric.result() for metric in self.metrics}

    def adversary_step(self, public_image: tf.Tensor) -> None:
        """Formula (1): every decoder learns to reconstruct public images from their codes.

        `public_image` is float32 [B, S, S, 3] in [0, 1]. The losses that are logged are those of
        the first decoder; each one's gradient is its own.
        """
        # Inference mode and no tape: not one bit of the encoder moves, batch statistics included.
        code = self.encoder(public_image, training=False)
        inputs = [(decoder, code) for decoder in self.decoders]
        if self.task_decoder is not None:
            inputs.append((self.task_decoder, self.task_head(code, training=False)))
        with tf.GradientTape() as tape:
            distances = [
                self.distances(decoder(seen, training=True), public_image)
                for decoder, seen in inputs
            ]
            each = [pixel + self.mu * perceptual for pixel, perceptual in distances]
            total = tf.add_n(each)
        variables = self.adversary_variables
        self.adversary_optimizer.apply(tape.gradient(total, variables), variables)
        pixel, perceptual = distances[0]
        self.record(reconstruction_loss=each[0], pixel_loss=pixel, perceptual_loss=perceptual)
        if self.phase == ADVERSARY:
            self.record(loss=each[0])

    def protector_step(self, private_image: tf.Tensor, attributes: tf.Tensor) -> None:
        """Formula (2): encoder and task head learn the task and to spoil the reconstruction.

        Args:
            private_image: float32 [B, S, S, 3] in [0, 1].
            attributes: float32 [B, A] in {0, 1}.
        """
        with tf.GradientTape() as tape:
            code = self.encoder(private_image, training=True)
            rate = tf.add_n(self.encoder.losses) if self.encoder.losses else tf.zeros(())
            logits = self.task_head(code, training=True)
            task_loss = losses.task_loss(logits, attributes)
            privacy_loss = self.privacy_loss(code, logits, private_image)
            loss = task_loss + privacy_loss + self.lambda_rate * rate
        variables = self.protector_variables
        self.protector_optimizer.apply(tape.gradient(loss, variables), variables)
        self.record(loss=loss, task_loss=task_loss, privacy_loss=privacy_loss, rate_bits=rate)

    def privacy_loss(self, code: tf.Tensor, logits: tf.Tensor, image: tf.Tensor) -> tf.Tensor:
        """The privacy term of formula (2), a mean over decoders; 0 while there is no adversary."""
        if self.phase == TASK:
            return tf.zeros(())
        target = self.target(logits, image)
        # Decoders as an adversary would use them: their statistics must not move in this step.
        terms = [
            self.privacy.loss(*self.distances(decoder(code, training=False), target))
            for decoder in self.decoders
        ]
        return tf.add_n(terms) / len(terms)

    def target(self, logits: tf.Tensor, image: tf.Tensor) -> tf.Tensor:
        """What the privacy term compares reconstructions with; float32 [B or 1, S, S, 3]."""
        if self.privacy.form == TOWARD_MEAN:
            return self.mean_image
        if self.privacy.form == TOWARD_TASK:
            # The target is what it is: the task must not be spoiled in order to change it.
            return tf.stop_gradient(self.task_decoder(logits, training=False))
        return image

    def distances(self, reconstruction: tf.Tensor, image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """(L_pix, L_perc) between float32 [B, S, S, 3] and [B or 1, S, S, 3], both in [0, 1]."""
        pixel = losses.pixel_loss(reconstruction, image)
        perceptual = losses.perceptual_loss(
            self.perceptual_features(reconstruction), self.perceptual_features(image)
        )
        return pixel, perceptual

    def record(self, **values: tf.Tensor) -> None:
        """Adds values to the running means that fit() logs."""
        for name, value in values.items():
            self.loss_trackers[name].update_state(value)
