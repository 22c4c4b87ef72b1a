"""The attackers' own networks: shapes, what they see, and what they cost."""

import keras
import numpy as np
import pytest

from arl_tf.attacks import networks
from arl_tf.models import architectures, costs


@pytest.mark.parametrize("code_shape", [(4, 4, 6), (16, 16, 3), (32, 32, 3), (8,)])
def test_attention_decoder_leads_from_any_decodable_code_to_the_image(code_shape):
    decoder = networks.build_attention_decoder(code_shape, image_size=32, width=4, depth=1)
    image = decoder.predict(np.zeros((2, *code_shape), "f4"), verbose=0)
    assert image.shape == (2, 32, 32, 3)
    assert image.min() >= 0 and image.max() <= 1


def test_a_vector_is_decoded_alike_whatever_its_length():
    grids = [
        [
            layer.output.shape[1:]
            for layer in networks.build_attention_decoder(
                (length,), image_size=32, width=4, depth=1
            ).layers[1:]
        ]
        for length in (31, 32)
    ]
    assert grids[0] == grids[1]


def test_every_position_of_the_code_reaches_every_pixel():
    decoder = networks.build_attention_decoder((8, 8, 4), image_size=64, width=4, depth=1)
    codes = np.random.default_rng(0).normal(size=(2, 8, 8, 4)).astype(np.float32)
    codes[1] = codes[0]
    codes[1, 0, 0] += 5
    change = np.abs(np.diff(decoder.predict(codes, verbose=0), axis=0)[0]).max(axis=-1)
    assert change[-1, -1] > 0
    plain = architectures.build_decoder((8, 8, 4), image_size=64, width=4, depth=0)
    change = np.abs(np.diff(plain.predict(codes, verbose=0), axis=0)[0]).max(axis=-1)
    assert change[-1, -1] == 0


def test_attention_decoder_has_clearly_more_capacity_than_training_s_adversary():
    adversary = architectures.build_decoder((8, 8, 32), image_size=64, width=16, depth=1)
    attacker = networks.build_attention_decoder((8, 8, 34), image_size=64, width=20, depth=1)
    assert attacker.count_params() > 3 * adversary.count_params()


def test_code_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="can't be decoded"):
        networks.build_attention_decoder((5, 5, 2), image_size=32, width=4, depth=1)


def test_multiply_adds_by_hand():
    image = keras.Input((8, 8, 3))
    features = keras.layers.Conv2D(4, 3, 2, padding="same")(image)
    features = keras.layers.Conv2DTranspose(5, 4, 2, padding="same")(features)
    features = keras.layers.DepthwiseConv2D(3, padding="same")(features)
    flat = keras.layers.Flatten()(features)
    model = keras.Model(image, keras.layers.Dense(7)(flat))
    convolution = 4 * 4 * 3 * 3 * 3 * 4
    transposed = 4 * 4 * 4 * 4 * 4 * 5
    depthwise = 8 * 8 * 3 * 3 * 5
    dense = 8 * 8 * 5 * 7
    assert costs.multiply_adds(model) == convolution + transposed + depthwise + dense
