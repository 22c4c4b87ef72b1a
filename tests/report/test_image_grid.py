"""Which images are shown, in which order, and how."""

import numpy as np

from arl_tf.data.faces import generation
from arl_tf.report import image_grid


def test_shown_images_are_the_worst_and_a_spread_of_the_rest_in_order():
    similarity = np.random.default_rng(0).random(2000)
    rows = image_grid.shown_rows(similarity, 96)
    assert len(rows) == len(set(rows.tolist())) == 96
    assert (np.diff(similarity[rows]) <= 0).all()
    # The worst hundredth of 2000 is all there; the best protected, too.
    assert set(rows) >= set(np.argsort(-similarity)[:20])
    assert rows[-1] == similarity.argmin()


def test_twelve_worst_are_shown_where_a_hundredth_is_fewer():
    similarity = np.random.default_rng(0).random(300)
    rows = image_grid.shown_rows(similarity, 24)
    np.testing.assert_array_equal(rows[:12], np.argsort(-similarity)[:12])


def test_few_images_are_all_shown_once():
    similarity = np.array([0.2, 0.9, 0.5])
    assert image_grid.shown_rows(similarity, 96).tolist() == [1, 2, 0]
    assert image_grid.spread_rows(similarity, 12).tolist() == [1, 2, 0]


def test_ranks_count_from_the_worst_and_keep_the_order_of_equals():
    similarity = np.array([0.2, 0.9, 0.5, 0.9])
    assert image_grid.ranks(similarity).tolist() == [4, 1, 3, 2]


def test_spread_takes_both_ends_and_even_steps_between():
    similarity = np.linspace(1, 0, 11)
    assert image_grid.spread_rows(similarity, 3).tolist() == [0, 5, 10]


def test_wall_has_a_labelled_strip_for_every_row():
    images = generation.generate_faces(3, 32, seed=1).images
    wall = image_grid.image_grid({"original": images, "decoder": images})
    tile = image_grid.TILE
    assert wall.shape == (2 * tile, image_grid.LABEL_WIDTH + 3 * tile, 3)
    label = wall[:tile, : image_grid.LABEL_WIDTH]
    # Black on white, and another word in the other row.
    assert label.min() < 64
    assert label[0, 0].tolist() == [255, 255, 255]
    assert (label != wall[tile:, : image_grid.LABEL_WIDTH]).any()
    np.testing.assert_array_equal(
        wall[:tile, image_grid.LABEL_WIDTH :], wall[tile:, image_grid.LABEL_WIDTH :]
    )


def test_a_long_label_is_written_smaller_and_not_cut_off():
    images = np.zeros((1, 8, 8, 3), np.uint8)
    label = "from the task output:\noptimisation_components_twice_as_long"
    panel = image_grid.labelled_strip(label, images)[:, : image_grid.LABEL_WIDTH]
    assert (panel[:, -image_grid.LABEL_MARGIN :] == 255).all()
    assert (panel < 128).any()
