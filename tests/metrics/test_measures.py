"""Measures: hand-computed values, agreement with scikit-learn and scikit-image, bounds."""

import itertools

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from sklearn.metrics import confusion_matrix, matthews_corrcoef, roc_auc_score

from arl_tf.metrics import measures


def rng(seed=0):
    return np.random.default_rng(seed)


def pictures(count=4, side=20, seed=0):
    """Smooth random images and noisy copies; float32 in [0, 1]."""
    coarse = rng(seed).random((count, side // 4, side // 4, 3))
    images = coarse.repeat(4, axis=1).repeat(4, axis=2)
    noisy = np.clip(images + rng(seed + 1).normal(0, 0.1, images.shape), 0, 1)
    return images.astype(np.float32), noisy.astype(np.float32)


def test_confusion_counts_are_scikit_learns():
    predicted, actual = rng().integers(0, 2, (2, 60, 3))
    totals = measures.confusion_counts(predicted, actual).sum(axis=0)
    for column in range(3):
        true_neg, false_pos, false_neg, true_pos = confusion_matrix(
            actual[:, column], predicted[:, column]
        ).ravel()
        assert totals[column].tolist() == [true_pos, false_pos, false_neg, true_neg]


def test_every_image_falls_into_one_cell():
    predicted, actual = rng().integers(0, 2, (2, 60, 3))
    assert (measures.confusion_counts(predicted, actual).sum(axis=-1) == 1).all()


def test_matthews_correlation_by_hand():
    # (6*3 - 1*2) / sqrt((6+1)(6+2)(3+1)(3+2)) = 16 / sqrt(1120).
    found = measures.matthews_correlation(np.array([6.0, 1.0, 2.0, 3.0]))
    assert found == pytest.approx(16 / np.sqrt(1120), rel=1e-12)


def test_matthews_correlation_is_scikit_learns_on_random_data():
    predicted, actual = rng(1).random((2, 500, 8)) < rng(2).uniform(0.1, 0.9, 8)
    found = measures.matthews_correlation(measures.confusion_counts(predicted, actual).sum(axis=0))
    expected = [matthews_corrcoef(a, p) for a, p in zip(actual.T, predicted.T, strict=True)]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_matthews_correlation_is_one_for_truth_and_minus_one_for_its_opposite():
    actual = rng().integers(0, 2, (50, 1))
    right = measures.confusion_counts(actual, actual).sum(axis=0)
    wrong = measures.confusion_counts(1 - actual, actual).sum(axis=0)
    assert measures.matthews_correlation(right) == pytest.approx(1)
    assert measures.matthews_correlation(wrong) == pytest.approx(-1)


@pytest.mark.parametrize(
    "counts", [[5, 5, 0, 0], [5, 0, 5, 0], [0, 0, 3, 7], [0, 4, 0, 6], [0] * 4]
)
def test_undefined_matthews_correlation_is_zero(counts):
    assert measures.matthews_correlation(np.array(counts, np.float64)) == 0


def test_roc_auc_by_hand():
    # Positives .4 and .8 against negatives .2 and .4: they win 1 + 1 + 1 + half of a tie.
    scores, actual = np.array([0.2, 0.4, 0.4, 0.8]), np.array([0, 1, 0, 1])
    assert measures.roc_auc(scores, actual, np.ones((1, 4))) == pytest.approx(3.5 / 4)


@pytest.mark.parametrize("decimals", [6, 1, 0])
def test_roc_auc_is_scikit_learns_with_and_without_ties(decimals):
    actual = rng(3).integers(0, 2, 300)
    scores = np.round(actual + rng(4).normal(0, 1, 300), decimals)
    found = measures.roc_auc(scores, actual, np.ones((1, 300)))
    np.testing.assert_allclose(found, roc_auc_score(actual, scores), atol=1e-12)


def test_weights_of_roc_auc_are_repeated_samples():
    actual = rng(5).integers(0, 2, 80)
    scores = np.round(actual + rng(6).normal(0, 1, 80), 1)
    weights = rng(7).integers(0, 4, (5, 80))
    expected = [roc_auc_score(actual.repeat(row), scores.repeat(row)) for row in weights]
    np.testing.assert_allclose(measures.roc_auc(scores, actual, weights), expected, atol=1e-12)


def test_roc_auc_is_undefined_in_a_resample_of_one_class_only():
    weights = np.array([[1, 1, 1], [1, 0, 0], [0, 1, 1]])
    found = measures.roc_auc(np.array([0.1, 0.5, 0.7]), np.array([0, 1, 1]), weights)
    np.testing.assert_array_equal(found, [1, np.nan, np.nan])


def test_psnr_by_hand():
    images = np.full((1, 4, 4, 3), 0.5, np.float32)
    assert measures.psnr(images + 0.1, images) == pytest.approx(20, abs=1e-4)


def test_psnr_is_scikit_images():
    images, noisy = pictures()
    expected = [
        peak_signal_noise_ratio(image, other, data_range=1)
        for image, other in zip(images, noisy, strict=True)
    ]
    np.testing.assert_allclose(measures.psnr(noisy, images), expected, rtol=1e-6)


def test_psnr_of_an_exact_copy_is_finite():
    images, _ = pictures()
    assert (measures.psnr(images, images) == 100).all()


def test_ssim_is_scikit_images():
    images, noisy = pictures()
    expected = [
        structural_similarity(
            image,
            other,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=1,
            channel_axis=-1,
        )
        for image, other in zip(images, noisy, strict=True)
    ]
    assert 0.2 < np.mean(expected) < 0.95
    np.testing.assert_allclose(measures.ssim(noisy, images), expected, atol=1e-5)


def test_ssim_is_one_for_a_copy_and_does_not_depend_on_the_batch(monkeypatch):
    images, noisy = pictures(count=5)
    np.testing.assert_allclose(measures.ssim(images, images), 1, atol=1e-6)
    at_once = measures.ssim(noisy, images)
    monkeypatch.setattr(measures, "BATCH", 2)
    np.testing.assert_allclose(measures.ssim(noisy, images), at_once, atol=1e-6)


def test_face_similarity_is_one_for_the_same_and_minus_one_for_the_opposite_about_the_mean():
    embeddings, mean = rng().normal(size=(6, 8)), rng(1).normal(size=8)
    same = measures.face_similarity(embeddings, embeddings, mean)
    opposite = measures.face_similarity(embeddings, 2 * mean - embeddings, mean)
    np.testing.assert_allclose(same, 1, atol=1e-12)
    np.testing.assert_allclose(opposite, -1, atol=1e-12)


def test_face_similarity_by_hand():
    mean = np.array([1.0, 1.0])
    one, other = np.array([[2.0, 1.0]]), np.array([[4.0, 5.0]])
    assert measures.face_similarity(one, other, mean) == pytest.approx(0.6)


def test_face_similarity_does_not_change_with_a_shift_of_embeddings_and_mean():
    one, other = rng().normal(size=(2, 6, 8))
    mean, shift = rng(1).normal(size=(2, 8))
    np.testing.assert_allclose(
        measures.face_similarity(one + shift, other + shift, mean + shift),
        measures.face_similarity(one, other, mean),
        atol=1e-12,
    )


def people(count=300, pictures_each=2, dimensions=24, seed=0):
    """Random embeddings and the identity of each."""
    embeddings = rng(seed).normal(size=(count, dimensions))
    return embeddings, np.arange(count) // pictures_each


def test_exact_copies_are_all_reidentified_at_rank_one():
    gallery, identities = people()
    found = measures.reidentified(3 * gallery, gallery, identities, np.zeros(24), 1)
    assert found.tolist() == [1] * 300


def test_any_picture_of_the_person_counts():
    gallery, identities = people()
    swapped = gallery.reshape(-1, 2, 24)[:, ::-1].reshape(-1, 24)
    assert measures.reidentified(swapped, gallery, identities, np.zeros(24), 1).all()


def test_gallery_picture_that_is_left_out_is_not_found():
    gallery = np.eye(4)
    identities = np.array([0, 0, 1, 2])
    nothing = np.zeros(4)
    # Each probe is a gallery picture, and only another of the same person may be found.
    found = measures.reidentified(
        gallery + 0.1 * gallery[[1, 0, 0, 0]], gallery, identities, nothing, 1, np.arange(4)
    )
    assert found.tolist() == [1.0, 1.0, 0.0, 0.0]


def test_random_probes_are_reidentified_by_chance():
    gallery, identities = people(count=2000)
    probes = rng(9).normal(size=gallery.shape)
    rate = measures.reidentified(probes, gallery, identities, np.zeros(24), 10).mean()
    chance = 1 - (1 - 2 / 2000) ** 10
    assert abs(rate - chance) < 4 * np.sqrt(chance / 2000)


def test_reidentification_never_falls_with_rank_and_is_certain_at_the_last():
    gallery, identities = people(count=60)
    gallery[rng(1).integers(0, 60, 20)] = gallery[0]
    probes = gallery + rng(2).normal(0, 1.5, gallery.shape)
    hits = [
        measures.reidentified(probes, gallery, identities, np.zeros(24), rank)
        for rank in (1, 2, 5, 20, 60, 1000)
    ]
    assert all((more >= fewer).all() for fewer, more in itertools.pairwise(hits))
    assert 0 < hits[0].mean() < 1
    assert hits[-1].all()


def test_last_rank_takes_in_the_whole_gallery():
    gallery, identities = np.eye(4), np.arange(4)
    found = [
        measures.reidentified(-gallery, gallery, identities, np.zeros(4), rank).tolist()
        for rank in (3, 4, 5)
    ]
    assert found == [[0] * 4, [1] * 4, [1] * 4]


def pair_lists(similarity, people, weight):
    """Scores, kinds and weights of all pairs, counted one by one."""
    pairs = list(itertools.combinations(range(len(people)), 2))
    scores = np.array([similarity[pair] for pair in pairs])
    same = np.array([people[i] == people[j] for i, j in pairs], float)
    weights = [weight[i] if people[i] == people[j] else weight[i] * weight[j] for i, j in pairs]
    return scores, same, np.array(weights, float)


def similarities(people, seed=0):
    likeness = (people[:, None] == people) + rng(seed).normal(0, 1, (len(people),) * 2)
    return likeness + likeness.T


def test_histograms_of_pairs_hold_the_weight_of_every_pair():
    people = np.arange(20) // 3
    similarity, weights = similarities(people), measures.identity_weights(people, 4, seed=1)
    same, different = measures.pair_histograms(similarity, people, weights)
    for row, weight in enumerate(weights):
        _, kind, expected = pair_lists(similarity, people, weight)
        assert same[row].sum() == expected[kind == 1].sum()
        assert different[row].sum() == expected[kind == 0].sum()


def test_auc_of_few_pairs_is_that_of_the_list_of_pairs_in_each_resample():
    # 190 pairs in 2000 bins: none shares its bin with another.
    people = np.arange(20) // 3
    similarity, weights = similarities(people), measures.identity_weights(people, 6, seed=1)
    found = measures.auc_of_histograms(*measures.pair_histograms(similarity, people, weights))
    for row, weight in enumerate(weights):
        scores, kind, expected = pair_lists(similarity, people, weight)
        assert found[row] == pytest.approx(measures.roc_auc(scores, kind, expected[None])[0])


def test_bins_move_the_auc_of_many_pairs_by_less_than_half_a_bin():
    people = np.arange(400) // 2
    similarity = similarities(people)
    once = np.ones((1, 400))
    found = measures.auc_of_histograms(*measures.pair_histograms(similarity, people, once))
    scores, kind, weights = pair_lists(similarity, people, once[0])
    exact = measures.roc_auc(scores, kind, weights[None])
    assert 0 < abs(found - exact) < 1 / (2 * measures.PAIR_BINS)


@pytest.mark.parametrize("count", [1, 2, 7, 1000])
def test_quantiles_are_numpys_bit_for_bit(count):
    values = np.random.default_rng(count).normal(size=count)
    shares = np.linspace(0, 1, 38)
    np.testing.assert_array_equal(measures.quantiles(values, shares), np.quantile(values, shares))


def test_no_pairs_leave_auc_and_true_accept_rate_undefined():
    for people in (np.zeros(1, int), np.arange(5), np.zeros(5, int)):
        histograms = measures.pair_histograms(
            np.eye(len(people)), people, np.ones((2, len(people)))
        )
        assert np.isnan(measures.auc_of_histograms(*histograms)).all()
        assert np.isnan(measures.true_accept_rate(*histograms, 0.01)).all()


def test_true_accept_rate_by_hand():
    # From the most similar bin down, false rates 0, .02, .52, 1 and true rates .4, .6, .9, 1.
    same, different = np.array([[1.0, 3, 2, 4]]), np.array([[48.0, 50, 2, 0]])
    rates = (0, 0.01, 0.02, 0.27, 1)
    found = [measures.true_accept_rate(same, different, rate)[0] for rate in rates]
    assert found == pytest.approx([0.4, 0.5, 0.6, 0.75, 1])


def test_true_accept_rate_does_not_look_past_a_vertical_step():
    # First every pair of two people lies above every pair of one, then the other way round.
    same, different = np.array([[10.0, 0]]), np.array([[0.0, 10]])
    assert measures.true_accept_rate(same, different, 0.01) == 0
    assert measures.true_accept_rate(different, same, 0.01) == 1


def test_true_accept_rate_of_ties_is_the_false_accept_rate():
    tied = np.array([[0.0, 7, 0]])
    assert measures.true_accept_rate(tied, 3 * tied, 0.01) == pytest.approx(0.01)


def test_pictures_of_one_person_always_weigh_the_same():
    identities = np.array([7, 3, 7, 7, 3, 1])
    weights = measures.identity_weights(identities, 200, seed=0)
    for person in (7, 3, 1):
        of_person = weights[:, identities == person]
        assert (of_person == of_person[:, :1]).all()


def test_every_resample_draws_as_many_people_as_there_are():
    identities = np.array([7, 3, 7, 7, 3, 1])
    weights = measures.identity_weights(identities, 200, seed=0)
    first_picture = [0, 1, 5]
    assert weights.shape == (200, 6)
    assert (weights[:, first_picture].sum(axis=1) == 3).all()
    assert (weights >= 0).all() and (weights == np.round(weights)).all()


def test_resamples_follow_from_the_seed():
    identities = np.arange(20)
    first, same, other = (measures.identity_weights(identities, 9, seed=s) for s in (4, 4, 5))
    np.testing.assert_array_equal(first, same)
    assert (first != other).any()


def test_weighted_mean_is_the_mean_of_repeated_samples():
    values, weights = rng().random(12), rng(1).integers(0, 3, (4, 12))
    expected = [values.repeat(row).mean() for row in weights]
    np.testing.assert_allclose(measures.weighted_means(values, weights), expected)


def test_interval_is_the_central_95_percent_of_what_is_defined():
    resampled = np.append(np.arange(1001.0), [np.nan, np.nan])
    assert measures.interval(resampled) == (25, 975)


def clustered_trial(trial, people_count=40, pictures_each=5):
    """Whether the interval of one simulated set of people covers the true mean, 0."""
    draws = rng([trial, 1])
    identities = np.arange(people_count).repeat(pictures_each)
    values = draws.normal(size=people_count)[identities] + draws.normal(0, 0.5, len(identities))
    weights = measures.identity_weights(identities, 300, seed=trial)
    low, high = measures.interval(measures.weighted_means(values, weights))
    naive = measures.identity_weights(np.arange(len(identities)), 300, seed=trial)
    naive_low, naive_high = measures.interval(measures.weighted_means(values, naive))
    return low <= 0 <= high, naive_low <= 0 <= naive_high


@pytest.mark.slow
def test_interval_over_identities_covers_the_true_mean_95_percent_of_the_time():
    covered, naive = np.array([clustered_trial(trial) for trial in range(400)]).mean(axis=0)
    # Four standard deviations of 400 trials at .95 are .044; few people cost the bootstrap ~.015.
    assert 0.95 - 0.015 - 0.044 < covered < 0.95 + 0.044
    # Pictures drawn one by one would claim far too much.
    assert naive < 0.8
