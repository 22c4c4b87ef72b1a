"""A published defence's part in the encoder's step."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from arl_tf.data.image_sets import ImageSet
from arl_tf.defences import registry
from arl_tf.defences.definition import Choice, Step
from arl_tf.models import losses
from arl_tf.training.phases import ADVERSARIAL, DEFENCE, PROTECTING
from arl_tf.training.step_images import as_float32


def check_phase(phase: str, choice: Choice | None) -> None:
    """Raises ValueError where the phase without decoders gets no defence, or one with them."""
    if phase == DEFENCE and (choice is None or registry.trains_decoders(choice.name)):
        raise ValueError(f"The phase defence needs one without decoders, got {choice}.")


def memory_of(choice: Choice | None, learner: Any) -> keras.layers.Layer | None:
    """A defence's memory beside a learner's players; the one that it has, where it has one."""
    make = registry.DEFENCES[choice.name].memory if choice else None
    if make is None:
        return None
    kept = getattr(learner, "defence_memory", None)
    return kept or make(learner.encoder, learner.task_head, learner.private_labels)


def split_labels(labels: tf.Tensor, private: int) -> tuple[tf.Tensor, tf.Tensor | None]:
    """Labels [B, A] of the task and the `private` last of labels [B, A + P]; None without any."""
    if not private:
        return labels, None
    return labels[:, :-private], labels[:, -private:]


def with_private(
    images: ImageSet, names: Sequence[str], targets: np.ndarray | None
) -> np.ndarray | None:
    """Targets of a training with private attributes behind them; float32 [N, A + P].

    Args:
        images: the data set.
        names: of the P private attributes; without any, `targets` are returned as they are.
        targets: float32 [N, A]; None: the attributes.

    Raises:
        ValueError: a name that is none of the data's other attributes.
    """
    if not names:
        return targets
    known = images.other_attribute_names
    for name in names:
        if name not in known or images.other_attributes is None:
            hint = "one of the task's" if name in images.attribute_names else "not in the data"
            raise ValueError(
                f"--private_attributes: {name!r} is {hint}; expected some of"
                f" {', '.join(known) or 'those left out of --task_attributes'}."
            )
    columns = [known.index(name) for name in names]
    labels = images.attributes if targets is None else targets
    return np.concatenate([labels, images.other_attributes[:, columns]], axis=1, dtype=np.float32)


def step_of(
    learner: Any,
    image: tf.Tensor,
    code: tf.Tensor,
    mean: tf.Tensor,
    labels: tf.Tensor,
    logits: tf.Tensor,
) -> Step:
    """What a defence sees of an encoder's step.

    Args:
        learner: has `phase`, `decoders`, `encoder`, `task_head`, `task_loss_name`,
            `defence_memory` and `move`.
        image: private images, float32 [B, S, S, 3] in [0, 1].
        code: float32 [B, ...].
        mean: the same without its noise.
        labels: of the task, [B, ...].
        logits: of the task head, float32 [B, A].
    """
    pictures: tuple[tf.Tensor, ...] = ()
    if learner.phase == ADVERSARIAL:
        # Decoders as an adversary would use them: their statistics must not move in this step.
        pictures = tuple(as_float32(each(code, training=False)) for each in learner.decoders)
    classes = None
    if losses.is_categorical(learner.task_loss_name):
        classes = losses.one_hot_classes(labels, logits.shape[-1])
    return Step(
        image,
        code,
        mean,
        labels,
        logits,
        pictures,
        learner.encoder,
        classes=classes,
        task_head=learner.task_head,
        memory=learner.defence_memory,
        move=learner.move,
    )


def weighted_loss(choice: Choice, phase: str, step: Step) -> tf.Tensor:
    """A defence's loss with its weight, a scalar; 0 while the task is trained alone.

    Raises:
        ValueError: the defence's loss is no scalar: the gradient of several is that of their sum.
    """
    loss = registry.DEFENCES[choice.name].loss
    if loss is None or phase not in PROTECTING:
        return tf.zeros(())
    found = loss(step, choice.bound)
    shape = None if found is None else tf.convert_to_tensor(found).shape
    if shape is None or shape.rank != 0:
        got = "None" if shape is None else f"the shape {shape}"
        raise ValueError(
            f"The loss of the defence {choice.name!r} must be a scalar, got {got}: tf.reduce_mean"
            " makes one of a loss for each image."
        )
    return choice.strength * found


def observe(choice: Choice, step: Step) -> None:
    """Has the defence take its statistics of an encoder's step, in every phase."""
    take = registry.DEFENCES[choice.name].observe
    if take is not None:
        take(step, choice.bound)
