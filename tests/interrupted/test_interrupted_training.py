"""kill -9, a full disk, a clock that jumps in a training: it ends with the same bits."""

import json

import numpy as np
import pytest
from faults import TINY, Fault, finish, finish_tiny_run, jump, read_json, stop, unfinished

from arl_tf.training import checkpoints, train

STEP = "arl_tf.training.callbacks:StopOnDivergence.on_train_batch_end"
SAVE = "arl_tf.training.checkpoints:save"


def places(disk):
    """Where one command after the other ends, and the epoch whose checkpoint it began from.

    Epochs 1 and 2 are of the task, 3 of the adversary, 4 adversarial; each has two steps.
    """
    return {
        "while images are prepared": (disk.full("arl_tf.data.image_cache:check_pixels"), 0),
        "images prepared, but not named": (
            Fault("arl_tf.data.image_cache:write_pixels", after=True),
            0,
        ),
        "in the first epoch": (Fault(STEP, call=2), 0),
        "inside the file of the first checkpoint": (
            Fault("h5py:Group.create_dataset", call=9, since=SAVE),
            0,
        ),
        "no room for the first checkpoint": (disk.full(SAVE), 0),
        "in the second epoch": (Fault(STEP, call=3, years=10), 0),
        "between two phases": (Fault("arl_tf.training.train:compile_phase", call=2), 1),
        "in the adversary's epoch": (Fault(STEP, years=-10), 2),
        "an epoch logged, but not saved": (Fault(SAVE, call=2), 2),
        "in the adversarial epoch": (Fault(STEP), 3),
        "between two trained players": (
            Fault("arl_tf.training.checkpoints:save_player", call=2),
            3,
        ),
        "no room for the third player": (
            disk.full("arl_tf.training.checkpoints:save_player", call=3),
            4,
        ),
    }


def weights_of(run, name):
    """A trained player's weights."""
    return checkpoints.load_player(checkpoints.player_path(run / "checkpoints", name)).get_weights()


def assert_same_weights(run, whole, players):
    for name in players:
        for one, other in zip(weights_of(run, name), weights_of(whole, name), strict=True):
            np.testing.assert_array_equal(one, other, err_msg=name)


@pytest.mark.slow
@pytest.mark.release
def test_a_training_interrupted_at_every_turn_ends_with_the_bits_of_one_that_was_not(
    made_once, small_disk
):
    whole, run = made_once("tiny_run", finish_tiny_run) / "run", small_disk.folder / "run"
    flags = (*TINY, f"--workdir={run}", "--stages=train")
    for number, (place, (fault, epoch)) in enumerate(places(small_disk).items()):
        said = stop(fault, *flags)
        small_disk.make_room()
        assert (f"Resuming after epoch {epoch} from" in said) is (epoch > 0), place
        assert not (run / "stages.json").exists(), place
        jump(run, years=(-10, 10)[number % 2])
    assert "Resuming after epoch 4 from" in finish(*flags)
    assert_same_weights(run, whole, train.KEPT_PLAYERS)
    lines = (run / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3, 4]
    assert read_json(run / "stages.json")["train"] == read_json(whole / "stages.json")["train"]
    assert read_json(run / "splits.json") == read_json(whole / "splits.json")
    assert not unfinished(run / "checkpoints")


@pytest.mark.slow
@pytest.mark.release
def test_a_defence_killed_while_it_trains_ends_with_the_same_bits(tmp_path):
    settings = ("--defence=linear_adversary", "--warmup_epochs=1")
    flags = (*TINY, *settings, "--stages=train", f"--cache_dir={tmp_path / 'cache'}")
    finish(*flags, f"--workdir={tmp_path / 'whole'}")
    stop(Fault(STEP, call=4), *flags, f"--workdir={tmp_path / 'run'}")
    said = finish(*flags, f"--workdir={tmp_path / 'run'}")
    assert "Resuming after epoch 1 from" in said
    assert "Phase 'defence': epochs 2 to 2" in said
    assert_same_weights(tmp_path / "run", tmp_path / "whole", ("encoder", "task_head"))
