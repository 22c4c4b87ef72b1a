"""Headers of pictures, claimed shapes, filters: what is judged before TensorFlow is asked."""

import numpy as np
import pytest
import tensorflow as tf
from serving_models import picture_file

from serving.server import validation
from serving.server.errors import ServingError
from serving.server.signature import Signature
from serving.server.validation import Limits

LIMITS = Limits(items=4, pixels=1000, request_bytes=10_000)


def signature(**shapes):
    specs = {name: tf.TensorSpec(shape, tf.float32) for name, shape in shapes.items()}
    return Signature("f", specs, specs, None)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("shape", [(1, 1, 3), (30, 70, 3), (70, 30)])
def test_size_is_read_from_the_header(kind, shape):
    file = picture_file(np.zeros(shape, np.uint8), kind)
    assert validation.picture_sizes([file]) == [shape[:2]]


def test_sizes_of_mixed_files_are_in_their_order():
    shapes = [(30, 70, 3), (1, 2, 3), (5, 4, 3), (9, 8, 3)]
    kinds = ["JPEG", "PNG", "JPEG", "PNG"]
    files = [
        picture_file(np.zeros(shape, np.uint8), kind)
        for shape, kind in zip(shapes, kinds, strict=True)
    ]
    assert validation.picture_sizes(files) == [shape[:2] for shape in shapes]


@pytest.mark.parametrize("place", [0, 2])
def test_damaged_jpeg_is_named_by_its_place(place):
    file = picture_file(np.zeros((5, 4, 3), np.uint8), "JPEG")
    files = [file] * 3
    files[place] = file[:10]
    with pytest.raises(ServingError, match=f"Picture {place} is a damaged JPEG of 10 bytes"):
        validation.picture_sizes(files)


def test_pixels_of_all_pictures_count_together():
    file = picture_file(np.zeros((20, 20, 3), np.uint8))
    validation.check_pictures([file] * 2, LIMITS)
    with pytest.raises(ServingError, match=r"Pictures 0 to 2 have 1200 pixels.* is 1000"):
        validation.check_pictures([file] * 3, LIMITS)


def test_claimed_size_is_compared_with_the_limit_without_overflow():
    spec = tf.TensorSpec((None, None), tf.float32)
    validation.check_shape("x", (50, 50), spec, LIMITS)
    for shape in ((51, 50), (2**40, 2**40)):
        with pytest.raises(ServingError, match="the limit is 10000"):
            validation.check_shape("x", shape, spec, LIMITS)


def test_items_are_counted_along_the_batch_axis():
    inputs = {"x": np.zeros((3, 2), np.float32)}
    assert validation.check_inputs(signature(x=(None, 2)), inputs, LIMITS) == 3
    assert validation.check_inputs(signature(x=(3, 2)), inputs, LIMITS) == 1


def test_inputs_must_agree_on_the_number_of_items():
    inputs = {"x": np.zeros((3, 2), np.float32), "y": np.zeros((2, 2), np.float32)}
    with pytest.raises(ServingError, match="differ in their number of items"):
        validation.check_inputs(signature(x=(None, 2), y=(None, 2)), inputs, LIMITS)


def test_wrong_dtype_is_refused():
    inputs = {"x": np.zeros((3, 2), np.float64)}
    with pytest.raises(ServingError, match="'x' is float64, expected float32"):
        validation.check_inputs(signature(x=(None, 2)), inputs, LIMITS)


def test_no_filter_means_all_outputs():
    assert validation.check_filter(signature(x=(None,), y=(None,)), ()) == ("x", "y")
    assert validation.check_filter(signature(x=(None,), y=(None,)), ["y"]) == ("y",)
