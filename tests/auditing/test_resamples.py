"""Figures in an audit's bootstrap resamples, and differences between two audits of one set."""

import types

import numpy as np
import pytest

from arl_tf.auditing import leakage, resamples
from arl_tf.auditing.leakage import Reference
from arl_tf.auditing.resamples import Resamples
from arl_tf.config.settings import Config
from arl_tf.metrics.reconstruction import MEASURES
from arl_tf.metrics.tasks.definition import Measured
from arl_tf.metrics.tasks.multi_label import MultiLabel

NAMES = tuple(f"image_{row}" for row in range(8))
WEIGHTS = np.array([[1.0, 1, 1, 1], [2, 0, 1, 1], [0, 2, 2, 0]])


def measures(*values):
    return {measure: np.array(values, float) for measure in MEASURES}


WEAK, WORST = measures(0.1, 0.2, 0.3, 0.4), measures(0.2, 0.4, 0.6, 0.8)
UNPROTECTED = Reference("r", {"worst": measures(1, 1, 1, 1)}, (1,))


def found(**changes):
    """What `resampled` reads of an audit's findings: four images, three resamples."""
    facts = {
        "reference": UNPROTECTED,
        "utility": None,
        "task": MultiLabel(),
        "settings": Config(seed=3),
        "images": types.SimpleNamespace(
            names=NAMES, attributes=np.array([[0], [1], [0], [1]] * 2), attribute_names=("a",)
        ),
        "rows": types.SimpleNamespace(target=np.arange(4), utility=np.arange(4, 8)),
        "floors": {"mean_image": measures(0, 0, 0, 0)},
        "weights": lambda rows: WEIGHTS,
        "attacks": {"weak": WEAK, "worst": WORST},
        "later_tasks": None,
    }
    return types.SimpleNamespace(**facts | changes)


def utility(logits, thresholds=0.0):
    """Logits of the four images beside their labels."""
    labels = np.array([[0], [1], [0], [1]])
    return Measured(logits, labels, ("a",), WEIGHTS, thresholds)


def test_figures_are_weighted_means_of_the_worst_attack():
    figures = resamples.resampled(found()).figures
    means = [0.5, (0.4 + 0.6 + 0.8) / 4, 0.5]
    np.testing.assert_allclose(figures["face_similarity"], means)
    np.testing.assert_allclose(figures["worst.ssim"], means)
    np.testing.assert_allclose(figures["weak.ssim"], np.array(means) / 2)


def test_worst_attack_floor_and_reference_are_chosen_anew_in_each_resample():
    one, other = measures(0.6, 0.6, 0.2, 0.2), measures(0.3, 0.3, 0.3, 0.3)
    audit = found(
        attacks={"one": one, "other": other},
        floors={"mean_image": measures(0, 0, 0, 0), "task_output/one": measures(0.2, 0, 0, 0)},
        reference=Reference(
            "r", {"one": measures(1, 1, 1, 1), "other": measures(2, 0, 0, 0)}, (1,)
        ),
        weights=lambda rows: np.array([[1.0, 1, 1, 1], [0, 0, 2, 2], [4, 0, 0, 0]]),
    )
    figures = resamples.resampled(audit).figures
    # Of all four images, the last two, and the first alone.
    np.testing.assert_allclose(figures["ssim"], [0.4, 0.3, 0.6])
    expected = [(0.4 - 0.05) / (1 - 0.05), 0.3 / 1, (0.6 - 0.2) / (2 - 0.2)]
    np.testing.assert_allclose(figures["leakage.ssim"], expected)


def test_leakage_in_a_resample_is_never_below_0():
    audit = found(floors={"mean_image": measures(0.9, 0, 0, 0)}, reference=UNPROTECTED)
    assert (resamples.resampled(audit).figures["leakage.ssim"] >= 0).all()


def test_leakage_is_resampled_in_all_its_terms():
    unprotected = measures(0.4, 0.4, 1.2, 2.0)
    audit = found(reference=Reference("r", {"worst": unprotected}, (1,)))
    figures = resamples.resampled(audit).figures
    expected = (WEIGHTS @ WORST["psnr"]) / (WEIGHTS @ unprotected["psnr"])
    np.testing.assert_allclose(figures["leakage.psnr"], expected)
    whole = leakage.leakage("psnr", audit.attacks, audit.floors, audit.reference, WEIGHTS)
    assert whole["value"] == pytest.approx(expected[0])


def test_figures_that_are_not_defined_are_left_out():
    figures = resamples.resampled(found(reference=None)).figures
    assert not [name for name in figures if name.startswith("leakage")]
    assert "mean_mcc" not in figures


def test_mean_mcc_is_that_of_each_resample():
    right_but_for_the_last = np.array([[-1.0], [1.0], [-1.0], [-1.0]])
    figures = resamples.resampled(found(utility=utility(right_but_for_the_last))).figures
    # TP, TN, FP, FN: (1, 2, 0, 1), (0, 3, 0, 1), (2, 2, 0, 0).
    np.testing.assert_allclose(figures["mean_mcc"], [2 / np.sqrt(1 * 2 * 2 * 3), 0, 1], atol=1e-9)
    np.testing.assert_array_equal(figures["utility"], figures["mean_mcc"])
    moved = found(utility=utility(right_but_for_the_last + 2, np.array([2.0])))
    np.testing.assert_allclose(resamples.resampled(moved).figures["mean_mcc"], figures["mean_mcc"])


def test_later_tasks_have_the_means_of_wanted_and_protected_attributes():
    mcc = {"100": {"code": np.array([[0.1, 0.5], [0.2, 0.6], [0.3, 0.7], [0.4, 0.8]])}}
    audit = found(
        later_tasks=types.SimpleNamespace(names=("a", "b")),
        later_mcc=mcc,
        settings=types.SimpleNamespace(seed=3, protected_attributes=("b",)),
    )
    figures = resamples.resampled(audit).figures
    # The first row is of all images, the others are the resamples.
    np.testing.assert_array_equal(figures["wanted.code/100"], [0.2, 0.3, 0.4])
    np.testing.assert_array_equal(figures["protected_mean.code/all"], [0.6, 0.7, 0.8])


def test_audits_of_the_same_images_and_seed_have_the_same_key():
    key = resamples.resampled(found()).key
    assert resamples.resampled(found(floors={"mean_image": WEAK})).key == key
    assert resamples.resampled(found(settings=Config(seed=4))).key != key
    fewer = types.SimpleNamespace(target=np.arange(3), utility=np.arange(3, 8))
    weights = {3: WEIGHTS[:, :3], 5: np.ones((3, 5))}
    short = {"worst": {name: values[:3] for name, values in WORST.items()}}
    other = found(
        rows=fewer,
        weights=lambda rows: weights[len(rows)],
        attacks=short,
        reference=None,
    )
    assert resamples.resampled(other).key != key


def test_paired_difference_is_of_the_sides_means_in_each_resample():
    shared = np.random.default_rng(0).normal(size=1000)
    first = [Resamples("k", {"f": shared}), Resamples("k", {"f": shared + 2})]
    last = [Resamples("k", {"f": shared + 5})]
    assert resamples.paired_difference("f", first, last) == pytest.approx((4, 4))
    assert resamples.paired_difference("g", first, last) is None
    assert resamples.paired_difference("f", first, [Resamples("other", {"f": shared})]) is None
