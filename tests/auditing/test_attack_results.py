"""Results of attackers of one's own: what is broken is refused, and never measured."""

import dataclasses
import types

import numpy as np
import pytest

from arl_tf.attacks.evidence import BLACK_BOX, AttackResult
from arl_tf.auditing.attack_results import checked

TARGETS, HELD_OUT, SIDE = 3, 2, 4
EVIDENCE = types.SimpleNamespace(
    target_codes=np.zeros((TARGETS, 5), np.float32),
    pairs=types.SimpleNamespace(
        images=np.zeros((7, SIDE, SIDE, 3), np.uint8), held_out_codes=np.zeros((HELD_OUT, 5))
    ),
)
PICTURES = np.full((TARGETS, SIDE, SIDE, 3), 0.5, np.float32)
GOOD = AttackResult("mine", BLACK_BOX, {"words": "w"}, 0.1, (0.5,), PICTURES, PICTURES[:HELD_OUT])


def test_a_result_as_it_should_be_passes_with_a_little_overshoot():
    assert checked(GOOD, "mine", EVIDENCE) is GOOD
    over = dataclasses.replace(GOOD, reconstructions=PICTURES + 0.7)
    assert checked(over, "mine", EVIDENCE) is over


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "other"}, "name that it is given, got 'other'"),
        ({"reconstructions": (PICTURES * 255).astype(np.uint8)}, "must be float32 .* got uint8"),
        ({"reconstructions": PICTURES * 255}, "divide levels of 0 to 255 by 255"),
        ({"reconstructions": PICTURES - 128}, "divide levels"),
        ({"reconstructions": PICTURES * np.nan}, "NaN or infinite"),
        ({"reconstructions": PICTURES[:2]}, r"must be float32 \[3, 4, 4, 3\]"),
        ({"reconstructions": PICTURES[:, ::2]}, r"got float32 \[3, 2, 4, 3\]"),
        ({"held_out_reconstructions": None}, "held_out_reconstructions of the attacker 'mine'"),
        ({"held_out_loss": ()}, "one or more finite numbers"),
        ({"held_out_loss": 0.5}, "one or more finite numbers"),
        ({"held_out_loss": (np.nan,)}, "one or more finite numbers"),
        ({"settings": {"width": np.float32(1)}}, "settings of the attacker 'mine'"),
    ],
)
def test_a_broken_result_is_refused_with_what_is_wrong(changes, words):
    with pytest.raises(ValueError, match=words):
        checked(dataclasses.replace(GOOD, **changes), "mine", EVIDENCE)


def test_what_is_no_result_is_refused():
    with pytest.raises(TypeError, match="must return an AttackResult, got NoneType"):
        checked(None, "mine", EVIDENCE)
