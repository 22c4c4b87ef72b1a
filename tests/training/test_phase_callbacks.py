"""What watches a phase: the chief and the other workers end a diverged training alike."""

import dataclasses

import pytest

from arl_tf.data.task_kinds import MULTI_LABEL, REGRESSION, SINGLE_LABEL
from arl_tf.metrics.tasks.registry import task_of
from arl_tf.training import callbacks, phase_callbacks
from arl_tf.training.phases import ADVERSARIAL, TASK


@dataclasses.dataclass
class Images:
    """Has the attributes that the limit of a loss depends on."""

    task_kind: str
    attribute_names: tuple = tuple("abcdefgh")


@dataclasses.dataclass
class Settings:
    """Has the settings that a phase's callbacks read."""

    decoder_restart_epochs: int = 2
    checkpoint_epochs: int = 3


@pytest.mark.parametrize("kind", [MULTI_LABEL, SINGLE_LABEL, REGRESSION])
def test_every_process_stops_at_the_limit_of_the_kind_of_task(kind):
    (stop,) = phase_callbacks.of_all(Settings(), Images(kind), TASK, 0)
    limit = task_of(kind).loss_limit(8)
    stop.on_epoch_end(0, {"task_loss": limit - 0.01})
    with pytest.raises(callbacks.TrainingDiverged, match="task_loss"):
        stop.on_epoch_end(0, {"task_loss": limit + 0.01})


def test_decoders_restart_in_every_process_of_the_adversarial_phase_alone():
    names = [
        [type(each).__name__ for each in phase_callbacks.of_all(Settings(), Images(kind), phase, 4)]
        for kind, phase in ((MULTI_LABEL, TASK), (MULTI_LABEL, ADVERSARIAL))
    ]
    assert names == [["StopOnDivergence"], ["DecoderRestart", "StopOnDivergence"]]


def test_a_worker_takes_part_in_the_checkpoints_of_the_chief_and_keeps_nothing():
    (saving,) = phase_callbacks.of_follower(Settings())
    assert isinstance(saving, callbacks.Checkpoint)
    assert saving.every == 3
