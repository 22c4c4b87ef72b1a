"""What is audited: an encoder, its SavedModel or recorded codes all look alike to the audit."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from arl_tf.auditing.channel import Channel
from arl_tf.auditing.encoders import audited, external
from arl_tf.auditing.encoders.external import RecordedCodes
from arl_tf.data.image_sets import ImageSet
from arl_tf.defences import registry
from arl_tf.models import architectures, code_layers, fingerprint

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3)).astype(np.uint8)
ROWS = np.array([4, 1])


@pytest.fixture(scope="module")
def players():
    keras.utils.set_random_seed(3)
    encoder, head = architectures.build_encoder_and_task_head(
        "small", image_size=32, cut="middle", code_channels=4, num_attributes=2
    )
    return encoder, head


def trained(players, channel=Channel()):  # noqa: B008 - frozen
    return audited.trained_encoder(*players, None, channel=channel, words="toy")


def test_codes_of_a_run_are_what_its_encoder_computes(players):
    expected = players[0].predict(IMAGES / np.float32(255), verbose=0)
    audited_encoder = trained(players)
    np.testing.assert_allclose(audited_encoder.codes_of(ROWS, IMAGES, 0), expected[ROWS], atol=1e-5)
    np.testing.assert_allclose(audited_encoder.query(IMAGES[:2], 0), expected[:2], atol=1e-5)
    np.testing.assert_allclose(
        audited_encoder.white_box(IMAGES[:2] / np.float32(255)), expected[:2], atol=1e-5
    )
    logits = players[1].predict(expected, verbose=0)
    np.testing.assert_allclose(audited_encoder.task_output(expected), logits, atol=1e-5)
    assert audited_encoder.code_shape == (4, 4, 4)


def test_everything_leaves_through_the_channel(players):
    audited_encoder = trained(players, Channel(clip=0.5, levels=3))
    for codes in (
        audited_encoder.codes_of(ROWS, IMAGES, 0),
        audited_encoder.query(IMAGES, 0),
        audited_encoder.white_box(tf.constant(IMAGES / np.float32(255))),
    ):
        assert set(np.unique(codes)) <= {-0.5, 0.0, 0.5}


def test_gradient_reaches_the_image_through_the_channel(players):
    image = tf.Variable(IMAGES[:1] / np.float32(255))
    with tf.GradientTape() as tape:
        code = trained(players, Channel(clip=0.5, levels=3)).white_box(image)
        value = tf.reduce_sum(tf.square(code - 1.0))
    gradient = tape.gradient(value, image)
    assert np.isfinite(gradient).all()
    assert np.abs(gradient).max() > 0


@pytest.mark.parametrize("name", ["laplace", "dropout", "shredder"])
@pytest.mark.parametrize(
    "channel", [Channel(clip=0.5), Channel(1.0, 2), Channel(1.0, 4), Channel(1.0, 3, noise=0.4)]
)
def test_inside_tells_the_mean_of_what_arrives_of_noise_that_is_not_gaussian(name, channel):
    keras.utils.set_random_seed(3)
    image = keras.Input((4, 4, 3))
    (noise,) = registry.layers_of(registry.choice_of(name))
    code = noise(keras.layers.Reshape((4, 4, 3))(4 * image - 2))
    encoder = keras.Model(image, code)
    head = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Flatten()])
    found = audited.trained_encoder(encoder, head, None, channel=channel, words="noisy")
    pictures = np.repeat(IMAGES[:1, :4, :4], 24_000, axis=0)
    arrived = found.query(pictures, seed=2).mean(axis=0)
    shown = tf.constant(pictures[:1] / np.float32(255))
    with tf.GradientTape() as tape:
        tape.watch(shown)
        told = found.white_box(shown)
    np.testing.assert_allclose(told[0], arrived, atol=0.05)
    assert float(tf.reduce_max(tf.abs(tape.gradient(told, shown)))) > 0


CHANNELS = [Channel(clip=0.5), Channel(0.5, 2), Channel(1.0, 4), Channel(0.6, 3, noise=0.4)]


def check_means_are_of_what_arrives(found):
    """Of one image: the inside's mean code and the mean of many codes behind the channel agree."""
    pictures = np.repeat(IMAGES[:1, :4, :4], 12_000, axis=0)
    arrived = found.query(pictures, seed=2).mean(axis=0)
    shown = tf.constant(pictures[:1] / np.float32(255))
    with tf.GradientTape() as tape:
        tape.watch(shown)
        told = found.white_box(shown)
    np.testing.assert_allclose(told[0], arrived, atol=0.06)
    assert float(tf.reduce_max(tf.abs(tape.gradient(told, shown)))) > 0


@pytest.mark.parametrize("channel", CHANNELS)
def test_inside_tells_the_mean_of_what_arrives_of_codes_that_the_encoder_rounds(channel):
    keras.utils.set_random_seed(3)
    image = keras.Input((4, 4, 3))
    noisy = code_layers.NoisyCode(0.7)(keras.layers.Reshape((4, 4, 3))(4 * image - 2))
    encoder = keras.Model(image, code_layers.QuantisedCode(4)(noisy))
    head = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Flatten()])
    found = audited.trained_encoder(encoder, head, None, channel=channel, words="noisy")
    check_means_are_of_what_arrives(found)


def noisy_encode(law):
    """A function images uint8 [n, 4, 4, 3] -> codes [n, 4, 4, 3] whose noise has that law."""
    rng = np.random.default_rng(5)
    add = {
        "normal": lambda values: values + rng.normal(0, 0.7, values.shape),
        "laplace": lambda values: values + rng.laplace(0, 0.7 / np.sqrt(2), values.shape),
        "dropout": lambda values: values * rng.binomial(1, 0.6, values.shape) / 0.6,
    }[law]
    return lambda images: add(images / 127.5 - 1).astype(np.float32)


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("law", ["normal", "laplace", "dropout"])
def test_inside_tells_the_mean_of_what_arrives_of_a_file_s_random_codes(law, channel):
    file = external.ExternalEncoder(
        noisy_encode(law), lambda image: 2 * image - 1, "", True, 4, (4, 4, 3), "file"
    )
    check_means_are_of_what_arrives(
        audited.external_audited_encoder(file, None, channel=channel, words="file")
    )


@pytest.mark.parametrize("channel", CHANNELS)
def test_inside_tells_the_mean_of_what_arrives_of_noise_that_was_told(channel):
    told = audited.AuditedEncoder(
        words="function",
        sha256="function",
        code_shape=(4, 4, 3),
        channel=channel,
        encoder=noisy_encode("normal"),
        differentiable=lambda image: 2 * image - 1,
        noise_deviation=np.full((4, 4, 3), 0.7),
    )
    check_means_are_of_what_arrives(told)


def test_hash_is_of_the_weights(players):
    encoder, _ = players
    other = keras.models.clone_model(encoder)
    other.set_weights(encoder.get_weights())
    same = fingerprint.weights_hash(other)
    assert same == fingerprint.weights_hash(encoder)
    other.set_weights([weight + 1e-6 for weight in encoder.get_weights()])
    assert fingerprint.weights_hash(other) != same


def recorded_codes(logits=None):
    images = ImageSet(
        IMAGES, np.zeros((6, 0), np.uint8), np.arange(6), (), tuple("abcdef"), (), False
    )
    codes = np.arange(24, dtype=np.float32).reshape(6, 4)
    return RecordedCodes(codes, images, logits, False, (2, 2))


def test_recorded_codes_can_be_read_by_row_and_nothing_can_be_asked():
    codes = recorded_codes()
    audited_encoder = audited.recorded_encoder(codes, channel=Channel(), words="file")
    np.testing.assert_array_equal(audited_encoder.codes_of(ROWS, IMAGES, 0), codes.codes[ROWS])
    assert audited_encoder.encoder is None
    assert audited_encoder.white_box is None
    assert audited_encoder.not_white_box
    assert audited_encoder.code_shape == (2, 2)


def test_encoder_as_recorded_gives_the_same_codes_and_no_more(players):
    audited_encoder = trained(players)
    frozen = audited.as_recorded(audited_encoder, IMAGES)
    np.testing.assert_allclose(
        frozen.codes_of(ROWS, IMAGES, 0), audited_encoder.codes_of(ROWS, IMAGES, 0), atol=1e-5
    )
    assert frozen.encoder is None
    assert frozen.white_box is None
    assert audited.as_recorded(frozen, IMAGES) is frozen
    assert dataclasses.replace(frozen).task_output is audited_encoder.task_output
