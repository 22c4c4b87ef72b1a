"""How photos become square is the same in the exported model, in its manifest and on the device."""

import contextlib
import io
import json
import pathlib
import resource

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tiny_models import SIZE, build_models

from arl_tf.data import image_sets, preprocessing
from arl_tf.exporting import manifest, saved_models
from arl_tf.utils import saved_model_loading
from serving.device import encoder as device
from serving.device.manifest import read_manifest

# The square of the longer side of PANORAMA has six times as many bytes.
MEMORY = 2 << 30
PANORAMA = (1, 65535)
PIXELS = np.random.default_rng(3).integers(0, 256, (20, 51, 3)).astype(np.uint8)


@contextlib.contextmanager
def most_memory(further_bytes):
    """Lets this process take so many bytes of addresses more than it has, and no more."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    limit = pages * resource.getpagesize() + further_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize("size", [PANORAMA, PANORAMA[::-1]])
def test_a_long_picture_takes_memory_for_its_own_pixels_and_not_for_the_square(size):
    pixels = tf.fill((*size, 3), tf.constant(200, tf.uint8))
    with most_memory(MEMORY):
        found = preprocessing.preprocess(pixels, SIZE, preprocessing.PAD).numpy()
        on_device = device.prepare(Image.fromarray(pixels.numpy()), SIZE, preprocessing.PAD)
    # A line of 200 in 65,535 of black.
    assert (found == 0).all()
    np.testing.assert_array_equal(on_device, found)


def test_the_exported_encoder_pads_photos_where_training_did(tmp_path):
    encoder = build_models().encoder
    saved_models.save_encoder(encoder, SIZE, tmp_path / "1", preprocessing.PAD)
    photo = io.BytesIO()
    Image.fromarray(PIXELS).save(photo, "PNG")
    loaded = saved_model_loading.load(str(tmp_path / "1"))
    encode = loaded.signatures["encode_bytes"]
    found = encode(image_bytes=tf.constant([photo.getvalue()]))["code"]
    padded, cropped = (
        encoder(
            image_sets.to_float(preprocessing.preprocess(tf.constant(PIXELS), SIZE, fit))[None],
            training=False,
        )
        for fit in (preprocessing.PAD, preprocessing.CROP)
    )
    assert np.abs(found - padded).max() < 1e-5 < np.abs(found - cropped).max()


@pytest.mark.parametrize("fit", [preprocessing.CROP, preprocessing.PAD])
def test_the_device_reads_the_fit_from_the_manifest_of_its_own_file(tmp_path, fit):
    described = manifest.describe_interface(SIZE, build_models().encoder, fit)
    assert described["preprocessing"]["fit"] == fit
    assert ("crop" in described["preprocessing"]) == (fit == preprocessing.CROP)
    files = {"tflite/encoder_float32.tflite": {"sha256": "abc"}}
    content = {"attribute_names": ["A"], **described, "files": files}
    (tmp_path / "manifest.json").write_text(json.dumps(content))
    assert read_manifest(tmp_path / "manifest.json").fit == fit
    path = tmp_path / "encoder_float32.tflite"
    assert device.fit_of(path, "abc") == fit
    # A manifest of another export says nothing of this file.
    assert device.fit_of(path, "def") == preprocessing.CROP


def test_a_way_that_the_device_does_not_know_is_refused(tmp_path):
    described = manifest.describe_interface(SIZE, build_models().encoder, preprocessing.CROP)
    described["preprocessing"]["fit"] = "stretch"
    content = {"attribute_names": ["A"], **described}
    (tmp_path / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="'stretch'; expected crop or pad"):
        read_manifest(tmp_path / "manifest.json")
