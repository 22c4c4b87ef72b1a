"""Attackers of the code that get less than a floor are called too weak."""

import numpy as np

from arl_tf.auditing import remarks
from arl_tf.metrics.reconstruction import MEASURES


def measures_of(value, **others):
    return {name: np.full(4, others.get(name, value)) for name in MEASURES}


def test_code_below_the_task_output_is_a_warning_that_the_attackers_are_too_weak():
    on_code = {"decoder": measures_of(0.2, face_similarity=0.25), "linear": measures_of(0.1)}
    floors = {"task_output/linear": measures_of(0.1, face_similarity=0.38)}
    (said,) = remarks.weak_attackers(on_code, floors)
    assert said.startswith("The attackers of the code are too weak")
    assert "(face similarity 0.250 from the code, 0.380 without it)" in said


def test_mean_image_is_a_floor_too():
    (said,) = remarks.weak_attackers(
        {"linear": measures_of(0.5, psnr=9.0)}, {"mean_image": measures_of(0.1, psnr=10.0)}
    )
    assert "PSNR in dB 9.000 from the code, 10.000 without it" in said


def test_nothing_is_warned_of_where_the_code_gives_more_or_as_much():
    assert remarks.weak_attackers({"a": measures_of(0.3)}, {"mean_image": measures_of(0.3)}) == []
