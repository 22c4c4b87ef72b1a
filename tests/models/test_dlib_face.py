"""Claims about dlib's face identity network and the reader of its file.

data/dlib_reference.npz comes from dlib 20.0.1 (make_frozen_references.py); its inputs are random
blocks of colour.
"""

import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from arl_tf.models.pretrained import dlib_face, weight_files

DATA = pathlib.Path(__file__).parents[1] / "fixtures"
NUM_PAIRS = 200


@pytest.fixture(scope="module")
def network():
    return dlib_face.face_identity_network(32)


def _images(count, size, seed=0):
    return np.random.default_rng(seed).random((count, size, size, 3), "float32")


def test_the_chip_network_equals_dlib():
    with np.load(DATA / "dlib_reference.npz") as reference:
        chips, descriptors = reference["chips"], reference["descriptors"]
    embeddings = dlib_face.face_chip_network()(chips.astype("float32") / 255)
    np.testing.assert_allclose(embeddings, descriptors, atol=1e-5)


def test_the_identity_network_cuts_the_documented_square():
    size = 200
    network = dlib_face.face_identity_network(size)
    crop = keras.Model(network.input, network.get_layer("crop_columns").output)
    ramp = (np.arange(size, dtype="float32") + 0.5) / size
    image = np.stack(np.broadcast_arrays(ramp[:, None], ramp[None, :], 0.25), axis=-1)
    chip = np.asarray(crop(image[None].astype("float32")))[0]
    centres = (np.arange(150) + 0.5) / 150 * 0.616
    np.testing.assert_allclose(chip[:, 0, 0], 0.328 + centres, atol=1e-5)
    np.testing.assert_allclose(chip[0, :, 1], 0.191 + centres, atol=1e-5)
    np.testing.assert_allclose(chip[..., 2], 0.25, atol=1e-6)


def test_the_crop_of_a_large_image_is_antialiased():
    size = 960
    network = dlib_face.face_identity_network(size)
    crop = keras.Model(network.input, network.get_layer("crop_columns").output)
    stripes = np.zeros((1, size, size, 3), "float32")
    stripes[:, :, ::2] = 1.0
    np.testing.assert_allclose(crop(stripes), 0.5, atol=0.02)


def test_gradients_reach_every_pixel_it_looks_at(network):
    image = tf.Variable(_images(2, 32))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(network(image)[:, 0])
    gradient = tape.gradient(total, image).numpy()
    assert np.isfinite(gradient).all()
    assert (gradient[:, 14:24, 10:20] != 0).mean() > 0.99


def test_it_has_nothing_to_train_and_ignores_the_training_flag(network):
    image = _images(2, 32)
    assert network.trainable_variables == []
    np.testing.assert_array_equal(network(image, training=True), network(image, training=False))


def test_building_it_leaves_the_random_state_alone():
    keras.utils.set_random_seed(7)
    expected = keras.random.uniform((4,)).numpy()
    keras.utils.set_random_seed(7)
    dlib_face.face_identity_network(32)
    np.testing.assert_array_equal(keras.random.uniform((4,)).numpy(), expected)


def test_an_image_without_pixels_is_refused():
    with pytest.raises(ValueError, match="image_size must be >= 1 pixel, got 0"):
        dlib_face.face_identity_network(0)


def _mean_cosine_of_pairs(embeddings):
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    return (unit @ unit.T)[np.triu_indices(len(unit), 1)].mean()


def test_raw_cosine_calls_noise_images_the_same_person_and_the_centred_one_does_not(network):
    embeddings = np.asarray(network(_images(24, 32)))
    assert _mean_cosine_of_pairs(embeddings) > 0.9
    assert abs(_mean_cosine_of_pairs(embeddings - embeddings.mean(axis=0))) < 0.1


def _photos(folder, names, size=64):
    """Centre squares, resized with antialiasing: float32 [N, size, size, 3] in [0, 1]."""
    images = []
    for name in names:
        with Image.open(folder / name) as photo:
            side = min(photo.size)
            left, top = (photo.width - side) // 2, (photo.height - side) // 2
            square = photo.convert("RGB").crop((left, top, left + side, top + side))
        images.append(np.asarray(square.resize((size, size), Image.Resampling.BILINEAR)))
    return np.stack(images).astype("float32") / 255


def _two_photos_of_each_person(folder):
    """[(file, file)] of the people with more than one photo, in the file's order."""
    files = {}
    for line in (folder / "identity_CelebA.txt").read_text().splitlines():
        name, identity = line.split()
        files.setdefault(identity, []).append(name)
    return [names[:2] for names in files.values() if len(names) > 1]


@pytest.mark.slow
def test_identity_embeddings_of_photos_tell_people_apart(celeba_folder):
    people = _two_photos_of_each_person(celeba_folder)[:NUM_PAIRS]
    network = dlib_face.face_identity_network(64)
    first, second = (
        network.predict(_photos(celeba_folder / "img_align_celeba", names), verbose=0)
        for names in zip(*people, strict=True)
    )
    mean = np.concatenate([first, second]).mean(axis=0)
    first, second = (
        (x - mean) / np.linalg.norm(x - mean, axis=1, keepdims=True) for x in (first, second)
    )
    same = (first * second).sum(axis=1)
    other = (first * np.roll(second, 1, axis=0)).sum(axis=1)
    area = (same[:, None] > other[None, :]).mean()
    assert area > 0.97


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99999])
def test_a_truncated_file_is_refused_by_file_name(tmp_path, share):
    data = weight_files.verified_path(weight_files.DLIB_FACE_NETWORK).read_bytes()
    path = tmp_path / "short.dat"
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ValueError, match=r"short\.dat cannot be read"):
        dlib_face.read_dlib_face_network(path)


def test_the_file_holds_a_resnet_of_29_layers():
    path = weight_files.verified_path(weight_files.DLIB_FACE_NETWORK)
    network = dlib_face.read_dlib_face_network(path)
    assert network.chip_size == 150
    assert network.mean_rgb == pytest.approx((122.782, 117.001, 104.298), abs=1e-3)
    assert len(network.convolutions) == 29
    assert network.convolutions[0].kernel.shape == (7, 7, 3, 32)
    assert network.embedding.shape == (256, 128)
