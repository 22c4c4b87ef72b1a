"""Which errors end the command in a line, and which keep their traceback."""

import numpy as np
import pytest
import tensorflow as tf

from arl_tf import main


def error_of(work) -> Exception:
    try:
        work()
    except Exception as error:
        return error
    raise AssertionError("it did not fail")


def test_too_little_memory_is_a_line():
    error = error_of(lambda: np.empty(2**45))
    assert main.mendable(error).startswith("There is too little memory: Unable to allocate")
    assert main.mendable(MemoryError()) == "There is too little memory: none could be had."


@pytest.mark.parametrize("kind", main.OF_TENSORFLOW)
def test_tensorflow_s_errors_of_files_and_memory_are_a_line(kind):
    error = getattr(tf.errors, kind)(None, None, "the disk\nis full")
    assert main.mendable(error) == "TensorFlow says: the disk is full."


def test_a_file_that_is_not_there_is_a_line():
    read = tf.data.TFRecordDataset("nowhere.tfrecord").as_numpy_iterator
    error = error_of(lambda: next(read()))
    assert "nowhere.tfrecord" in main.mendable(error) and "\n" not in main.mendable(error)


@pytest.mark.parametrize("error", [ValueError("a"), RuntimeError("a"), OSError("a")])
def test_what_arl_tf_raises_for_the_user_is_said_as_it_is(error):
    assert main.mendable(error) == "a"


def test_faults_of_the_program_keep_their_traceback():
    for error in (KeyError("a"), tf.errors.InvalidArgumentError(None, None, "a"), TypeError("a")):
        assert main.mendable(error) is None
