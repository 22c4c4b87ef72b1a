"""Leakage worked out by hand, which references compare, and attackers below the floor."""

import numpy as np
import pytest

from arl_tf.attacks.evidence import CodeNoise, Evidence, PublicPairs
from arl_tf.auditing import leakage, measures_file, remarks
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
    per_attack |= {name: floors[name] for name in floors if name.startswith("task_output/")}
    return leakage.leakage("ssim", per_attack, floors, reference, weights)


@pytest.mark.parametrize(
    ("attacked", "expected"), [(0.2, 0.0), (0.6, 1.0), (0.3, 0.25), (0.7, 1.25)]
)
def test_leakage_is_the_share_of_what_the_unprotected_encoder_gives_beyond_the_floor(
    attacked, expected
):
    floors = {"task_output/linear": 0.2, "mean_image": 0.1}
    found = leak({"decoder": attacked}, floors, reference_of(0.6), FEW)
    assert found["value"] == pytest.approx(expected)
    assert found["ci95"] == pytest.approx([expected, expected])


@pytest.mark.parametrize("floor", ["task_output/linear", "mean_image"])
def test_leakage_is_never_below_0_since_whoever_has_the_code_can_show_the_floor(floor):
    found = leak({"decoder": 0.1}, {floor: 0.2}, reference_of(0.6), FEW)
    assert found == {"value": 0.0, "ci95": [0.0, 0.0]}


def test_reference_counts_by_its_attacks_on_the_task_output_too():
    reference = leakage.Reference(
        "r", {"decoder": measures_of(0.4), "task_output/linear": measures_of(0.6)}, (8,)
    )
    floors = {"task_output/linear": 0.2}
    assert leak({"decoder": 0.3}, floors, reference)["value"] == pytest.approx(0.25)
    described = leakage.describe_reference(reference, ["decoder", "task_output/linear"], ONES)
    assert described["worst"]["ssim"]["attack"] == "task_output/linear"


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


def test_a_reference_s_combined_attacks_count_where_this_code_met_what_they_are_made_of():
    strong = {"linear": 0.4, "optimisation": 0.5, "fused": 0.6, "retrieval": 0.1}
    reference = leakage.Reference(
        "r", {name: measures_of(value) for name, value in strong.items()}, (8,)
    )
    floors = {"mean": 0.2}
    both = {"linear": 0.3, "optimisation": 0.3, "fused": 0.3}
    assert leak(both, floors, reference)["value"] == pytest.approx(0.25)
    assert leakage.lacking(reference, both) == []
    # Without gradients there are no pictures of `optimisation`, of which the reference's are made.
    closed = {"linear": 0.3, "fused": 0.3}
    assert leakage.lacking(reference, closed) == ["optimisation"]
    assert leak(closed, floors, reference)["value"] == pytest.approx(0.5)


def test_white_box_attacks_on_the_reference_never_flatter_a_closed_encoder():
    strong = {"linear": 0.4, "decoder": 0.3, "optimisation_components": 0.9, "fused": 0.9}
    reference = leakage.Reference(
        "r", {name: measures_of(value) for name, value in strong.items()}, (8,)
    )
    closed = {"linear": 0.3, "decoder": 0.2, "attention": 0.25, "fused": 0.3}
    # (.3 - .2) / (.4 - .2), and not / (.9 - .2).
    assert leak(closed, {"mean": 0.2}, reference)["value"] == pytest.approx(0.5)
    described = leakage.describe_reference(reference, closed, ONES)
    assert described["worst"]["ssim"]["value"] == pytest.approx(0.4)
    assert described["left_out"] == ["optimisation_components", "fused"]
    assert described["spared"] == ["attention"]
    (said,) = remarks.left_out_words(described["left_out"], is_closed=True)
    assert "The reference was attacked by optimisation_components as well" in said
    assert "Leakages leave out optimisation_components, fused" in said
    assert "optimisation_components need it: whoever has it may get a larger share" in said
    (said,) = remarks.left_out_words(described["left_out"], is_closed=False)
    assert "larger share" not in said
    (said,) = remarks.spared_words(described["spared"])
    assert "attacked by attention as well" in said and "leakages may be too high" in said


def test_an_audit_by_the_same_attackers_is_not_warned_of():
    reference = reference_of(0.6, ("linear", "attention", "task_output/linear"))
    names = ["linear", "attention", "wiener"]
    assert leakage.left_out(reference, names) == leakage.spared(reference, names) == []
    assert remarks.left_out_words([], is_closed=True) == remarks.spared_words([]) == []


def test_reference_attacked_by_others_only_is_refused():
    with pytest.raises(ValueError, match="the same --audit level"):
        leak({"linear": 0.4}, {"mean": 0.2}, reference_of(0.6))


def test_reference_whose_task_output_alone_was_attacked_alike_is_refused():
    reference = reference_of(0.6, ("task_output/linear",))
    with pytest.raises(ValueError, match="the same --audit level"):
        leak({"decoder": 0.4}, {"task_output/linear": 0.2}, reference)


# Two people; the first resample is both, the others are one person each.
TWO = np.array([[1.0, 1.0], [2.0, 0.0], [0.0, 2.0]])


def of_two(**values):
    return {
        name.replace("task_", "task_output/"): dict.fromkeys(MEASURES, np.array(each))
        for name, each in values.items()
    }


def test_floor_and_reference_are_chosen_anew_in_each_resample():
    # Means: floor max(.15, .2) = .2, reference max(.6, .5) = .6; the attack .4: (.4-.2)/(.6-.2).
    attacks = of_two(decoder=[0.4, 0.4])
    floors = of_two(task_linear=[0.3, 0.0], mean_image=[0.1, 0.3])
    reference = leakage.Reference("r", of_two(decoder=[0.9, 0.3], linear=[0.5, 0.5]), (8,))
    shares, resampled = leakage.attack_shares(
        "ssim", attacks | of_two(linear=[0.0, 0.0]), floors, reference, TWO
    )
    assert shares == pytest.approx([0.5, -0.5])
    # First person: floor .3, reference .9; second: .3 (the mean image) and .5 (linear).
    first, second = (0.4 - 0.3) / (0.9 - 0.3), (0.4 - 0.3) / (0.5 - 0.3)
    np.testing.assert_allclose(resampled[:, 0], [0.5, first, second])


def test_interval_covers_the_choice_of_floor_and_reference():
    rng = np.random.default_rng(0)
    weights = rng.multinomial(40, np.full(40, 1 / 40), size=400).astype(float)

    def drawn(mean):
        return dict.fromkeys(MEASURES, rng.normal(mean, 0.3, 40))

    attacks = {f"a{number}": drawn(0.5) for number in range(4)}
    floors = {f"task_output/{number}": drawn(0.2) for number in range(4)}
    reference = leakage.Reference("r", {name: drawn(0.8) for name in attacks}, (8,))
    found = leakage.leakage("ssim", attacks | floors, floors, reference, weights)
    low, high = found["ci95"]
    best = [
        np.max([weights @ each["ssim"] / 40 for each in group.values()], axis=0)
        for group in (attacks, floors, reference.per_attack)
    ]
    chosen_anew = (best[0] - best[1]) / (best[2] - best[1])
    assert low <= found["value"] <= high
    assert ((chosen_anew >= low) & (chosen_anew <= high)).mean() >= 0.95


def test_interval_resamples_the_same_people_in_all_terms():
    # What the people add to all three alike cancels: the interval has no width.
    people = np.array([0.0, 0.3, -0.2, 0.1])
    per_attack = {"decoder": dict.fromkeys(MEASURES, 0.4 + people)}
    floors = {"mean_image": dict.fromkeys(MEASURES, 0.2 + people)}
    reference = leakage.Reference("r", {"decoder": dict.fromkeys(MEASURES, 0.6 + people)}, (8,))
    found = leakage.leakage("ssim", per_attack, floors, reference, FEW)
    assert found["ci95"] == pytest.approx([0.5, 0.5])


def test_images_without_a_measure_are_left_out_of_all_three_terms():
    # The reference's second and third image would change its mean; this audit lacks the third.
    per_attack = {"decoder": dict.fromkeys(MEASURES, np.array([0.3, 0.5, np.nan, np.nan]))}
    floors = {"mean_image": dict.fromkeys(MEASURES, np.array([0.2, 0.2, np.nan, np.nan]))}
    known = {"decoder": dict.fromkeys(MEASURES, np.array([0.6, 0.6, 0.0, np.nan]))}
    found = leakage.leakage("ssim", per_attack, floors, leakage.Reference("r", known, (8,)), FEW)
    # (.4 - .2) / (.6 - .2); a resample of the second image alone: (.5 - .2) / (.6 - .2).
    assert found["value"] == pytest.approx(0.5)


def test_measure_that_no_image_has_is_undefined_everywhere():
    nothing = {"decoder": {**measures_of(0.5), "face_similarity_2": np.full(4, np.nan)}}
    assert "face_similarity_2" not in leakage.worst_attacks(nothing)
    worst = leakage.worst_estimate("face_similarity_2", nothing, FEW)
    assert worst == {"attack": None, "value": None, "ci95": None}
    assert leakage.mean_estimate(np.full(4, np.nan), FEW) == {"value": None, "ci95": None}
    reference = leakage.Reference("r", nothing, (8,))
    found = leakage.leakage("face_similarity_2", nothing, nothing, reference, FEW)
    assert found == {"value": None, "ci95": None}


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


def test_tail_is_the_highest_of_all_attacks_and_its_interval_covers_the_choice():
    rng = np.random.default_rng(0)
    best, risky = rng.uniform(0.5, 0.6, 200), rng.uniform(0.0, 0.5, 200)
    # Worse on average, but two images are given away.
    risky[:2] = 0.9
    groups = {
        "best": {**measures_of(0.1, 200), "face_similarity": best},
        "risky": {**measures_of(0.1, 200), "face_similarity": risky},
        "like risky": {**measures_of(0.1, 200), "face_similarity": np.roll(risky, 1) - 0.01},
    }
    assert leakage.headline_attack(groups) == "best"
    weights = rng.multinomial(200, np.full(200, 1 / 200), 100).astype(float)
    found = leakage.worst_tail(groups, weights)
    assert found["attack"] == "risky" and found["value"] == pytest.approx(0.9)
    alone = leakage.worst_tail({"risky": groups["risky"]}, weights)
    assert found["ci95"] != alone["ci95"] and found["ci95"][0] <= 0.9 <= found["ci95"][1]
    reference = leakage.Reference("r", groups, (8,))
    assert leakage.describe_reference(reference, groups, weights)["tail"] == found


def each_of(value, **others):
    return {name: np.full(4, others.get(name, value)) for name in MEASURES}


def test_code_below_the_task_output_is_a_warning_that_the_attackers_are_too_weak():
    on_code = {"decoder": each_of(0.2, face_similarity=0.25), "linear": each_of(0.1)}
    floors = {"task_output/linear": each_of(0.1, face_similarity=0.38)}
    (said,) = remarks.weak_attackers(on_code, floors, np.ones((1, 4)))
    assert said.startswith("The attackers of the code are too weak")
    assert "(face similarity 0.250 from the code, 0.380 without it)" in said


@pytest.mark.parametrize(
    ("measure", "words"),
    [
        ("feature_similarity", "feature similarity"),
        ("face_similarity_2", "face similarity by the second judge"),
    ],
)
def test_headline_without_faces_and_the_second_judge_warn_of_weak_attackers_too(measure, words):
    # The one image without a figure does not count.
    values = np.array([0.2, 0.3, np.nan, 0.4])
    on_code = {"linear": {**each_of(0.5), measure: values}}
    # Without faces their measures are NaN.
    floors = {"mean_image": {**each_of(0.1), "face_similarity": np.full(4, np.nan)}}
    floors["mean_image"][measure] = values + 0.1
    (said,) = remarks.weak_attackers(on_code, floors, FEW)
    assert f"({words} 0.300 from the code, 0.400 without it)" in said


def test_mean_image_is_a_floor_too():
    (said,) = remarks.weak_attackers(
        {"linear": each_of(0.5, psnr=9.0)},
        {"mean_image": each_of(0.1, psnr=10.0)},
        np.ones((1, 4)),
    )
    assert "PSNR in dB 9.000 from the code, 10.000 without it" in said


def test_nothing_is_warned_of_where_the_code_gives_more_or_as_much():
    floors = {"mean_image": each_of(0.3)}
    assert remarks.weak_attackers({"a": each_of(0.3)}, floors, np.ones((1, 4))) == []


def test_a_difference_within_its_interval_is_no_warning():
    one_by_one = np.eye(4)
    values, lower = np.array([0.3, 0.4, 0.5, 0.6]), np.array([0.1, 0.1, 0.1, -0.2])
    # The code gets less on average, and more from one image of four.
    assert not remarks.is_surely_below(values - lower, values, one_by_one)
    assert remarks.is_surely_below(values - np.abs(lower), values, one_by_one)
    on_code, floors = ({"a": each_of(0.3, ssim=each)} for each in (values - lower, values))
    assert on_code["a"]["ssim"].mean() < floors["a"]["ssim"].mean()
    assert remarks.weak_attackers(on_code, floors, one_by_one) == []


@pytest.mark.parametrize(
    ("measure", "value", "ends"),
    [
        ("reid_rank1", 0.95, [0.0, 1.0]),
        ("reid_rank1", 0.05, [0.0, 1.0]),
        ("face_similarity", 0.95, [-1.0, 1.0]),
    ],
)
def test_interval_of_the_worst_attack_stays_within_the_measures_range(measure, value, ends):
    found = leakage.within_range(measure, (value - 2, value + 2))
    assert found == ends


def test_interval_of_psnr_has_no_upper_bound():
    assert leakage.within_range("psnr", (-1.0, 40.0)) == [0.0, 40.0]


def ruled(rng, shift):
    """A rank by the network that finds most people, with each network's own values."""
    own = {
        f"reid_rank1/{name}": (rng.random(40) < shift).astype(float) for name in ("dlib", "sface")
    }
    return {**measures_of(0.0, 40), "reid_rank1": max(own.values(), key=np.sum), **own}


def test_the_network_that_a_rank_is_counted_by_is_chosen_anew_in_every_resample(tmp_path):
    rng = np.random.default_rng(4)
    groups = [
        {name: ruled(rng, shift)} for name, shift in (("code", 0.4), ("a", 0.2), ("code", 0.8))
    ]
    # The same with an attack for each network.
    apart = [
        {
            f"{name}{key}": {**measures_of(0.0, 40), "reid_rank1": found[key]}
            for name, found in group.items()
            for key in ("reid_rank1/dlib", "reid_rank1/sface")
        }
        for group in groups
    ]
    weights = rng.multinomial(40, np.full(40, 1 / 40), 50).astype(float)
    leaks, worst = [], []
    for attacks, floors, unprotected in (groups, apart):
        path = tmp_path / "measures.npz"
        measures_file.save_measures(
            path, unprotected, [*unprotected], measures_file.Measured("hash"), (8,)
        )
        reference = measures_file.load_measures(path, "r", measures_file.Measured("hash"))
        leaks.append(leakage.leakage("reid_rank1", attacks, floors, reference, weights))
        worst.append(leakage.worst_estimate("reid_rank1", attacks, weights))
    assert leaks[0] == leaks[1]
    assert worst[0]["ci95"] == worst[1]["ci95"] and worst[0]["value"] == worst[1]["value"]
    alone = {"code": {**measures_of(0.0, 40), "reid_rank1": groups[0]["code"]["reid_rank1"]}}
    assert worst[0]["ci95"] != leakage.worst_estimate("reid_rank1", alone, weights)["ci95"]


def test_worst_estimate_cuts_its_interval():
    # Resampled means of 1, 0 and .75 have a deviation of .42: the band is .75 plus or minus .7.
    hits = {"one": measures_of(0.0) | {"reid_rank1": np.array([0.0, 1.0, 1.0, 1.0])}}
    weights = np.array([[0.0, 4, 0, 0], [4, 0, 0, 0], [1, 1, 1, 1]])
    low, high = leakage.worst_estimate("reid_rank1", hits, weights)["ci95"]
    assert 0.0 < low < 0.1 and high == 1.0


def test_an_audit_says_that_nobody_left_dropped_values_out():
    means = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    rng = np.random.default_rng(1)
    kept = rng.random(means.shape) < 0.5
    dropped = np.where(kept, 2 * means, 0).astype(np.float32)
    # What is left is not exact, as in a mean of several codes: nobody can fill the others in.
    blurred = np.where(kept, dropped + rng.normal(size=means.shape), 0).astype(np.float32)
    for codes, count in ((means + 0.1, 0), (dropped, 0), (blurred, 1)):
        pairs = PublicPairs(codes, None, codes, None)
        noise = CodeNoise(np.ones(8, np.float32), means)
        evidence = Evidence(pairs, codes, lambda image: [image], noise=noise)
        assert len(remarks.dropped_values(evidence)) == count
    assert not remarks.dropped_values(Evidence(pairs, codes, lambda image: [image]))
