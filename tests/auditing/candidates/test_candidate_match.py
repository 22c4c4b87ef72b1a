"""Is it this photo? Encoders of which it is known how well candidates are told apart."""

import dataclasses
import functools
import types

import numpy as np
import pytest

from arl_tf.attacks.evidence import CodeNoise, Evidence, PublicPairs, TaskOutputs
from arl_tf.auditing.candidates import match as candidate_match
from arl_tf.auditing.candidates import pairs
from arl_tf.auditing.candidates.copies import DEGRADATIONS
from arl_tf.auditing.channel import Channel
from arl_tf.auditing.encoders.audited import AuditedEncoder
from arl_tf.metrics import measures
from arl_tf.models.standardisation import flattened

PHOTOS, SIDE, SEED = 24, 8, 3
RNG = np.random.default_rng(2)
# Four photos of each of five people, smooth and much alike, and four people with one photo.
PEOPLE = np.concatenate([np.repeat(np.arange(5), 4), np.arange(5, 9)])
FACES = RNG.integers(40, 200, (9, 4, 4, 3))
GRIDS = FACES[PEOPLE] + RNG.normal(0, 20, (PHOTOS, 4, 4, 3))
PICTURES = np.kron(np.clip(GRIDS, 0, 255), np.ones((1, 2, 2, 1))).astype(np.uint8)
SETTINGS = types.SimpleNamespace(seed=SEED, codes_per_photo=1)
ROWS = np.arange(PHOTOS)
WEIGHTS = measures.identity_weights(PEOPLE, 50, SEED)


def pixels(images):
    return (np.asarray(images, np.float32) - 128) / 64


def brightness(codes):
    """A task output of one logit that tells little: the mean of the code."""
    return codes.reshape(len(codes), -1).mean(axis=1, keepdims=True).astype(np.float32)


def audited_encoder_of(**facts):
    described = {
        "words": "pixels",
        "sha256": "0",
        "code_shape": (SIDE, SIDE, 3),
        "channel": Channel(),
        "encoder": pixels,
        "differentiable": lambda images: images,
        "task_output": brightness,
    }
    return AuditedEncoder(**described | facts)


def noisy_encoder(share, **facts):
    shares = np.full((SIDE, SIDE, 3), share, np.float32)
    return audited_encoder_of(
        encoder=lambda images: (
            np.sqrt(share) * pixels(images)
            + np.sqrt(1 - share) * RNG.normal(size=images.shape).astype(np.float32)
        ),
        signal=pixels,
        signal_share=shares,
        **facts,
    )


def public_pictures():
    """Two photos each of other people, as the test images are."""
    faces = np.repeat(RNG.integers(40, 200, (40, 4, 4, 3)), 2, axis=0)
    grids = np.clip(faces + RNG.normal(0, 20, faces.shape), 0, 255)
    return np.kron(grids, np.ones((1, 2, 2, 1))).astype(np.uint8)


PUBLIC, PUBLIC_PEOPLE = public_pictures(), np.repeat(np.arange(40), 2)


def evidence_of(audited_encoder):
    codes = audited_encoder.codes_of(ROWS, PICTURES, SEED)
    public = audited_encoder.query(PUBLIC, 0) if audited_encoder.encoder else pixels(PUBLIC)
    noise = None
    if audited_encoder.signal_share is not None:
        means = np.sqrt(audited_encoder.signal_share) * pixels(PUBLIC)
        noise = CodeNoise(np.sqrt(1 - audited_encoder.signal_share), means)
    outputs = None
    if audited_encoder.task_output is not None:
        logits = audited_encoder.task_output(codes)
        of_public = audited_encoder.task_output(public)
        outputs = TaskOutputs(of_public, of_public, logits)
    random = noise is not None
    return Evidence(
        pairs=PublicPairs(public, PUBLIC, public, PUBLIC),
        target_codes=codes,
        perceptual_features=None,
        task_outputs=outputs,
        noise=noise,
        random_codes=random,
    )


def as_asked(evidence):
    """The same for who can only ask: eight answers to each public image."""
    noise = evidence.noise
    left = noise.deviation / np.sqrt(8) * RNG.normal(size=noise.public_means.shape)
    means = (noise.public_means + left).astype(np.float32)
    asked = CodeNoise(noise.deviation, means, answers=8, remaining=1 / 8)
    return dataclasses.replace(evidence, noise=asked, asked_noise=asked)


def matched(audited_encoder, reference=None, settings=SETTINGS):
    found = candidate_match.match(
        settings,
        audited_encoder,
        evidence_of(audited_encoder),
        PICTURES,
        PEOPLE,
        ROWS,
        PUBLIC_PEOPLE,
    )
    return candidate_match.describe(found, reference, WEIGHTS), found


@functools.cache
def without_noise():
    """The section and the hits of codes that are the pixels."""
    return matched(audited_encoder_of())


def rate(section, source="code", way="best"):
    return section[source][way]["value"]


def test_codes_without_noise_give_the_photo_and_its_copies_away():
    section, _ = without_noise()
    known = [rate(section["exact"], way=way) for way in candidate_match.WAYS]
    assert known == [1, None, 1, 1, None, None]
    assert section["exact"]["code"]["best"]["ci95"] == [1, 1]
    assert {rate(section["degraded"][name]) for name in DEGRADATIONS} == {1}
    assert rate(section["other_photo"]) == 1
    assert (section["candidates"], section["people"], section["with_other_photo"]) == (24, 9, 20)


def test_every_case_counts_in_the_progress_bar(bars):
    matched(audited_encoder_of())
    assert bars == {"Candidates compared": [2 + len(DEGRADATIONS)] * 2}


def test_codes_without_noise_fit_their_own_photo_alone():
    section, found = without_noise()
    fitting = section["exact"]["fitting"]["code"]
    assert (fitting["likely"]["value"], fitting["median_likely"]) == (1, 1)
    assert fitting["effective"]["value"] == pytest.approx(1)
    again = candidate_match.describe(found, found.hits, WEIGHTS)["exact"]["fitting"]
    assert again["unprotected"] == again["code"] == fitting


def test_more_candidates_fit_a_code_with_more_noise_and_the_right_one_is_among_them():
    sets = [
        matched(noisy_encoder(share))[0]["exact"]["fitting"]["code"] for share in (0.5, 1e-3, 1e-6)
    ]
    likely = [found["likely"]["value"] for found in sets]
    assert likely[0] == pytest.approx(1, abs=0.1)
    # Of nothing but noise nearly all 24 are as likely.
    assert likely[0] < likely[1] < likely[2] and likely[2] > 20
    assert all(found["covered"]["value"] > 0.8 for found in sets)


def test_without_the_encoder_s_inside_nothing_is_said_of_what_fits():
    section = matched(audited_encoder_of(differentiable=None))[0]["exact"]["fitting"]
    assert section["code"] == {
        **{key: {"value": None, "ci95": None} for key in ("effective", "likely", "covered")},
        "median_likely": None,
    }


def test_chance_is_that_of_a_guess_among_the_candidates():
    section, _ = without_noise()
    assert section["exact"]["chance"] == section["degraded"]["together"]["chance"] == 1 / 24
    assert section["other_photo"]["chance"] == pytest.approx(3 / 23)


def test_code_that_is_the_same_for_all_photos_finds_them_as_often_as_a_guess():
    audited_encoder = audited_encoder_of(
        encoder=lambda images: np.ones((len(images), SIDE, SIDE, 3), np.float32)
    )
    section, _ = matched(audited_encoder)
    for case in (section["exact"], section["degraded"]["shifted"], section["other_photo"]):
        assert rate(case) == pytest.approx(case["chance"])
        assert rate(case, "task_output") == pytest.approx(case["chance"])


def test_likelihood_knows_more_than_one_query_and_the_task_output_tells_less():
    section, _ = matched(noisy_encoder(0.15))
    code = section["exact"]["code"]
    assert code["likelihood"]["value"] > code["queries_1"]["value"]
    assert code["queries_4"]["value"] > code["queries_1"]["value"] > section["exact"]["chance"]
    assert code["best"]["way"] == "likelihood"
    assert rate(section["exact"], "task_output") < code["likelihood"]["value"]


def test_who_learned_what_copies_change_finds_the_photo_by_them_more_often():
    section, _ = matched(noisy_encoder(0.3))
    code = section["degraded"]["shifted"]["code"]
    assert code["tolerant"]["value"] > code["likelihood"]["value"]
    assert rate(section["other_photo"], way="tolerant") > section["other_photo"]["chance"]


def test_who_can_only_ask_learns_what_copies_change_too():
    asked = audited_encoder_of(encoder=noisy_encoder(0.5).encoder, differentiable=None)
    evidence = as_asked(evidence_of(noisy_encoder(0.5)))
    found = candidate_match.match(SETTINGS, asked, evidence, PICTURES, PEOPLE, ROWS, PUBLIC_PEOPLE)
    section = candidate_match.describe(found, None, WEIGHTS)
    code = section["degraded"]["shifted"]["code"]
    assert code["likelihood"]["value"] is None
    assert code["tolerant"]["value"] > code["queries_4"]["value"]
    assert rate(section["other_photo"], way="tolerant") > section["other_photo"]["chance"]


def test_asked_mean_codes_are_known_with_the_noise_that_is_left_in_them():
    evidence = as_asked(evidence_of(noisy_encoder(0.5)))
    means, noise = pairs.public_means(evidence)
    np.testing.assert_array_equal(means, flattened(evidence.noise.public_means))
    assert noise == 1 / 8
    assert pairs.of_people(evidence, PUBLIC_PEOPLE).noise == 2 / 8
    asked = audited_encoder_of(encoder=noisy_encoder(0.5).encoder, differentiable=None)
    copies = pairs.of_copies(lambda images: images, asked, evidence, SEED)
    assert copies.noise == 1 / 8 + 1 / 4
    differences = copies.first - copies.second
    # Copies that are the photos themselves differ by noise alone, of half the variance.
    np.testing.assert_allclose(differences.var(), copies.noise * 0.5, rtol=0.1)
    assert pairs.public_means(dataclasses.replace(evidence, noise=None)) is None


def test_best_way_is_also_the_task_output_s_and_its_interval_covers_the_choice():
    rng = np.random.default_rng(0)
    hits = {
        "exact/code/likelihood": (rng.random(PHOTOS) < 0.4).astype(float),
        "exact/code/queries_1": (rng.random(PHOTOS) < 0.4).astype(float),
        "exact/task_output/queries_1": (np.arange(PHOTOS) % 3 > 0).astype(float),
    }
    found = candidate_match.CandidateMatch(hits, ROWS, PEOPLE, "")
    section = candidate_match.describe(found, None, WEIGHTS)["exact"]
    best, alone = section["code"]["best"], section["task_output"]["queries_1"]
    assert best["way"] == "task_output/queries_1" and section["code"]["queries_4"]["value"] is None
    assert best["value"] == section["task_output"]["best"]["value"] == alone["value"]
    # Whoever chooses among three has an interval that is wider than that of the chosen one.
    assert np.ptp(best["ci95"]) > np.ptp(section["task_output"]["best"]["ci95"])
    assert 0 <= best["ci95"][0] < best["value"] < best["ci95"][1] <= 1
    swapped = {
        "exact/code/queries_1": hits["exact/task_output/queries_1"],
        "exact/task_output/queries_1": hits["exact/code/queries_1"],
    }
    assert (
        candidate_match.rates(swapped, "exact", ("code", "task_output"), WEIGHTS)["best"]["way"]
        == "queries_1"
    )


def test_best_way_has_no_interval_where_no_resample_has_a_right_candidate():
    hits = {"likelihood": np.array([1.0, np.nan])}
    found = candidate_match.best_rate(hits, np.array([[0.0, 2.0]]))
    assert found == {"way": "likelihood", "value": 1.0, "ci95": None}


def test_closed_encoder_has_no_likelihood_and_the_section_says_why():
    audited_encoder = audited_encoder_of(differentiable=None, not_white_box="it is a file")
    section, _ = matched(audited_encoder)
    assert rate(section["exact"], way="likelihood") is None
    assert rate(section["exact"], way="queries_1") == 1
    assert "it is a file" in section["missing"]


@pytest.mark.parametrize("law", ["laplace", "normal"])
def test_law_of_the_noise_is_told_to_who_asks(law, monkeypatch):
    drawn = getattr(np.random.default_rng(7), law)
    told = []

    def asked_values(noise, per_photo, *, is_laplace):
        told.append(is_laplace)

    monkeypatch.setattr(candidate_match, "asked_values", asked_values)
    means = pixels(PUBLIC)
    deviation = np.full(means.shape[1:], 0.3, np.float32)
    scale = 0.3 * (np.sqrt(0.5) if law == "laplace" else 1.0)
    answers = [means + drawn(0, scale, means.shape).astype(np.float32) for _ in range(8)]
    noise = CodeNoise(deviation, np.mean(answers, axis=0), answers=8, remaining=1 / 8)
    audited_encoder = audited_encoder_of(encoder=None, recorded=pixels(PICTURES), task_output=None)
    evidence = evidence_of(audited_encoder)
    evidence = dataclasses.replace(
        evidence,
        pairs=dataclasses.replace(evidence.pairs, codes=answers[0]),
        noise=noise,
        asked_noise=noise,
        random_codes=True,
    )
    candidate_match.match(SETTINGS, audited_encoder, evidence, PICTURES, PEOPLE, ROWS, None)
    assert told == [law == "laplace"]


def test_recorded_codes_can_only_be_compared_with_each_other():
    codes = pixels(PICTURES)
    audited_encoder = audited_encoder_of(
        encoder=None,
        differentiable=None,
        recorded=codes,
        task_output=None,
        recorded_logits=brightness(codes),
    )
    evidence = evidence_of(dataclasses.replace(audited_encoder, task_output=brightness))
    match = functools.partial(
        candidate_match.match, SETTINGS, audited_encoder, evidence, PICTURES, PEOPLE, ROWS
    )
    section = candidate_match.describe(match(None), None, WEIGHTS)
    with_people = candidate_match.describe(match(PUBLIC_PEOPLE), None, WEIGHTS)
    assert rate(with_people["other_photo"], way="tolerant") == 1
    assert rate(section["exact"]) is None and rate(section["degraded"]["together"]) is None
    assert rate(section["other_photo"], way="queries_1") == 1
    assert rate(section["other_photo"], way="queries_4") is None
    assert 0 < rate(section["other_photo"], "task_output") < 1
    assert "only recorded codes" in section["missing"]


def test_unprotected_rates_are_those_of_the_references_own_audit():
    _, reference = without_noise()
    section, _ = matched(noisy_encoder(0.1), reference.hits)
    assert rate(section["exact"], "unprotected") == 1
    assert rate(section["degraded"]["resized"], "unprotected") == 1
    without, _ = matched(noisy_encoder(0.1))
    assert rate(without["exact"], "unprotected") is None


def test_without_a_task_head_there_is_no_task_output():
    section, _ = matched(audited_encoder_of(task_output=None))
    assert rate(section["exact"], "task_output") is None
    assert rate(section["exact"]) == 1


def test_very_many_photos_are_cut_to_whole_people(monkeypatch):
    largest = np.bincount(PEOPLE).max()
    monkeypatch.setattr(candidate_match, "MOST_CANDIDATES", 9)
    rows = candidate_match.candidate_rows(PEOPLE)
    assert 9 - largest < len(rows) <= 9 and (np.diff(rows) > 0).all()
    kept, counts = np.unique(PEOPLE[rows], return_counts=True)
    np.testing.assert_array_equal(counts, np.bincount(PEOPLE)[kept])
    section, _ = matched(audited_encoder_of())
    assert section["candidates"] == len(rows)


def test_person_with_more_photos_than_are_compared_is_cut(monkeypatch):
    monkeypatch.setattr(candidate_match, "MOST_CANDIDATES", 3)
    np.testing.assert_array_equal(candidate_match.candidate_rows(np.full(5, 7)), [0, 1, 2])
