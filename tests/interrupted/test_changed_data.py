"""A data set that changes between a kill and the next command, and times of change that jump."""

import shutil

import pytest
from faults import NONE, TINY, Fault, jump, run_with, stop

# The parts are recorded, and no step is taken yet.
BEGINS = Fault("arl_tf.experiments.train_stage:run")


@pytest.fixture
def folder(faces_folder, tmp_path):
    """A copy of the drawn faces in CelebA's layout."""
    return shutil.copytree(faces_folder, tmp_path / "faces")


@pytest.fixture
def flags(folder, tmp_path):
    data = ("--dataset=celeba", f"--data_dir={folder}")
    return (*TINY, *data, f"--workdir={tmp_path / 'run'}", "--stages=train")


@pytest.mark.slow
@pytest.mark.release
def test_another_picture_under_the_same_name_is_refused_until_it_is_put_back(
    folder, flags, tmp_path
):
    stop(BEGINS, *flags)
    one, other = sorted((folder / "img_align_celeba").iterdir())[:2]
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    refused = run_with(NONE, *flags)
    assert refused.returncode == 2
    for words in ("other pixels", "splits.json", "Restore the data", "--workdir", "--overwrite"):
        assert words in refused.stderr
    assert not (tmp_path / "run" / "checkpoints").exists()
    one.write_bytes(content)
    stop(BEGINS, *flags)


@pytest.mark.slow
@pytest.mark.release
@pytest.mark.parametrize("years", [-10, 10])
def test_files_whose_times_jumped_are_prepared_again_and_are_the_same_data(folder, flags, years):
    stop(BEGINS, *flags)
    jump(folder, years)
    assert "Preparing 60 images" in stop(BEGINS, *flags)


@pytest.mark.slow
@pytest.mark.release
def test_a_photo_that_vanished_or_was_cut_off_is_told_from_the_data_of_the_run(folder, flags):
    stop(BEGINS, *flags)
    one, other, *_ = sorted((folder / "img_align_celeba").iterdir())
    other.write_bytes(other.read_bytes()[:100])
    refused = run_with(NONE, *flags, "--max_bad_images=0.5")
    assert refused.returncode == 2
    assert "The images are not those that" in refused.stderr
    one.unlink()
    refused = run_with(NONE, *flags)
    assert refused.returncode == 2 and "missing" in refused.stderr
