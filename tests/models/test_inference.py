"""Outputs in batches are those of the model, whatever the batches."""

import keras
import numpy as np

from arl_tf.models.inference import in_batches


def test_outputs_are_the_models_own_in_order_and_in_inference_mode():
    values = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    inputs = keras.Input((3,))
    # Dropout would show if it were training.
    outputs = keras.layers.Dense(2)(keras.layers.Dropout(0.5)(inputs))
    model = keras.Model(inputs, outputs)
    expected = np.asarray(model(values, training=False))
    for batch_size in (1, 3, 7, 100):
        np.testing.assert_allclose(in_batches(model, values, batch_size), expected, atol=1e-6)
