"""The rules that a learner plays by: defaults and checks of `compile`, and how a file keeps them.

A learner has each rule as an attribute with the name of `compile`'s argument.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import keras
import tensorflow as tf

from arl_tf.defences.definition import Choice
from arl_tf.models import patch_critic
from arl_tf.models.losses import (
    FORMS,
    TOWARD_TASK,
    PrivacyObjective,
    is_categorical,
    takes_probabilities,
)
from arl_tf.training import defending, loss_scaling
from arl_tf.training.phases import ADVERSARIAL, LOSSES, PHASES
from arl_tf.training.players import serialised
from arl_tf.training.step_images import BATCHES

if TYPE_CHECKING:
    from arl_tf.training.learner import AdversarialRepresentationLearner

# Defaults of `compile`, those of the flags of the same names.
PROTECTOR_RATE, ADVERSARY_RATE, WEIGHT_DECAY, CLIP_NORM = 3e-4, 2e-3, 1e-2, 5.0
DEFAULT_PRIVACY = PrivacyObjective("negative", 0.0, 0.02, margin_pixel=0.06, margin_perceptual=1.5)
# Plain arguments of `compile` that `save` keeps; files of older versions lack some.
PLAIN = (
    "phase",
    "mu",
    "adversary_critic_weight",
    "decoder_steps",
    "lambda_rate",
    "lambda_rate_steps",
    "weight_average",
    "private_labels",
    "jit_compile",
    "run_eagerly",
    "steps_per_execution",
)
# Of the numbers that `compile` takes, as the flags have them: lowest, whole, and below what.
RANGES: Mapping[str, tuple[float, bool, float]] = {
    "mu": (0, False, float("inf")),
    "adversary_critic_weight": (0, False, float("inf")),
    "decoder_steps": (1, True, float("inf")),
    "lambda_rate": (0, False, float("inf")),
    "lambda_rate_steps": (0, True, float("inf")),
    "weight_average": (0, False, 1),
    "private_labels": (0, True, float("inf")),
}
# A metric of the task: its name, an object, or a function of labels and logits.
Metric: TypeAlias = str | keras.metrics.Metric | Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
# What Keras' fit takes and a learner's batches have no place for.
NOT_TAKEN = ("class_weight", "sample_weight", "validation_split")


def check(
    phase: str,
    privacy: PrivacyObjective | None,
    defence: Choice | None,
    task_decoder: keras.Model | None,
) -> None:
    """Raises ValueError where a phase is unknown, or lacks what it needs."""
    if phase not in PHASES:
        raise ValueError(f"phase must be one of {', '.join(PHASES)}; got {phase!r}.")
    if phase == ADVERSARIAL and privacy is None and defence is None:
        raise ValueError("The adversarial phase needs a privacy objective, got None.")
    defending.check_phase(phase, defence)
    if privacy and privacy.form == TOWARD_TASK and task_decoder is None:
        raise ValueError("The form toward_task needs a task_decoder, got None.")


def check_numbers(**numbers: float) -> None:
    """Raises ValueError for a number of `compile` that is out of its range."""
    for name, value in numbers.items():
        low, is_whole, below = RANGES[name]
        if not low <= value < below or (is_whole and value != int(value)):
            kind = "a whole number" if is_whole else "a number"
            most = "" if below == float("inf") else f" and < {below}"
            raise ValueError(f"{name} must be {kind} >= {low}{most}; got {value!r}.")


def privacy_of(privacy: str | PrivacyObjective | None) -> PrivacyObjective | None:
    """A privacy term; of a name, the default one in this form.

    Raises:
        ValueError: an unknown form.
    """
    if not isinstance(privacy, str):
        return privacy
    if privacy not in FORMS:
        raise ValueError(
            f"privacy must be one of {', '.join(FORMS)}, or an arl_tf.PrivacyObjective; got"
            f" {privacy!r}."
        )
    return dataclasses.replace(DEFAULT_PRIVACY, form=privacy)


def only_one(protector: Any, optimizer: Any) -> Any:
    """The optimizer of encoder and task head, under whichever of its two names it was given.

    Raises:
        ValueError: it was given under both.
    """
    if protector is not None and optimizer is not None:
        raise ValueError("optimizer is another name of protector_optimizer: give one of the two.")
    return optimizer if protector is None else protector


def task_metrics(metrics: Any, loss: Any) -> list[keras.metrics.Metric]:
    """The task's metrics, on labels and logits.

    Args:
        metrics: names or objects of keras.metrics, or functions of labels and logits; or one.
        loss: the task's, which says what an accuracy is.

    Raises:
        ValueError: a dictionary, a metric on probabilities, or a name that the log has already.
    """
    if isinstance(metrics, Mapping):
        raise ValueError(
            f"metrics must be a list, as a learner has a single task; got a dict: {metrics!r}."
        )
    if isinstance(metrics, str) or callable(metrics):
        metrics = [metrics]
    found = [task_metric(metric, loss) for metric in metrics or ()]
    taken = {*LOSSES, patch_critic.TRACKER}
    for metric in found:
        if metric.name in taken:
            raise ValueError(
                f"metrics: the log has a value {metric.name!r} already; give the metric another"
                " name."
            )
        taken.add(metric.name)
    return found


def task_metric(metric: Any, loss: Any) -> keras.metrics.Metric:
    """One of the metrics of `task_metrics`; a function becomes the mean of what it gives."""
    if isinstance(metric, str) and metric in ("accuracy", "acc"):
        return accuracy(loss)
    # As a function, too: by its own threshold of .5 it would take logits for probabilities.
    if metric == "binary_accuracy" or metric is keras.metrics.binary_accuracy:
        return keras.metrics.BinaryAccuracy(name="binary_accuracy", threshold=0.0)
    found = keras.metrics.get(metric)
    require_logits(found)
    if isinstance(found, keras.metrics.Metric):
        return found
    if not callable(found):
        raise ValueError(f"metrics must be names, Keras metrics or functions; got {metric!r}.")
    name = getattr(found, "__name__", type(found).__name__)
    return keras.metrics.MeanMetricWrapper(found, name=name)


def require_logits(metric: Any) -> None:
    """Raises ValueError for a metric that takes probabilities, or decides as if it did."""
    remedy = None
    if takes_probabilities(metric):
        remedy = "from_logits=True"
    # Keras' default; of labels one-hot or with top_k, no threshold decides.
    elif getattr(metric, "threshold", None) == 0.5:
        remedy = "threshold=0.0"
    elif list(getattr(metric, "thresholds", None) or ()) == [0.5]:
        remedy = "thresholds=0.0"
    if remedy is not None:
        raise ValueError(
            f"The metric {getattr(metric, 'name', metric)} takes probabilities, and task heads give"
            f" logits: give an object of it with {remedy}."
        )


def accuracy(loss: Any) -> keras.metrics.Metric:
    """The share of right decisions, by logits [B, A]."""
    if not is_categorical(loss):
        return keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0)
    return keras.metrics.MeanMetricWrapper(right_classes, name="accuracy")


@keras.saving.register_keras_serializable("arl_tf")
def right_classes(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Whether the greatest of logits [B, A] is the label's, a number or one-hot; float32 [B]."""
    if labels.shape.rank == 2 and labels.shape[1] == logits.shape[1] and logits.shape[1] != 1:
        labels = tf.argmax(labels, axis=1)
    wanted = tf.cast(tf.reshape(labels, [-1]), tf.int64)
    return tf.cast(tf.argmax(logits, axis=1) == wanted, tf.float32)


def require_batches(x: Any, y: Any, batch_size: int | None, others: Mapping[str, Any]) -> None:
    """Raises ValueError for arguments of Keras' fit that a learner's batches have no place for."""
    given = [name for name in NOT_TAKEN if others.get(name)]
    if y is not None or batch_size is not None or given or x is None:
        extra = ["y"] * (y is not None) + ["batch_size"] * (batch_size is not None) + given
        got = f"got {', '.join(extra)}" if extra else "got None"
        raise ValueError(f"fit takes {BATCHES}; {got}.")


def require_compiled(learner: "AdversarialRepresentationLearner") -> None:
    """Raises ValueError, in Keras' words, where `compile` was not called yet."""
    if not getattr(learner, "compiled", False):
        raise ValueError("You must call `compile()` before calling `fit()`.")


def optimizers(
    learner: "AdversarialRepresentationLearner",
    protector: str | keras.optimizers.Optimizer | None,
    adversary: str | keras.optimizers.Optimizer | None,
) -> tuple[keras.optimizers.Optimizer, keras.optimizers.Optimizer]:
    """Both sides' optimizers, built, each with a loss scale of its own where float16 needs one.

    Args:
        learner: holds the players.
        protector: of encoder and task head, or its name; None: AdamW.
        adversary: of the decoders, or its name; None: Adam.

    Raises:
        ValueError: the same object for both, whose state is of one side's variables.
    """
    if protector is adversary and isinstance(protector, keras.optimizers.Optimizer):
        raise ValueError(
            "optimizer and adversary_optimizer are the same object: give each side one of its own."
        )
    of_protector = named_optimizer(protector) or keras.optimizers.AdamW(
        PROTECTOR_RATE, weight_decay=WEIGHT_DECAY, global_clipnorm=CLIP_NORM
    )
    of_adversary = named_optimizer(adversary) or keras.optimizers.Adam(
        ADVERSARY_RATE, global_clipnorm=CLIP_NORM
    )
    # Either player's gradients pass all networks, whichever of them compute in float16.
    everyone = [learner.encoder, learner.task_head, *learner.decoders]
    of_protector = loss_scaling.scaled(of_protector, everyone)
    of_adversary = loss_scaling.scaled(of_adversary, everyone)
    # Built here, or loading a checkpoint would silently skip their state.
    of_protector.build(learner.protector_variables)
    of_adversary.build(learner.adversary_variables)
    return of_protector, of_adversary


def named_optimizer(
    optimizer: str | keras.optimizers.Optimizer | None,
) -> keras.optimizers.Optimizer | None:
    """An optimizer by itself or by its name; None stays None, ValueError for an unknown name."""
    return keras.optimizers.get(optimizer) if isinstance(optimizer, str) else optimizer


def critic_of(
    learner: "AdversarialRepresentationLearner", weight: float
) -> patch_critic.AdversaryCritic | None:
    """The critic of a phase with a fresh optimizer, a new one where the learner has none yet.

    None for a weight of 0: no weights are drawn, so that a training without it stays the same.
    """
    if not weight:
        return None
    critic = learner.critic or patch_critic.AdversaryCritic(learner.encoder.input_shape[1])
    critic.begin()
    return critic


def config_of(learner: "AdversarialRepresentationLearner") -> dict[str, Any]:
    """Arguments of a learner's `compile`, as `save` keeps them."""
    return {
        "protector_optimizer": serialised(learner.protector_optimizer),
        "adversary_optimizer": serialised(learner.adversary_optimizer),
        "loss": serialised(learner.task_loss_name),
        "privacy": learner.privacy and dataclasses.asdict(learner.privacy),
        "defence": learner.defence and dataclasses.asdict(learner.defence),
        "metrics": [serialised(metric) for metric in learner.task_metrics],
        **{name: getattr(learner, name) for name in PLAIN},
    }


def arguments_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `compile` that `config_of` described; what a file lacks keeps its default."""
    deserialise = keras.saving.deserialize_keras_object
    return {
        "protector_optimizer": deserialise(config["protector_optimizer"]),
        "adversary_optimizer": deserialise(config["adversary_optimizer"]),
        "loss": deserialise(config["loss"]),
        "privacy": config["privacy"] and PrivacyObjective(**config["privacy"]),
        "defence": Choice(**config["defence"]) if config.get("defence") else None,
        "metrics": [deserialise(metric) for metric in config.get("metrics", ())],
        **{name: config[name] for name in PLAIN if name in config},
    }
