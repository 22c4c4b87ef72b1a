"""What a network costs to run, counted from its layers."""

import keras
from keras import layers


def multiply_adds(model: keras.Model) -> int:
    """Multiply-adds of one image through the convolutions and dense layers of a functional model.

    Attention's products between positions are left out: they are few on small grids.
    """
    return sum(layer_multiply_adds(layer) for layer in model.layers)


def layer_multiply_adds(layer: layers.Layer) -> int:
    """Of one layer: weights of its kernel times the positions that it is applied at."""
    if isinstance(layer, keras.Model):
        return multiply_adds(layer)
    if isinstance(layer, layers.Conv2DTranspose):
        height, width = layer.input.shape[1:3]
        return height * width * layer.kernel.shape.num_elements()
    if isinstance(layer, layers.DepthwiseConv2D | layers.Conv2D):
        height, width = layer.output.shape[1:3]
        return height * width * layer.kernel.shape.num_elements()
    if isinstance(layer, layers.Dense):
        positions = 1
        for side in layer.output.shape[1:-1]:
            positions *= side
        return positions * layer.kernel.shape.num_elements()
    return 0
