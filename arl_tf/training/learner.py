"""The players' training step: encoder and task head against a decoder, the simulated adversary."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from arl_tf.defences.definition import Choice
from arl_tf.models import code_layers, losses, patch_critic
from arl_tf.training import averaging, defending, objective, players, replicas, rules
from arl_tf.training.keras_model import KerasModel
from arl_tf.training.phases import ADVERSARIAL, ADVERSARY, DEFENCE, FIGHTS, LOGGED, LOSSES, TASK
from arl_tf.training.step_images import (
    as_float,
    as_float32,
    as_target,
    by_step,
    parts_of,
)

__all__ = ["ADVERSARIAL", "ADVERSARY", "DEFENCE", "TASK", "AdversarialRepresentationLearner"]


@keras.saving.register_keras_serializable("arl_tf")
class AdversarialRepresentationLearner(KerasModel):
    """Encoder, task head and decoders, trained by alternating steps (arXiv 1911.10143, figure 2).

    Used as any Keras model: `compile()`, `fit(dataset)`, `evaluate(dataset)`, `save(path)` and
    `AdversarialRepresentationLearner.load(path)`. `arl_tf.adversarial_dataset` makes the batches.

    The phases share the code. `task` trains encoder and task head alone: a warm start; the
    unprotected reference is trained in this phase only. `adversary` trains the decoders alone,
    `adversarial` all of them in turn, `defence` encoder and task head with a defence that needs no
    decoder.
    """

    def __init__(
        self,
        encoder: keras.Model,
        task_head: keras.Model,
        decoder: keras.Model,
        *,
        perceptual_features: str | players.Features = players.DEFAULT_PERCEPTUAL,
        mean_image: np.ndarray | None = None,
        more_decoders: Sequence[keras.Model] = (),
        task_decoder: keras.Model | None = None,
        name: str = "adversarial_representation_learner",
        **kwargs: Any,
    ):
        """Takes the players.

        Args:
            encoder: image float32 [B, S, S, 3] in [0, 1] -> code.
            task_head: code -> logits [B, A].
            decoder: code -> reconstruction [B, S, S, 3] in [0, 1].
            perceptual_features: the frozen network g: a name of `perceptual.PERCEPTUAL_NETWORKS`,
                or a function (a Model would be saved with the players): image -> a feature map of
                unit-length channels for each layer.
            mean_image: float32 [S, S, 3], mean of the public images; the target of `toward_mean`.
                None: `fit` takes it from the data where it is needed.
            more_decoders: further adversaries beside `decoder`, likewise.
            task_decoder: logits -> reconstruction; learns beside the adversaries, and its output is
                the target of `toward_task`.
            name: of the model.
            **kwargs: of keras.Model.

        Raises:
            ValueError: the players do not fit together, or an unknown perceptual network.
        """
        # The players have their precision; a policy of mixed precision would round the images.
        super().__init__(name=name, **{"dtype": "float32", **kwargs})
        players.check_players(encoder, task_head, decoder)
        self.encoder = encoder
        self.task_head = task_head
        self.decoder = decoder
        self.more_decoders = list(more_decoders)
        self.task_decoder = task_decoder
        self.perceptual_name, self.perceptual_features = players.named_features(
            perceptual_features, encoder.input_shape[1]
        )
        self.mean_image = None if mean_image is None else as_target(mean_image)
        self.averages: averaging.WeightAverage | None = None
        self.critic: patch_critic.AdversaryCritic | None = None
        self.loss_trackers = {name: keras.metrics.Mean(name=name) for name in LOSSES}
        # fit() never runs call(), so Keras would take the model for unbuilt and refuse to save it.
        self.built = True

    def compile(
        self,
        protector_optimizer: str | keras.optimizers.Optimizer | None = None,
        adversary_optimizer: str | keras.optimizers.Optimizer | None = None,
        *,
        optimizer: str | keras.optimizers.Optimizer | None = None,
        loss: str | Callable[[tf.Tensor, tf.Tensor], tf.Tensor] = "binary",
        phase: str = ADVERSARIAL,
        metrics: rules.Metric | Sequence[rules.Metric] = (),
        privacy: str | losses.PrivacyObjective | None = rules.DEFAULT_PRIVACY,
        mu: float = 0.1,
        adversary_critic_weight: float = 0.0,
        decoder_steps: int = 1,
        lambda_rate: float = 0.0,
        lambda_rate_steps: int = 0,
        weight_average: float = 0.0,
        defence: Choice | None = None,
        private_labels: int = 0,
        jit_compile: bool = False,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
    ) -> None:
        """Sets how the players are trained.

        Args:
            protector_optimizer: of encoder and task head, or its name; None: AdamW.
            adversary_optimizer: of the decoders, or its name; None: Adam.
            optimizer: Keras' name for `protector_optimizer`.
            loss: of the task on logits: "binary" (labels {0, 1} [B, A]), "categorical" (class
                numbers [B] or one-hot [B, A]), another name or object of keras.losses, or a
                function (labels, logits) -> loss.
            phase: one of `phases.PHASES`.
            metrics: of the task, on labels and logits: one or several names or objects of
                keras.metrics, or functions (labels, logits) -> values; "accuracy" decides
                at a logit of 0, or by the greatest logit.
            privacy: the encoder's privacy term, or the name of its form; the adversarial phase
                needs one, or a defence.
            mu: weight of the perceptual loss in the adversary's own loss, formula (1).
            adversary_critic_weight: gamma, that of L_gan in the same; 0: no critic learns.
            decoder_steps: adversary steps per encoder step.
            lambda_rate: price per bit that the code's noise lets through.
            lambda_rate_steps: steps in which that price rises from 0; 0: it is there at once.
            weight_average: decay of a moving average of the weights of encoder and task head,
                which takes their place when `fit` ends, also where a callback ends it; one that
                then gives back the weights of its best epoch (EarlyStopping with
                restore_best_weights) gives back those that it measured. 0: none.
            defence: of `defences.registry.choice_of`; its layers are the encoder's own. Its loss
                counts in the phases adversarial and defence.
            private_labels: how many of the last labels only the defence sees, not the task.
            jit_compile: whether XLA compiles the step.
            run_eagerly: as in Keras.
            steps_per_execution: as in Keras.

        Raises:
            ValueError: an unknown phase, loss or name, a number out of its range, the adversarial
                phase without a privacy term, a defence in a phase that does not suit it, a
                target without its decoder, a metric on probabilities or of a name that is
                taken, or one optimizer for both sides.
        """
        privacy = rules.privacy_of(privacy)
        rules.check(phase, privacy, defence, self.task_decoder)
        rules.check_numbers(
            mu=mu,
            adversary_critic_weight=adversary_critic_weight,
            decoder_steps=decoder_steps,
            lambda_rate=lambda_rate,
            lambda_rate_steps=lambda_rate_steps,
            weight_average=weight_average,
            private_labels=private_labels,
        )
        super().compile(
            optimizer=None,
            loss=None,
            # The optimizers have scales of their own (loss_scaling); Keras would set another here.
            auto_scale_loss=False,
            jit_compile=jit_compile,
            run_eagerly=run_eagerly,
            steps_per_execution=steps_per_execution,
        )
        self.task_metrics = rules.task_metrics(metrics, loss)
        self.task_loss_name, self.task_loss = loss, losses.named_task_loss(loss)
        self.phase, self.privacy = phase, privacy
        self.defence, self.private_labels = defence, private_labels
        self.mu, self.adversary_critic_weight = mu, adversary_critic_weight
        self.critic = rules.critic_of(self, adversary_critic_weight)
        self.lambda_rate, self.lambda_rate_steps = lambda_rate, lambda_rate_steps
        self.decoder_steps, self.weight_average = decoder_steps, weight_average
        self.protector_optimizer, self.adversary_optimizer = rules.optimizers(
            self, rules.only_one(protector_optimizer, optimizer), adversary_optimizer
        )
        self.keep_mean_features()
        self.averages = averaging.begun(self.averages, self.averaged_variables, weight_average)
        self.defence_memory = defending.memory_of(defence, self)
        # A function: Keras would save a model that is an attribute once more.
        self.code_and_mean = code_layers.code_and_mean(self.encoder) if defence else None

    def train_step(self, batch) -> dict[str, tf.Tensor]:
        """One alternation: `decoder_steps` adversary steps on X2, then a protector step on X1.

        Args:
            batch: ((private_image, labels), public_images): float32 [B, S, S, 3] in [0, 1] or
                uint8, labels as `loss` takes them, and public images [decoder_steps, B, S, S, 3];
                with one decoder step also [B, S, S, 3].

        Returns:
            The phase's losses, running means since the epoch began; scalars.
        """
        (private_image, labels), public_images = parts_of(batch)
        public_images = by_step(as_float(public_images), self.adversary_steps)
        for step in range(self.adversary_steps):
            self.adversary_step(public_images[step])
        if self.phase != ADVERSARY:
            self.protector_step(as_float(private_image), labels)
        return replicas.logs(self.get_metrics_result())

    def adversary_step(self, public_image: tf.Tensor) -> None:
        """Formula (1): every decoder learns to reconstruct public images from their codes.

        `public_image` is float32 [B, S, S, 3] in [0, 1]. The losses that are logged are those of
        the first decoder; each one's gradient is its own.
        """
        # Inference mode and no tape: not one bit of the encoder moves, batch statistics included.
        code = as_float32(self.encoder(public_image, training=False))
        inputs = [(decoder, code) for decoder in self.decoders]
        if self.task_decoder is not None:
            logits = as_float32(self.task_head(code, training=False))
            inputs.append((self.task_decoder, logits))
        features = self.perceptual_features(public_image)
        with tf.GradientTape() as tape:
            pictures = [as_float32(decoder(seen, training=True)) for decoder, seen in inputs]
            distances = [self.distances(each, public_image, features) for each in pictures]
            each = [pixel + self.mu * perceptual for pixel, perceptual in distances]
            total = tf.add_n(each)
            judged = pictures[: len(self.decoders)]
            if self.critic is not None:
                total += self.adversary_critic_weight * self.critic.decoders_loss(judged)
            total = self.adversary_optimizer.scale_loss(total)
        variables = self.adversary_variables
        self.move(self.adversary_optimizer, tape.gradient(total, variables), variables)
        if self.critic is not None:
            self.critic.learn(self.move, public_image, judged)
        pixel, perceptual = distances[0]
        self.record(reconstruction_loss=each[0], pixel_loss=pixel, perceptual_loss=perceptual)
        if self.phase == ADVERSARY:
            self.record(loss=each[0])

    def protector_step(self, private_image: tf.Tensor, labels: tf.Tensor) -> None:
        """Formula (2): encoder and task head learn the task and to spoil the reconstruction.

        Args:
            private_image: float32 [B, S, S, 3] in [0, 1].
            labels: as the task's loss takes them; float32 [B, A] in {0, 1} for binary.
        """
        labels, private = defending.split_labels(labels, self.private_labels)
        with tf.GradientTape() as tape:
            code, mean = self.encode(private_image)
            rate = objective.rate(self.encoder)
            logits = as_float32(self.task_head(code, training=True))
            task_loss = self.task_loss(logits, labels)
            privacy_loss = objective.privacy_loss(self, code, logits, private_image)
            if self.defence is not None:
                step = defending.step_of(self, private_image, code, mean, labels, logits)
                step = dataclasses.replace(step, private=private)
                privacy_loss += defending.weighted_loss(self.defence, self.phase, step)
            loss = task_loss + privacy_loss + self.price() * rate
            scaled_loss = self.protector_optimizer.scale_loss(loss)
        variables = self.protector_variables
        self.move(self.protector_optimizer, tape.gradient(scaled_loss, variables), variables)
        if self.weight_average and self.averages:
            self.averages.follow(self.averaged_variables, self.protector_optimizer.iterations)
        if self.defence is not None:
            defending.observe(self.defence, step)
        self.record(loss=loss, task_loss=task_loss, privacy_loss=privacy_loss, rate_bits=rate)
        for metric in self.task_metrics:
            metric.update_state(labels, logits)

    def move(
        self,
        optimizer: keras.optimizers.Optimizer,
        gradients: Sequence[tf.Tensor],
        variables: Sequence[keras.Variable],
    ) -> None:
        """Takes a step along gradients of the variables' shapes, one for all replicas."""
        optimizer.apply(replicas.shared_gradients(gradients, optimizer), variables)

    def test_step(self, batch) -> dict[str, tf.Tensor]:
        """The task's loss on private images and the adversary's on public ones; nobody moves.

        Args:
            batch: as `train_step`; the adversary is measured on the first step's public images.

        Returns:
            The losses, running means since the evaluation began; scalars. `loss` is the task's.
        """
        evaluated = objective.evaluate(self, batch)
        for name, (value, count) in evaluated.losses.items():
            # By images, as the last batch may be smaller.
            self.loss_trackers[name].update_state(value, sample_weight=count)
        for metric in self.task_metrics:
            metric.update_state(evaluated.labels, evaluated.logits)
        names = [*evaluated.losses, *(metric.name for metric in self.task_metrics)]
        trackers = {**self.loss_trackers, **{each.name: each for each in self.task_metrics}}
        return {name: trackers[name].result() for name in names}

    def call(self, image: tf.Tensor, training: bool = False) -> tf.Tensor:
        """The simulated adversary's view of images, as `predict` gives it.

        Args:
            image: float32 [B, S, S, 3] in [0, 1] or uint8, as `fit` takes them.
            training: as in Keras.

        Returns:
            float32 [B, S, S, 3] in [0, 1].

        Raises:
            ValueError: images of another type.
        """
        code = self.encoder(as_float(image), training=training)
        return as_float32(self.decoder(code, training=training))

    def encode(self, image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Codes float32 [B, ...] in training, and what a defence sees of them without noise."""
        if self.code_and_mean is not None:
            code, mean = self.code_and_mean(image)
            return as_float32(code), as_float32(mean)
        code = as_float32(self.encoder(image, training=True))
        return code, code

    def price(self) -> tf.Tensor | float:
        """The price per bit that the code's noise lets through, in this step; a scalar >= 0."""
        return objective.price(self.lambda_rate, self.lambda_rate_steps, self.protector_optimizer)

    def distances(
        self,
        reconstruction: tf.Tensor,
        image: tf.Tensor,
        image_features: Sequence[tf.Tensor] | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """(L_pix, L_perc), scalars, between reconstructions and what they are compared with.

        Args:
            reconstruction: float32 [B, S, S, 3] in [0, 1].
            image: float32 [B or 1, S, S, 3] in [0, 1].
            image_features: g(image), where several decoders share it; None: it is computed.
        """
        if image_features is None:
            image_features = self.perceptual_features(image)
        found = self.perceptual_features(reconstruction)
        return (
            losses.pixel_loss(reconstruction, image),
            as_float32(losses.perceptual_loss(found, image_features)),
        )

    def record(self, **values: tf.Tensor) -> None:
        """Adds scalars to the running means that fit() logs."""
        for name, value in values.items():
            self.loss_trackers[name].update_state(value)

    @property
    def metrics(self) -> list:
        """The losses that this phase updates."""
        phase = getattr(self, "phase", ADVERSARIAL)
        found = [self.loss_trackers[name] for name in LOGGED[phase]]
        if self.critic and phase in FIGHTS:
            found.append(self.critic.tracker)
        return found if phase == ADVERSARY else [*found, *getattr(self, "task_metrics", ())]

    @property
    def adversary_steps(self) -> int:
        """Adversary steps for each encoder step: 0 in a phase in which no decoder learns."""
        return self.decoder_steps if self.phase in FIGHTS else 0

    @property
    def decoders(self) -> list[keras.Model]:
        """All adversaries; the first is the one that is watched and saved."""
        return [self.decoder, *self.more_decoders]

    @property
    def adversary_variables(self) -> list:
        """Trainable variables of the adversaries' side of the game."""
        learning = self.decoders + ([self.task_decoder] if self.task_decoder else [])
        return [variable for player in learning for variable in player.trainable_variables]

    @property
    def protector_variables(self) -> list:
        """Trainable variables of the encoder's side of the game."""
        return self.encoder.trainable_variables + self.task_head.trainable_variables

    @property
    def averaged_variables(self) -> list:
        """What `weight_average` averages: weights and moving statistics of the encoder's side."""
        return self.encoder.variables + self.task_head.variables

    def use_averages(self) -> None:
        """Gives encoder and task head the averages of their weights, where there are any."""
        if self.averages:
            self.averages.use(self.averaged_variables)
