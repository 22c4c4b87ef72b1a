"""Each defence's formula: hand-computed values, identities, and which way its gradient moves."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import integrate, stats

from arl_tf.defences import (
    entropy,
    fisher,
    noise,
    nopeek,
    pruning,
    registry,
    shredder,
    similarity,
    ssim_hinge,
    target_image,
)
from arl_tf.defences.definition import Step
from arl_tf.models import code_layers


def step(images=None, codes=None, pictures=(), encoder=None, means=None, classes=None):
    """What a loss sees; only what it needs is given."""
    means = codes if means is None else means
    return Step(images, codes, means, None, None, pictures, encoder, classes)


def pictures(count=4, side=16, seed=0):
    return tf.constant(np.random.default_rng(seed).random((count, side, side, 3), np.float32))


def test_distance_correlation_of_equal_scaled_and_moved_data_is_one():
    rows = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    for other in (rows, -2.5 * rows + 7):
        found = nopeek.distance_correlation(tf.constant(rows), tf.constant(other))
        assert float(found) == pytest.approx(1, abs=1e-4)


def test_distance_correlation_of_independent_data_is_zero():
    # Every pair of values occurs equally often.
    one, other = (grid.reshape(-1, 1) for grid in np.meshgrid([0.0, 1, 5], [2.0, 3, 9, 10]))
    found = nopeek.distance_correlation(*(tf.constant(x, tf.float32) for x in (one, other)))
    assert float(found) == pytest.approx(0, abs=1e-6)


def test_distance_correlation_of_three_rows_by_hand():
    rows = (tf.constant([[0.0], [1], [2]]), tf.constant([[0.0], [1], [1]]))
    found = nopeek.distance_correlation(*rows)
    first = np.array([[0, 1, 2], [1, 0, 1], [2, 1, 0]], float)
    second = np.array([[0, 1, 1], [1, 0, 0], [1, 0, 0]], float)
    centre = np.eye(3) - 1 / 3
    one, other = (centre @ matrix @ centre for matrix in (first, second))
    expected = (one * other).mean() / math.sqrt((one**2).mean() * (other**2).mean())
    assert float(found) == pytest.approx(expected, rel=1e-4)


def test_rows_have_no_distance_to_themselves_however_long_they_are():
    rows = np.random.default_rng(0).normal(size=(64, 2048)).astype(np.float32)
    found = nopeek.distances(tf.constant(rows)).numpy()
    np.testing.assert_array_equal(np.diag(found), 0)
    assert found[0, 1] == pytest.approx(np.linalg.norm(rows[0] - rows[1]), rel=1e-5)


def test_nopeek_has_a_finite_gradient_where_rows_are_equal():
    codes = tf.ones((4, 3))
    with tf.GradientTape() as tape:
        tape.watch(codes)
        loss = nopeek.loss(step(pictures(), codes), 0.0)
    assert np.isfinite(tape.gradient(loss, codes)).all()


def test_laplace_of_normal_quantiles_is_the_laplace_distribution():
    # |Z| is above 0.67449 in a half of all cases, above 1.95996 in 1/20, above 5.32672 in 1e-7.
    found = noise.laplace(tf.constant([0.0, 0.674489750, -1.959963985, 5.326723886]))
    expected = [0, math.log(2), -math.log(20), math.log(1e7)]
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-6)


def test_epsilon_of_laplace_noise_is_the_greatest_log_ratio_of_densities():
    # Two codes at the opposite limits: the density's ratio is exp(2 limit / scale) a value.
    scale, limit = 0.5, 2.0
    densities = [math.exp(-abs(9 - mean) / scale) for mean in (limit, -limit)]
    ratio = math.log(densities[0] / densities[1])
    assert noise.epsilon(scale, limit) == pytest.approx(ratio) == pytest.approx(8)
    assert noise.epsilon(scale, limit, values=10) == pytest.approx(80)
    assert "epsilon 4 for a single value and 192 for a code" in noise.described_epsilon(
        1, (4, 4, 3)
    )


def test_epsilon_of_gaussian_noise_is_the_known_one():
    # Balle and Wang's calibration for a sensitivity of 1, epsilon 1 and delta 1e-5.
    found = noise.gaussian_epsilon(3.730631634815942, limit=0.5, delta=1e-5)
    assert found == pytest.approx(1, rel=1e-9)
    # The sensitivity of n values is the root of n times that of one.
    assert noise.gaussian_epsilon(2.0, values=9) == pytest.approx(noise.gaussian_epsilon(2 / 3))
    assert noise.gaussian_epsilon(1e6) == 0


@pytest.mark.parametrize(("epsilon", "ratio"), [(0.0, 1.0), (1.0, 0.5), (10.0, 4.0), (3.0, 3.0)])
def test_delta_is_the_mass_by_which_one_density_exceeds_the_other(epsilon, ratio):
    def excess(x):
        return stats.norm.pdf(x) - math.exp(epsilon) * stats.norm.pdf(x + ratio)

    # The densities of codes at the opposite limits; beyond this place one exceeds the other.
    start = epsilon / ratio - ratio / 2
    expected, _ = integrate.quad(excess, start, np.inf)
    assert noise.gaussian_delta(epsilon, ratio) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("deviation", "values"), [(1e-3, 8192), (1.0, 2048), (100.0, 10**6)])
def test_epsilon_of_gaussian_noise_is_found_for_codes_of_any_size(deviation, values):
    found = noise.gaussian_epsilon(deviation, values=values)
    ratio = 4 * math.sqrt(values) / deviation
    assert noise.gaussian_delta(found, ratio) == pytest.approx(noise.DELTA, rel=1e-3)


def test_noise_says_its_epsilon_and_delta():
    said = registry.description(registry.choice_of("noise", 1.0), (4, 4, 3))
    assert "epsilon 24.4 for a single value and 501 for a code" in said and "delta of 1e-05" in said


@pytest.mark.parametrize("name", ["laplace", "dropout", "shredder"])
def test_noise_that_is_not_gaussian_has_the_mean_and_the_kurtosis_that_it_says(name):
    layer = registry.layers_of(registry.choice_of(name))[0]
    values = tf.fill((40_000, 2), 0.8)
    codes = np.asarray(layer(values))
    assert not layer.is_gaussian
    drawn = layer.standardised(codes, np.asarray(layer.mean(values)))
    assert drawn.mean() == pytest.approx(0, abs=0.03)
    assert np.square(drawn).mean() == pytest.approx(1, abs=0.05)
    assert (drawn**4).mean() == pytest.approx(layer.kurtosis, rel=0.15)


def test_dropout_leaves_the_share_that_it_should_and_no_bias():
    codes = np.asarray(
        registry.layers_of(registry.choice_of("dropout", 0.3))[0](tf.ones((30_000, 1)))
    )
    assert (codes == 0).mean() == pytest.approx(0.3, abs=0.02)
    np.testing.assert_allclose(np.unique(codes), [0, 1 / 0.7], rtol=1e-6)


def test_learned_noise_starts_where_it_is_told_and_its_loss_makes_it_larger():
    layer = shredder.LearnedLaplaceNoise(0.5)
    image = keras.Input((3,))
    encoder = keras.Model(image, layer(image))
    np.testing.assert_allclose(layer.scale, [0.5] * 3, rtol=1e-4)
    with tf.GradientTape() as tape:
        loss = shredder.magnitude_loss(step(encoder=encoder), 0.0)
    assert float(loss) == pytest.approx(-0.5, rel=1e-4)
    assert (np.asarray(tape.gradient(loss, layer.scale_logit)) < 0).all()


def test_hinge_is_zero_beyond_its_bound_and_the_excess_within():
    images, other = pictures(), pictures(seed=1)
    similar = float(similarity.ssim(other, images))
    assert similar < 0.3
    assert float(ssim_hinge.loss(step(images, pictures=(other,)), 0.3)) == 0
    # A perfect picture has the similarity 1; two decoders count with their mean.
    assert float(ssim_hinge.loss(step(images, pictures=(images,)), 0.3)) == pytest.approx(0.7)
    both = ssim_hinge.loss(step(images, pictures=(images, other)), 0.3)
    assert float(both) == pytest.approx(0.35)


@pytest.mark.parametrize(("side", "scales"), [(8, 1), (16, 1), (32, 2), (64, 3), (224, 5)])
def test_similarity_over_scales_uses_those_that_hold_the_window(side, scales):
    assert similarity.num_scales(side) == scales


def test_similarity_over_scales_is_one_for_equal_pictures_and_has_a_gradient_for_opposite_ones():
    images = pictures(side=32)
    assert float(similarity.ms_ssim(images, images)) == pytest.approx(1)
    opposite = 1 - images
    with tf.GradientTape() as tape:
        tape.watch(opposite)
        found = similarity.ms_ssim(opposite, images)
    assert 0 <= float(found) < 0.1
    assert np.isfinite(tape.gradient(found, opposite)).all()


def test_target_picture_is_always_the_same_and_reached_at_a_loss_of_zero():
    aim = target_image.target(16)
    np.testing.assert_array_equal(aim, target_image.target(16))
    images = pictures()
    found = target_image.loss(step(images, pictures=(tf.repeat(tf.constant(aim), 4, axis=0),)), 0.0)
    assert float(found) == pytest.approx(0, abs=1e-5)
    assert float(target_image.loss(step(images, pictures=(images,)), 0.0)) > 0.5


def test_information_of_a_known_mixture():
    # Two components far apart, without noise of their own: log 2 nats in two values.
    rows = tf.constant([[0.0, 0], [0, 0], [9, 9], [9, 9]])
    members = tf.constant([[1.0, 0], [1, 0], [0, 1], [0, 1]])
    found = entropy.information_bound(rows, members, tf.constant([1.0, 1.0]))
    assert float(found) == pytest.approx(math.log(2) / 2)
    # One component of variance 3 beside noise of variance 1: half the log of 4 for each value.
    rows = tf.constant([[-1.0, 1], [1, -1]]) * math.sqrt(3)
    found = entropy.information_bound(rows, tf.ones((2, 1)), tf.constant([1.0, 1.0]))
    assert float(found) == pytest.approx(0.5 * math.log(4))


def test_components_are_the_clusters_of_the_rows_and_empty_ones_do_no_harm():
    rows = tf.constant([[0.0], [0.1], [5], [5.1]])
    members = np.asarray(entropy.components_of(rows, 2))
    np.testing.assert_array_equal(members[:, 0], [1, 1, 0, 0])
    same = entropy.components_of(tf.ones((3, 1)), 4)
    found = entropy.information_bound(tf.ones((3, 1)), same, tf.constant([1.0]))
    assert float(found) == pytest.approx(0)


def noisy_encoder(deviation):
    """An encoder of two values that adds Gaussian noise alone."""
    image = keras.Input((2,))
    return keras.Model(image, code_layers.NoisyCode(deviation)(image))


def test_components_are_the_classes_of_the_task_where_it_has_some():
    rows = tf.constant([[0.0, 0], [0.2, 0], [9, 9], [9, 9.2]])
    clusters, across = tf.constant([0, 0, 1, 1]), tf.constant([0, 1, 0, 1])
    encoder = noisy_encoder(1.0)
    found = {}
    for name, numbers in (("clusters", clusters), ("across", across)):
        classes = tf.one_hot(numbers, 2)
        found[name] = float(entropy.loss(step(encoder=encoder, means=rows, classes=classes), 1.0))
        # Noise of deviation 1 has half of the variance of the mixture.
        expected = entropy.information_bound(rows, classes, tf.constant([0.5, 0.5]))
        assert found[name] == pytest.approx(float(expected), rel=1e-5)
    # Classes that are not those of the codes leave their variance to the components.
    assert found["across"] > found["clusters"] + 1
    by_k_means = float(entropy.loss(step(encoder=encoder, means=rows), 1.0))
    assert by_k_means != pytest.approx(found["across"], rel=0.1)


def test_a_bound_by_single_values_is_above_that_of_the_whole_covariance():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(400, 3)) @ np.array([[1, 0.9, 0.8], [0, 0.3, 0.1], [0, 0, 0.2]])
    noise = np.array([0.5, 0.2, 0.1])
    bound = entropy.information_bound(
        tf.constant(rows, tf.float32), tf.ones((400, 1)), tf.constant(noise, tf.float32)
    )
    whole = np.linalg.slogdet(np.eye(3) + np.cov(rows.T, bias=True) / noise[:, None])[1] / 2
    assert 3 * float(bound) > whole + 0.5


def linear_encoder(kernel, error):
    """An encoder of 2x2 images whose code is a linear map, with noise for an error."""
    image = keras.Input((2, 2, 3))
    dense = keras.layers.Dense(2, use_bias=False)
    layer = fisher.FisherNoise(error)
    encoder = keras.Model(image, layer(dense(keras.layers.Flatten()(image))))
    dense.set_weights([kernel])
    return encoder, layer


def test_fisher_noise_makes_the_bound_of_a_linear_encoder_the_error_asked_for():
    keras.utils.set_random_seed(0)
    kernel = np.zeros((12, 2), np.float32)
    kernel[0, 0], kernel[1, 1] = 0.3, 0.4
    encoder, layer = linear_encoder(kernel, error=0.01)
    # Before anything is known, half of the variance is noise.
    np.testing.assert_allclose(layer.signal_share, [0.5, 0.5], rtol=1e-5)
    fisher.observe(step(pictures(3, 2) * 0.5, encoder=encoder), 0.0)
    # |J|^2 = .09 + .16 for 12 pixel values; code sqrt(s) u has dFIL = s |J|^2 / (d (1 - s)).
    share = float(layer.signal_share[0])
    dfil = share * 0.25 / (12 * (1 - share))
    assert 1 / dfil == pytest.approx(0.01, rel=1e-3)


def test_sensitivity_is_estimated_without_bias():
    keras.utils.set_random_seed(1)
    kernel = np.full((12, 2), 0.05, np.float32)
    encoder, _ = linear_encoder(kernel, error=1.0)
    signal = code_layers.signal_encoder(encoder)
    # One vector of signs for each image; |J|^2 / d = 24 * .0025 / 12.
    found = fisher.sensitivity(signal, pictures(4000, 2))
    assert float(found) == pytest.approx(0.005, rel=0.1)


def test_projected_code_has_the_rank_and_the_variance_that_it_should():
    layer = registry.layers_of(registry.choice_of("bottleneck", 4.0))[0]
    values = np.random.default_rng(0).normal(size=(500, 8)).astype(np.float32)
    codes = np.asarray(layer(tf.constant(values)))
    assert np.linalg.matrix_rank(codes, tol=1e-3) == 2
    assert codes.var() == pytest.approx(values.var(), rel=0.2)
    on_grid = layer(tf.constant(values.reshape(5, 10, 10, 8)))
    np.testing.assert_allclose(np.asarray(on_grid).reshape(500, 8), codes, atol=1e-5)


def projecting_layer(channels=8):
    """The projection of `bottleneck` onto a quarter of the channels."""
    layer = registry.layers_of(registry.choice_of("bottleneck", 4.0))[0]
    layer.build((None, channels))
    return layer


def test_projection_is_one_whatever_training_makes_of_the_directions():
    layer = projecting_layer()
    rng = np.random.default_rng(0)
    layer.directions.assign(rng.normal(size=(8, 2)))
    found = np.asarray(layer.projection)
    np.testing.assert_allclose(found, found.T, atol=1e-5)
    np.testing.assert_allclose(found @ found, found, atol=1e-5)
    assert np.trace(found) == pytest.approx(2, abs=1e-4)
    # It leaves the directions where they are, and codes by the root of C / r larger.
    np.testing.assert_allclose(
        found @ np.asarray(layer.directions), np.asarray(layer.directions), atol=1e-4
    )
    values = rng.normal(size=(5, 8)).astype(np.float32)
    np.testing.assert_allclose(layer(tf.constant(values)), 2 * values @ found, atol=1e-4)


@pytest.mark.parametrize("change", [10 * np.eye(2), [[0.01, 0], [0, 0.01]], [[1, 3], [-1, 2]]])
def test_neither_length_nor_angle_of_the_directions_changes_a_code(change):
    layer = projecting_layer()
    values = tf.constant(np.random.default_rng(0).normal(size=(50, 8)), tf.float32)
    before = np.asarray(layer(values))
    layer.directions.assign(np.asarray(layer.directions) @ np.asarray(change))
    np.testing.assert_allclose(layer(values), before, atol=1e-4)


def test_training_gets_no_gradient_that_would_make_a_projected_code_larger():
    layer = projecting_layer()
    values = tf.constant(np.random.default_rng(0).normal(size=(50, 8)), tf.float32)
    with tf.GradientTape() as tape:
        square = tf.reduce_mean(tf.square(layer(values)))
    gradient = np.asarray(tape.gradient(square, layer.directions.value))
    assert np.abs(gradient).max() > 1e-2
    along = (gradient * np.asarray(layer.directions)).sum(axis=0)
    np.testing.assert_allclose(along, 0, atol=1e-4)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_projection_is_computed_in_float32_where_codes_are_in_half_precision(policy):
    half, whole = projecting_layer(), projecting_layer()
    half.dtype_policy = keras.dtype_policies.DTypePolicy(policy)
    for layer in (half, whole):
        layer.directions.assign(1000 * np.asarray(layer.directions))
    values = tf.constant(np.random.default_rng(0).normal(size=(50, 8)), tf.float32)
    codes = half(values)
    assert codes.dtype == policy.removeprefix("mixed_")
    np.testing.assert_allclose(tf.cast(codes, tf.float32), whole(values), atol=0.05)


def test_decomposition_projects_before_it_adds_noise():
    names = [layer.name for layer in registry.layers_of(registry.choice_of("decomposition"))]
    assert names == ["defence_projection", "defence_noise"]


@pytest.mark.parametrize(("channels", "kept"), [(8, 2), (6, 2), (2, 1)])
def test_noise_of_decomposition_is_that_of_a_kept_direction(channels, kept):
    projection, noisy = registry.layers_of(registry.choice_of("decomposition", 0.5, 0.25))
    rng = np.random.default_rng(0)
    values = tf.constant(rng.normal(size=(20_000, channels)), tf.float32)
    projected = projection(values)
    noisy.build(projected.shape)
    assert projection.kept == kept
    # The directions start orthonormal. Attackers who know them look along each of them.
    directions = np.asarray(projection.directions)
    signal = np.asarray(projected) * np.sqrt(np.asarray(noisy.signal_share)) @ directions
    noise = rng.normal(size=(20_000, channels)) * np.asarray(noisy.noise_deviation) @ directions
    np.testing.assert_allclose(noise.std(axis=0) / signal.std(axis=0), 0.5, rtol=0.03)
    # What attackers are told: the variance of each value, independent of the others.
    codes = np.asarray(noisy(tf.zeros((20_000, channels))))
    told = np.diag(1 - np.asarray(noisy.signal_share, np.float64))
    np.testing.assert_allclose(np.cov(codes.T), told, atol=0.03)


@pytest.mark.parametrize(("share", "zero"), [(0.25, 2), (0.5, 4), (0.01, 1), (0.99, 7)])
def test_mask_prunes_the_share_of_channels_with_the_lowest_scores(share, zero):
    layer = pruning.PrunedChannels(share)
    layer.build((None, 3, 3, 8))
    layer.scores.assign(np.arange(8.0))
    np.testing.assert_allclose(layer.mask, [0] * zero + [1] * (8 - zero), atol=1e-6)
    codes = layer(tf.ones((1, 3, 3, 8)))
    assert int(tf.math.count_nonzero(codes)) == 9 * (8 - zero)


def test_a_pruned_channel_that_would_help_gets_a_gradient_to_come_back():
    layer = pruning.PrunedChannels(0.5)
    layer.build((None, 4))
    with tf.GradientTape() as tape:
        useful = tf.reduce_sum(layer(tf.ones((1, 4))) * [0.0, 0.0, 0.0, 1.0])
    gradient = np.asarray(tape.gradient(useful, layer.scores))
    assert gradient[3] > 0 and (gradient[:3] == 0).all()


def test_pruning_wants_pictures_far_from_the_photo():
    images = tf.zeros((2, 4, 4, 3))
    found = pruning.loss(step(images, pictures=(images + 0.5, images)), 0.0)
    assert float(found) == pytest.approx(-0.125)
