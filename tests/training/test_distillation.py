"""Distillation: targets by hand, teachers asked once, teachers that do not fit are refused."""

import dataclasses
import json
import types

import keras
import numpy as np
import pytest
from keras import layers

from arl_tf.data.image_sets import ImageSet
from arl_tf.training import checkpoints, distillation

SIZE, COUNT = 4, 6
KERAS_SAVES = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def some_images(names=("a", "b")):
    rng = np.random.default_rng(3)
    return ImageSet(
        images=rng.integers(0, 256, (COUNT, SIZE, SIZE, 3), np.uint8),
        attributes=rng.integers(0, 2, (COUNT, len(names)), np.uint8),
        identities=np.arange(COUNT),
        attribute_names=names,
        names=tuple(f"image_{row}" for row in range(COUNT)),
        bad_images=(),
        identities_known=True,
    )


def teacher(folder, bias):
    """A teacher whose logits are the bias plus the brightness of the left half of the image."""
    image = keras.Input((SIZE, SIZE, 3))
    code = layers.Flatten()(image)
    head_code = keras.Input(code.shape[1:])
    logits = layers.Dense(2)(head_code)
    encoder, head = keras.Model(image, code), keras.Model(head_code, logits)
    left = np.zeros((SIZE, SIZE, 3), np.float32)
    left[:, : SIZE // 2] = 1 / left[:, : SIZE // 2].size
    head.set_weights([np.stack([left.ravel()] * 2, axis=1), np.array(bias, np.float32)])
    for name, player in (("encoder", encoder), ("task_head", head)):
        checkpoints.save_player(player, checkpoints.player_path(folder / checkpoints.FOLDER, name))
    return folder


def by_hand(images, bias):
    """The mean of a teacher's probabilities for images and their mirror images."""
    halves = images.astype(np.float64) / 255
    left, right = halves[:, :, : SIZE // 2], halves[:, :, SIZE // 2 :]
    logits = [half.mean(axis=(1, 2, 3))[:, None] + np.array(bias) for half in (left, right)]
    return np.mean([1 / (1 + np.exp(-each)) for each in logits], axis=0)


def test_numbers_are_learned_standardised_by_those_of_x1s_training_part(tmp_path):
    labels = np.float32([[1, 100], [3, 300], [5, 500], [7, 700]] + [[50, 9]] * (COUNT - 4))
    images = dataclasses.replace(some_images(), attributes=labels, task_kind="regression")
    parts = types.SimpleNamespace(private_train=np.arange(4))
    plain = types.SimpleNamespace(teachers=())
    found = distillation.targets_for(plain, None, images, parts)
    np.testing.assert_allclose(found[:4].mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(found[:4].std(axis=0), 1, rtol=1e-6)
    assert found[0, 0] == found[0, 1]


@KERAS_SAVES
def test_targets_mix_labels_with_the_mean_of_the_teachers_probabilities(tmp_path):
    images, rows = some_images(), np.array([0, 2, 5])
    biases = ((-1.0, 2.0), (0.5, 0.0))
    folders = [teacher(tmp_path / str(number), bias) for number, bias in enumerate(biases)]
    found = distillation.distilled_targets(folders, 0.7, images, rows, tmp_path / "cache")
    expected = images.attributes.astype(np.float64)
    soft = np.mean([by_hand(images.images[rows], bias) for bias in biases], axis=0)
    expected[rows] = 0.3 * expected[rows] + 0.7 * soft
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.dtype == np.float32


@KERAS_SAVES
def test_a_teacher_is_asked_once_and_again_where_its_answers_are_damaged(tmp_path, monkeypatch):
    images, rows, cache = some_images(), np.arange(4), tmp_path / "cache"
    folder = teacher(tmp_path / "teacher", (0.0, 1.0))
    first = distillation.soft_labels(folder, images, rows, cache)
    asked = []
    monkeypatch.setattr(distillation, "answers", lambda *given: asked.append(1) or first)
    np.testing.assert_array_equal(distillation.soft_labels(folder, images, rows, cache), first)
    assert not asked
    distillation.soft_labels(folder, images, rows[:3], cache)
    assert len(asked) == 1
    for kept in cache.glob("soft_labels_*.npy"):
        kept.write_bytes(b"")
    np.testing.assert_array_equal(distillation.soft_labels(folder, images, rows, cache), first)
    assert len(asked) == 2
    # Other pictures by the same names.
    others = dataclasses.replace(images, images=255 - images.images)
    distillation.soft_labels(folder, others, rows, cache)
    assert len(asked) == 3


@KERAS_SAVES
def test_a_teacher_is_asked_again_where_files_of_the_same_names_hold_other_pictures(tmp_path):
    images, rows, cache = some_images(), np.array([1, 3]), tmp_path / "cache"
    folder = teacher(tmp_path / "teacher", (0.0, 1.0))
    distillation.soft_labels(folder, images, rows, cache)
    changed = images.images.copy()
    changed[3] = 255 - changed[3]
    found = distillation.soft_labels(
        folder, dataclasses.replace(images, images=changed), rows, cache
    )
    np.testing.assert_allclose(found, by_hand(changed[rows], (0.0, 1.0)), atol=1e-6)
    changed[0] = 0
    distillation.soft_labels(folder, dataclasses.replace(images, images=changed), rows, cache)
    # Pictures that it was not asked about do not count.
    assert len(list(cache.glob("soft_labels_*.npy"))) == 2


@KERAS_SAVES
def test_a_teacher_of_other_attributes_of_the_same_number_is_refused_by_their_names(tmp_path):
    folder, rows = teacher(tmp_path / "teacher", (0.0, 1.0)), np.arange(2)
    splits = folder / "splits.json"
    splits.write_text(json.dumps({"attributes": ["a", "b"]}))
    distillation.soft_labels(folder, some_images(), rows, tmp_path)
    for names in (["b", "a"], ["a", "c"]):
        splits.write_text(json.dumps({"attributes": names}))
        with pytest.raises(ValueError, match=f"reads {', '.join(names)}; this run's task is a, b"):
            distillation.soft_labels(folder, some_images(), rows, tmp_path)


@KERAS_SAVES
def test_a_teacher_of_another_task_or_size_is_refused(tmp_path):
    folder = teacher(tmp_path / "teacher", (0.0, 1.0))
    with pytest.raises(ValueError, match=r"reads 2 attributes; this run .* 3 attributes"):
        distillation.soft_labels(folder, some_images(("a", "b", "c")), np.arange(2), tmp_path)
    larger = dataclasses.replace(some_images(), images=np.zeros((COUNT, 8, 8, 3), np.uint8))
    with pytest.raises(ValueError, match=r"images \[4, 4, 3\].*this run has images \[8, 8, 3\]"):
        distillation.soft_labels(folder, larger, np.arange(2), tmp_path)
