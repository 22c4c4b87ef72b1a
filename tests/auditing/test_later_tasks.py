"""Later tasks: what is learned of attributes outside the task, from whose codes, beside what."""

import dataclasses
import types

import numpy as np
import pytest

from arl_tf.attacks.evidence import CodeNoise, Evidence, PublicPairs, TaskOutputs
from arl_tf.attacks.several_codes import SeveralCodes
from arl_tf.auditing.later_tasks import learning, protected, section
from arl_tf.config import audit_figures, conditions
from arl_tf.metrics import measures

PUBLIC, HELD_OUT, ASKED, VALUES = 240, 60, 200, 8
NAMES = ("Kept", "Shared")


def world(seed=0, others=NAMES, logits=True, noise=None, protected=()):
    """Codes of which value 0 tells Kept, and value 1 Shared and the task's logit."""
    rng = np.random.default_rng(seed)
    codes = rng.normal(size=(PUBLIC + HELD_OUT + ASKED, VALUES)).astype(np.float32)
    labels = (codes[:, :2] > 0).astype(np.uint8)
    public, held_out, asked = np.split(codes, [PUBLIC, PUBLIC + HELD_OUT])
    rows = np.split(np.arange(len(codes)), [PUBLIC, PUBLIC + HELD_OUT])
    images = types.SimpleNamespace(other_attribute_names=others, other_attributes=labels)
    # Attackers have the public images' mirror images, too: the mean of nothing here.
    pairs = PublicPairs(np.concatenate([public, public]), None, held_out, None)
    outputs = [np.repeat(part[:, 1:2], 2, axis=1) for part in (pairs.codes, held_out, asked)]
    return types.SimpleNamespace(
        settings=types.SimpleNamespace(
            codes_per_photo=1, seed=seed, protected_attributes=protected, attacker=None
        ),
        images=images,
        rows=types.SimpleNamespace(attacker=rows[0], held_out=rows[1], utility=rows[2]),
        evidence=Evidence(
            pairs=pairs,
            target_codes=asked,
            perceptual_features=lambda image: [image],
            noise=noise,
            task_outputs=TaskOutputs(*outputs) if logits else None,
        ),
        codes=codes[: PUBLIC + HELD_OUT],
        utility_codes=asked,
        utility_logits=outputs[2] if logits else None,
    )


def learned(**facts):
    return learning.learn(**vars(world(**facts)))


def weights():
    return np.random.default_rng(1).multinomial(ASKED, [1 / ASKED] * ASKED, 100).astype(float)


def described(found, reference=None, protected=()):
    mcc = section.mcc_by_size(found, reference or {}, weights())
    return section.describe(found, mcc, protected)


@pytest.fixture(scope="module")
def found():
    return learned()


def test_code_gains_what_the_task_output_does_not_tell_and_nothing_else(found):
    sizes = described(found)["sizes"]
    assert [(size["labels"], size["draws"]) for size in sizes] == [(100, 5), (300, 1)]
    for size in sizes:
        kept, shared = (size["attributes"][name] for name in NAMES)
        assert kept["code"]["value"] > 0.8 and abs(kept["task_output"]["value"]) < 0.3
        assert kept["gain"]["ci95"][0] > 0.5
        assert shared["task_output"]["value"] > 0.9
        assert abs(shared["gain"]["value"]) < 0.1
    more = [size["mean"]["code"]["value"] for size in sizes]
    assert more[1] >= more[0]


def test_every_source_and_size_counts_in_the_progress_bar(bars):
    found = learned()
    assert bars == {"Later tasks learned": [len(found.predicted)] * 2}


def test_gain_is_the_difference_and_the_mean_that_of_the_attributes(found):
    size = described(found)["sizes"][-1]
    for figures in (size["mean"], *size["attributes"].values()):
        difference = figures["code"]["value"] - figures["task_output"]["value"]
        assert figures["gain"]["value"] == pytest.approx(difference)
    mean = np.mean([each["code"]["value"] for each in size["attributes"].values()])
    assert size["mean"]["code"]["value"] == pytest.approx(mean)


def test_wanted_and_protected_attributes_have_means_of_their_own(found):
    size = described(found, protected=("Shared",))["sizes"][0]
    assert size["wanted"] == size["attributes"]["Kept"]
    assert size["protected_mean"] == size["attributes"]["Shared"]
    without = described(found)["sizes"][0]
    assert without["wanted"] == without["mean"]
    assert without["protected_mean"]["gain"] == {"value": None, "ci95": None}


def test_resamples_have_the_intervals_that_the_report_gives(found):
    mcc = section.mcc_by_size(found, {}, weights())
    kept = section.resampled_figures(NAMES, mcc, ("Shared",))
    told = section.describe(found, mcc, ("Shared",))["sizes"]
    for size, labels in ((told[0], "100"), (told[1], "300"), (told[1], "all")):
        ends = measures.interval(kept[f"protected_mean.gain/{labels}"])
        assert size["protected_mean"]["gain"]["ci95"] == pytest.approx(ends)
    assert section.resampled_figures(NAMES, {}, ()) == {}


def test_labels_of_the_images_that_are_asked_for_teach_nothing(found):
    changed = world()
    changed.images.other_attributes = changed.images.other_attributes.copy()
    changed.images.other_attributes[changed.rows.utility] ^= 1
    again = learning.learn(**vars(changed))
    for key, predicted in found.predicted.items():
        np.testing.assert_array_equal(again.predicted[key], predicted)


def test_reference_s_predictions_stand_beside_where_they_are_of_the_same_images(found):
    kept = found.kept
    assert set(kept) == {f"{size}/{name}" for size in (100, 300) for name in NAMES}
    for size in described(found, kept)["sizes"]:
        assert size["mean"]["unprotected"] == size["mean"]["code"]
    fewer = {name: predicted[:, :-1] for name, predicted in kept.items()}
    for reference in (fewer, {}):
        mean = described(found, reference)["sizes"][0]["mean"]
        assert mean["unprotected"] == {"value": None, "ci95": None}


def test_without_a_task_output_there_is_no_gain_and_nothing_is_said_of_protection():
    of_code = described(learned(logits=False), protected=("Kept",))
    assert of_code["sizes"][0]["mean"]["code"]["value"] > 0.5
    assert of_code["sizes"][0]["mean"]["gain"]["value"] is None
    assert of_code["protected"] is None


def test_task_without_other_attributes_has_no_later_tasks():
    assert learned(others=()) is None
    assert described(None) is None


def test_protected_attribute_is_told_where_its_gain_is_above_0_by_its_interval(found):
    protected = described(found, protected=("Shared", "Kept"))["protected"]
    told = {name: each["told"] for name, each in protected["attributes"].items()}
    assert told == {"Shared": False, "Kept": True}
    assert protected["largest_gain"]["attribute"] == "Kept"
    assert described(found)["protected"] is None


def test_gate_reads_the_largest_gain_by_its_high_end(found):
    told = described(found, protected=("Kept",))
    largest = told["protected"]["largest_gain"]
    assert audit_figures.protected_gain({"codes": {"later_tasks": told}}) == largest
    for bound, holds in ((largest["value"], False), (largest["ci95"][1] + 0.01, True)):
        condition = conditions.parse_conditions(f"protected_gain<={bound}")
        outcome = conditions.check_conditions(condition, {"protected_gain": largest})[0]
        assert outcome.holds is holds
    for codes in ({}, {"later_tasks": None}, {"later_tasks": described(found)}):
        assert audit_figures.protected_gain({"codes": codes})["value"] is None


def test_values_that_are_all_noise_teach_nothing_where_the_noise_is_known():
    deviation = np.full(VALUES, 1e-3, np.float32)
    deviation[0] = 100.0
    noise = CodeNoise(deviation, world().evidence.pairs.codes * (deviation < 1))
    size = described(learned(noise=noise))["sizes"][-1]["attributes"]
    assert abs(size["Kept"]["code"]["value"]) < 0.35
    assert size["Shared"]["code"]["value"] > 0.9


def test_noise_of_single_codes_is_that_of_means_times_the_root_of_their_number():
    noise = CodeNoise(np.ones(3, np.float32), np.zeros((2, 3), np.float32), 8, remaining=0.5)
    single = learning.single_noise(noise, SeveralCodes(4))
    np.testing.assert_array_equal(single.deviation, [2, 2, 2])
    # Of the means' variance 1, half: an eighth of 4.
    assert single.remaining == 0.125
    assert learning.single_noise(None, SeveralCodes(4)) is None


def test_protected_attribute_that_the_data_have_not_outside_the_task_is_refused():
    images = types.SimpleNamespace(other_attribute_names=NAMES)
    section.check_protected(("Kept",), images)
    with pytest.raises(ValueError, match=r"names Male; .* there are: Kept, Shared"):
        section.check_protected(("Kept", "Male"), images)


def told_by_product(codes_per_photo=1):
    """A world in which Kept is the sign of a product of two values: no linear map reads it."""
    made = world(protected=("Kept",))
    codes = np.concatenate([made.codes, made.utility_codes])
    made.images.other_attributes = made.images.other_attributes.copy()
    made.images.other_attributes[:, 0] = codes[:, 2] * codes[:, 3] > 0
    made.settings.codes_per_photo = codes_per_photo
    if codes_per_photo > 1:
        # Attackers have means; what is asked are single codes.
        pairs = dataclasses.replace(
            made.evidence.pairs,
            images=np.zeros((2 * PUBLIC, 1, 1, 3), np.uint8),
            codes=np.zeros_like(made.evidence.pairs.codes),
        )
        made.evidence = dataclasses.replace(made.evidence, pairs=pairs)
    return made


@pytest.mark.parametrize("codes_per_photo", [1, 4])
def test_protected_attribute_that_no_linear_map_reads_is_read_by_kernels(codes_per_photo):
    made = told_by_product(codes_per_photo)
    kernel = described(learning.learn(**vars(made)), protected=("Kept",))
    made.settings.protected_attributes = ()
    ridge = described(learning.learn(**vars(made)), protected=("Kept",))
    assert ridge["protected"]["largest_gain"]["value"] < 0.2
    found = kernel["protected"]["largest_gain"]
    assert found["value"] > ridge["protected"]["largest_gain"]["value"] + 0.25
    assert found["ci95"][0] > 0
    # Fewer labels, and attributes that are not protected, are read as before.
    for size, before in zip(kernel["sizes"], ridge["sizes"], strict=True):
        assert size["attributes"]["Shared"] == before["attributes"]["Shared"]
    assert kernel["sizes"][0] == ridge["sizes"][0]
    assert kernel["sizes"][-1]["attributes"]["Kept"]["gain"]["value"] == found["value"]


def test_labels_of_the_images_that_are_asked_for_choose_no_reader():
    made = told_by_product()
    found = learning.learn(**vars(made)).predicted
    made.images.other_attributes = made.images.other_attributes.copy()
    made.images.other_attributes[made.rows.utility] ^= 1
    for key, predicted in learning.learn(**vars(made)).predicted.items():
        np.testing.assert_array_equal(found[key], predicted)


def test_of_several_readers_the_one_that_is_right_on_held_out_images_counts():
    truth = np.array([[1, 1], [1, 0], [0, 1], [0, 0]])
    asked = [np.full((3, 2), value) for value in (True, False)]
    right, wrong = truth.astype(bool), ~truth.astype(bool)
    mixed = np.stack([right[:, 0], wrong[:, 1]], axis=1)
    other = np.stack([wrong[:, 0], right[:, 1]], axis=1)
    readings = [protected.Reading(mixed, asked[0]), protected.Reading(other, asked[1])]
    found = protected.strongest(readings, truth)
    np.testing.assert_array_equal(found, [[True, False]] * 3)
    same = [protected.Reading(right, each) for each in asked]
    assert protected.strongest(same, truth).all()


def test_who_has_the_code_reads_a_protected_attribute_from_the_task_output_too():
    # Only the task output tells Shared here; its gain is that of nothing.
    made = world(protected=("Shared",))
    found = described(learning.learn(**vars(made)), protected=("Shared",))
    assert abs(found["protected"]["largest_gain"]["value"]) < 0.1
