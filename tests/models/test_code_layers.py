"""Noise and rounding at the end of an encoder."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from arl_tf.models import architectures, capacity, code_layers


def encoder_of(bounds):
    keras.utils.set_random_seed(3)
    encoder, head = architectures.build_encoder_and_task_head(
        "small", image_size=32, cut="middle", code_channels=3, num_attributes=2, bounds=bounds
    )
    return encoder, head


def pictures(count=4):
    return np.random.default_rng(0).random((count, 32, 32, 3), np.float32)


def test_values_go_to_the_nearest_level_and_zero_goes_up():
    layer = code_layers.QuantisedCode(4)
    found = layer(tf.constant([-9.0, -1.1, -0.9, -0.1, 0.0, 0.9, 1.1, 9.0]))
    np.testing.assert_allclose(found, [-1.5, -1.5, -0.5, -0.5, 0.5, 0.5, 1.5, 1.5], atol=1e-6)
    np.testing.assert_array_equal(code_layers.QuantisedCode(2)(tf.constant([-0.1, 0.0])), [-1, 1])


@pytest.mark.parametrize("levels", [2, 3, 5, 16])
def test_quantised_values_are_levels_and_stay_where_they_are(levels):
    layer = code_layers.QuantisedCode(levels)
    once = layer(tf.random.normal((500,), seed=1))
    assert len(np.unique(once)) == levels
    np.testing.assert_allclose(np.unique(once), capacity.code_levels(levels), atol=1e-6)
    np.testing.assert_array_equal(layer(once), once)


def test_gradient_passes_straight_through_within_the_levels_and_not_beyond():
    values = tf.constant([-3.0, -0.7, 0.2, 0.99, 1.5])
    with tf.GradientTape() as tape:
        tape.watch(values)
        total = tf.reduce_sum(code_layers.QuantisedCode(2)(values))
    np.testing.assert_array_equal(tape.gradient(total, values), [0, 1, 1, 1, 0])


@pytest.mark.parametrize("deviation", [0.5, 1.0, 3.0])
def test_noise_has_its_share_and_the_mixture_variance_one(deviation):
    layer = code_layers.NoisyCode(deviation)
    signal = np.sign(np.random.default_rng(2).normal(size=(20_000, 2))).astype(np.float32)
    mixed = np.asarray(layer(tf.constant(signal)))
    share = np.asarray(layer.signal_share)
    np.testing.assert_allclose(share, 1 / (1 + deviation**2), rtol=1e-5)
    noise = mixed - np.sqrt(share) * signal
    # Standard errors of a mean and of a variance of 20,000 values are 0.007 and 0.01.
    np.testing.assert_allclose(mixed.var(axis=0), 1, atol=0.05)
    np.testing.assert_allclose(noise.var(axis=0), 1 - share, atol=0.05)
    assert abs(np.corrcoef(noise[:, 0], signal[:, 0])[0, 1]) < 0.04


def test_noise_is_drawn_anew_for_every_code_in_inference_too():
    encoder, _ = encoder_of(architectures.CodeBounds(noise=1.0))
    same = np.repeat(pictures(1), 2, axis=0)
    first, second = np.asarray(encoder(same, training=False))
    assert np.abs(first - second).mean() > 0.3
    assert np.abs(np.asarray(encoder(same, training=False))[0] - first).mean() > 0.3


def test_signals_are_limited_before_the_noise():
    layer = code_layers.NoisyCode(1.0)
    layer.build((None, 1))
    np.testing.assert_allclose(layer.mean(tf.constant([[99.0]])), [[2 * np.sqrt(0.5)]], rtol=1e-5)


def test_rate_of_a_share_of_three_quarters_is_one_bit():
    assert float(code_layers.rate_bits(tf.constant(0.25))) == pytest.approx(1.0)


def test_a_learned_share_next_to_one_keeps_its_noise_its_rate_and_their_gradients():
    layer = code_layers.NoisyCode(1.0, learned=True)
    layer.build((None, 1))
    # Noise of a variance of 1e-9, which 1 - share rounds to 0.
    layer.share_logit.assign([np.log(1e9) / code_layers.SHARE_SPEED])
    with tf.GradientTape() as tape:
        deviation, rate = layer.noise_deviation, code_layers.rate_bits(layer.noise_share)
        total = tf.reduce_sum(deviation + rate)
    assert float(deviation[0]) == pytest.approx(1e-9**0.5, rel=1e-3)
    assert float(rate[0]) == pytest.approx(0.5 * np.log2(1e9), rel=1e-3)
    # d rate / d logit = 20 s / (2 log 2).
    gradient = tape.gradient(total, layer.share_logit.value)
    assert float(gradient[0]) == pytest.approx(10 / np.log(2), rel=1e-2)


@pytest.mark.parametrize(
    ("shared_by", "code_shape", "shares"),
    [
        ("value", (2, 3, 4), (2, 3, 4)),
        ("channel", (2, 3, 4), (1, 1, 4)),
        ("position", (2, 3, 4), (2, 3, 1)),
        ("channel", (4,), (4,)),
        ("position", (4,), (1,)),
    ],
)
def test_values_that_share_have_one_noise_and_each_of_them_counts(shared_by, code_shape, shares):
    layer = code_layers.NoisyCode(1.0, learned=True, shared_by=shared_by)
    code = tf.random.normal((2, *code_shape))
    layer(code, training=True)
    assert tuple(layer.share_logit.shape) == shares
    # SNR 1: half a bit a value, however many share.
    assert float(layer.losses[0]) == pytest.approx(0.5 * np.prod(code_shape), rel=1e-4)
    logits = np.random.default_rng(0).normal(size=shares) / code_layers.SHARE_SPEED
    layer.share_logit.assign(logits)
    share = 1 / (1 + np.exp(-code_layers.SHARE_SPEED * np.broadcast_to(logits, code_shape)))
    np.testing.assert_allclose(layer.signal_share, share, rtol=1e-5)
    np.testing.assert_allclose(layer.noise_deviation, np.sqrt(1 - share), rtol=1e-4)
    expected = capacity.noisy_bits(share)
    assert capacity.noisy_bits(np.asarray(layer.signal_share)) == pytest.approx(expected, rel=1e-5)
    again = code_layers.NoisyCode.from_config(layer.get_config())
    assert again.shared_by == shared_by


def test_unknown_sharing_is_refused():
    with pytest.raises(ValueError, match="one of value, channel, position; got 'row'"):
        code_layers.NoisyCode(1.0, shared_by="row")


def test_file_of_before_sharing_has_a_share_for_every_value():
    kept = code_layers.NoisyCode(1.0, learned=True).get_config()
    del kept["shared_by"]
    assert code_layers.NoisyCode.from_config(kept).shared_by == "value"


# Keras writes weight files in a way that NumPy 2 warns of.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("shared_by", ["channel", "position"])
def test_encoder_with_shared_noise_is_what_it_was_after_saving(shared_by, tmp_path):
    bounds = architectures.CodeBounds(1.0, True, shared_by)
    encoder, _ = encoder_of(bounds)
    noisy, _ = code_layers.bounding_layers(encoder)
    shape = noisy.share_logit.shape
    noisy.share_logit.assign(np.random.default_rng(1).normal(size=shape) / 20)
    encoder.save(tmp_path / "encoder.keras")
    again = keras.models.load_model(tmp_path / "encoder.keras")
    found, _ = code_layers.bounding_layers(again)
    np.testing.assert_array_equal(found.signal_share, noisy.signal_share)
    image, noise = pictures(1), code_layers.fixed_noise(1, encoder.output_shape[1:])
    codes = [
        code_layers.encoder_with_noise_input(each)({"image": image, "noise": noise})
        for each in (encoder, again)
    ]
    np.testing.assert_allclose(*codes, atol=1e-6)


def test_only_learned_noise_has_a_trainable_share_and_a_rate():
    for learned in (False, True):
        encoder, _ = encoder_of(architectures.CodeBounds(noise=1.0, learned_noise=learned))
        encoder(pictures(), training=True)
        noisy, _ = code_layers.bounding_layers(encoder)
        assert len(noisy.trainable_variables) == len(encoder.losses) == int(learned)
    # SNR 1: half a bit for each of 4 x 4 x 3 values.
    assert float(encoder.losses[0]) == pytest.approx(0.5 * 48, rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("levels", [0, 2, 4])
def test_mean_encoder_is_the_average_of_noisy_codes(levels):
    encoder, _ = encoder_of(architectures.CodeBounds(noise=1.0, levels=levels))
    image = pictures(1)
    drawn = np.asarray(encoder(np.repeat(image, 4000, axis=0), training=False))
    mean = np.asarray(code_layers.mean_encoder(encoder)(tf.constant(image)))
    # The standard error of each mean is at most 1 / sqrt(4000) = 0.016.
    np.testing.assert_allclose(drawn.mean(axis=0), mean[0], atol=0.08)


def test_mean_of_levels_is_the_sum_of_what_the_noise_lets_past_each_threshold():
    quantised = code_layers.QuantisedCode(2)
    # A sign: P(above 0) - P(below 0); half the probability lies within 0.6745 deviations.
    found = quantised.mean(tf.constant([[0.0, 0.6745, -1.349]]), tf.constant([1.0, 1.0, 2.0]))
    np.testing.assert_allclose(found, [[0, 0.5, -0.5]], atol=1e-4)
    # Little noise leaves what rounding gives.
    values = tf.constant([[0.9, -0.2, 3.0]])
    for levels in (3, 4):
        rounding = code_layers.QuantisedCode(levels)
        near = rounding.mean(values, tf.fill([3], 1e-3))
        np.testing.assert_allclose(near, rounding(values), atol=1e-5)


def test_noise_comes_before_the_rounding():
    encoder, _ = encoder_of(architectures.CodeBounds(noise=1.0, levels=2))
    codes = np.asarray(encoder(pictures(), training=False))
    assert set(np.unique(codes)) == {-1.0, 1.0}
    assert code_layers.bounding_layers(encoder)[1].levels == 2


def test_signal_encoder_is_the_encoder_without_noise():
    bounded, _ = encoder_of(architectures.CodeBounds(noise=2.0))
    plain, _ = encoder_of(architectures.CodeBounds())
    signal = code_layers.signal_encoder(bounded)
    signal.set_weights(plain.get_weights())
    np.testing.assert_array_equal(signal(pictures()), plain(pictures()))
    assert code_layers.signal_encoder(plain) is plain


def test_a_sequential_encoder_that_was_never_called_has_a_signal_too():
    noisy = keras.Sequential(
        [keras.Input((4, 4, 3)), keras.layers.Flatten(), code_layers.NoisyCode(0.5)]
    )
    image = tf.random.stateless_uniform((2, 4, 4, 3), (1, 2))
    signal = code_layers.signal_encoder(noisy)(image)
    np.testing.assert_array_equal(signal, tf.reshape(image, (2, 48)))
    code, mean = code_layers.code_and_mean(noisy)(image)
    assert code.shape == mean.shape == (2, 48)


# Keras 3.15 converts variables with np.array, of which NumPy 2.4 complains when weights are saved.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_bounded_encoders_come_back_from_disk(tmp_path):
    encoder, _ = encoder_of(architectures.CodeBounds(noise=2.0, learned_noise=True, levels=3))
    encoder.save(tmp_path / "encoder.keras")
    loaded = keras.models.load_model(tmp_path / "encoder.keras", compile=False)
    noisy, quantised = code_layers.bounding_layers(loaded)
    assert noisy.learned
    assert quantised.levels == 3
    np.testing.assert_array_equal(
        code_layers.mean_encoder(loaded)(pictures()), code_layers.mean_encoder(encoder)(pictures())
    )


def test_encoders_without_bounds_have_no_bounding_layers():
    encoder, _ = encoder_of(None)
    assert code_layers.bounding_layers(encoder) == (None, None)
    assert not any(isinstance(layer, layers.Layer) and layer.losses for layer in encoder.layers)


def test_an_encoder_takes_its_noise_from_outside_where_it_is_asked_to():
    encoder, _ = encoder_of(architectures.CodeBounds(noise=1.0))
    outside = code_layers.encoder_with_noise_input(encoder)
    noise = np.random.default_rng(1).standard_normal((4, *encoder.output_shape[1:]), np.float32)
    mean = np.asarray(code_layers.mean_encoder(encoder)(tf.constant(pictures())))
    without = outside({"image": pictures(), "noise": np.zeros_like(noise)}, training=False)
    mixed = outside({"image": pictures(), "noise": noise}, training=False)
    np.testing.assert_allclose(without, mean, atol=1e-6)
    np.testing.assert_allclose(mixed, mean + np.sqrt(0.5) * noise, atol=1e-5)


def test_an_encoder_without_noise_gets_no_input_for_it():
    with pytest.raises(ValueError, match="adds no noise"):
        code_layers.encoder_with_noise_input(encoder_of(None)[0])


@pytest.mark.parametrize("unpredictable", [False, True])
def test_the_seed_decides_the_noise_until_it_must_not(unpredictable):
    encoder, _ = encoder_of(architectures.CodeBounds(noise=1.0))
    if unpredictable:
        code_layers.make_unpredictable(encoder)
    codes = []
    for _ in range(2):
        tf.random.set_seed(7)
        codes.append(np.asarray(encoder(pictures(), training=False)))
    assert (codes[0] == codes[1]).all() != unpredictable
