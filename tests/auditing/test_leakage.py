"""Leakage worked out by hand, and which references compare."""

import json

import numpy as np
import pytest

from arl_tf.auditing import leakage
from arl_tf.config.settings import Config
from arl_tf.metrics.reconstruction import MEASURES

ONES = np.ones((1, 4))
FEW = np.array([[1.0, 1, 1, 1], [2, 0, 1, 1], [0, 2, 1, 1], [1, 1, 0, 2]])


def measures_of(value, count=4):
    return {measure: np.full(count, float(value)) for measure in MEASURES}


def reference_of(value, names=("decoder",)):
    return leakage.Reference(
        "runs/reference", {name: measures_of(value) for name in names}, (8, 8, 32)
    )


def leak(attacked, floors, reference, weights=ONES):
    per_attack = {name: measures_of(value) for name, value in attacked.items()}
    floors = {name: measures_of(value) for name, value in floors.items()}
    return leakage.leakage("ssim", per_attack, floors, reference, weights)


@pytest.mark.parametrize(
    ("attacked", "expected"), [(0.2, 0.0), (0.6, 1.0), (0.3, 0.25), (0.7, 1.25), (0.1, -0.25)]
)
def test_leakage_is_the_share_of_what_the_unprotected_encoder_gives_beyond_the_floor(
    attacked, expected
):
    found = leak({"decoder": attacked}, {"task": 0.2, "mean": 0.1}, reference_of(0.6), FEW)
    assert found["value"] == pytest.approx(expected)
    assert found["ci95"] == pytest.approx([expected, expected])


def test_floor_is_the_best_of_all_attacks_on_less_than_the_code():
    found = leak({"decoder": 0.5}, {"a": 0.1, "b": 0.4, "mean": 0.2}, reference_of(0.6))
    assert found["value"] == pytest.approx(0.5)


def test_worst_attack_counts():
    found = leak({"decoder": 0.3, "linear": 0.5}, {"mean": 0.2}, reference_of(0.6))
    assert found["value"] == pytest.approx(0.75)


def test_leakage_is_null_without_a_reference_or_where_the_reference_leaks_nothing():
    assert leak({"decoder": 0.3}, {"mean": 0.2}, None)["value"] is None
    assert leak({"decoder": 0.3}, {"mean": 0.2}, reference_of(0.2))["value"] is None


def test_reference_counts_by_the_attacks_that_were_let_at_this_code_too():
    reference = leakage.Reference(
        "r", {"decoder": measures_of(0.6), "optimisation": measures_of(1.0)}, (8,)
    )
    assert leak({"decoder": 0.4}, {"mean": 0.2}, reference)["value"] == pytest.approx(0.5)
    described = leakage.describe_reference(reference, ["decoder"], ONES)
    assert described["worst"]["ssim"]["attack"] == "decoder"


def test_reference_attacked_by_others_only_is_refused():
    with pytest.raises(ValueError, match="the same --audit level"):
        leak({"linear": 0.4}, {"mean": 0.2}, reference_of(0.6))


def test_interval_resamples_the_same_people_in_all_terms():
    # What the people add to all three alike cancels: the interval has no width.
    people = np.array([0.0, 0.3, -0.2, 0.1])
    per_attack = {"decoder": dict.fromkeys(MEASURES, 0.4 + people)}
    floors = {"mean_image": dict.fromkeys(MEASURES, 0.2 + people)}
    reference = leakage.Reference("r", {"decoder": dict.fromkeys(MEASURES, 0.6 + people)}, (8,))
    found = leakage.leakage("ssim", per_attack, floors, reference, FEW)
    assert found["ci95"] == pytest.approx([0.5, 0.5])


def test_worst_attack_is_chosen_for_each_measure():
    one, other = measures_of(0.5), measures_of(0.4)
    other["ssim"] = np.full(4, 0.9)
    worst = leakage.worst_attacks({"one": one, "other": other})
    assert worst["ssim"] == "other"
    assert worst["psnr"] == "one"


def test_tail_is_of_face_similarity():
    measures = measures_of(0.1, count=200)
    measures["face_similarity"] = np.concatenate([np.zeros(198), [0.6, 0.8]])
    assert leakage.tail_estimate(measures, np.ones((1, 200)))["value"] == pytest.approx(0.7)


def reference_run(folder, **changes):
    settings = {name: getattr(Config(), name) for name in leakage.SHARED_AUDIT}
    settings |= {name: getattr(Config(), name) for name in leakage.SHARED_MODEL}
    settings |= {"defence": "none", **changes}
    (folder / "audit").mkdir(parents=True)
    (folder / "stages.json").write_text(json.dumps({"audit_test": settings}))
    leakage.save_measures(
        folder / "audit" / "measures.npz", {"decoder": measures_of(0.6)}, ["decoder"], "abc", (8, 8)
    )
    return Config(reference=str(folder))


def test_reference_is_read_back(tmp_path):
    found = leakage.load_reference(reference_run(tmp_path / "run"), "abc")
    assert list(found.per_attack) == ["decoder"]
    assert found.code_shape == (8, 8)
    np.testing.assert_array_equal(found.per_attack["decoder"]["ssim"], np.full(4, 0.6))
    assert not list((tmp_path / "run" / "audit").glob("unfinished*"))


@pytest.mark.parametrize(
    ("changes", "test_hash", "message"),
    [
        ({"defence": "perceptual"}, "abc", "must be unprotected"),
        ({"cut": "late"}, "abc", r"--cut='late' \(now: 'middle'\)"),
        ({"attacker_steps": 9000}, "abc", r"--attacker_steps=9000 \(now: 1500\)"),
        ({"public_share": 0.01}, "abc", r"--public_share=0.01 \(now: 1.0\)"),
        ({"channel_noise": 0.5}, "abc", "audited with --channel_noise=0.5"),
        ({"audit": "full"}, "abc", r"--audit='full' \(now: 'standard'\)"),
        ({}, "other", "measured on other images"),
    ],
)
def test_reference_that_does_not_compare_is_refused(tmp_path, changes, test_hash, message):
    config = reference_run(tmp_path / "run", **changes)
    with pytest.raises(ValueError, match=message):
        leakage.load_reference(config, test_hash)


def test_audit_of_foreign_codes_may_be_a_reference_whatever_its_defence(tmp_path):
    config = reference_run(tmp_path / "run", codes="codes.npz", defence="perceptual", cut="late")
    assert leakage.load_reference(config, "abc").workdir == str(tmp_path / "run")


def test_reference_without_an_audit_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(ValueError, match="--defence=none"):
        leakage.load_reference(Config(reference=str(tmp_path)), "abc")
