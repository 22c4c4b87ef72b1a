"""Attacks on identity in an audit: figures worked out by hand, what is kept, who sees what."""

import dataclasses
import types

import numpy as np
import pytest

from arl_tf.attacks.evidence import AttackerOptions
from arl_tf.attacks.identity.comparison import Comparison
from arl_tf.attacks.identity.faces import IdentityResult, unit
from arl_tf.auditing import leakage, measures_file, remarks
from arl_tf.auditing.attack_store import AttackStore
from arl_tf.auditing.identity import kept, runs, section
from arl_tf.auditing.identity import measurements as identity_measurements
from arl_tf.auditing.identity.measurements import IDENTITY_MEASURES

FEW = np.array([[1.0, 1, 1, 1], [2, 0, 1, 1], [0, 2, 1, 1], [1, 1, 0, 2]])


def result(name="ridge", directions=None, network="net"):
    directions = np.eye(4, dtype=np.float32) if directions is None else directions
    return IdentityResult(
        name, "black-box", {"words": "w"}, 0.5, {network: directions[:2]}, {network: directions}
    )


def side(*values):
    """Attack -> measures that are the same for all four people."""
    return {
        f"attack{number}": {m: np.full(4, value) for m in IDENTITY_MEASURES}
        for number, value in enumerate(values)
    }


def test_cosine_and_ranks_are_those_of_predictions_among_all_images_under_attack():
    truth = unit(np.array([[1.0, 0], [0, 1], [-1, 0.1], [-1, 0]]))
    predicted = unit(np.array([[1.0, 1], [1, 0], [-1, 0], [-0.5, -1]]))
    found = identity_measurements.measures_of(
        predicted, truth, np.array([0, 1, 2, 2]), Comparison()
    )
    np.testing.assert_allclose(found["cosine"], [np.sqrt(0.5), 0, 0.995, np.sqrt(0.2)], atol=1e-3)
    # The first is as near to both of the first images; the second finds the first person.
    assert found["reid_rank1"][1:].tolist() == [0.0, 1.0, 1.0]
    assert found["reid_rank5"].tolist() == [1.0] * 4


def test_rank_by_another_photo_leaves_the_photo_itself_out_and_people_with_one():
    truth = unit(np.array([[1.0, 0], [0.9, 0.1], [0, 1], [-1, 0]]))
    # Each prediction is the photo itself; the second person's photos lie far apart.
    found = identity_measurements.measures_of(truth, truth, np.array([0, 0, 1, 1]), Comparison())
    assert found["reid_rank1"].tolist() == [1.0] * 4
    assert found["reid_other_photo_rank1"].tolist() == [1.0, 1.0, 0.0, 1.0]
    alone = identity_measurements.measures_of(truth, truth, np.array([0, 0, 1, 2]), Comparison())
    np.testing.assert_array_equal(alone["reid_other_photo_rank1"], [1, 1, np.nan, np.nan])


def test_figures_by_another_photo_are_of_the_people_who_have_one():
    photos = np.array([1.0, 0, np.nan, np.nan])
    known = {"ridge": {**side(0.5)["attack0"], "reid_other_photo_rank1": photos}}
    nobody = {"ridge": {**side(0.5)["attack0"], "reid_other_photo_rank1": photos * np.nan}}
    found = section.worst(known, FEW)["reid_other_photo_rank1"]
    assert (found["attack"], found["value"]) == ("ridge", 0.5)
    assert section.worst(nobody, FEW)["reid_other_photo_rank1"]["value"] is None
    assert section.estimates(nobody["ridge"], FEW)["reid_other_photo_rank1"]["value"] is None
    measure, nothing = "reid_other_photo_rank1", side(0.0)
    # A half of a whole, where people with one photo do not count.
    assert section.share_gained(measure, known, nothing, side(1.0), FEW)["value"] == 0.5
    for sides in ((nobody, nobody, nobody), (known, nothing, nobody)):
        assert section.share_gained(measure, *sides, FEW)["value"] is None


@pytest.mark.parametrize(("code", "expected"), [(0.2, 0.0), (0.6, 1.0), (0.3, 0.25)])
def test_leakage_is_the_share_of_what_the_unprotected_code_gives_beyond_the_task_output(
    code, expected
):
    found = section.share_gained("cosine", side(code, 0.1), side(0.2), side(0.5, 0.6), FEW)
    assert found["value"] == pytest.approx(expected)
    assert found["ci95"] == pytest.approx([expected, expected])


def test_leakage_is_undefined_without_one_of_its_terms_or_a_gap():
    for sides in (
        (side(0.3), {}, side(0.6)),
        (side(0.3), side(0.2), {}),
        (side(0.3), side(0.2), side(0.1)),
    ):
        assert section.share_gained("cosine", *sides, FEW)["value"] is None


def test_best_attacks_are_chosen_anew_in_every_resample():
    # Each attack finds two of the four people: which one is best depends on who was drawn.
    halves = np.array([1.0, 0, 1, 0]), np.array([0.0, 1, 0, 1])
    code = {f"a{n}": {"cosine": half} for n, half in enumerate(halves)}
    nothing, everything = ({"a": {"cosine": np.full(4, v)}} for v in (0.0, 1.0))
    found = section.shares("cosine", code, nothing, everything, FEW)
    np.testing.assert_allclose(found, [0.5, 0.75, 0.75, 0.75])


def test_what_the_task_output_gives_counts_for_the_code():
    results = {"code": [result()], "task_output": [result(directions=-np.eye(4)[::-1])]}
    measured = {"net": {"code": {"ridge": side(0.3)["attack0"]}}}
    measured["net"]["task_output"] = {"ridge": side(0.4)["attack0"]}
    comparisons = {"net": {"code": {"ridge": "likelihood"}}}
    found = identity_measurements.MeasuredIdentity(results, measured, comparisons)
    described = section.describe(found, None, FEW)["networks"]["net"]
    assert described["worst"]["code"]["cosine"]["attack"] == "task_output/ridge"
    assert described["worst"]["code"]["cosine"]["value"] == pytest.approx(0.4)
    assert described["worst"]["unprotected"]["cosine"]["value"] is None
    attack = described["attacks"][0]
    assert (attack["name"], attack["knowledge"]) == ("ridge", "black-box")
    assert attack["ruler"] == "likelihood"
    assert attack["code"]["cosine"] == {"value": 0.3, "ci95": pytest.approx([0.3, 0.3])}
    assert attack["task_output"]["reid_rank5"]["value"] == pytest.approx(0.4)
    assert attack["leakage"]["cosine"]["value"] is None


def test_leakage_of_each_attack_compares_it_with_itself():
    reference = leakage.Reference(
        "r", {}, (8,), {"net": {"ridge": side(0.8)["attack0"], "mlp": side(0.9)["attack0"]}}
    )
    measured = {"code": side(0.5), "task_output": side(0.2)}
    measured = {s: {"ridge": found["attack0"]} for s, found in measured.items()}
    found = identity_measurements.MeasuredIdentity(
        {"code": [result()], "task_output": []},
        {"net": measured},
        {"net": {"code": {"ridge": "cosine"}}},
    )
    described = section.describe(found, reference, FEW)["networks"]["net"]
    assert described["attacks"][0]["leakage"]["cosine"]["value"] == pytest.approx(0.5)
    # An attack that this code did not meet would make its share look small: 3 / 7 by `mlp`.
    assert described["leakage"]["cosine"]["value"] == pytest.approx(0.5)
    assert described["left_out"] == ["mlp"]


def test_fusion_with_pictures_that_this_code_was_spared_is_left_out_of_the_leakage():
    # By the ridge (.4 - .2) / (.6 - .2), with fusion (.5 - .2) / (.7 - .2).
    def sides(ridge, fusion):
        return {"ridge": side(ridge)["attack0"], "fusion": side(fusion)["attack0"]}

    measured = {"net": {"code": sides(0.4, 0.5), "task_output": sides(0.2, 0.2)}}
    results = {"code": [result(), dataclasses.replace(result(), name="fusion")], "task_output": []}
    comparisons = {"net": {"code": {"ridge": "cosine", "fusion": "cosine"}}}
    found = identity_measurements.MeasuredIdentity(results, measured, comparisons)
    pictures = {"linear": {}, "optimisation": {}, "task_output/kernel": {}}
    reference = leakage.Reference("r", pictures, (8,), {"net": sides(0.6, 0.7)})
    for attacked_by, expected, beyond in (
        (["linear"], 0.5, ["optimisation"]),
        (["linear", "optimisation", "wiener"], 0.6, []),
    ):
        assert section.pictures_beyond(reference, attacked_by) == beyond
        described = section.describe(found, reference, FEW, attacked_by)["networks"]["net"]
        assert described["leakage"]["cosine"]["value"] == pytest.approx(expected)
        assert described["left_out"] == (["fusion"] if beyond else [])
        assert described["worst"]["code"]["cosine"]["attack"] == "fusion"
    alone = leakage.Reference("r", pictures, (8,), {"net": {"ridge": side(0.6)["attack0"]}})
    assert section.pictures_beyond(alone, ["linear"]) == []


def test_a_report_warns_of_a_fusion_that_the_leakage_leaves_out():
    def said(reference, *attacked_by):
        attacks = dict.fromkeys(attacked_by)
        return remarks.fusion_warning(
            types.SimpleNamespace(reference=reference, attacks_on=lambda floor: attacks)
        )

    pictures = {"linear": {}, "optimisation": {}}
    fusion = {"net": {"fusion": side(0.6)["attack0"]}}
    reference = leakage.Reference("r", pictures, (8,), fusion)
    (sentence,) = said(reference, "linear")
    assert "by optimisation as well" in sentence and "leaves fusion out" in sentence
    assert said(reference, "linear", "optimisation", "wiener") == said(None, "linear") == []


def test_predictions_are_kept_for_their_key_and_networks_alone(tmp_path):
    store, found = AttackStore(tmp_path, "key"), result()
    kept.save(store, "code", found)
    read = kept.load(store, "code", "ridge", ("net",))
    assert (read.name, read.settings, read.seconds) == ("ridge", {"words": "w"}, 0.5)
    np.testing.assert_array_equal(read.target["net"], found.target["net"])
    np.testing.assert_array_equal(read.held_out["net"], found.held_out["net"])
    assert kept.load(store, "code", "ridge", ("net", "other")) is None
    assert kept.load(store, "task_output", "ridge", ("net",)) is None
    assert kept.load(AttackStore(tmp_path, "another"), "code", "ridge", ("net",)) is None
    kept.path_of(store, "code", "ridge").write_bytes(b"broken")
    assert kept.load(store, "code", "ridge", ("net",)) is None


def test_every_attacker_without_a_kept_result_counts_in_the_progress_bar(
    tmp_path, monkeypatch, bars
):
    attackers = {
        name: types.SimpleNamespace(run=lambda *_, name=name: result(name))
        for name in ("ridge", "kernel", "perceptron")
    }
    monkeypatch.setattr(runs.identity_registry, "identity_attackers", lambda level: attackers)
    monkeypatch.setattr(runs.identity_registry, "view_of", lambda evidence, options: None)
    store = AttackStore(tmp_path, "key")
    kept.save(store, "task_output", result("ridge"))
    options = AttackerOptions(4, 0, 6, 16, 1e-3, 0.1, 0)
    settings = types.SimpleNamespace(audit="quick", seed=0, attacker=options)
    faces = types.SimpleNamespace(networks=("net",))
    found = runs.predicted(settings, None, "task_output", faces, store)
    assert [each.name for each in found] == list(attackers)
    assert bars == {"Embeddings predicted from the task output": [2, 2]}


def test_reference_of_an_older_audit_lacks_the_rank_by_another_photo_and_loads(tmp_path):
    older = side(0.8)["attack0"]
    del older["reid_other_photo_rank1"]
    per_image = {"linear": {m: np.zeros(4) for m in leakage.MEASURES}}
    path = tmp_path / measures_file.MEASURES_FILE
    identity = {"net": {"ridge": older}}
    of = measures_file.Measured("hash")
    measures_file.save_measures(path, per_image, ["linear"], of, (8,), identity)
    read = measures_file.load_measures(path, "runs/r", of)
    measured = {"code": side(0.5), "task_output": side(0.2)}
    measured = {s: {"ridge": found["attack0"]} for s, found in measured.items()}
    found = identity_measurements.MeasuredIdentity(
        {"code": [result()], "task_output": []},
        {"net": measured},
        {"net": {"code": {"ridge": "cosine"}}},
    )
    described = section.describe(found, read, FEW)["networks"]["net"]
    for described_in in (described, described["attacks"][0]):
        of_leakage = described_in["leakage"]
        assert of_leakage["reid_rank1"]["value"] == pytest.approx(0.5)
        assert of_leakage["reid_other_photo_rank1"] == {"value": None, "ci95": None}
    assert described["worst"]["unprotected"]["reid_other_photo_rank1"]["value"] is None
    assert described["worst"]["code"]["reid_other_photo_rank1"]["value"] == pytest.approx(0.5)


def test_reference_holds_its_attacks_on_identity_and_older_ones_none(tmp_path):
    per_image = {"linear": {m: np.zeros(4) for m in leakage.MEASURES}}
    for identity in ({"net": side(0.3)}, None):
        path = tmp_path / measures_file.MEASURES_FILE
        of = measures_file.Measured("hash")
        measures_file.save_measures(path, per_image, ["linear"], of, (8,), identity)
        read = measures_file.load_measures(path, "runs/r", of)
        assert list(read.per_attack) == ["linear"]
        assert set(read.identity) == set(identity or {})
        for measure in IDENTITY_MEASURES if identity else ():
            assert read.identity["net"]["attack0"][measure].tolist() == [0.3] * 4
