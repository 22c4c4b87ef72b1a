"""Which strengths a bench tries."""

import pytest

from arl_tf.experiments.benches.search import Tried, is_open, next_position


def tried(*kept, utilities=(0.9,)):
    """The trials that the search makes where they keep these shares."""
    found = []
    for share in kept:
        found.append(Tried(next_position(found, utilities), share))
    return found


def test_the_interval_is_halved_toward_the_strongest_that_keeps_the_utility():
    found = tried(0.95, 0.8, 0.85, 0.92)
    assert [t.position for t in found] == [0.5, 0.75, 0.625, 0.5625]
    assert next_position(found, (0.9,)) == (0.5625 + 0.625) / 2


def test_two_utilities_are_served_in_turn():
    # 0.5 keeps .93: enough for .9, too little for .97.
    found = tried(0.93, 0.85, 0.98, utilities=(0.97, 0.9))
    assert [t.position for t in found] == [0.5, 0.75, 0.25]
    assert next_position(found, (0.97, 0.9)) == 0.625


def test_a_failed_trial_counts_as_one_that_keeps_nothing():
    assert next_position([Tried(0.5, None)], (0.9,)) == 0.25
    assert not Tried(0.5, None).keeps(0.01)


def test_a_utility_that_is_just_met_is_met():
    assert Tried(0.5, 0.9).keeps(0.9) and not Tried(0.5, 0.8999).keeps(0.9)


@pytest.mark.parametrize("shares", [(1.0,) * 8, (0.0,) * 8, (1.0, 0.0) * 4, (0.0, 1.0) * 4])
def test_no_position_is_tried_twice_and_none_leaves_the_range(shares):
    positions = [t.position for t in tried(*shares, utilities=(0.97, 0.9))]
    assert len(set(positions)) == len(positions)
    assert all(0 < position < 1 for position in positions)


def test_a_range_is_open_where_no_trial_missed():
    assert is_open([Tried(0.5, 0.99), Tried(0.75, 0.98)], 0.97)
    assert not is_open([Tried(0.5, 0.99), Tried(0.75, 0.96)], 0.97)
    assert not is_open([], 0.97)
