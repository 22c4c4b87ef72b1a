"""The search that white-box attacks share: steps of Adam, what is kept, on which images."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from arl_tf.attacks import code_search
from arl_tf.attacks.code_search import Search
from arl_tf.attacks.evidence import AttackerOptions, Evidence, PublicPairs

SETTINGS = AttackerOptions(
    width=4, depth=0, steps=10, batch_size=4, learning_rate=1e-3, mu=0.0, seed=1
)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    """Five images make three batches, the last of which is filled up."""
    monkeypatch.setattr(code_search, "BATCH", 2)


def search_of(iterations=7, learning_rate=0.01, prior_weights=(0.0,)):
    """Over pixels, with their mean square as the prior."""
    return Search(
        picture=tf.identity,
        project=lambda image: tf.clip_by_value(image, 0.0, 1.0),
        prior=lambda image: tf.reduce_mean(tf.square(image), axis=(1, 2, 3)),
        prior_weights=prior_weights,
        learning_rate=learning_rate,
        iterations=iterations,
    )


def evidence_of(encode):
    """Five public images of one colour each, which are held out and under attack as well."""
    colours = np.array([30, 60, 90, 120, 150], np.uint8)
    images = np.broadcast_to(colours[:, None, None, None], (5, 4, 4, 3)).copy()
    codes = np.asarray(encode(tf.constant(images, tf.float32) / 255.0))
    pairs = PublicPairs(codes, images, codes, images)
    return Evidence(pairs, codes, lambda image: [image], encode=encode)


def run(evidence, search, start):
    """The search's result from the same start for target and held-out codes."""
    return code_search.search_result(
        evidence, SETTINGS, search, (start, start), name="search", started=0.0, extra={"words": "w"}
    )


GREY = np.full((5, 4, 4, 3), 0.5, np.float32)


def test_code_distance_by_hand():
    code = tf.constant([[[1.0, 10.0]], [[0.0, 0.0]]])
    wanted = tf.constant([[[0.0, 0.0]], [[0.0, 0.0]]])
    # (1 / 0.5)² and (10 / 5)²: 4 each.
    found = code_search.code_distance(code, wanted, np.array([0.5, 5.0]))
    np.testing.assert_allclose(found, [4.0, 0.0])


def test_unknown_values_do_not_count_in_a_code_distance():
    code = tf.Variable([[1.0, 5.0, 2.0]])
    wanted = tf.constant([[0.0, np.nan, 4.0]])
    with tf.GradientTape() as tape:
        found = code_search.code_distance(code, wanted, np.array([1.0, 1.0, 2.0]))
    # (1 + 1) / 2, of the two values that are known.
    np.testing.assert_allclose(found, [1.0])
    np.testing.assert_allclose(tape.gradient(found, code), [[1.0, 0.0, -0.5]])


def test_checks_come_at_equal_intervals_and_the_last_is_at_the_end():
    evidence, search = evidence_of(tf.identity), search_of(iterations=7)
    advance = code_search.adam_steps(evidence, search)
    path = code_search.descend(advance, search, GREY, evidence.target_codes, 0.0, 7)
    assert [iterations for iterations, _ in path] == [0, 2, 4, 6, 7]


def test_steps_are_those_of_adam():
    evidence, search = evidence_of(tf.identity), search_of(iterations=6)
    advance = code_search.adam_steps(evidence, search)
    path = code_search.descend(advance, search, GREY, evidence.target_codes, 0.5, 6)
    *_, (_, found) = path
    pixels = tf.Variable(GREY)
    adam = keras.optimizers.Adam(0.01, beta_1=0.9, beta_2=0.99, epsilon=1e-10)
    deviation = evidence.pairs.codes.std(axis=(0, 1, 2))
    for _ in range(6):
        with tf.GradientTape() as tape:
            distance = tf.reduce_mean(tf.square((pixels - evidence.target_codes) / deviation))
            total = 5 * (distance + 0.5 * tf.reduce_mean(tf.square(pixels)))
        adam.apply([tape.gradient(total, pixels)], [pixels])
    np.testing.assert_allclose(found, pixels.numpy(), atol=1e-4)
    assert np.abs(found - GREY).min() > 0.01


def test_search_is_traced_once_for_all_batches_and_checks():
    traces = []

    def encode(image):
        traces.append(image)
        return tf.identity(image)

    evidence = evidence_of(encode)
    traces.clear()
    run(evidence, search_of(prior_weights=(0.0, 0.1, 1.0)), GREY)
    # Autograph may call the body of a loop more than once for the one trace of its function.
    assert len(traces) <= 2


def test_weight_of_the_prior_is_the_one_that_serves_held_out_images():
    result = run(evidence_of(tf.identity), search_of(20, prior_weights=(100.0, 0.0, 10.0)), GREY)
    assert result.settings["prior_weight"] == 0.0
    assert result.settings["words"] == "w"


def test_share_that_serves_held_out_images_is_kept():
    search = search_of(iterations=1, learning_rate=1.0)
    evidence = evidence_of(tf.identity)
    # One step leads from grey to black or, above 127.5, to white: 35 % of the way is nearest.
    result = run(evidence, search, GREY)
    assert result.settings["share"] == 0.35
    expected = 0.5 + 0.35 * np.array([-0.5, -0.5, -0.5, -0.5, 0.5])
    np.testing.assert_allclose(result.reconstructions[:, 0, 0, 0], expected, atol=1e-5)


def test_a_small_share_of_a_coarse_step_can_be_kept():
    evidence = evidence_of(tf.identity)
    # One step of 0.4 towards pictures that are 0.06 away.
    result = run(evidence, search_of(iterations=1, learning_rate=0.4), evidence.target_codes - 0.06)
    assert result.settings["share"] == 0.15
    np.testing.assert_allclose(result.reconstructions, evidence.target_codes, atol=1e-5)


def test_start_that_nothing_improves_is_returned():
    evidence = evidence_of(tf.identity)
    result = run(evidence, search_of(), evidence.target_codes)
    assert (result.settings["iterations"], result.settings["share"]) == (0, 1.0)
    np.testing.assert_array_equal(result.reconstructions, evidence.target_codes)
    assert result.held_out_loss[0] == min(result.held_out_loss)


def test_gradient_that_is_not_finite_is_an_error_not_a_picture():
    with pytest.raises(ValueError, match="Attack search diverged"):
        run(evidence_of(lambda image: image + tf.sqrt(0.0 * image)), search_of(), GREY)


def test_batches_are_filled_up_with_the_last_row():
    parts = code_search.batches(np.arange(5.0))
    np.testing.assert_array_equal(np.stack(parts), [[0, 1], [2, 3], [4, 4]])


def test_without_the_encoder_nothing_is_searched():
    evidence = Evidence(evidence_of(tf.identity).pairs, GREY, lambda image: [image])
    with pytest.raises(ValueError, match=r"Attack name needs Evidence\.encode"):
        code_search.check_white_box(evidence, "name")
