"""Figures of several trainings as one."""

import numpy as np
import pytest

from arl_tf.auditing.resamples import Resamples
from arl_tf.experiments.benches import estimates


def estimate(value, low, high):
    return {"value": value, "ci95": [low, high]}


def test_one_training_has_the_interval_of_its_people():
    found = estimates.over_trainings([estimate(0.3, 0.25, 0.36)])
    assert found["value"] == 0.3 and found["ci95"] == pytest.approx([0.25, 0.36])


def test_people_and_trainings_add_as_squares():
    found = estimates.over_trainings([estimate(v, v - 0.03, v + 0.06) for v in (0.2, 0.3, 0.4)])
    # Student's t for 2 degrees of freedom is 4.303; the deviation of .2, .3, .4 is .1.
    half = 4.302653 * 0.1 / 3**0.5
    assert found["value"] == pytest.approx(0.3)
    assert found["ci95"][0] == pytest.approx(0.3 - (0.03**2 + half**2) ** 0.5, abs=1e-6)
    assert found["ci95"][1] == pytest.approx(0.3 + (0.06**2 + half**2) ** 0.5, abs=1e-6)
    assert found["trainings"] == [0.2, 0.3, 0.4]


def test_the_same_people_in_every_training_do_not_narrow_the_interval():
    found = estimates.over_trainings([estimate(0.3, 0.2, 0.4)] * 3)
    assert found["ci95"] == pytest.approx([0.2, 0.4])


def test_order_of_the_trainings_does_not_matter():
    found = [estimate(0.2, 0.1, 0.25), estimate(0.4, 0.3, 0.5)]
    one, other = estimates.over_trainings(found), estimates.over_trainings(found[::-1])
    assert one["ci95"] == pytest.approx(other["ci95"])


def test_what_one_training_lacks_the_mean_lacks():
    known = estimate(0.3, 0.2, 0.4)
    assert estimates.over_trainings([known, dict(estimates.UNKNOWN)])["value"] is None
    assert estimates.over_trainings([known, {"value": 0.5, "ci95": None}])["ci95"] is None


def test_a_share_is_taken_resample_by_resample():
    part = Resamples("k", {"mean_mcc": np.array([0.1, 0.2, 0.4])})
    whole = Resamples("k", {"mean_mcc": np.array([0.2, 0.4, 0.8])})
    found = estimates.share(
        estimate(0.2, 0.1, 0.4), estimate(0.4, 0.2, 0.8), "mean_mcc", (part, whole)
    )
    # Both move together: the share does not move at all.
    assert found == {"value": 0.5, "ci95": [0.5, 0.5]}


@pytest.mark.parametrize("other", [None, Resamples("other", {"mean_mcc": np.ones(3)})])
def test_a_share_of_other_images_has_no_interval(other):
    part = Resamples("k", {"mean_mcc": np.ones(3)})
    found = estimates.share(
        estimate(0.2, 0.1, 0.4), estimate(0.4, 0.2, 0.8), "mean_mcc", (part, other)
    )
    assert found == {"value": 0.5, "ci95": None}
