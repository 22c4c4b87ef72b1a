"""Probes: known answers, noise at chance, thresholds and discriminant by another way."""

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import matthews_corrcoef

from arl_tf.metrics import measures, probes

COUNT, HELD_OUT, TARGET = 600, 150, 400
SHAPE = (3, 3, 4)
NAMES = ("common", "rare", "half", "exclusive", "absent")
SHARES = (0.7, 0.06, 0.5, 0.5, 0.5)
STAMPED = NAMES[:3]


def rng(seed):
    return np.random.default_rng(seed)


def labels(count, seed):
    return (rng([seed, 1]).random((count, len(NAMES))) < SHARES).astype(np.uint8)


def noise(count, seed, shape=SHAPE):
    return rng(seed).normal(size=(count, *shape)).astype(np.float32)


def telling_codes(given, seed):
    """Three labels as they are, one as the exclusive or of two values, none of the last."""
    flips = rng([seed, 2]).integers(0, 2, len(given))
    values = [*given[:, :3].T, flips, given[:, 3] ^ flips]
    return np.stack([*values, *noise(len(given), seed, (4,)).T], axis=1).astype(np.float32)


def probed(make_codes, counts=(COUNT, HELD_OUT, TARGET)):
    parts = [labels(count, k) for k, count in enumerate(counts)]
    given = [each for k, part in enumerate(parts) for each in (make_codes(part, 10 + k), part)]
    return probes.attribute_probe(*given, NAMES, seed=0)


@pytest.fixture(autouse=True, scope="module")
def quick_training():
    # Few codes of few values: a larger rate comes to the same end sooner.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probes, "LEARNING_RATE", 1e-2)
        patch.setattr(probes, "EPOCHS", 20)
        yield


@pytest.fixture(scope="module")
def found(quick_training):
    return probed(telling_codes)


def test_labels_stamped_into_the_code_are_read(found):
    assert list(found) == list(NAMES)
    for name in STAMPED:
        assert set(found[name]) == {"linear", "mlp"}
        assert min(found[name].values()) > 0.95


def test_label_that_the_code_does_not_hold_is_not_read(found):
    # Predictions that know nothing of M labels have an MCC of deviation 1 / sqrt(M - 1) = .05.
    assert all(abs(mcc) < 4 / np.sqrt(TARGET - 1) for mcc in found["absent"].values())


def test_exclusive_or_is_read_by_the_multilayer_probe_alone(found):
    assert found["exclusive"]["mlp"] > 0.95
    assert abs(found["exclusive"]["linear"]) < 0.3


@pytest.mark.slow
def test_probes_follow_from_the_seed(monkeypatch):
    # The second epoch is like all later ones: another order and other dropped values.
    monkeypatch.setattr(probes, "EPOCHS", 2)
    first, again = (probed(telling_codes, (128, 64, 64)) for _ in range(2))
    assert first == again


@pytest.mark.slow
def test_no_label_is_read_from_noise():
    read = probed(lambda part, seed: noise(len(part), seed))
    assert all(abs(mcc) < 4 / np.sqrt(TARGET - 1) for v in read.values() for mcc in v.values())


@pytest.mark.slow
def test_no_label_is_read_from_a_constant():
    read = probed(lambda part, seed: np.full((len(part), 5), 0.1, np.float32))
    assert all(mcc == 0 for values in read.values() for mcc in values.values())


@pytest.mark.parametrize("columns", [slice(0, 2), slice(0, 0)])
def test_labels_that_do_not_fit_the_names_are_refused(columns):
    given = labels(30, 0)
    codes = noise(30, 0)
    message = r"5 attributes in 30 held-out codes needs labels \(30, 5\)"
    with pytest.raises(ValueError, match=message):
        probes.attribute_probe(codes, given, codes, given[:, columns], codes, given, NAMES, seed=0)


def test_thresholds_are_the_best_of_all_cuts():
    logits, given = rng(0).normal(size=(60, 3)), labels(60, 4)[:, :3]
    found = probes.best_thresholds(logits, given)
    for column in range(3):
        ours = matthews_corrcoef(given[:, column], logits[:, column] > found[column])
        cuts = [logits[:, column].min() - 1, *logits[:, column]]
        every = [matthews_corrcoef(given[:, column], logits[:, column] > cut) for cut in cuts]
        assert ours == pytest.approx(max(every))


def test_threshold_never_parts_equal_logits():
    # Cut between the two logits of 0, the MCC would be 1.
    logits = np.array([[1.0], [0.0], [0.0], [-1.0]])
    threshold = probes.best_thresholds(logits, np.array([[1], [1], [0], [0]]))
    assert threshold[0] in (0.5, -0.5)


def test_threshold_of_constant_logits_lies_below_them():
    assert probes.best_thresholds(np.zeros((5, 1)), np.array([[1], [0], [0], [1], [0]])) < 0


PEOPLE, EACH = 60, 3


def identities():
    return rng(7).permutation(np.arange(PEOPLE).repeat(EACH))


def identified(codes, people=None, **settings):
    people = identities() if people is None else people
    return probes.identity_probe(codes, people, **({"seed": 0, "samples": 100} | settings))


def test_identity_stamped_into_a_channel_as_a_number_is_read():
    codes = noise(PEOPLE * EACH, 1, (4, 4, 4))
    codes[..., 2] = identities()[:, None, None]
    found = identified(codes)
    assert found["accuracy"]["value"] > 0.95
    assert found["people"] == PEOPLE
    assert found["images"] == PEOPLE * (EACH - 1)
    assert found["chance"] == 1 / PEOPLE


def test_identity_stamped_into_a_channel_as_a_pattern_is_read():
    codes = noise(PEOPLE * EACH, 1, (4, 4, 4))
    codes[..., 2] = noise(PEOPLE, 2, (4, 4))[identities()]
    assert identified(codes)["accuracy"]["value"] > 0.95


def test_nobody_is_recognised_from_noise():
    found = identified(noise(PEOPLE * EACH, 3))
    chance = 1 / PEOPLE
    assert found["accuracy"]["value"] < chance + 4 * np.sqrt(chance / PEOPLE)
    assert found["accuracy"]["ci95"][0] <= chance


def test_constant_codes_show_one_person_always():
    found = identified(np.full((PEOPLE * EACH, *SHAPE), 0.1, np.float32))
    assert found["accuracy"]["value"] == pytest.approx(1 / PEOPLE)


def test_two_images_of_each_are_enough():
    people = np.arange(PEOPLE).repeat(2)
    person = noise(PEOPLE, 4, (8,))[people]
    found = identified(person + 0.1 * noise(len(people), 5, (8,)), people)
    assert found["accuracy"]["value"] > 0.95


def test_too_few_people_give_no_identity_probe():
    people = np.arange(100)
    people[:18] //= 2
    assert identified(noise(100, 0), people) is None
    assert identified(noise(PEOPLE * EACH, 0), min_images=EACH + 1) is None


def test_people_with_most_images_are_asked_for(monkeypatch):
    monkeypatch.setattr(probes, "MOST_PEOPLE", 12)
    people = np.concatenate([identities(), np.arange(10), np.arange(500, 600)])
    asked = probes.asked_people(people, 2, seed=0)
    assert len(asked) == 12
    assert set(range(10)) < set(asked) <= set(range(PEOPLE))
    found = identified(noise(len(people), 0), people)
    assert found["people"] == 12
    assert found["images"] == 10 * 3 + 2 * 2


def test_asked_images_teach_nothing():
    codes, people = noise(PEOPLE * EACH, 6), identities()
    asked = probes.last_rows(people, np.arange(PEOPLE))
    assert [np.flatnonzero(people == person).max() for person in range(PEOPLE)] == asked.tolist()
    known = np.setdiff1d(np.arange(len(codes)), asked)
    changed = codes.copy()
    changed[asked] += 100
    for means in (None, codes):
        first, other = (
            probes.principal_components(each, known, means)[1][known] for each in (codes, changed)
        )
        np.testing.assert_array_equal(first, other)


def test_whoever_knows_the_noise_names_more_people():
    # Sixteen values tell people apart; 400 have as much variance, all of it noise.
    people = identities()
    means = np.concatenate(
        [
            noise(PEOPLE, 4, (16,))[people] + noise(len(people), 5, (16,)) / 2,
            0 * noise(1, 0, (400,))[[0] * len(people)],
        ],
        axis=1,
    )
    deviation = np.concatenate([np.full(16, 0.5), np.ones(400)]).astype(np.float32)
    codes = means + deviation * noise(len(people), 6, (416,))
    untold = identified(codes, people)["accuracy"]["value"]
    told = identified(codes / deviation, people, means=means / deviation)["accuracy"]["value"]
    assert told > untold + 0.1


def test_discriminant_with_noise_is_that_of_noisy_codes():
    people = np.arange(12).repeat(300)
    means = (noise(12, 8, (5,))[people] + noise(3600, 9, (5,))).astype(np.float64)
    asked = rng(1).normal(size=(200, 5))
    noisy = means + rng(2).normal(size=means.shape)
    learned = probes.identify(noisy, people, asked, np.arange(12), 1e-12)
    found = probes.identify(means, people, asked, np.arange(12), 1e-12, noise=1.0)
    assert (found == learned).mean() > 0.9


def test_discriminant_is_scikit_learns():
    people = np.arange(12).repeat(4)
    codes = noise(12, 8, (5,))[people] + noise(48, 9, (5,))
    codes = (codes - codes.mean(axis=0)).astype(np.float64)
    asked = rng(1).normal(size=(200, 5))
    # All but no sphere; as many images of each: neither priors nor degrees of freedom matter.
    found = probes.identify(codes, people, asked, np.arange(12), 1e-12)
    expected = LinearDiscriminantAnalysis(solver="lsqr").fit(codes, people).predict(asked)
    np.testing.assert_array_equal(found, expected)


def test_only_people_who_are_asked_for_are_named():
    people = np.arange(PEOPLE).repeat(2)
    codes = noise(len(people), 1, (6,)).astype(np.float64)
    named = probes.identify(codes, people, codes, np.array([3, 5, 40]), 0.1)
    assert set(named) == {3, 5, 40}


def test_interval_of_accuracy_is_over_people():
    codes = noise(PEOPLE, 4, (8,))[identities()] + noise(PEOPLE * EACH, 5, (8,))
    accuracy = identified(codes, samples=2000)["accuracy"]
    low, high = accuracy["ci95"]
    deviation = np.sqrt(accuracy["value"] * (1 - accuracy["value"]) / PEOPLE)
    assert high - low == pytest.approx(2 * 1.96 * deviation, rel=0.15)


@pytest.mark.parametrize(("count", "min_images"), [(PEOPLE, 2), (PEOPLE * EACH, 1)])
def test_identity_probe_refuses_what_it_cannot_ask_for(count, min_images):
    message = f"{count} codes, {PEOPLE * EACH} identities and min_images {min_images}"
    with pytest.raises(ValueError, match=message):
        identified(noise(count, 0), min_images=min_images)


def test_probe_begins_at_the_frequencies():
    given = labels(500, 3)
    probe = probes.build_probe(4, given, 0, 0.0, seed=0)
    logits = probe.predict(np.zeros((1, 4), np.float32), verbose=0)
    np.testing.assert_allclose(1 / (1 + np.exp(-logits[0])), given.mean(axis=0), atol=0.005)


def test_matthews_correlation_of_noise_has_the_deviation_that_the_bound_uses():
    draws = rng(0).random((2, 400, 500)) < 0.3
    found = measures.matthews_correlation(measures.confusion_counts(*draws).sum(axis=0))
    assert found.std() == pytest.approx(1 / np.sqrt(399), rel=0.15)
