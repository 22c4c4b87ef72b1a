"""What Keras' own methods mean for a learner, which has two optimizers and three models."""

import os
from collections.abc import Mapping
from typing import Any, Self

import keras
import tensorflow as tf

from arl_tf.models.losses import TOWARD_MEAN, PrivacyObjective
from arl_tf.training import averaging, players, rules
from arl_tf.training.phases import ADVERSARY
from arl_tf.training.step_images import as_target, mean_public_image

ENDING = ".keras"


class KerasModel(keras.Model):
    """Training, files and optimizer of a learner, under the names that Keras has for them."""

    # A learner sets these.
    mean_features: tuple[tf.Tensor, ...] | None
    privacy: PrivacyObjective | None
    perceptual_features: players.Features
    loss_trackers: dict[str, keras.metrics.Mean]

    @property
    def optimizer(self) -> keras.optimizers.Optimizer | None:
        """That of encoder and task head, whose rate callbacks change; None before `compile`."""
        return getattr(self, "protector_optimizer", None)

    @optimizer.setter
    def optimizer(self, value: Any) -> None:
        """Takes None alone, which Keras sets in `compile`: that sets both by their own names.

        Raises:
            ValueError: an optimizer, which would not be used.
        """
        if value is not None:
            raise ValueError(
                "A learner has two optimizers: give them to compile, as protector_optimizer (or"
                f" optimizer) and adversary_optimizer; got optimizer = {value!r}."
            )

    @property
    def mean_image(self) -> tf.Tensor | None:
        """Mean of the public images, float32 [1, S, S, 3] in [0, 1]; None: not known yet."""
        return self._mean_image

    @mean_image.setter
    def mean_image(self, value: tf.Tensor | None) -> None:
        """Sets it, float32 [1, S, S, 3] in [0, 1]; what g made of the one before counts no more."""
        self._mean_image = value
        self.mean_features = None

    def keep_mean_features(self) -> None:
        """Computes g of the mean image, where it is the target: once, and not in every step."""
        is_target = self.privacy and self.privacy.form == TOWARD_MEAN
        if is_target and self.mean_image is not None and self.mean_features is None:
            self.mean_features = tuple(self.perceptual_features(self.mean_image))

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: str | int = "auto",
        callbacks: Any = None,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """Trains on a dataset of `train_step`'s batches; the arguments are those of Keras.

        Takes the mean image of the public images from the data where the privacy term needs it.
        With `weight_average`, the `val_*` of every epoch, the last one too, are of the weights
        before the averages take their place: `evaluate` after `fit` measures what `save` writes.

        Args:
            x: batches, as `arl_tf.adversarial_dataset` makes them.
            y: not taken: the batches have the labels.
            batch_size: not taken: the batches have their size.
            epochs: as in Keras.
            verbose: as in Keras.
            callbacks: one, several, or a CallbackList.
            **kwargs: of keras.Model.fit.

        Raises:
            ValueError: `compile` was not called, or x holds no such batches.
        """
        rules.require_compiled(self)
        rules.require_batches(x, y, batch_size, kwargs)
        if self.mean_image is None and self.privacy and self.privacy.form == TOWARD_MEAN:
            self.mean_image = as_target(mean_public_image(x))
            self.keep_mean_features()
        if isinstance(x, tf.data.Dataset):
            # It is shuffled already; Keras warns of its own default otherwise.
            kwargs.setdefault("shuffle", False)
        if self.weight_average and self.phase != ADVERSARY:
            callbacks = averaging.with_averages(self, callbacks, epochs)
        return super().fit(x, epochs=epochs, verbose=verbose, callbacks=callbacks, **kwargs)

    def reset_metrics(self) -> None:
        """Begins all running means anew: an evaluation has some that its phase does not log."""
        for tracker in [*self.metrics, *self.loss_trackers.values()]:
            tracker.reset_state()

    def save(self, filepath: str | os.PathLike, *args: Any, **kwargs: Any) -> None:
        """Writes players, optimizers and rules to a .keras file; `load` reads it.

        Args:
            filepath: ends with .keras.
            *args: of keras.Model.save.
            **kwargs: of keras.Model.save.

        Raises:
            ValueError: another ending; no other format holds such a model.
        """
        if not str(filepath).endswith(ENDING):
            raise ValueError(
                f"A learner is saved to a .keras file: its name must end with {ENDING}; got"
                f" {str(filepath)!r}."
            )
        super().save(filepath, *args, **kwargs)

    @classmethod
    def load(cls, filepath: str | os.PathLike) -> Self:
        """A learner that `save` wrote, compiled as it was.

        It is `keras.models.load_model`, which finds this class only after it was imported.

        Raises:
            ValueError: no .keras file, or one of another model.
        """
        found = keras.models.load_model(filepath)
        if not isinstance(found, cls):
            raise ValueError(f"{filepath} holds a {type(found).__name__}, expected a learner.")
        return found

    def export(self, *args: Any, **kwargs: Any) -> None:
        """Refused: a learner is no function of one input; the error says what to export.

        Raises:
            ValueError: always.
        """
        raise ValueError(
            "A learner has no single output to export. Export learner.encoder and"
            " learner.task_head, each for itself; before that, call"
            " arl_tf.models.code_layers.make_unpredictable(learner.encoder): otherwise a seed that"
            " was set decides the noise of the exported encoder. learner.save(FILE.keras) keeps all"
            " of the learner."
        )

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Nothing: the players are built, and Keras fails here with batches of several machines."""

    def get_config(self) -> dict[str, Any]:
        """Players, name of g and mean image, as `save` keeps them."""
        return players.config_of(self)

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Any = None) -> Self:
        """Builds what `get_config` described; ValueError for a g that was a function."""
        return cls(**players.arguments_of(config, custom_objects))

    def get_compile_config(self) -> dict[str, Any] | None:
        """Arguments of `compile`, as `save` keeps them; None before `compile`."""
        return rules.config_of(self) if self.compiled else None

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles as `get_compile_config` described."""
        self.compile(**rules.arguments_of(config))
