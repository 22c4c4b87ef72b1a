"""The differentiable form of a signature: the same codes, with gradients, or a reason why not."""

import numpy as np
import pytest
import tensorflow as tf
from saved_models import SIZE, cast_and_convolved, convolved, pictures, save_function

from arl_tf.auditing.encoders.saved_model_gradients import (
    MEAN_DRAWS,
    NotDifferentiableError,
    check_mean,
    differentiable_signature,
    random_images,
)
from arl_tf.auditing.encoders.saved_model_io import load_signature

SHAPE = (None, SIZE, SIZE, 3)


def turned_resized(image, scale):
    """Bytes are flipped, cut, padded and resized before they become floats."""
    image = tf.image.flip_left_right(tf.transpose(image, (0, 2, 1, 3)))[:, 4:-4, 4:-4]
    image = tf.pad(image, [[0, 0], [2, 2], [2, 2], [0, 0]])
    resized = tf.image.resize(image, (SIZE, SIZE), antialias=True)
    return convolved(resized, scale)


def channels_gathered(image, scale):
    return cast_and_convolved(tf.gather(image, [2, 1, 0], axis=-1), scale)


def converted(image, scale):
    return convolved(255.0 * tf.image.convert_image_dtype(image, tf.float32), scale)


def shaped_by_itself(image, scale):
    """Reads the bytes' shape beside their values; two casts."""
    pooled = tf.reshape(tf.cast(image, tf.float32), (tf.shape(image)[0], -1))[:, :12]
    code = cast_and_convolved(image, scale)["code"]
    return {"code": tf.reshape(code, (-1, 64)) + tf.tile(pooled, [1, 6])[:, :64] / 255.0}


def looped(image, scale):
    """A loop and a branch, over floats."""
    floats = tf.map_fn(lambda one: one * 0.5, tf.cast(image, tf.float32))
    return tf.cond(scale > 1, lambda: convolved(floats, scale), lambda: convolved(floats, -scale))


def load(path, function, shape=SHAPE):
    folder = save_function(path, shape, function)
    return load_signature(folder, ("serving_default",), "image", tf.uint8, "code")


def gradient_of(encode, image, weights):
    with tf.GradientTape() as tape:
        tape.watch(image)
        total = tf.reduce_sum(encode(image) * weights)
    return tape.gradient(total, image).numpy()


@pytest.mark.parametrize(
    ("function", "of_floats"),
    [
        (cast_and_convolved, convolved),
        (turned_resized, turned_resized),
        (channels_gathered, channels_gathered),
        (converted, convolved),
        (shaped_by_itself, shaped_by_itself),
        (looped, lambda image, scale: convolved(image * 0.5, scale)),
    ],
)
def test_codes_are_the_signatures_and_gradients_those_of_the_float_network(
    tmp_path, function, of_floats
):
    signature = load(tmp_path, function)
    differentiable = differentiable_signature(signature, SIZE)
    images = pictures(3)
    image = tf.constant(images, tf.float32) / 255.0
    code = differentiable(image).numpy()
    np.testing.assert_allclose(code, signature(images), atol=1e-4)
    weights = np.random.default_rng(1).normal(size=code.shape).astype(np.float32)
    found = gradient_of(differentiable, image, weights)
    # The same functions take floats as well.
    expected = gradient_of(lambda x: of_floats(255.0 * x, 2.0)["code"], image, weights)
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize(("batch", "count"), [(1, 3), (4, 6), (4, 4), (8, 3)])
def test_fixed_batches_are_taken_in_groups(tmp_path, batch, count):
    signature = load(tmp_path, cast_and_convolved, (batch, SIZE, SIZE, 3))
    differentiable = differentiable_signature(signature, SIZE)
    image = tf.constant(pictures(count), tf.float32) / 255.0
    expected = convolved(255.0 * image, 2.0)["code"]
    np.testing.assert_allclose(differentiable(image), expected, atol=1e-5)
    weights = np.random.default_rng(1).normal(size=expected.shape).astype(np.float32)
    np.testing.assert_allclose(
        gradient_of(differentiable, image, weights),
        gradient_of(lambda x: convolved(255.0 * x, 2.0)["code"], image, weights),
        atol=1e-5,
    )


def plain_noise(code):
    return tf.random.normal(tf.shape(code))


def cut_off_noise(code):
    return tf.random.truncated_normal(tf.shape(code))


def stateless_noise(code):
    # Its seed is random, as a graph that draws its own would have it.
    seed = tf.random.uniform((2,), maxval=2**30, dtype=tf.int32)
    return tf.random.stateless_normal(tf.shape(code), seed)


def with_noise(noise):
    def function(image, scale):
        code = cast_and_convolved(image, scale)["code"]
        return {"code": code + 3.0 * noise(code)}

    return function


@pytest.mark.parametrize("noise", [plain_noise, cut_off_noise, stateless_noise])
def test_noise_is_left_out_and_gradients_are_those_of_the_float_network(tmp_path, noise):
    signature = load(tmp_path, with_noise(noise))
    differentiable = differentiable_signature(signature, SIZE, random_codes=True)
    image = tf.constant(pictures(3), tf.float32) / 255.0
    scale = signature.model.scale
    expected = convolved(image * 255.0, scale)["code"]
    np.testing.assert_allclose(differentiable(image), expected, atol=1e-4)
    weights = np.random.default_rng(1).normal(size=expected.shape).astype(np.float32)
    found = gradient_of(differentiable, image, weights)
    by_hand = gradient_of(lambda x: convolved(x * 255.0, scale)["code"], image, weights)
    np.testing.assert_allclose(found, by_hand, atol=1e-4 * np.abs(by_hand).max())


def dropped_inside(image, scale):
    """Dropout between two layers."""
    code = cast_and_convolved(image, scale)["code"]
    return {"code": tf.tanh(2.0 * tf.nn.dropout(code + 0.2, 0.5))}


def with_seeded_dropout(image, scale):
    """The same, whose seed is set: every copy of this graph would draw the same."""
    code = cast_and_convolved(image, scale)["code"]
    return {"code": tf.tanh(2.0 * tf.nn.dropout(code + 0.2, 0.5, seed=7))}


def with_laplace_noise(image, scale):
    code = cast_and_convolved(image, scale)["code"]
    uniform = tf.random.uniform(tf.shape(code), -0.4999, 0.4999)
    return {"code": code - 0.5 * tf.sign(uniform) * tf.math.log1p(-2.0 * tf.abs(uniform))}


def rounded_behind_noise(image, scale):
    code = cast_and_convolved(image, scale)["code"]
    return {"code": tf.round(code + 0.5 * tf.random.normal(tf.shape(code)))}


def noisy_in_the_middle(image, scale):
    code = cast_and_convolved(image, scale)["code"]
    return {"code": tf.square(code + 0.5 * tf.random.normal(tf.shape(code)))}


def of_one_draw(image, scale):
    """All images of a batch share their noise."""
    code = cast_and_convolved(image, scale)["code"]
    return {"code": code * tf.random.gamma((1, 4, 4, 4), 4.0)}


@pytest.mark.parametrize(
    ("function", "slope", "straight"),
    [
        (with_laplace_noise, lambda code: 1.0, False),
        (rounded_behind_noise, lambda code: 1.0, True),
        (noisy_in_the_middle, lambda code: 2.0 * code, False),
        (of_one_draw, lambda code: 4.0, False),
        # Half of the values are tanh(0), the others tanh of twice what dropout doubles.
        (dropped_inside, lambda code: 2.0 / tf.cosh(4.0 * (code + 0.2)) ** 2, False),
        (with_seeded_dropout, lambda code: 2.0 / tf.cosh(4.0 * (code + 0.2)) ** 2, False),
    ],
)
def test_mean_code_and_mean_gradient_where_noise_cant_be_left_out(
    tmp_path, function, slope, straight
):
    signature = load(tmp_path, function)
    form = differentiable_signature(signature, SIZE, random_codes=True)
    assert (form.draws, form.straight_through) == (MEAN_DRAWS, straight)
    images = pictures(2)
    image, scale = tf.constant(images, tf.float32) / 255.0, signature.model.scale
    many = 40
    found = np.mean([form(image) for _ in range(many)], axis=0)
    codes = np.stack([signature(images) for _ in range(many * MEAN_DRAWS)])
    check_mean(found, codes, many * MEAN_DRAWS)
    weights = np.random.default_rng(1).normal(size=found.shape).astype(np.float32)
    gradients = np.mean([gradient_of(form, image, weights) for _ in range(many)], axis=0)

    def on_average(x):
        code = convolved(x * 255.0, scale)["code"]
        return code * tf.stop_gradient(slope(code))

    by_hand = gradient_of(on_average, image, weights)
    cosine = np.sum(gradients * by_hand) / np.linalg.norm(gradients) / np.linalg.norm(by_hand)
    assert cosine > 0.97
    assert np.linalg.norm(gradients) == pytest.approx(np.linalg.norm(by_hand), rel=0.15)


def test_draws_of_one_mean_differ_where_the_graph_has_a_seed(tmp_path):
    signature = load(tmp_path, with_seeded_dropout)
    form = differentiable_signature(signature, SIZE, random_codes=True)
    code = form(tf.constant(pictures(1), tf.float32) / 255.0).numpy()
    shares = np.unique(np.round(code / np.abs(code).max(), 3))
    # Of a single draw every value is 0 or all of its size.
    assert np.mean(code == 0) < 0.05 and len(shares) > 10


def test_noise_that_differs_from_what_the_graph_gives_is_refused():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(64, 4, 500))
    check_mean(codes[:16].mean(axis=0), rng.normal(size=(64, 4, 500)), 16)
    with pytest.raises(NotDifferentiableError, match="random in a way that is not known here"):
        check_mean(codes[:16].mean(axis=0) + 0.4, rng.normal(size=(64, 4, 500)), 16)


def whole_numbers(code):
    return tf.cast(tf.clip_by_value(tf.cast(code, tf.int32), -40, 40), tf.float32)


@pytest.mark.parametrize(
    ("rounding", "sign"),
    [
        (tf.round, 1.0),
        (tf.math.rint, 1.0),
        (tf.floor, 1.0),
        (whole_numbers, 1.0),
        (tf.sign, 1.0),
        (lambda code: tf.cast(code > 1.0, tf.float32), 1.0),
        (lambda code: 1.0 - 2.0 * tf.cast(code <= tf.zeros_like(code), tf.float32), 2.0),
        (lambda code: tf.cast(code < 1.0, tf.float32), -1.0),
    ],
)
def test_gradients_pass_rounding_and_codes_stay_rounded(tmp_path, rounding, sign):
    def function(image, scale):
        return {"code": rounding(20.0 * cast_and_convolved(image, scale)["code"])}

    signature = load(tmp_path, function)
    form = differentiable_signature(signature, SIZE)
    assert form.straight_through and not form.draws
    images = pictures(2)
    image = tf.constant(images, tf.float32) / 255.0
    np.testing.assert_allclose(form(image), signature(images), atol=1e-5)
    weights = np.random.default_rng(1).normal(size=form(image).shape).astype(np.float32)
    found = gradient_of(form, image, weights)
    scale = signature.model.scale
    floats = gradient_of(lambda x: convolved(x * 255.0, scale)["code"], image, weights)
    np.testing.assert_allclose(found, 20.0 * sign * floats, atol=1e-3)


def test_mean_of_random_codes_is_recognised_within_its_standard_error():
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(4, 500))
    codes = mean + 2.0 * rng.normal(size=(64, 4, 500))
    check_mean(mean, codes)
    # A standard error is 2 / 8.
    with pytest.raises(NotDifferentiableError, match=r"by 0\.4\d+, expected .* error of 0\.25"):
        check_mean(mean + 0.4, codes)


def test_works_inside_another_graph(tmp_path):
    differentiable = differentiable_signature(load(tmp_path, cast_and_convolved), SIZE)
    image = tf.constant(pictures(2), tf.float32) / 255.0
    inside = tf.function(lambda x: gradient_of_tensor(differentiable, x))
    np.testing.assert_allclose(inside(image), gradient_of_tensor(differentiable, image), atol=1e-6)


def gradient_of_tensor(encode, image):
    with tf.GradientTape() as tape:
        tape.watch(image)
        total = tf.reduce_sum(encode(image) ** 2)
    return tape.gradient(total, image)


def test_the_output_named_is_taken_among_several(tmp_path):
    def several(image, scale):
        return {
            "a": tf.cast(image, tf.float32),
            **cast_and_convolved(image, scale),
            "z": tf.reduce_mean(tf.cast(image, tf.float32), (1, 2)),
        }

    differentiable = differentiable_signature(load(tmp_path, several), SIZE)
    assert differentiable(tf.zeros((2, SIZE, SIZE, 3))).shape == (2, 4, 4, 4)


def nearest(image, scale):
    """Which channel is the largest: no rounding that gradients could pass."""
    code = cast_and_convolved(image, scale)["code"]
    return {"code": tf.one_hot(tf.argmax(code, axis=-1), 4)}


def looked_up(image, scale):
    return {"code": tf.cast(tf.bitwise.right_shift(image, tf.constant(2, tf.uint8)), tf.float32)}


def mapped(image, scale):
    code = tf.map_fn(lambda one: tf.cast(one, tf.float32), image, fn_output_signature=tf.float32)
    return convolved(code, scale)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (nearest, r"the gradient of its code is zero.* \(operations that end gradients: ArgMax\)"),
        (lambda image, scale: {"code": cast_and_convolved(image, scale)["code"] * 0}, "is zero"),
        (looked_up, r"feeds uint8 images to RightShift .*; expected a cast"),
        (mapped, "feeds uint8 images to "),
        (lambda i, s: {"code": tf.sqrt(tf.cast(i, tf.float32) * 0.0) * s + 1.0}, "not finite"),
    ],
)
def test_where_there_is_no_gradient_the_reason_is_said(tmp_path, function, words):
    with pytest.raises(NotDifferentiableError, match=words):
        differentiable_signature(load(tmp_path, function), SIZE)


@pytest.fixture
def rewritten_graphs():
    """Graphs are rewritten, as TensorFlow does by default and other tests leave out."""
    options = tf.config.optimizer.get_experimental_options()
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False})
    yield
    is_off = options.get("disable_meta_optimizer", False)
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": is_off})


def test_other_codes_than_the_signatures_are_refused(tmp_path, rewritten_graphs):
    # Two factors become one, and a code this steep turns the rounding into another code.
    def steep(image, scale):
        floats = tf.cast(image, tf.float32)
        return {"code": tf.math.sin(floats * 1e5) * scale}

    with pytest.raises(NotDifferentiableError, match="its retyped graph gives other codes"):
        differentiable_signature(load(tmp_path, steep), SIZE)


def test_random_images_are_always_the_same_bytes():
    images = random_images(2, 64)
    assert images.dtype == np.uint8 and images.shape == (2, 64, 64, 3)
    np.testing.assert_array_equal(images, random_images(2, 64))
    assert images.std() > 20 and not np.array_equal(images[0], images[1])
