"""A hash that names a trained network: reports, manifests and served models tell it by that."""

import hashlib

import keras
import numpy as np


def weights_hash(model: keras.Model) -> str:
    """sha256 of a model's weights, in order, with their shapes."""
    digest = hashlib.sha256()
    for weight in model.get_weights():
        digest.update(str(weight.shape).encode())
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()
