"""Further photographs are variations of those at hand, in their range and by seed."""

import numpy as np

from arl_tf.data import augmentation
from arl_tf.data.faces import generation

IMAGES = generation.generate_faces(6, 32, seed=4).images


def test_variations_are_8_bit_pictures_of_the_size_of_the_originals():
    varied = augmentation.augmented(IMAGES, 20, seed=0)
    assert varied.shape == (20, 32, 32, 3)
    assert varied.dtype == np.uint8


def test_each_variation_is_nearer_to_its_original_than_to_others():
    varied = augmentation.augmented(IMAGES, 60, seed=0).astype(float)
    distances = np.square(varied[:, None] - IMAGES.astype(float)).mean(axis=(2, 3, 4))
    mirrored = np.square(varied[:, None] - IMAGES[:, :, ::-1].astype(float)).mean(axis=(2, 3, 4))
    nearest = np.minimum(distances, mirrored).argmin(axis=1)
    assert (nearest == np.arange(60) % 6).mean() > 0.8


def test_no_variation_is_the_original_and_no_two_are_alike():
    varied = augmentation.augmented(IMAGES, 12, seed=0)
    assert not any(np.array_equal(v, IMAGES[k % 6]) for k, v in enumerate(varied))
    assert not np.array_equal(varied[:6], varied[6:])


def test_variations_follow_from_the_seed():
    first = augmentation.augmented(IMAGES, 9, seed=1)
    np.testing.assert_array_equal(augmentation.augmented(IMAGES, 9, seed=1), first)
    assert (augmentation.augmented(IMAGES, 9, seed=2) != first).any()


def test_cut_out_lies_where_it_was_drawn_and_is_scaled_up():
    # Columns 0 to 8 hold 0, 10, ..., 80, rows the same: bilinear values are linear in the place.
    ramp = np.broadcast_to(10 * np.arange(9)[None, :, None], (9, 9, 3)).astype(np.uint8)
    images = np.stack([ramp] * 3)
    drawn = np.array([[1, 0, 0], [1, 0, 1], [0.5, 0, 0.5]])
    found = augmentation.cut_out(images, 0.5, drawn)
    # Half the side from the left, half from the right, three quarters in the middle.
    ends = [(0, 40), (40, 80), (10, 70)]
    for image, (left, right) in zip(found, ends, strict=True):
        np.testing.assert_array_equal(
            image[:, [0, 4, 8], 1], [[left, (left + right) / 2, right]] * 9
        )
        assert image.min() == left and image.max() == right


def test_nothing_is_cut_off_and_no_colour_changes_by_0():
    drawn = np.random.default_rng(0).random((len(IMAGES), 4))
    assert augmentation.cut_out(IMAGES, 0.0, drawn[:, :3]) is IMAGES
    assert augmentation.coloured(IMAGES, 0.0, drawn) is IMAGES
    whole = augmentation.cut_out(IMAGES, 0.5, np.zeros((len(IMAGES), 3)))
    np.testing.assert_array_equal(whole, IMAGES)


def test_colours_change_by_what_was_drawn():
    image = np.full((1, 2, 2, 3), 100, np.uint8)
    image[0, 0] = 140
    image[0, 1] = 60
    lowest, highest, unchanged = (
        augmentation.coloured(image, 0.2, np.full((1, 4), value)) for value in (0.0, 1.0, 0.5)
    )
    # 100 + 40 * .8 - 25.5 and 100 - 40 * .8 - 25.5; then 100 +- 48 + 25.5, rounded to even.
    np.testing.assert_array_equal(lowest[0, :, 0, 0], [106, 42])
    np.testing.assert_array_equal(highest[0, :, 0, 0], [174, 78])
    np.testing.assert_array_equal(unchanged, image)
    # Every channel has a light of its own.
    tinted = augmentation.coloured(
        np.full((1, 2, 2, 3), 100, np.uint8), 0.2, np.array([[0.5, 1, 0.5, 0]])
    )
    np.testing.assert_array_equal(tinted[0, 0, 0], [126, 100, 74])


def test_colours_stay_in_range():
    ends = np.stack([np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 255, np.uint8)])
    found = augmentation.coloured(ends, 1.0, np.array([[0.5, 0, 0, 0], [0.5, 1, 1, 1]]))
    np.testing.assert_array_equal(found, ends)
