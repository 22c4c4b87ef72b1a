"""Perceptrons that read attributes from flattened codes: probes, and task heads that are fitted."""

import keras
import numpy as np
from keras import layers


def build_perceptron(
    num_values: int,
    labels: np.ndarray,
    *,
    hidden: int,
    code_dropout: float,
    hidden_dropout: float,
    learning_rate: float,
    weight_decay: float,
    seed: int,
    name: str,
) -> keras.Model:
    """A compiled model: code [B, num_values] -> logits [B, K]; it begins at the frequencies.

    Args:
        num_values: values of a flattened code.
        labels: {0, 1} [N, K] of the training codes.
        hidden: units of the one hidden layer; 0: linear.
        code_dropout: share of the code's values that training leaves out.
        hidden_dropout: likewise of the hidden units.
        learning_rate: of AdamW.
        weight_decay: likewise.
        seed: draws weights and dropout.
        name: of the model.
    """
    kernels = [keras.initializers.GlorotUniform(seed + k) for k in (0, 1)]
    code = keras.Input((num_values,), name="code")
    features = layers.Dropout(code_dropout, seed=seed + 2, name="code_dropout")(code)
    if hidden:
        dense = layers.Dense(hidden, "relu", kernel_initializer=kernels[0], name="hidden")
        features = layers.Dropout(hidden_dropout, seed=seed + 3, name="hidden_dropout")(
            dense(features)
        )
    logits = layers.Dense(labels.shape[1], kernel_initializer=kernels[1], name="logits")
    model = keras.Model(code, logits(features), name=name)
    # One count of each class more than there are: an attribute of one class has finite odds.
    positives = labels.sum(axis=0, dtype=np.float64) + 1
    logits.bias.assign(np.log(positives / (len(labels) + 2 - positives)))
    model.compile(
        keras.optimizers.AdamW(learning_rate, weight_decay=weight_decay),
        keras.losses.BinaryCrossentropy(from_logits=True),
        jit_compile=False,
    )
    return model
