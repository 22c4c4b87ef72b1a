"""Builders of strangers: what they hold is read as meant, or refused in one line."""

import types

import numpy as np
import pytest
import tensorflow_datasets as tfds

from arl_tf.data import tfds_images

IMAGE = tfds.features.Image(shape=(None, None, 3))
ONE = tfds.features.ClassLabel(names=["a", "b"])


def builder(features=None, prepare=lambda: None):
    info = types.SimpleNamespace(features=features)
    return types.SimpleNamespace(info=info, download_and_prepare=prepare)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (tfds.features.Tensor(shape=(), dtype=np.int64), "it has none"),
        ({"image": IMAGE, "label": tfds.features.Sequence(ONE)}, "it has image, label"),
        ({"image": IMAGE, "label": tfds.features.Tensor(shape=(), dtype=np.int64)}, "(a class)"),
        ({"image": IMAGE}, "it has image"),
    ],
    ids=["no_dictionary", "several_labels", "number", "no_label"],
)
def test_builders_without_a_class_or_attributes_are_refused(features, message):
    found = tfds_images.features_of(builder(features))
    assert not tfds_images.class_names(found)
    with pytest.raises(ValueError, match="--dataset=tfds:x must have the features") as refused:
        tfds_images.check_features("tfds:x", found)
    assert message in str(refused.value)


def test_a_class_label_is_one():
    found = tfds_images.features_of(builder({"image": IMAGE, "label": ONE}))
    tfds_images.check_features("tfds:x", found)
    assert tfds_images.class_names(found) == ("a", "b")


@pytest.mark.parametrize("kind", [AssertionError, OSError, KeyError, tfds.download.DownloadError])
def test_a_download_that_fails_is_told_in_one_line(kind):
    def fail():
        raise kind("Manual directory\ndoes not exist")

    with pytest.raises(ValueError, match="--dataset=tfds:x can't be downloaded") as refused:
        tfds_images.download(builder(prepare=fail), "tfds:x")
    assert "Manual directory" in str(refused.value) and "\n" not in str(refused.value)
