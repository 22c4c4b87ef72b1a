"""Headers of pictures, claimed shapes, filters: what is judged before TensorFlow is asked."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from serving_models import picture_file

from serving.server import validation
from serving.server.errors import ServingError
from serving.server.signature import Signature
from serving.server.validation import Limits, Size

LIMITS = Limits(items=4, pixels=1000, request_bytes=10_000)


def signature(**shapes):
    specs = {name: tf.TensorSpec(shape, tf.float32) for name, shape in shapes.items()}
    return Signature("f", specs, specs, None)


@pytest.mark.parametrize("place", [0, 2])
def test_damaged_jpeg_is_named_by_its_place(place):
    file = picture_file(np.zeros((5, 4, 3), np.uint8), "JPEG")
    files = [file] * 3
    files[place] = file[:10]
    with pytest.raises(ServingError, match=f"Picture {place} is refused: .*a damaged JPEG"):
        validation.check_pictures(files, LIMITS)


def test_frames_of_an_animation_count():
    frames = [Image.new("L", (20, 20), level) for level in (0, 80, 160)]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    with pytest.raises(ServingError, match="Pictures 0 to 0 have 1200 pixels"):
        validation.check_pictures([file.getvalue()], LIMITS)


def test_pixels_of_all_pictures_count_together():
    file = picture_file(np.zeros((20, 20, 3), np.uint8))
    assert validation.check_pictures([file] * 2, LIMITS) == 800
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
    assert validation.check_inputs(signature(x=(None, 2)), inputs, LIMITS) == Size(3, 0)
    assert validation.check_inputs(signature(x=(3, 2)), inputs, LIMITS) == Size(1, 0)


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
