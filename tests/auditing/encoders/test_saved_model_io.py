"""SavedModels: which folder, which signature, and how arrays are run through it."""

import numpy as np
import pytest
import tensorflow as tf
from saved_models import SIZE, cast_and_convolved, pictures, save_function

from arl_tf.auditing.encoders.saved_model_io import files_hash, load_signature, version_folder

SHAPE = (None, SIZE, SIZE, 3)


def load(folder, names=("serving_default", "encode")):
    return load_signature(folder, names, "image", tf.uint8, "code")


def expected_codes(images):
    return cast_and_convolved(tf.constant(images), 2.0)["code"].numpy()


@pytest.fixture(scope="module")
def encoder_dir(tmp_path_factory):
    return save_function(tmp_path_factory.mktemp("encoder"), SHAPE, cast_and_convolved)


def test_highest_version_counts_by_number(tmp_path):
    for version in ("2", "10", "9"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "saved_model.pb").write_bytes(b"not empty")
    (tmp_path / "11").mkdir()
    assert version_folder(tmp_path) == tmp_path / "10"
    assert version_folder(tmp_path / "9") == tmp_path / "9"


def test_folder_without_saved_model_is_refused_with_what_it_holds(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ValueError, match=r"holds notes\.txt; expected a SavedModel"):
        version_folder(tmp_path)
    with pytest.raises(ValueError, match="holds nothing"):
        version_folder(tmp_path / "absent")


@pytest.mark.parametrize("count", [1, 128, 131])
def test_rows_of_any_number_are_run_in_batches(encoder_dir, count):
    images = pictures(count)
    np.testing.assert_allclose(load(encoder_dir)(images), expected_codes(images), atol=1e-5)


@pytest.mark.parametrize("batch", [1, 4])
def test_a_fixed_batch_is_filled_up(tmp_path, batch):
    signature = load(save_function(tmp_path, (batch, SIZE, SIZE, 3), cast_and_convolved))
    images = pictures(6)
    assert signature.shape[0] == batch
    np.testing.assert_allclose(signature(images), expected_codes(images), atol=1e-5)


@pytest.mark.parametrize("shape", [(SIZE, SIZE, 3), (2, SIZE, SIZE, 1), (2, 16, 16, 3), (2,)])
def test_tensors_that_would_abort_the_process_are_refused(encoder_dir, shape):
    with pytest.raises(ValueError, match=r"image has the shape .*expected \[N, 32, 32, 3\]"):
        load(encoder_dir)(np.zeros(shape, np.uint8))


def test_no_rows_are_refused(encoder_dir):
    with pytest.raises(ValueError, match="image is empty"):
        load(encoder_dir)(pictures(0))


def test_the_second_name_is_taken_where_the_first_is_missing(tmp_path):
    folder = save_function(tmp_path, SHAPE, cast_and_convolved, signature="encode")
    assert load(folder)(pictures(2)).shape == (2, 4, 4, 4)
    with pytest.raises(ValueError, match=r"has the signatures encode \(image uint8 \[N, 32"):
        load(folder, names=("serving_default",))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"dtype": tf.float32}, r"image float32 \[N, 32, 32, 3\] -> code float32 \[N, 4, 4, 4\]"),
        ({"name": "pixels"}, r"pixels uint8 .*expected a signature serving_default or encode"),
    ],
)
def test_other_inputs_are_refused_with_what_was_found(tmp_path, settings, words):
    folder = save_function(tmp_path, SHAPE, cast_and_convolved, **settings)
    with pytest.raises(ValueError, match=words):
        load(folder)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda image, scale: {"logits": tf.cast(image, tf.float32) * scale}, "-> logits float32"),
        (lambda image, scale: {"code": image}, "-> code uint8"),
    ],
)
def test_other_outputs_are_refused_with_what_was_found(tmp_path, function, words):
    with pytest.raises(ValueError, match=words):
        load(save_function(tmp_path, SHAPE, function))


def test_inputs_of_unknown_rank_are_refused(tmp_path):
    folder = save_function(
        tmp_path, None, lambda image, scale: {"code": tf.cast(image, tf.float32) * scale}
    )
    with pytest.raises(ValueError, match="uint8 of any rank"):
        load(folder)


def test_values_that_are_not_finite_are_refused(tmp_path):
    folder = save_function(
        tmp_path, SHAPE, lambda image, scale: {"code": scale / tf.cast(image[:, :2, 0], tf.float32)}
    )
    images = pictures(3)
    images[:, :2, 0] = 1
    assert load(folder)(images).shape == (3, 2, 3)
    images[0, 0, 0, 0] = 0
    with pytest.raises(ValueError, match=r"code of 3 rows is \[3, 2, 3\] with 1 values"):
        load(folder)(images)


def test_output_without_a_row_an_image_is_refused(tmp_path):
    folder = save_function(
        tmp_path, SHAPE, lambda image, scale: {"code": tf.cast(image[:1, 0], tf.float32) * scale}
    )
    with pytest.raises(ValueError, match=r"code of 3 rows is \[1, 32, 3\]"):
        load(folder)(pictures(3))


def test_a_graph_that_fails_says_so_as_value_error(tmp_path):
    folder = save_function(
        tmp_path, (None, None, None, 3), lambda i, s: {"code": tf.cast(i[:, 40, 0], tf.float32) * s}
    )
    with pytest.raises(ValueError, match=r"fails on image \[2, 32, 32, 3\]"):
        load(folder)(pictures(2))


def test_damaged_models_are_refused(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match="can't be loaded as a SavedModel"):
        load(tmp_path)


def test_hash_is_the_files_and_their_names(tmp_path):
    for name, file, text in (("a", "x", "1"), ("b", "x", "1"), ("c", "x", "2"), ("d", "y", "1")):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text(text)
    hashes = [files_hash(tmp_path / name) for name in "abcd"]
    assert hashes[0] == hashes[1] and len(set(hashes)) == 3
