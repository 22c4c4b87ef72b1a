"""A task head for codes that come without one: what the codes are good for, found on X1."""

import math
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from arl_tf.data.pipelines import without_autotune
from arl_tf.metrics.tasks.definition import Task
from arl_tf.metrics.tasks.multi_label import MultiLabel
from arl_tf.models.inference import in_batches
from arl_tf.models.perceptron import build_perceptron
from arl_tf.models.standardisation import flattened, standardisation

HIDDEN = 256
DROPOUT = 0.5
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 1e-2
BATCH = 128
MOST_EPOCHS = 60
PATIENCE = 6


def fit_task_head(
    codes: np.ndarray,
    labels: np.ndarray,
    held_out_codes: np.ndarray,
    held_out_labels: np.ndarray,
    *,
    seed: int,
    task: Task | None = None,
    verbose: int = 0,
) -> Callable[[np.ndarray], np.ndarray]:
    """Fits a perceptron with one hidden layer on standardised, flattened codes.

    The epoch of the lowest held-out loss counts. A lower bound of the codes' utility: a
    head trained together with its encoder would do better.

    Args:
        codes: float32 [N, ...] of X1's training part.
        labels: [N, A], as the task has them.
        held_out_codes: float32 [M, ...] of X1's validation part.
        held_out_labels: likewise [M, A].
        seed: draws weights, order and dropout.
        task: what the labels are; None: several attributes, each {0, 1}.
        verbose: Keras' verbosity.

    Returns:
        codes float32 [n, ...] -> logits, or values in the labels' units, float32 [n, A].

    Raises:
        ValueError: codes and labels don't fit together, or the fit diverged.
    """
    check_pairs(codes, labels, held_out_codes, held_out_labels)
    task = task or MultiLabel()
    targets = task.scale(labels)
    labels, held_out_labels = targets.learned(labels), targets.learned(held_out_labels)
    scale = standardisation(flattened(codes))

    def seen(values: np.ndarray) -> np.ndarray:
        return scale(flattened(values))

    head = build_perceptron(
        seen(codes[:1]).shape[1],
        task.first_outputs(labels),
        hidden=HIDDEN,
        code_dropout=DROPOUT,
        hidden_dropout=DROPOUT,
        learning_rate=LEARNING_RATE,
        weight_decay=WEIGHT_DECAY,
        seed=seed,
        name="fitted_task_head",
        loss=task.keras_loss(),
    )
    fit(head, (seen(codes), labels), (seen(held_out_codes), held_out_labels), seed, verbose)
    return lambda values: targets.values(in_batches(head, seen(values), BATCH))


def fit(
    head: keras.Model,
    pairs: tuple[np.ndarray, np.ndarray],
    held_out: tuple[np.ndarray, np.ndarray],
    seed: int,
    verbose: int,
) -> None:
    """Trains a head on (codes float32 [N, D], labels [N, A]) until held-out pairs say to stop.

    Raises:
        ValueError: the fit diverged.
    """
    history = head.fit(
        shuffled_batches(*pairs, seed),
        validation_data=batches(*held_out),
        steps_per_epoch=math.ceil(len(pairs[0]) / BATCH),
        epochs=MOST_EPOCHS,
        shuffle=False,
        callbacks=[keras.callbacks.EarlyStopping(patience=PATIENCE, restore_best_weights=True)],
        verbose=verbose,
    )
    if not np.isfinite(min(history.history["val_loss"])):
        raise ValueError("The task head's fit diverged: its held-out loss was never finite.")


def check_pairs(
    codes: np.ndarray, labels: np.ndarray, held_out_codes: np.ndarray, held_out_labels: np.ndarray
) -> None:
    """Raises ValueError for codes [N, ...] and labels [N, A] that don't fit together."""
    for what, some_codes, some_labels in (
        ("training", codes, labels),
        ("held-out", held_out_codes, held_out_labels),
    ):
        if some_labels.ndim != 2 or len(some_labels) != len(some_codes) or not some_labels.size:
            raise ValueError(
                f"A task head needs labels [N, A], N and A >= 1, for its {len(some_codes)}"
                f" {what} codes; got {some_labels.shape}."
            )
    if held_out_codes.shape[1:] != codes.shape[1:] or held_out_labels.shape[1] != labels.shape[1]:
        raise ValueError(
            f"Held-out codes {held_out_codes.shape} and labels {held_out_labels.shape} must be"
            f" shaped as the training ones, {codes.shape} and {labels.shape}."
        )


def batches(codes: np.ndarray, labels: np.ndarray) -> tf.data.Dataset:
    """Batches of (codes [B, D], labels float32 [B, A]) in order."""
    return without_autotune(
        tf.data.Dataset.from_tensor_slices((codes, labels.astype(np.float32))).batch(BATCH)
    )


def shuffled_batches(codes: np.ndarray, labels: np.ndarray, seed: int) -> tf.data.Dataset:
    """Endless batches of (codes [B, D], labels float32 [B, A]); every pass has its own order.

    The order is the seed's alone; that of `Dataset.shuffle` would be TensorFlow's global seed's as
    well.
    """
    codes, labels = tf.constant(codes), tf.constant(labels, tf.float32)

    def one_pass(number):
        order = tf.random.experimental.stateless_shuffle(tf.range(len(codes)), (seed, number))
        return tf.data.Dataset.from_tensor_slices(order)

    rows = tf.data.Dataset.counter().flat_map(one_pass).batch(BATCH)
    return without_autotune(rows.map(lambda row: (tf.gather(codes, row), tf.gather(labels, row))))
