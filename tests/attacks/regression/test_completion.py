"""Claims about dropped values that are filled in, in a world where the best filling is known."""

import dataclasses
import types

import numpy as np
import pytest
import tensorflow as tf

from arl_tf.attacks import registry
from arl_tf.attacks.evidence import (
    BLACK_BOX,
    WHITE_BOX,
    AttackerOptions,
    CodeNoise,
    Evidence,
    PublicPairs,
    drops_values,
)
from arl_tf.attacks.identity.faces import PublicFaces, mean_cosine, unit
from arl_tf.attacks.identity.registry import view_of
from arl_tf.attacks.identity.ridge import ridge
from arl_tf.attacks.regression import completion, undone
from arl_tf.attacks.regression.code_view import code_view
from arl_tf.attacks.several_codes import SeveralCodes, join_codes
from arl_tf.auditing import attack_runs, disclosure

SIDE, LATENTS, VALUES, RATE = 6, 10, 64, 0.5
PIXELS = SIDE * SIDE * 3
PUBLIC, HELD_OUT, TARGET = 4000, 200, 300
OPTIONS = AttackerOptions(
    width=4, depth=0, steps=1, batch_size=8, learning_rate=1e-3, mu=0.0, seed=0
)


@pytest.fixture(scope="module")
def world():
    """Pictures .5 + a B with normal a; codes x A and a little of their own, half of it dropped."""
    rng = np.random.default_rng(0)
    basis = 0.02 * rng.normal(size=(LATENTS, PIXELS)) / np.sqrt(LATENTS / 8)
    matrix = rng.normal(size=(PIXELS, VALUES)) / np.sqrt(PIXELS)
    count = PUBLIC + HELD_OUT + TARGET
    images = 0.5 + rng.normal(size=(count, LATENTS)) @ basis
    images = np.clip(np.round(images * 255), 0, 255).astype(np.uint8)
    own = 0.02
    means = images / 255 @ matrix + own * rng.normal(size=(count, VALUES))
    codes = means * (rng.random(means.shape) >= RATE) / (1 - RATE)
    seen = basis @ matrix
    return types.SimpleNamespace(
        images=images.reshape(-1, SIDE, SIDE, 3),
        means=means.astype(np.float32),
        codes=codes.astype(np.float32),
        centre=0.5 * matrix.sum(axis=0),
        covariance=seen.T @ seen + own**2 * np.eye(VALUES),
        with_pictures=basis.T @ seen,
        matrix=matrix,
    )


@pytest.fixture(scope="module")
def evidence(world):
    public, held_out, target = np.split(np.arange(len(world.codes)), [PUBLIC, PUBLIC + HELD_OUT])
    spread = np.square(world.codes[public] - world.means[public]).mean(axis=0)
    return Evidence(
        pairs=PublicPairs(
            world.codes[public],
            world.images[public],
            world.codes[held_out],
            world.images[held_out],
        ),
        target_codes=world.codes[target],
        perceptual_features=lambda image: [image],
        noise=CodeNoise(np.sqrt(spread), world.means[public]),
        random_codes=True,
    )


def best_of(world, cross, start):
    """The posterior mean of what has the covariance `cross` [K, VALUES] with the mean codes."""
    found = []
    for code in world.codes[-TARGET:]:
        left = code != 0
        told = np.linalg.solve(
            world.covariance[np.ix_(left, left)], code[left] * (1 - RATE) - world.centre[left]
        )
        found.append(start + cross[:, left] @ told)
    return np.array(found)


def test_filled_in_values_are_nearly_as_near_as_they_can_be_and_the_others_the_means(
    world, evidence
):
    found = completion.completed(evidence, OPTIONS)
    truth, codes = world.means[-TARGET:], world.codes[-TARGET:]
    dropped = codes == 0
    assert 0.4 < dropped.mean() < 0.6
    np.testing.assert_allclose(found.target_codes[~dropped], truth[~dropped], rtol=1e-5)
    best = best_of(world, world.covariance, world.centre)
    least = np.square(best - truth)[dropped].mean()
    error = np.square(found.target_codes - truth)[dropped].mean()
    assert least <= error < 1.1 * least < 0.2 * truth.var(axis=0).mean()


def test_codes_of_all_images_are_filled_in_and_no_noise_is_told_any_more(evidence):
    found = completion.completed(evidence, OPTIONS)
    for codes in (found.pairs.codes, found.pairs.held_out_codes, found.target_codes):
        assert codes.dtype == np.float32 and (codes != 0).all()
    assert found.noise is None and found.pairs.images is evidence.pairs.images


def test_the_map_of_completed_codes_comes_within_a_tenth_of_a_decibel_of_the_best_guess(
    world, evidence
):
    truth = world.images[-TARGET:].reshape(TARGET, PIXELS) / 255
    best = best_of(world, world.with_pictures, 0.5)

    def decibels(pictures):
        return -10 * np.log10(np.square(pictures.reshape(TARGET, PIXELS) - truth).mean())

    results = {
        name: registry.ATTACKERS[name].run(evidence, OPTIONS, name=name)
        for name in ("linear", "wiener", "linear_completed")
    }
    known = [result.knowledge for result in results.values()]
    assert known == [BLACK_BOX, WHITE_BOX, WHITE_BOX]
    found = {name: decibels(result.reconstructions) for name, result in results.items()}
    assert found["linear_completed"] > decibels(best) - 0.1
    assert found["linear_completed"] > max(found["linear"], found["wiener"]) + 1


def test_what_is_left_of_a_code_is_a_mean_code_and_the_rest_unknown(world, evidence):
    found = completion.observed(evidence, OPTIONS)
    codes, truth = found.target_codes, world.means[-TARGET:]
    known = np.isfinite(codes)
    np.testing.assert_array_equal(known, world.codes[-TARGET:] != 0)
    np.testing.assert_allclose(codes[known], truth[known], rtol=1e-5)
    np.testing.assert_array_equal(found.pairs.codes, world.means[:PUBLIC])
    assert found.noise is None


def test_a_search_that_knows_which_values_were_dropped_comes_nearer(world, evidence):
    def encode(images):
        flat = tf.reshape(images, (-1, PIXELS))
        return flat @ tf.constant(world.matrix, tf.float32)

    evidence = dataclasses.replace(evidence, encode=encode)
    options = dataclasses.replace(OPTIONS, steps=40)
    truth = world.images[-TARGET:] / 255

    def error(name, start):
        found = registry.ATTACKERS[name].run(evidence, options, name=name, start=start)
        assert np.isfinite(found.reconstructions).all()
        return np.square(found.reconstructions - truth).mean()

    filled = registry.ATTACKERS["linear_completed"].run(evidence, options, name="linear_completed")
    at_first = np.square(filled.reconstructions - truth).mean()
    assert error("optimisation_completed", None) < 0.9 * error("optimisation", None)
    # From a picture that is good already it takes no step that makes the held-out ones worse.
    assert error("optimisation_completed", filled) <= 1.01 * at_first
    assert registry.ATTACKERS["optimisation_completed"].starts_from == "kernel_completed"


@dataclasses.dataclass(frozen=True)
class Found:
    """Of what an audit has found, what the probes' codes depend on."""

    evidence: Evidence
    settings: types.SimpleNamespace


def test_probes_and_linkage_see_completed_codes_where_that_is_possible(evidence):
    found = Found(evidence, types.SimpleNamespace(attacker=OPTIONS))
    seen = disclosure.with_noise_undone(found).evidence
    expected = completion.completed(evidence, OPTIONS)
    np.testing.assert_array_equal(seen.target_codes, expected.target_codes)
    # Means of answers mix values with dropped ones.
    averaged = dataclasses.replace(evidence.noise, answers=8)
    found = dataclasses.replace(found, evidence=dataclasses.replace(evidence, noise=averaged))
    assert disclosure.with_noise_undone(found) is found


def test_only_codes_with_dropped_values_are_completed_and_of_others_nothing_is_missing(
    world, evidence
):
    attacker = registry.ATTACKERS["linear_completed"]
    assert not registry.lacking(attacker, evidence)
    gaussian = dataclasses.replace(evidence.pairs, codes=world.means[:PUBLIC] + np.float32(0.1))
    for other in (
        dataclasses.replace(evidence, pairs=gaussian),
        dataclasses.replace(evidence, noise=None),
    ):
        assert registry.lacking(attacker, other)
        said = attack_runs.not_tested("standard", other, ["linear_completed"])
        assert attacker.missing not in said
        with pytest.raises(ValueError, match="none are known to be dropped"):
            attack_runs.planned("standard", 1, 0, other, ["linear_completed"])


@pytest.mark.parametrize(("rate", "dropped"), [(0.01, True), (0.001, False)])
def test_a_hundredth_of_dropped_values_is_seen_among_values_that_are_0_anyway(
    world, evidence, rate, dropped
):
    rng = np.random.default_rng(4)
    means = np.maximum(world.means[:PUBLIC] - world.means.mean(), 0)
    codes = means * (rng.random(means.shape) >= rate) / np.float32(1 - rate)
    assert (means == 0).mean() > 0.2
    pairs = dataclasses.replace(evidence.pairs, codes=codes)
    noise = dataclasses.replace(evidence.noise, public_means=means)
    assert dataclasses.replace(evidence, pairs=pairs, noise=noise).drops_values is dropped


@pytest.mark.parametrize("kind", ["a level at 0", "relu"])
def test_zeros_of_rounding_and_of_relu_are_no_dropped_values(kind):
    rng = np.random.default_rng(8)
    # The first photo alone would fill the look at the codes.
    signal = rng.standard_normal((40, 5000))
    sent = {
        "a level at 0": lambda z: np.clip(np.round(z), -1, 1),
        "relu": lambda z: np.maximum(z, 0),
    }
    answers = [sent[kind](signal + 0.5 * rng.standard_normal(signal.shape)) for _ in range(40)]
    means = np.mean(answers, axis=0)
    assert ((answers[0] == 0) & (means != 0)).mean() > 0.1
    assert not drops_values(answers[0], means)


def test_dropped_values_are_seen_wherever_they_are():
    rng = np.random.default_rng(9)
    means = rng.standard_normal((40, 5000))
    codes = means.copy()
    # Of the later photos only.
    codes[20:] *= rng.random((20, 5000)) >= 0.1
    assert drops_values(codes, means)


def test_embeddings_are_predicted_from_completed_codes(world, evidence):
    # An identity network that sees the deviation of a few pixels from their mean.
    seen = world.images.reshape(len(world.images), PIXELS)[:, :12] / 255.0
    public, held_out, truth = np.split(unit(seen - seen.mean(axis=0)), [PUBLIC, PUBLIC + HELD_OUT])
    faces = PublicFaces({"net": public}, {"net": held_out})

    def cosine(view):
        return mean_cosine(ridge(view, evidence, faces, OPTIONS).target["net"], truth)

    assert cosine(view_of(evidence, OPTIONS)) > cosine(code_view(evidence, OPTIONS.seed)) + 0.1


def test_means_of_several_codes_are_not_taken_for_exact_values(world, evidence):
    again = world.means * (np.random.default_rng(9).random(world.means.shape) >= RATE) / (1 - RATE)
    averaged = ((world.codes + again) / 2).astype(np.float32)
    pairs = dataclasses.replace(evidence.pairs, codes=averaged[:PUBLIC])
    several = dataclasses.replace(evidence, pairs=pairs)
    assert several.drops_values
    assert undone.undone(several, OPTIONS) is several
    assert undone.undone(evidence, OPTIONS) is not evidence


def asked(evidence, means, rate, answers, seed=5):
    """The evidence of whoever put together what so many answers have left of public codes."""
    rng, first = np.random.default_rng(seed), np.array(evidence.pairs.codes)
    further = [
        means * (rng.random(means.shape) >= rate) / np.float32(1 - rate) for _ in range(answers - 1)
    ]
    joined = join_codes([(each, 1) for each in (first, *further)], rate)
    remaining = 1 / SeveralCodes(answers, rate).gain
    known = CodeNoise(evidence.noise.deviation, joined, answers, remaining, rate)
    return dataclasses.replace(evidence, noise=known, asked_noise=known)


@pytest.mark.parametrize("answers", [2, 8])
def test_whoever_asked_fills_in_nearly_as_well_as_from_the_inside(world, evidence, answers):
    seen = asked(evidence, world.means[:PUBLIC], RATE, answers)
    assert seen.noise.never_left == pytest.approx(RATE**answers)
    assert completion.can_complete(seen) and seen.known_noise is None
    # All of the code is larger by the probability that an answer has left a value.
    factor = 1 - RATE**answers
    truth, dropped = world.means[-TARGET:], world.codes[-TARGET:] == 0
    errors = [
        np.square(size * completion.completed(each, OPTIONS).target_codes - truth)[dropped].mean()
        for each, size in ((evidence, 1), (seen, factor))
    ]
    assert errors[1] < 1.15 * errors[0]
    found = registry.ATTACKERS["linear_completed"].run(seen, OPTIONS, name="linear_completed")
    plain = registry.ATTACKERS["linear"].run(seen, OPTIONS, name="linear")
    error = [
        np.square(each.reconstructions - world.images[-TARGET:] / 255).mean()
        for each in (found, plain)
    ]
    assert error[0] < 0.8 * error[1] and found.knowledge == BLACK_BOX


def test_means_of_answers_and_answers_that_dropped_most_values_complete_nothing(world, evidence):
    seen = asked(evidence, world.means[:PUBLIC], RATE, 8)
    mixed = dataclasses.replace(seen.noise, dropped=0.0)
    few = dataclasses.replace(seen.noise, dropped=0.8, remaining=0.5)
    assert few.never_left == pytest.approx(2 / 3)
    for noise in (mixed, few):
        assert not completion.can_complete(dataclasses.replace(seen, noise=noise))
    assert registry.lacking(
        registry.ATTACKERS["linear_completed"], dataclasses.replace(seen, noise=mixed)
    )


def test_values_that_are_0_by_themselves_are_not_filled_in():
    rng = np.random.default_rng(3)
    means = rng.normal(size=(4000, 4)) + 1
    means[:, 1] = np.maximum(means[:, 1] - 1, 0)
    means[:, 2] = 0
    dropped = rng.random(means.shape) < 0.1
    found = completion.are_dropped(np.where(dropped, 0, means), 0.1)
    np.testing.assert_array_equal(found[:, [0, 3]], dropped[:, [0, 3]])
    assert not found[:, 1:3].any()


def test_the_factor_is_that_of_the_values_that_are_left():
    means = np.array([[1.0, -2.0, 3.0], [4.0, 5.0, -6.0]])
    codes = means * [[1, 0, 1], [0, 1, 1]] / 0.8
    assert completion.factor_of_the_left(codes, means) == pytest.approx(1.25)
    assert completion.factor_of_the_left(np.zeros((2, 3)), means) == 1


def test_codes_without_known_means_are_not_completed(evidence):
    untold = dataclasses.replace(evidence, noise=None)
    with pytest.raises(ValueError, match="the public mean codes; got None"):
        completion.completed(untold, OPTIONS)
    assert undone.undone(untold, OPTIONS) is untold
