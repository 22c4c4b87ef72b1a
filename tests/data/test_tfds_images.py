"""Builders of strangers: what they hold is read as meant, or refused in one line."""

import types

import numpy as np
import pytest
import tensorflow as tf
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


def number(kind, *shape):
    return tfds.features.Tensor(shape=shape, dtype=kind)


TEXT = tfds.features.Text()


@pytest.mark.parametrize(
    ("feature", "found"),
    [
        ({"Name": TEXT, "No": np.int64}, "it is Name (string), No (int64)"),
        ({}, "it is an empty dictionary"),
        (number(np.int64, 2), "it is int64 of shape (2,)"),
        ({"No": number(np.float32)}, "it is No (float32)"),
        (tfds.features.Sequence({"No": np.int64}), "it is No (int64 of shape (None,))"),
        (number(np.bool_), "it is bool"),
    ],
    ids=["two", "none", "several", "fraction", "sequence", "boolean"],
)
def test_an_identity_that_is_not_one_integer_or_text_is_refused(feature, found):
    features = tfds.features.FeaturesDict({"image": IMAGE, "label": ONE, "identity": feature})
    with pytest.raises(ValueError, match="--dataset=tfds:x: the feature 'identity'") as refused:
        tfds_images.check_features("tfds:x", tfds_images.features_of(builder(features)))
    assert found in str(refused.value)


@pytest.mark.parametrize("feature", [TEXT, {"Name": TEXT}, number(np.uint8), {"No": np.int64}])
def test_an_identity_of_one_integer_or_text_is_taken(feature):
    features = tfds.features.FeaturesDict({"image": IMAGE, "label": ONE, "identity": feature})
    tfds_images.check_features("tfds:x", tfds_images.features_of(builder(features)))


@pytest.mark.parametrize(
    ("attributes", "found"),
    [
        ({"Hat": TEXT, "Odd": np.bool_}, "it has Hat (string)."),
        ({"Hat": number(np.int64, 2)}, "it has Hat (int64 of shape (2,))."),
        (tfds.features.Sequence({"Hat": np.bool_}), "it has Hat (bool of shape (None,))."),
        ({"Hat": {"Big": np.bool_}}, "it has Hat (Big (bool))."),
        ({}, "it has none."),
    ],
    ids=["text", "several", "sequence", "nested", "none"],
)
def test_attributes_that_are_not_one_number_each_are_refused(attributes, found):
    features = tfds.features.FeaturesDict({"image": IMAGE, "attributes": attributes})
    with pytest.raises(ValueError, match="--dataset=tfds:x: the feature 'attributes'") as refused:
        tfds_images.check_features("tfds:x", tfds_images.features_of(builder(features)))
    assert found in str(refused.value)


def rows(attributes, identity=None):
    """The Source of examples whose attributes are columns, and whose images nobody reads."""
    columns = {"image": [b""] * len(next(iter(attributes.values()))), "attributes": attributes}
    columns |= {} if identity is None else {"identity": identity}
    info = types.SimpleNamespace(full_name="x/1.0.0", splits={})
    return tfds_images.tfds_rows(
        "tfds:x", info, tf.data.Dataset.from_tensor_slices(columns), lambda numbered: iter(())
    )


def test_fractions_that_are_0_or_1_are_attributes():
    found = rows({"Odd": np.float32([0, 1, 1]), "Hat": np.array([True, False, True])})
    assert found.attributes.dtype == np.uint8 and found.identities is None
    assert dict(zip(found.attribute_names, found.attributes.T.tolist(), strict=True)) == {
        "Hat": [1, 0, 1],
        "Odd": [0, 1, 1],
    }


@pytest.mark.parametrize("wrong", [0.9, -1.0, 1.0000001, np.nan, np.inf])
def test_other_fractions_are_refused_and_not_cut_to_integers(wrong):
    attributes = {"Hat": [True, False, True], "Odd": np.float32([0, 1, wrong])}
    with pytest.raises(ValueError, match=r"must be 0 or 1, got .* for Odd of image 2\."):
        rows(attributes)


def test_texts_tell_people_apart_as_integers_do():
    attributes = {"Hat": np.array([True, False, True, False])}
    texts = rows(attributes, {"Name": ["bob", "ann", "bob", "Zoë"]}).identities
    numbers = rows(attributes, np.array([2**40, 7, 2**40, -3])).identities
    assert texts.dtype == numbers.dtype == np.int64
    for found in (texts, numbers):
        assert found[0] == found[2] and len(set(found.tolist())) == 3
    with pytest.raises(ValueError, match="the identity of image 1 is empty"):
        rows(attributes, ["bob", "", "bob", "ann"])


@pytest.mark.parametrize("kind", [AssertionError, OSError, KeyError, tfds.download.DownloadError])
def test_a_download_that_fails_is_told_in_one_line(kind):
    def fail():
        raise kind("Manual directory\ndoes not exist")

    with pytest.raises(ValueError, match="--dataset=tfds:x can't be downloaded") as refused:
        tfds_images.download(builder(prepare=fail), "tfds:x")
    assert "Manual directory" in str(refused.value) and "\n" not in str(refused.value)
