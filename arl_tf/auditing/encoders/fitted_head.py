"""A task head for codes that come without one: what the codes are good for, found on X1."""

import math
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from arl_tf.models.standardisation import code_scale

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
    verbose: int = 0,
) -> Callable[[np.ndarray], np.ndarray]:
    """Fits a perceptron with one hidden layer on standardised, flattened codes.

    The epoch of the lowest held-out cross-entropy counts. A lower bound of the codes' utility: a
    head trained together with its encoder would do better.

    Args:
        codes: float32 [N, ...] of X1's training part.
        labels: {0, 1} [N, A].
        held_out_codes: float32 [M, ...] of X1's validation part.
        held_out_labels: {0, 1} [M, A].
        seed: draws weights, order and dropout.
        verbose: Keras' verbosity.

    Returns:
        codes float32 [n, ...] -> logits float32 [n, A].

    Raises:
        ValueError: codes and labels don't fit together, or the fit diverged.
    """
    check_pairs(codes, labels, held_out_codes, held_out_labels)
    scale = code_scale(flattened(codes))

    def seen(values: np.ndarray) -> np.ndarray:
        return scale(flattened(values))

    head = build_head(seen(codes[:1]).shape[1], labels, seed)
    history = head.fit(
        shuffled_batches(seen(codes), labels, seed),
        validation_data=batches(seen(held_out_codes), held_out_labels),
        steps_per_epoch=math.ceil(len(codes) / BATCH),
        epochs=MOST_EPOCHS,
        shuffle=False,
        callbacks=[keras.callbacks.EarlyStopping(patience=PATIENCE, restore_best_weights=True)],
        verbose=verbose,
    )
    if not np.isfinite(min(history.history["val_loss"])):
        raise ValueError("The task head's fit diverged: its held-out loss was never finite.")
    return lambda values: head.predict(seen(values), batch_size=BATCH, verbose=0)


def check_pairs(
    codes: np.ndarray, labels: np.ndarray, held_out_codes: np.ndarray, held_out_labels: np.ndarray
) -> None:
    """Raises ValueError for codes and labels that don't fit together."""
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


def flattened(codes: np.ndarray) -> np.ndarray:
    """[N, ...] -> [N, values]."""
    return codes.reshape(len(codes), -1)


def build_head(num_values: int, labels: np.ndarray, seed: int) -> keras.Model:
    """The compiled perceptron; it begins at the attributes' frequencies."""
    hidden_weights, output_weights = (keras.initializers.GlorotUniform(seed + k) for k in (0, 1))
    code = keras.Input((num_values,), name="code")
    hidden = layers.Dropout(DROPOUT, seed=seed + 2, name="code_dropout")(code)
    hidden = layers.Dense(
        HIDDEN, activation="relu", kernel_initializer=hidden_weights, name="hidden"
    )(hidden)
    hidden = layers.Dropout(DROPOUT, seed=seed + 3, name="hidden_dropout")(hidden)
    logits = layers.Dense(labels.shape[1], kernel_initializer=output_weights, name="logits")
    head = keras.Model(code, logits(hidden), name="fitted_task_head")
    # One count of each class more than there are: an attribute of one class has finite odds.
    positives = labels.sum(axis=0, dtype=np.float64) + 1
    logits.bias.assign(np.log(positives / (len(labels) + 2 - positives)))
    head.compile(
        keras.optimizers.AdamW(LEARNING_RATE, weight_decay=WEIGHT_DECAY),
        keras.losses.BinaryCrossentropy(from_logits=True),
    )
    return head


def batches(codes: np.ndarray, labels: np.ndarray) -> tf.data.Dataset:
    """Batches of (codes, labels) in order."""
    return without_autotune(
        tf.data.Dataset.from_tensor_slices((codes, labels.astype(np.float32))).batch(BATCH)
    )


def shuffled_batches(codes: np.ndarray, labels: np.ndarray, seed: int) -> tf.data.Dataset:
    """Endless batches of (codes, labels); every pass has an order of its own.

    The order is the seed's alone; that of `Dataset.shuffle` would be TensorFlow's global seed's as
    well.
    """
    codes, labels = tf.constant(codes), tf.constant(labels, tf.float32)

    def one_pass(number):
        order = tf.random.experimental.stateless_shuffle(tf.range(len(codes)), (seed, number))
        return tf.data.Dataset.from_tensor_slices(order)

    rows = tf.data.Dataset.counter().flat_map(one_pass).batch(BATCH)
    return without_autotune(rows.map(lambda row: (tf.gather(codes, row), tf.gather(labels, row))))


def without_autotune(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """The same data set; autotuning stalls `fit` on few cores."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
