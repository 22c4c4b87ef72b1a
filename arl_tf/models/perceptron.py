"""Perceptrons that read attributes from flattened codes: probes, and task heads that are fitted."""

import keras
import numpy as np
from keras import layers


def build_perceptron(
    num_values: int,
    bias: np.ndarray,
    *,
    hidden: int,
    code_dropout: float,
    hidden_dropout: float,
    learning_rate: float,
    weight_decay: float,
    seed: int,
    name: str,
    loss: keras.losses.Loss | None = None,
) -> keras.Model:
    """A compiled model: code [B, num_values] -> outputs [B, K].

    Args:
        num_values: values of a flattened code.
        bias: float [K], the outputs that it begins with, such as `log_odds`.
        hidden: units of the one hidden layer; 0: linear.
        code_dropout: share of the code's values that training leaves out.
        hidden_dropout: likewise of the hidden units.
        learning_rate: of AdamW.
        weight_decay: likewise.
        seed: draws weights and dropout.
        name: of the model.
        loss: None: binary cross-entropy of logits.
    """
    kernels = [keras.initializers.GlorotUniform(seed + k) for k in (0, 1)]
    code = keras.Input((num_values,), name="code")
    features = layers.Dropout(code_dropout, seed=seed + 2, name="code_dropout")(code)
    if hidden:
        dense = layers.Dense(hidden, "relu", kernel_initializer=kernels[0], name="hidden")
        features = layers.Dropout(hidden_dropout, seed=seed + 3, name="hidden_dropout")(
            dense(features)
        )
    logits = layers.Dense(len(bias), kernel_initializer=kernels[1], name="logits")
    model = keras.Model(code, logits(features), name=name)
    logits.bias.assign(bias)
    model.compile(
        keras.optimizers.AdamW(learning_rate, weight_decay=weight_decay),
        loss or keras.losses.BinaryCrossentropy(from_logits=True),
        jit_compile=False,
    )
    return model


def log_odds(labels: np.ndarray) -> np.ndarray:
    """Log odds float64 [K] of attributes {0, 1} [N, K].

    One count of each class more than there are: an attribute of one class has finite odds.
    """
    positives = labels.sum(axis=0, dtype=np.float64) + 1
    return np.log(positives / (len(labels) + 2 - positives))
