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
