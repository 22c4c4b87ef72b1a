"""The players' training step: encoder and task head against a decoder, the simulated adversary."""

from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from arl_tf import losses

TASK, ADVERSARY, ADVERSARIAL = "task", "adversary", "adversarial"
PHASES = (TASK, ADVERSARY, ADVERSARIAL)
PROTECTOR_LOSSES = ("loss", "task_loss", "privacy_loss")
ADVERSARY_LOSSES = ("reconstruction_loss", "pixel_loss", "perceptual_loss")


class AdversarialRepresentationLearner(keras.Model):
    """Encoder, task head and decoder, trained by alternating steps (arXiv 1911.10143, figure 2).

    Three phases share the code: `task` trains encoder and task head alone (a warm start, and all
    there is of the unprotected reference), `adversary` the decoder alone, `adversarial` all of them
    in turn.
    """

    def __init__(
        self,
        encoder: keras.Model,
        task_head: keras.Model,
        decoder: keras.Model,
        *,
        perceptual_features: Callable[[tf.Tensor], Sequence[tf.Tensor]],
        mean_image: np.ndarray,
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
            name: of the model.
        """
        super().__init__(name=name)
        self.encoder = encoder
        self.task_head = task_head
        self.decoder = decoder
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
    ) -> None:
        """Sets how the players are trained.

        Args:
            protector_optimizer: of encoder and task head.
            adversary_optimizer: of the decoder.
            phase: one of PHASES.
            privacy: the encoder's privacy term; needed in the adversarial phase.
            mu: weight of the perceptual loss in the adversary's own loss, formula (1).
            decoder_steps: adversary steps per encoder step.

        Raises:
            ValueError: an unknown phase, or the adversarial phase without a privacy term.
        """
        if phase not in PHASES:
            raise ValueError(f"phase must be one of {', '.join(PHASES)}; got {phase!r}.")
        if phase == ADVERSARIAL and privacy is None:
            raise ValueError("The adversarial phase needs a privacy objective, got None.")
        super().compile(optimizer=None, loss=None, jit_compile=False)
        self.protector_optimizer = protector_optimizer
        self.adversary_optimizer = adversary_optimizer
        # Built here, or loading a checkpoint would silently skip their state.
        protector_optimizer.build(self.protector_variables)
        adversary_optimizer.build(self.decoder.trainable_variables)
        self.phase = phase
        self.privacy = privacy
        self.mu = mu
        self.decoder_steps = decoder_steps

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
        """Formula (1): the decoder learns to reconstruct public images from their codes.

        `public_image` is float32 [B, S, S, 3] in [0, 1].
        """
        # Inference mode and no tape: not one bit of the encoder moves, batch statistics included.
        code = self.encoder(public_image, training=False)
        with tf.GradientTape() as tape:
            reconstruction = self.decoder(code, training=True)
            pixel, perceptual = self.distances(reconstruction, public_image)
            loss = pixel + self.mu * perceptual
        variables = self.decoder.trainable_variables
        self.adversary_optimizer.apply(tape.gradient(loss, variables), variables)
        self.record(reconstruction_loss=loss, pixel_loss=pixel, perceptual_loss=perceptual)
        if self.phase == ADVERSARY:
            self.record(loss=loss)

    def protector_step(self, private_image: tf.Tensor, attributes: tf.Tensor) -> None:
        """Formula (2): encoder and task head learn the task and to spoil the reconstruction.

        Args:
            private_image: float32 [B, S, S, 3] in [0, 1].
            attributes: float32 [B, A] in {0, 1}.
        """
        with tf.GradientTape() as tape:
            code = self.encoder(private_image, training=True)
            task_loss = losses.task_loss(self.task_head(code, training=True), attributes)
            privacy_loss = self.privacy_loss(code, private_image)
            loss = task_loss + privacy_loss
        variables = self.protector_variables
        self.protector_optimizer.apply(tape.gradient(loss, variables), variables)
        self.record(loss=loss, task_loss=task_loss, privacy_loss=privacy_loss)

    def privacy_loss(self, code: tf.Tensor, image: tf.Tensor) -> tf.Tensor:
        """The privacy term of formula (2); 0 while there is no adversary."""
        if self.phase == TASK:
            return tf.zeros(())
        # The decoder as the adversary would use it: its own statistics must not move in this step.
        reconstruction = self.decoder(code, training=False)
        target = self.mean_image if self.privacy.compares_with_mean else image
        return self.privacy.loss(*self.distances(reconstruction, target))

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
