"""What a list of points will cost, by hand."""

import numpy as np
import pytest

from arl_tf.config.settings import Config, subset
from arl_tf.data import image_sets, splits
from arl_tf.data.image_sets import DataSettings
from arl_tf.experiments.experiment import Experiment
from arl_tf.experiments.run_directory import RunDirectory
from arl_tf.experiments.sweeps import trial_forecast
from arl_tf.experiments.sweeps.studies import StudyPlace

PARTS = splits.split_by_identity(np.arange(240), Config())
BASE = {
    "defence": "both",
    "warmup_epochs": 10,
    "decoder_warmup_epochs": 1,
    "epochs": 2,
    "point_epochs": 3,
    "steps_per_epoch": 5,
    "batch_size": 32,
    "attacker_batch_size": 32,
    "attacker_steps": 48,
}
# 40 s whatever is attacked; two attacks of a sixth of the steps, each 2.5 task steps of 2 s.
AUDIT = 40 + 2 * 8 * 2.5 * 2


def seconds(*overrides, **base):
    planned = [StudyPlace("a", str(number), each) for number, each in enumerate(overrides)]
    return trial_forecast.forecast(Config(**BASE | base), planned, PARTS, 2.0)


def test_a_point_costs_its_shared_encoder_its_phases_and_two_audits():
    epochs = 10 + 3 + 2.5 * 1 + 4.2 * 2
    assert seconds({}) == pytest.approx(epochs * 5 * 2 + 2 * AUDIT)


def test_without_an_adversary_a_point_costs_its_task_epochs():
    assert seconds({}, defence="none") == pytest.approx((10 + 3) * 5 * 2 + 2 * AUDIT)


def test_points_of_one_shape_share_encoder_and_reference():
    both = seconds({"lambda_pixel": 1.0}, {"lambda_pixel": 2.0})
    epochs = 10 + 2 * (3 + 2.5 + 8.4)
    assert both == pytest.approx(epochs * 5 * 2 + 3 * AUDIT)


def test_points_that_differ_in_their_attackers_alone_are_trained_once():
    more = seconds({"attacker_width": 8}, {"attacker_width": 16}) - seconds({"attacker_width": 8})
    assert more == pytest.approx(2 * AUDIT)


def test_more_decoders_and_more_of_their_steps_cost_the_adversary_s_part_again():
    more = seconds({"decoders": 2, "decoder_steps": 2}) - seconds({})
    assert more == pytest.approx(3 * 2.5 * (1 + 2) * 5 * 2)


@pytest.mark.slow
def test_a_step_is_timed_on_the_data_themselves(tmp_path):
    config = Config(num_faces=240, image_size=32, batch_size=8, code_channels=4)
    images = image_sets.load_images(subset(config, DataSettings), tmp_path)
    parts = splits.split_by_identity(images.identities, config)
    experiment = Experiment(config, RunDirectory(tmp_path), images, parts)
    assert trial_forecast.seconds_of_step(experiment) > 0
