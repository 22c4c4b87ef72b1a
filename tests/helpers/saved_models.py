"""Small SavedModels that arl_tf's export did not write, for the tests of external encoders."""

import numpy as np
import tensorflow as tf

SIZE = 32


def save_function(path, shape, function, *, name="image", dtype=tf.uint8, signature=None):
    """Saves `function`, tensor -> outputs by name, with its variable `scale`, as one signature."""
    module = tf.Module()
    module.scale = tf.Variable(2.0)

    @tf.function(input_signature=[tf.TensorSpec(shape, dtype, name=name)])
    def run(tensor):
        return function(tensor, module.scale)

    module.run = run
    tf.saved_model.save(module, str(path), signatures={signature or "serving_default": run})
    return path


def kernel(channels=4):
    """A fixed convolution kernel, 8 x 8."""
    values = np.random.default_rng(0).normal(0, 0.1, (8, 8, 3, channels))
    return tf.constant(values, tf.float32)


def convolved(image, scale):
    """Code [N, 4, 4, 4] of a float image in 0..255, of any even size."""
    code = tf.nn.conv2d(image / 255.0, kernel(), 8, "VALID")
    return {"code": scale * tf.tanh(code)}


def cast_and_convolved(image, scale):
    """The same of a uint8 image."""
    return convolved(tf.cast(image, tf.float32), scale)


def pictures(count, size=SIZE, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), np.uint8)
