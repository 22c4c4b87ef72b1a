"""The players' training step: encoder and task head against a decoder, the simulated adversary."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from arl_tf.data.image_sets import to_float
from arl_tf.defences.definition import Choice
from arl_tf.models import code_layers, losses
from arl_tf.models.losses import TOWARD_MEAN, TOWARD_TASK
from arl_tf.models.pretrained import perceptual
from arl_tf.training import defending, loss_scaling, replicas
from arl_tf.training.averaging import UseAverages, WeightAverage
from arl_tf.training.phases import ADVERSARIAL, ADVERSARY, DEFENCE, FIGHTS, PHASES, TASK

__all__ = ["ADVERSARIAL", "ADVERSARY", "DEFENCE", "TASK", "AdversarialRepresentationLearner"]

PROTECTOR_LOSSES = ("loss", "task_loss", "privacy_loss", "rate_bits")
ADVERSARY_LOSSES = ("reconstruction_loss", "pixel_loss", "perceptual_loss")
DEFAULT_PERCEPTUAL = "efficientnet_lite0"
CUSTOM_PERCEPTUAL = "custom"
# Defaults of `compile`, those of the flags of the same names.
PROTECTOR_RATE, ADVERSARY_RATE, WEIGHT_DECAY, CLIP_NORM = 3e-4, 2e-3, 1e-2, 5.0
DEFAULT_PRIVACY = losses.PrivacyObjective("negative", 0.0, 0.02)
MEAN_IMAGE_BATCHES = 50
# Plain arguments of `compile` that `save` keeps; files of older versions lack some.
COMPILED = (
    "phase",
    "mu",
    "decoder_steps",
    "lambda_rate",
    "lambda_rate_steps",
    "weight_average",
    "private_labels",
    "jit_compile",
)
PLAYERS = ("encoder", "task_head", "decoder", "task_decoder")


@keras.saving.register_keras_serializable("arl_tf")
class AdversarialRepresentationLearner(keras.Model):
    """Encoder, task head and decoders, trained by alternating steps (arXiv 1911.10143, figure 2).

    Used as any Keras model: `compile()`, `fit(dataset)`, `evaluate(dataset)`, `save(path)` and
    `keras.models.load_model(path)`. `arl_tf.adversarial_dataset` makes the batches.

    The phases share the code: `task` trains encoder and task head alone (a warm start, and all
    there is of the unprotected reference), `adversary` the decoders alone, `adversarial` all of
    them in turn, `defence` encoder and task head with a defence that needs no decoder.
    """

    def __init__(
        self,
        encoder: keras.Model,
        task_head: keras.Model,
        decoder: keras.Model,
        *,
        perceptual_features: str | Callable[[tf.Tensor], Sequence[tf.Tensor]] = DEFAULT_PERCEPTUAL,
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
        super().__init__(name=name, **kwargs)
        check_players(encoder, task_head, decoder)
        self.encoder = encoder
        self.task_head = task_head
        self.decoder = decoder
        self.more_decoders = list(more_decoders)
        self.task_decoder = task_decoder
        self.perceptual_name = CUSTOM_PERCEPTUAL
        if isinstance(perceptual_features, str):
            self.perceptual_name = perceptual_features
            perceptual_features = named_features(perceptual_features, encoder.input_shape[1])
        self.perceptual_features = perceptual_features
        self.mean_image = None if mean_image is None else as_target(mean_image)
        self.averages: WeightAverage | None = None
        self.loss_trackers = {
            name: keras.metrics.Mean(name=name) for name in PROTECTOR_LOSSES + ADVERSARY_LOSSES
        }
        # fit() never runs call(), so Keras would take the model for unbuilt and refuse to save it.
        self.built = True

    def compile(
        self,
        protector_optimizer: keras.optimizers.Optimizer | None = None,
        adversary_optimizer: keras.optimizers.Optimizer | None = None,
        *,
        loss: str | Callable[[tf.Tensor, tf.Tensor], tf.Tensor] = "binary",
        phase: str = ADVERSARIAL,
        privacy: losses.PrivacyObjective | None = DEFAULT_PRIVACY,
        mu: float = 0.1,
        decoder_steps: int = 1,
        lambda_rate: float = 0.0,
        lambda_rate_steps: int = 0,
        weight_average: float = 0.0,
        defence: Choice | None = None,
        private_labels: int = 0,
        jit_compile: bool = False,
    ) -> None:
        """Sets how the players are trained.

        Args:
            protector_optimizer: of encoder and task head; None: AdamW.
            adversary_optimizer: of the decoder; None: Adam.
            loss: of the task on logits: "binary" (labels {0, 1} [B, A]), "categorical" (class
                numbers [B] or one-hot [B, A]), another name or object of keras.losses, or a
                function (labels, logits) -> loss.
            phase: one of PHASES.
            privacy: the encoder's privacy term; needed in the adversarial phase.
            mu: weight of the perceptual loss in the adversary's own loss, formula (1).
            decoder_steps: adversary steps per encoder step.
            lambda_rate: price of a bit that the code's noise lets through.
            lambda_rate_steps: steps in which that price rises from 0; 0: it is there at once.
            weight_average: decay of a moving average of the weights of encoder and task head, which
                takes their place when `fit` ends; 0: none.
            defence: a published defence with its numbers, of `defences.registry.chosen`; its layers
                are the encoder's own. Its loss counts in the phases adversarial and defence.
            private_labels: how many of the last labels are private attributes, which the defence
                sees and the task does not.
            jit_compile: whether XLA compiles the step.

        Raises:
            ValueError: an unknown phase or loss, the adversarial phase without a privacy term, a
                defence in a phase that does not suit it, or a target without its decoder.
        """
        if phase not in PHASES:
            raise ValueError(f"phase must be one of {', '.join(PHASES)}; got {phase!r}.")
        if phase == ADVERSARIAL and privacy is None and defence is None:
            raise ValueError("The adversarial phase needs a privacy objective, got None.")
        defending.check_phase(phase, defence)
        if privacy and privacy.form == TOWARD_TASK and self.task_decoder is None:
            raise ValueError("The form toward_task needs a task_decoder, got None.")
        super().compile(optimizer=None, loss=None, jit_compile=jit_compile)
        protector_optimizer = protector_optimizer or keras.optimizers.AdamW(
            PROTECTOR_RATE, weight_decay=WEIGHT_DECAY, global_clipnorm=CLIP_NORM
        )
        adversary_optimizer = adversary_optimizer or keras.optimizers.Adam(
            ADVERSARY_RATE, global_clipnorm=CLIP_NORM
        )
        # Either player's gradients pass all networks, whichever of them compute in float16.
        everyone = [self.encoder, self.task_head, *self.decoders]
        protector_optimizer = loss_scaling.scaled(protector_optimizer, everyone)
        adversary_optimizer = loss_scaling.scaled(adversary_optimizer, everyone)
        self.protector_optimizer = protector_optimizer
        self.adversary_optimizer = adversary_optimizer
        self.task_loss_name = loss
        self.task_loss = losses.named_task_loss(loss)
        # Built here, or loading a checkpoint would silently skip their state.
        protector_optimizer.build(self.protector_variables)
        adversary_optimizer.build(self.adversary_variables)
        self.phase = phase
        self.privacy = privacy
        self.mu = mu
        self.decoder_steps = decoder_steps
        self.lambda_rate = lambda_rate
        self.lambda_rate_steps = lambda_rate_steps
        self.weight_average = weight_average
        self.defence = defence
        self.private_labels = private_labels
        self.defence_memory = defending.memory_of(defence, self)
        if defence is not None:
            # A function: Keras would save a model that is an attribute once more.
            self.code_and_mean = code_layers.code_and_mean(self.encoder)
        if weight_average:
            self.averages = self.averages or WeightAverage(self.averaged_variables, weight_average)
            self.averages.decay = weight_average
            self.averages.begin(self.averaged_variables)

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
    def averaged_variables(self) -> list:
        """What `weight_average` averages: weights and moving statistics of the encoder's side."""
        return self.encoder.variables + self.task_head.variables

    @property
    def metrics(self) -> list:
        """The losses that this phase updates."""
        names = {
            TASK: PROTECTOR_LOSSES,
            ADVERSARY: ("loss", *ADVERSARY_LOSSES),
            ADVERSARIAL: PROTECTOR_LOSSES + ADVERSARY_LOSSES,
            DEFENCE: PROTECTOR_LOSSES,
        }[getattr(self, "phase", ADVERSARIAL)]
        return [self.loss_trackers[name] for name in names]

    def call(self, image: tf.Tensor, training: bool = False) -> tf.Tensor:
        """The simulated adversary's view of images; both float32 [B, S, S, 3] in [0, 1]."""
        return self.decoder(self.encoder(image, training=training), training=training)

    def fit(self, x: Any = None, **kwargs: Any) -> keras.callbacks.History:
        """Trains on a dataset of `train_step`'s batches; other arguments are those of Keras.

        Takes the mean image of the public images from the data where the privacy term needs it.
        """
        if self.mean_image is None and self.privacy and self.privacy.form == TOWARD_MEAN:
            self.mean_image = as_target(mean_public_image(x))
        if isinstance(x, tf.data.Dataset):
            # It is shuffled already; Keras warns of its own default otherwise.
            kwargs.setdefault("shuffle", False)
        if self.weight_average and self.phase != ADVERSARY:
            kwargs["callbacks"] = [UseAverages(), *(kwargs.get("callbacks") or ())]
        return super().fit(x, **kwargs)

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Nothing: the players are built, and Keras fails here with batches of several machines."""

    def train_step(self, batch) -> dict[str, tf.Tensor]:
        """One alternation: `decoder_steps` adversary steps on X2, then a protector step on X1.

        Args:
            batch: ((private_image, labels), public_images): float32 [B, S, S, 3] in [0, 1] or
                uint8, labels as `loss` takes them, and public images [decoder_steps, B, S, S, 3];
                with one decoder step also [B, S, S, 3].

        Returns:
            The phase's losses, running means since the epoch began; scalars.
        """
        (private_image, attributes), public_images = batch
        private_image = as_float(private_image)
        public_images = self.by_step(as_float(public_images))
        if self.phase in FIGHTS:
            for step in range(self.decoder_steps):
                self.adversary_step(public_images[step])
        if self.phase != ADVERSARY:
            self.protector_step(private_image, attributes)
        return replicas.logs({metric.name: metric.result() for metric in self.metrics})

    def by_step(self, public_images: tf.Tensor) -> tf.Tensor:
        """Public images with an axis of decoder steps; ValueError where there are too few steps."""
        if public_images.shape.rank == 4:
            public_images = public_images[None]
        given = public_images.shape[0]
        if self.phase in FIGHTS and given is not None and given < self.decoder_steps:
            raise ValueError(
                f"decoder_steps={self.decoder_steps} needs public images of shape"
                f" [{self.decoder_steps}, B, S, S, 3], got {public_images.shape}."
            )
        return public_images

    def test_step(self, batch) -> dict[str, tf.Tensor]:
        """The task's loss on private images and the adversary's on public ones; nobody moves.

        Args:
            batch: as `train_step`; the adversary is measured on the first step's public images.
        """
        (private_image, attributes), public_images = batch
        attributes, _ = defending.split_labels(attributes, self.private_labels)
        code = self.encoder(as_float(private_image), training=False)
        task_loss = self.task_loss(self.task_head(code, training=False), attributes)
        public_image = self.by_step(as_float(public_images))[0]
        pixel, perceptual_distance = self.distances(self(public_image), public_image)
        reconstruction_loss = pixel + self.mu * perceptual_distance
        found = {
            "task_loss": task_loss,
            "reconstruction_loss": reconstruction_loss,
            "pixel_loss": pixel,
            "perceptual_loss": perceptual_distance,
        }
        self.record(**found)
        return {name: self.loss_trackers[name].result() for name in found}

    def get_config(self) -> dict[str, Any]:
        """Players, name of g and mean image, as `save` keeps them."""
        players = {name: serialised(getattr(self, name)) for name in PLAYERS if getattr(self, name)}
        return {
            "name": self.name,
            "players": players,
            "more_decoders": [serialised(decoder) for decoder in self.more_decoders],
            "perceptual_features": self.perceptual_name,
            "mean_image": None if self.mean_image is None else self.mean_image[0].numpy().tolist(),
        }

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], custom_objects: Any = None
    ) -> "AdversarialRepresentationLearner":
        """Builds what `get_config` described; ValueError for a g that was a function."""
        if config["perceptual_features"] == CUSTOM_PERCEPTUAL:
            raise ValueError(
                "This learner was saved with a perceptual_features function, which a file can't"
                " hold: build the learner again with it and use load_weights()."
            )
        players = {
            name: keras.saving.deserialize_keras_object(player, custom_objects)
            for name, player in config["players"].items()
        }
        mean = config["mean_image"]
        return cls(
            **players,
            more_decoders=[
                keras.saving.deserialize_keras_object(decoder, custom_objects)
                for decoder in config["more_decoders"]
            ],
            perceptual_features=config["perceptual_features"],
            mean_image=None if mean is None else np.array(mean, np.float32),
            name=config["name"],
        )

    def get_compile_config(self) -> dict[str, Any]:
        """Arguments of `compile`, as `save` keeps them."""
        return {
            "protector_optimizer": serialised(self.protector_optimizer),
            "adversary_optimizer": serialised(self.adversary_optimizer),
            "loss": serialised(self.task_loss_name),
            "phase": self.phase,
            "privacy": self.privacy and dataclasses.asdict(self.privacy),
            "mu": self.mu,
            "decoder_steps": self.decoder_steps,
            "lambda_rate": self.lambda_rate,
            "lambda_rate_steps": self.lambda_rate_steps,
            "weight_average": self.weight_average,
            "defence": self.defence and dataclasses.asdict(self.defence),
            "private_labels": self.private_labels,
            "jit_compile": self.jit_compile,
        }

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles as `get_compile_config` described."""
        deserialise = keras.saving.deserialize_keras_object
        named = {key: config[key] for key in COMPILED if key in config}
        self.compile(
            deserialise(config["protector_optimizer"]),
            deserialise(config["adversary_optimizer"]),
            loss=deserialise(config["loss"]),
            privacy=config["privacy"] and losses.PrivacyObjective(**config["privacy"]),
            defence=Choice(**config["defence"]) if config.get("defence") else None,
            **named,
        )

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
            total = self.adversary_optimizer.scale_loss(tf.add_n(each))
        variables = self.adversary_variables
        self.move(self.adversary_optimizer, tape.gradient(total, variables), variables)
        pixel, perceptual = distances[0]
        self.record(reconstruction_loss=each[0], pixel_loss=pixel, perceptual_loss=perceptual)
        if self.phase == ADVERSARY:
            self.record(loss=each[0])

    def protector_step(self, private_image: tf.Tensor, attributes: tf.Tensor) -> None:
        """Formula (2): encoder and task head learn the task and to spoil the reconstruction.

        Args:
            private_image: float32 [B, S, S, 3] in [0, 1].
            attributes: labels as the task's loss takes them; float32 [B, A] in {0, 1} for binary.
        """
        attributes, private = defending.split_labels(attributes, self.private_labels)
        with tf.GradientTape() as tape:
            code, mean = self.encode(private_image)
            rate = self.rate()
            logits = self.task_head(code, training=True)
            task_loss = self.task_loss(logits, attributes)
            privacy_loss = self.privacy_loss(code, logits, private_image)
            if self.defence is not None:
                step = defending.step_of(self, private_image, code, mean, attributes, logits)
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

    def encode(self, image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Codes float32 [B, ...] in training, and what a defence sees of them without noise."""
        if self.defence is not None:
            return self.code_and_mean(image)
        code = self.encoder(image, training=True)
        return code, code

    def rate(self) -> tf.Tensor:
        """Bits that the code's noise lets through, as the encoder's last call in training found."""
        if replicas.count() > 1:
            # Replicas share the list of a layer's losses, and fill it in turn.
            return code_layers.learned_rate(self.encoder)
        return tf.add_n(self.encoder.losses) if self.encoder.losses else tf.zeros(())

    def move(
        self,
        optimizer: keras.optimizers.Optimizer,
        gradients: Sequence[tf.Tensor],
        variables: Sequence[keras.Variable],
    ) -> None:
        """Takes an optimizer's step along the gradients, the same one on all replicas."""
        optimizer.apply(replicas.shared_gradients(gradients, optimizer), variables)

    def price(self) -> tf.Tensor | float:
        """The price of a bit in this step; it rises linearly for `lambda_rate_steps` steps."""
        if not self.lambda_rate_steps:
            return self.lambda_rate
        # The optimizer counts the steps of the phase, and is saved with the checkpoint.
        step = tf.cast(self.protector_optimizer.iterations + 1, tf.float32)
        return self.lambda_rate * tf.minimum(1.0, step / self.lambda_rate_steps)

    def use_averages(self) -> None:
        """Gives encoder and task head the averages of their weights, where there are any."""
        if self.averages:
            self.averages.use(self.averaged_variables)

    def privacy_loss(self, code: tf.Tensor, logits: tf.Tensor, image: tf.Tensor) -> tf.Tensor:
        """The privacy term of formula (2), a mean over decoders; 0 while there is no adversary."""
        if self.phase not in FIGHTS or self.privacy is None:
            return tf.zeros(())
        privacy = self.privacy
        target = self.target(privacy.form, logits, image)
        # Decoders as an adversary would use them: their statistics must not move in this step.
        terms = [
            # A hinge bends at the batch's distance, not at that of a replica's share.
            privacy.loss(*replicas.mean(self.distances(decoder(code, training=False), target)))
            for decoder in self.decoders
        ]
        return tf.add_n(terms) / len(terms)

    def target(self, form: str, logits: tf.Tensor, image: tf.Tensor) -> tf.Tensor:
        """What the privacy term compares reconstructions with; float32 [B or 1, S, S, 3]."""
        if form == TOWARD_MEAN:
            return self.mean_image
        if form == TOWARD_TASK and self.task_decoder is not None:
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


def check_players(encoder: keras.Model, task_head: keras.Model, decoder: keras.Model) -> None:
    """Raises ValueError where head or decoder do not take the code, or pictures differ in size."""
    code = encoder.output_shape[1:]
    for name, player in (("task_head", task_head), ("decoder", decoder)):
        if player.input_shape[1:] != code:
            raise ValueError(
                f"{name} takes {list(player.input_shape[1:])}, expected the encoder's code"
                f" {list(code)}."
            )
    if decoder.output_shape[1:] != encoder.input_shape[1:]:
        raise ValueError(
            f"decoder gives pictures {list(decoder.output_shape[1:])}, expected the encoder's"
            f" {list(encoder.input_shape[1:])}."
        )


def named_features(name: str, image_size: int) -> Callable[[tf.Tensor], Sequence[tf.Tensor]]:
    """The frozen network g of a name; ValueError for an unknown one."""
    return perceptual.perceptual_features(name, image_size)


def as_float(images: tf.Tensor) -> tf.Tensor:
    """Images float32 in [0, 1]: uint8 ones are scaled, others taken as they are."""
    images = tf.convert_to_tensor(images)
    return to_float(images) if images.dtype == tf.uint8 else images


def as_target(mean_image: np.ndarray) -> tf.Tensor:
    """A mean image float32 [S, S, 3] as a target of every reconstruction of a batch."""
    return tf.constant(mean_image[None], tf.float32)


def mean_public_image(batches: tf.data.Dataset) -> np.ndarray:
    """Mean of the public images of the first batches of a dataset; float32 [S, S, 3] in [0, 1]."""
    means = [
        tf.reduce_mean(tf.reshape(as_float(public), (-1, *public.shape[-3:])), axis=0).numpy()
        for _, public in batches.take(MEAN_IMAGE_BATCHES)
    ]
    return np.mean(means, axis=0)


def serialised(value: Any) -> Any:
    """A Keras object as its file holds it; names stay names."""
    return keras.saving.serialize_keras_object(value)
