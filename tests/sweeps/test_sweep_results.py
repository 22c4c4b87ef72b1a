"""sweep.json's content: front, hypervolume, cost and references, by hand."""

import json

import pytest
from sweeps import audit, failed, finished, results

from arl_tf.experiments.sweeps import sweep_results


def by_name(found):
    return {point["name"]: point for point in found["points"]}


def test_front_and_surely_beaten_points_are_marked():
    points = by_name(results())
    assert [n for n, p in points.items() if p.get("on_front")] == ["useful", "safe"]
    assert [n for n, p in points.items() if p.get("surely_dominated")] == ["beaten"]


def test_hypervolume_is_that_of_the_points_whose_leakage_is_known():
    found = results()["hypervolume"]
    assert found["value"] == pytest.approx(0.6 * 0.5 + 0.4 * 0.3)
    worst = 0.59 * (1 - 0.52) + 0.39 * (0.52 - 0.22)
    best = 0.61 * (1 - 0.48) + 0.41 * (0.48 - 0.18)
    assert found["bounds"] == pytest.approx([worst, best])


def test_point_that_failed_keeps_its_reason_and_has_no_figures():
    point = by_name(results())["impossible"]
    assert point["message"] == "ValueError: can't be" and "figures" not in point


def test_point_has_the_figures_of_the_reference_by_its_own_attackers():
    found = by_name(results())["useful"]["reference_figures"]
    assert found["face_similarity"] == {"value": 0.8, "ci95": [0.7, 0.9]}
    assert found["embedding_rank1"]["value"] == 0.8 and "mean_mcc" not in found


def test_point_without_utility_is_not_compared():
    content = audit(0.5, 0.1)
    content["utility"]["mean_mcc"] = {"value": None, "ci95": None}
    found = sweep_results.assemble([finished("a")], {"a": content}, {"reference": audit(0.6, None)})
    assert not found["points"][0]["on_front"] and found["hypervolume"]["value"] == 0


def test_content_is_strict_json():
    assert json.loads(json.dumps(results(), allow_nan=False)) == results()


def test_cost_counts_the_shared_encoder_once_and_once_a_full_run():
    points = [finished("a"), finished("b", train=20.0)]
    cost = sweep_results.cost(points)
    # Shared 100, trainings 10 + 20, audits 5 + 5, the reference's audit 20.
    assert cost["sweep_seconds"] == 160 and cost["full_runs_seconds"] == 260
    assert cost["ratio"] == pytest.approx(160 / 260)
    assert cost["training_ratio"] == pytest.approx(130 / 230)


def test_interrupted_points_are_left_out_of_the_cost():
    cost = sweep_results.cost([finished("a"), finished("b", train=None)])
    assert cost["points"] == 1 and cost["sweep_seconds"] == 135


def test_sweep_without_points_costs_nothing_and_has_no_ratio():
    found = sweep_results.assemble([failed("a")], {}, {})
    assert found["cost"]["ratio"] is None and found["hypervolume"]["value"] == 0


def test_mean_image_lies_below_the_task_output_on_the_scale_of_leakage():
    facts = sweep_results.reference_facts(audit(0.6, None))
    # The unprotected encoder's worst is 0.5, the task output's 0.2, the mean image's 0.1.
    assert facts["mean_image_leakage"] == pytest.approx((0.1 - 0.2) / (0.5 - 0.2))
    assert facts["task_output_bits"] == 128


def test_points_are_ranked_by_the_judge_who_sees_more():
    def judged(first, second):
        return sweep_results.by_worse_judge(
            {"leakage.face_similarity": first, "leakage.face_similarity_2": second}
        )

    low, high = ({"value": value, "ci95": [value - 0.1, value + 0.1]} for value in (0.1, 0.2))
    unknown = {"value": None, "ci95": None}
    assert judged(low, high) == judged(high, low) == high
    assert judged(low, unknown) == low
    assert judged(unknown, high) == unknown
    assert sweep_results.by_worse_judge({"leakage.face_similarity": low}) == low
