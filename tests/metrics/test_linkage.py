"""Linking codes: known answers, the formulas by another way, bounds."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from arl_tf.metrics import linkage, measures, person_model

PEOPLE, EACH = 100, 3
SHAPE = (4, 4, 3)
MEASURES = {"auc", "tar_at_far_1_percent", "rank1"}


def identities(first=0):
    return np.arange(first, first + PEOPLE).repeat(EACH)


def noise(seed, shape=SHAPE):
    return np.random.default_rng(seed).normal(size=(PEOPLE * EACH, *shape)).astype(np.float32)


def stamped(seed, first=0):
    """Noise, but for the identity as a number all over channel 1."""
    codes = noise(seed)
    codes[..., 1] = identities(first)[:, None, None]
    return codes


def linked(target, public, public_identities=None, **settings):
    settings = {"public_embeddings": None, "samples": 40, "seed": 0} | settings
    return linkage.link(
        target,
        identities(),
        public_codes=public,
        public_identities=identities(PEOPLE) if public_identities is None else public_identities,
        **settings,
    )


def embeddings(seed=9):
    return np.random.default_rng(seed).normal(size=(PEOPLE * EACH, 8)).astype(np.float32)


def values(found, measure):
    return {metric: found[metric][measure]["value"] for metric in found}


def test_identity_stamped_into_one_channel_links_all_codes():
    # Other people than the public ones, in the same range of numbers.
    public, target = stamped(0), stamped(1)
    found = linked(target, public)["joint_bayesian"]
    assert found["auc"]["value"] > 0.999
    assert found["tar_at_far_1_percent"]["value"] > 0.99
    assert found["rank1"]["value"] > 0.95
    assert found["auc"]["ci95"][0] > 0.999


def test_predicted_embeddings_of_all_networks_link_what_they_point_to():
    rng = np.random.default_rng(4)
    people = identities()
    towards = {name: rng.normal(size=(people.max() + 1, 6)) for name in ("one", "two")}

    def predicted(names):
        rows = {
            name: towards[name][people] + rng.normal(0, 0.1, (len(people), 6)) for name in names
        }
        return {name: each / np.linalg.norm(each, axis=1)[:, None] for name, each in rows.items()}

    found = linked(noise(1), noise(0), predicted=predicted(towards))["predicted_embeddings"]
    assert found["auc"]["value"] > 0.999
    assert found["rank1"]["value"] > 0.99
    strange = predicted(["one"])["one"][::-1]
    both = linkage.predicted_embeddings({"one": strange, "two": strange})
    np.testing.assert_allclose(both, 2 * strange @ strange.T, atol=1e-6)
    same = {"one": np.tile(strange[:1], (len(people), 1))}
    tied = linked(noise(1), noise(0), predicted=same)["predicted_embeddings"]
    assert tied["auc"]["value"] == 0.5


def test_stamp_links_however_small_it_is():
    public, target = stamped(0), stamped(1)
    scale = np.array([1, 1e-5, 1], np.float32)
    found = linked(target * scale, public * scale)["joint_bayesian"]
    assert found["auc"]["value"] > 0.999


@pytest.mark.parametrize("shape", [(5,), SHAPE])
def test_noise_is_linked_by_chance(shape):
    found = linked(noise(1, shape), noise(2, shape), public_embeddings=embeddings())
    # 300 pairs of one person: the AUC's deviation is 1 / sqrt(12 * 300) = .017, more where pairs
    # share an image; four of them.
    assert all(abs(value - 0.5) < 0.07 for value in values(found, "auc").values())
    # Of 300 pairs 3 are accepted by chance, of 200 probes 2 are met.
    assert all(value < 0.05 for value in values(found, "tar_at_far_1_percent").values())
    assert all(value < 0.05 for value in values(found, "rank1").values())


def constant(seed):
    return np.full((PEOPLE * EACH, *SHAPE), 0.1, np.float32)


def constant_by_position(seed):
    return np.broadcast_to(noise(5)[0], (PEOPLE * EACH, *SHAPE))


def constant_but_for_rounding(seed):
    # Another unit in the last place here and there.
    return np.nextafter(constant_by_position(seed), noise(seed))


@pytest.mark.parametrize("codes", [constant, constant_by_position, constant_but_for_rounding])
def test_constant_codes_are_linked_by_chance_exactly(codes):
    found = linked(codes(0), codes(1), public_embeddings=embeddings())
    assert set(found) == set(linkage.LINKING_METRICS)
    for metric in found.values():
        assert metric["auc"] == {"value": 0.5, "ci95": [0.5, 0.5]}
        assert metric["tar_at_far_1_percent"]["value"] == pytest.approx(0.01)


def test_embedding_inside_the_code_is_found_by_the_embedding_metric():
    person = np.random.default_rng(1).normal(size=(2 * PEOPLE, 8))
    public_faces, target_faces = person[identities(PEOPLE)], person[identities()]
    mixing = np.random.default_rng(2).normal(size=(8, 30))
    codes = [
        faces @ mixing + 0.1 * noise(seed, (30,))
        for seed, faces in ((3, public_faces), (4, target_faces))
    ]
    found = linked(codes[1], codes[0], public_embeddings=public_faces)
    assert found["face_embedding"]["auc"]["value"] > 0.999
    assert found["face_embedding"]["rank1"]["value"] > 0.99


def test_metrics_that_cannot_be_learned_are_left_out():
    single = np.arange(1000, 1000 + PEOPLE * EACH)
    assert set(linked(noise(0), noise(1), single)) == {"cosine"}
    everything = linked(noise(0), noise(1), single, public_embeddings=embeddings())
    assert set(everything) == {"cosine", "face_embedding"}
    one_person = np.zeros(PEOPLE * EACH, int)
    everything = linked(noise(0), noise(1), one_person, public_embeddings=embeddings())
    assert set(everything) == {"cosine", "joint_bayesian"}


@pytest.mark.parametrize("people", [np.arange(6), np.zeros(6, int), np.zeros(1, int)])
def test_linking_is_undefined_without_two_kinds_of_pairs(people):
    found = linkage.link(
        noise(0)[: len(people)],
        people,
        public_codes=noise(1),
        public_identities=identities(),
        samples=10,
        seed=0,
    )
    undefined = {"value": None, "ci95": None}
    for metric in found.values():
        assert metric == dict.fromkeys(MEASURES, undefined)


def test_intervals_hold_their_value_and_follow_from_the_seed():
    target, public = stamped(0), stamped(1)
    target = target + 4 * noise(2)
    first, same, other = (linked(target, public, seed=seed)["cosine"] for seed in (4, 4, 5))
    assert first == same
    assert first["auc"]["ci95"] != other["auc"]["ci95"]
    for measure in MEASURES:
        low, high = first[measure]["ci95"]
        assert low <= first[measure]["value"] <= high
        assert first[measure]["value"] == other[measure]["value"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"public_identities": np.arange(5)}, "300 codes and 5 identities"),
        ({"public_codes": noise(0, (7,))}, r"\(4, 4, 3\) must be shaped .* \(7,\)"),
        ({"public_embeddings": embeddings()[:9]}, "300 public codes .* got 9"),
    ],
)
def test_evidence_that_does_not_fit_together_is_refused(change, message):
    given = {"public_codes": noise(0), "public_identities": identities(), "samples": 5, "seed": 0}
    with pytest.raises(ValueError, match=message):
        linkage.link(noise(1), identities(), **(given | change))


def test_likelihood_ratios_are_those_of_the_joint_densities():
    rng = np.random.default_rng(0)
    within, between = np.cov(rng.normal(size=(3, 9))), np.cov(rng.normal(size=(3, 9)))
    mean, codes = rng.normal(size=3), rng.normal(size=(4, 3))
    shrinkage = 0.2
    found = person_model.likelihood_ratios((mean, within, between), shrinkage, codes)
    sphere = np.eye(3) * np.trace(within + between) / 3
    within, between = 0.8 * within + 0.2 * sphere, 0.8 * between
    total = within + between
    one = np.block([[total, between], [between, total]])
    two = np.block([[total, 0 * between], [0 * between, total]])
    expected = np.array(
        [
            [
                multivariate_normal.logpdf(pair, np.tile(mean, 2), one)
                - multivariate_normal.logpdf(pair, np.tile(mean, 2), two)
                for pair in (np.concatenate([code, other]) for other in codes)
            ]
            for code in codes
        ]
    )
    # The determinants are left out: the same constant for all pairs.
    np.testing.assert_allclose(found - found[0, 0], expected - expected[0, 0], atol=1e-9)


def test_covariances_of_simulated_people_are_the_true_ones():
    rng = np.random.default_rng(1)
    person = np.arange(4000).repeat(3)
    codes = rng.normal(size=(4000, 2))[person] * [2, 0] + rng.normal(size=(12000, 2)) * [1, 3]
    _, noisy, same = person_model.gaussian_people(codes, person, noise=2.0)
    mean, within, between = person_model.gaussian_people(codes, person)
    np.testing.assert_allclose(noisy - within, 2 * np.eye(2), atol=1e-9)
    np.testing.assert_array_equal(same, between)
    np.testing.assert_allclose(mean, 0, atol=0.15)
    np.testing.assert_allclose(within, np.diag([1, 9]), atol=0.4)
    np.testing.assert_allclose(between, np.diag([4, 0]), atol=0.4)
    assert np.linalg.eigvalsh(between).min() > -1e-12


@pytest.mark.parametrize("num_codes", [8, 40])
def test_ridge_regression_solves_the_penalised_normal_equations(num_codes):
    rng = np.random.default_rng(2)
    codes, wanted = rng.normal(size=(num_codes, 20)), rng.normal(size=(num_codes, 3))
    penalty = 0.7 * np.square(codes).sum() / min(num_codes, 20)
    expected = np.linalg.solve(codes.T @ codes + penalty * np.eye(20), codes.T @ wanted)
    np.testing.assert_allclose(linkage.ridge_regression(codes, wanted, 0.7), expected, atol=1e-9)


def test_of_little_noise_larger_penalties_than_the_noise_are_tried():
    codes = np.random.default_rng(2).normal(size=(50, 20))
    loud, quiet, silent = (
        linkage.ridge_shares(person_model.PublicCodes(codes, codes, noise))
        for noise in (1.0, 1e-6, 0.0)
    )
    assert silent == linkage.RIDGE_SHARES == loud[: len(linkage.RIDGE_SHARES)]
    # Relative to the noise, what a ridge regression takes at most without knowledge of it.
    most = linkage.RIDGE_SHARES[-1] * np.square(codes).sum() / 20
    assert quiet[-1] * 1e-6 * 50 == pytest.approx(most)
    assert loud[-1] == pytest.approx(max(linkage.RIDGE_SHARES[-1], most / 50))


def test_choice_of_components_avoids_those_that_only_tell_noise():
    # Three telling values before 200 that are not: learned together they would be drowned.
    person = identities()
    telling = np.random.default_rng(3).normal(size=(PEOPLE, 3))[person]
    codes = np.concatenate([5 * telling + noise(4, (3,)), noise(5, (200,))], axis=1)
    public = person_model.PublicCodes(codes, codes, 0.0)
    dimensions, _ = person_model.best_joint_bayesian(public, person)
    assert dimensions <= 64


def test_whoever_knows_the_noise_links_better(monkeypatch):
    monkeypatch.setattr(person_model, "DIMENSIONS", (16, 64))
    monkeypatch.setattr(person_model, "SHRINKAGES", (0.3, 0.01))
    # Sixteen values tell people apart; 400 have as much variance, all of it noise.
    person, people = identities(), np.random.default_rng(7).normal(size=(2 * PEOPLE, 16))
    deviation = np.concatenate([np.full(16, 0.7), np.ones(400)]).astype(np.float32)
    means, codes = [], []
    for part in range(2):
        mean = np.zeros((len(person), 416), np.float32)
        mean[:, :16] = people[part * PEOPLE + person]
        means.append(mean)
        codes.append(mean + deviation * noise(8 + part, (416,)))
    given = {"public_identities": person, "samples": 5, "seed": 0}
    untold = linkage.link(codes[1], person, public_codes=codes[0], **given)
    told = linkage.link(
        codes[1] / deviation,
        person,
        public_codes=codes[0] / deviation,
        public_means=means[0] / deviation,
        **given,
    )
    for metric in ("cosine", "joint_bayesian"):
        assert told[metric]["auc"]["value"] > untold[metric]["auc"]["value"] + 0.02
    assert told["cosine"]["auc"]["value"] > 0.9


def test_held_out_people_are_a_fifth_and_whole():
    held_out = person_model.held_out_people(identities(7))
    assert held_out.mean() == 0.2
    assert (held_out.reshape(PEOPLE, EACH) == held_out.reshape(PEOPLE, EACH)[:, :1]).all()


def test_codes_are_centred_by_the_public_mean_alone():
    public, target = noise(0), 3 + noise(1)
    found_public, found_target = linkage.centred_codes(public, target)
    np.testing.assert_allclose(found_public.mean(axis=0), 0, atol=1e-6)
    assert found_target.mean() == pytest.approx(3, abs=0.1)


def test_rank_one_by_hand():
    people = np.array([5, 5, 6, 7, 7])
    similarity = np.zeros((5, 5))
    # Gallery: images 0, 2, 3. Probe 1 is nearest to 0, its own; probe 4 to 2, a person with one.
    similarity[1, 0], similarity[4, 2] = 1, 1
    found = linkage.rank1(similarity, people, np.array([[2.0, 2, 0, 0, 0], [0, 0, 1, 3, 3]]))
    assert found["value"] == 0.5
    assert found["ci95"] == pytest.approx([0.025, 0.975])


def test_evaluation_of_the_truth_is_perfect_and_of_its_opposite_hopeless():
    people = identities()
    truth = (people[:, None] == people).astype(np.float64)
    weights = measures.identity_weights(people, 10, 0)
    right, wrong = (linkage.evaluate(sign * truth, people, weights) for sign in (1, -1))
    assert [right[measure]["value"] for measure in sorted(MEASURES)] == [1, 1, 1]
    assert wrong["auc"]["value"] == 0
    assert wrong["tar_at_far_1_percent"]["value"] == 0


def test_best_auc_has_an_interval_that_covers_the_choice_among_the_ways():
    rng = np.random.default_rng(0)
    ways = [0.6 + 0.02 * rng.normal(size=201) for _ in range(4)]
    for each in ways:
        each[0] = 0.6
    ways[1][0] = 0.61
    found, alone = linkage.best_auc([*ways, np.full(201, np.nan)]), linkage.best_auc(ways[1:2])
    assert found["value"] == alone["value"] == 0.61
    assert np.ptp(found["ci95"]) > np.ptp(alone["ci95"])
    assert linkage.best_auc([np.full(201, np.nan)]) == {"value": None, "ci95": None}
    unresampled = np.append(0.7, np.full(200, np.nan))
    assert linkage.best_auc([unresampled]) == {"value": 0.7, "ci95": None}


def test_draws_of_the_auc_are_those_of_its_interval():
    public, target = stamped(0), noise(1)
    given = {"public_codes": public, "public_identities": identities(PEOPLE)}
    given |= {"public_embeddings": None, "samples": 40, "seed": 0}
    found, drawn = linkage.link_drawn(target, identities(), **given)
    assert set(found) == set(drawn)
    for metric, each in drawn.items():
        assert found[metric]["auc"]["value"] == each[0]
        assert found[metric]["auc"]["ci95"] == list(measures.interval(each[1:]))
