"""The list of attackers: levels, needs, and what each view of the evidence holds."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from arl_tf.attacks import knowledge, registry, views
from arl_tf.attacks.evidence import (
    BLACK_BOX,
    WHITE_BOX,
    AttackerOptions,
    CodeNoise,
    Evidence,
    PublicPairs,
    TaskOutputs,
)

SETTINGS = AttackerOptions(
    width=4, depth=0, steps=10, batch_size=4, learning_rate=1e-3, mu=0.0, seed=3
)


def images(count, first=0):
    return (np.arange(count) + first).astype(np.uint8)[:, None, None, None] * np.ones(
        (1, 8, 8, 3), np.uint8
    )


def codes_of(pictures):
    return pictures[:, :2, :2, :1].astype(np.float32)


def evidence(**changes):
    public, held_out = images(20), images(4, 50)
    pairs = PublicPairs(codes_of(public), public, codes_of(held_out), held_out)
    outputs = TaskOutputs(np.ones((20, 3), "f4"), np.ones((4, 3), "f4"), np.ones((6, 3), "f4"))
    held = Evidence(
        pairs,
        codes_of(images(6, 80)),
        lambda image: [image],
        task_outputs=outputs,
        query=codes_of,
        more_images=lambda count, seed: images(count, 100),
    )
    return dataclasses.replace(held, **changes)


def test_each_level_has_the_attackers_of_the_levels_before_it():
    quick, standard, full = (set(registry.attackers_of(level)) for level in registry.LEVELS)
    assert quick < standard < full == set(registry.ATTACKERS)
    assert {"linear", "retrieval", "decoder"} <= quick
    assert {"map", "attention", "optimisation_components"} <= standard
    assert {"optimisation", "optimisation_linear"} <= full - standard
    assert {"decoder_pixel", "decoder_conditioned", "decoder_adaptive"} <= full - standard


def test_what_is_solved_in_closed_form_comes_before_what_is_trained():
    trained = [attacker.trained for attacker in registry.ATTACKERS.values()]
    assert trained == sorted(trained)


def test_an_attack_starts_from_one_of_a_level_that_comes_with_it():
    for level in registry.LEVELS:
        chosen = registry.attackers_of(level)
        names = list(chosen)
        for name, attacker in chosen.items():
            if attacker.starts_from:
                assert names.index(attacker.starts_from) < names.index(name)


def test_only_attackers_that_may_know_the_encoder_s_inside_are_white_box():
    for attacker in registry.ATTACKERS.values():
        # The noise: as it is from the inside, where that is at hand.
        inside = {"encode", "known_noise", "dropping_noise", "noise"} & set(attacker.needs)
        assert attacker.knowledge == (WHITE_BOX if inside else BLACK_BOX)


def test_whoever_attacks_the_task_output_needs_nothing_but_pairs():
    assert all(not a.needs for a in registry.ATTACKERS.values() if a.floor)
    assert sum(a.floor for a in registry.ATTACKERS.values()) >= 4


def test_whoever_may_be_left_out_says_what_was_not_tested():
    assert all(attacker.missing for attacker in registry.ATTACKERS.values() if attacker.needs)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("optimisation", {}),
        ("decoder_other_domain", {}),
        ("decoder_adaptive", {}),
        ("decoder_conditioned", {"task_outputs": None}),
        ("decoder_tenfold", {"query": None}),
    ],
)
def test_attacker_without_what_it_needs_is_lacking(name, changes):
    assert registry.lacking(registry.ATTACKERS[name], evidence(**changes))


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("decoder", {}),
        ("optimisation", {"encode": lambda image: image}),
        ("decoder_adaptive", {"random_codes": True}),
        ("decoder_other_domain", {"other_domain": evidence().pairs}),
        ("decoder_tenfold", {}),
    ],
)
def test_attacker_with_what_it_needs_is_not_lacking(name, changes):
    assert not registry.lacking(registry.ATTACKERS[name], evidence(**changes))


def test_task_output_stands_beside_the_code_at_every_position():
    seen = views.conditioned(evidence(), SETTINGS)
    assert seen.pairs.codes.shape == (20, 2, 2, 4)
    assert seen.pairs.held_out_codes.shape == (4, 2, 2, 4)
    assert seen.target_codes.shape == (6, 2, 2, 4)
    np.testing.assert_array_equal(seen.pairs.codes[..., :1], evidence().pairs.codes)
    assert (seen.target_codes[..., 1:] == 1).all()


def test_vectors_are_laid_beside_vectors():
    found = views.beside(np.zeros((3, 2), "f4"), np.ones((3, 4), "f4"))
    np.testing.assert_array_equal(found, [[0, 0, 1, 1, 1, 1]] * 3)


def still_pairs(pairs):
    return (codes_of(pairs.images) == pairs.codes).all()


def test_a_tenth_of_the_pairs_are_pairs_and_of_the_public_ones():
    seen = views.fewer_images(evidence(), SETTINGS).pairs
    assert len(seen.images) == 2
    assert still_pairs(seen)
    assert set(seen.images[:, 0, 0, 0]) <= set(range(20))


def test_ten_times_the_pairs_are_the_public_ones_and_what_the_encoder_says_of_others():
    seen = views.more_images(evidence(), SETTINGS).pairs
    assert len(seen.images) == 200
    assert still_pairs(seen)
    np.testing.assert_array_equal(seen.images[:20], images(20))


def test_views_change_neither_held_out_pairs_nor_targets():
    for view in (views.fewer_images, views.more_images, views.unchanged):
        seen = view(evidence(), SETTINGS)
        np.testing.assert_array_equal(seen.pairs.held_out_images, images(4, 50))
        np.testing.assert_array_equal(seen.target_codes, evidence().target_codes)


def test_other_domain_takes_the_place_of_the_public_pairs():
    other = PublicPairs(codes_of(images(9)), images(9), codes_of(images(2)), images(2))
    seen = views.other_domain(evidence(other_domain=other), SETTINGS)
    assert seen.pairs is other
    np.testing.assert_array_equal(seen.target_codes, evidence().target_codes)


def noise_of(pairs, answers=0):
    return CodeNoise(np.full(pairs.codes.shape[1:], 0.5, "f4"), pairs.codes + 1, answers)


def test_views_keep_what_is_known_of_the_noise_with_the_right_images():
    pairs = evidence().pairs
    noisy = evidence(noise=noise_of(pairs))
    fewer = views.fewer_images(noisy, SETTINGS)
    np.testing.assert_array_equal(fewer.noise.public_means, fewer.pairs.codes + 1)
    for view in (views.more_images, views.conditioned):
        seen = view(noisy, SETTINGS)
        assert seen.noise.remaining == 1.0
        np.testing.assert_array_equal(seen.noise.public_means, seen.pairs.codes)
        assert seen.noise.deviation.shape == seen.pairs.codes.shape[1:]
    # Where the means can be had, they are those of all images.
    inside = dataclasses.replace(noisy, encode=lambda x: codes_of(255 * np.asarray(x)) + 2)
    seen = views.more_images(inside, SETTINGS)
    assert seen.noise.remaining == 0.0
    np.testing.assert_allclose(seen.noise.public_means, seen.pairs.codes + 2, atol=1e-4)
    asked = evidence(noise=noise_of(pairs, answers=4))
    seen = views.more_images(asked, SETTINGS)
    np.testing.assert_array_equal(seen.noise.public_means, codes_of(seen.pairs.images))
    other = views.other_domain(dataclasses.replace(noisy, other_domain=pairs), SETTINGS)
    assert other.noise.public_means is pairs.codes


def other_pairs(first=100):
    return PublicPairs(codes_of(images(9, first)), images(9, first), codes_of(images(2)), images(2))


def test_joined_pairs_are_both_data_sets_and_x2_s_held_out_images_choose():
    for view in (views.joined, views.joined_within_limit):
        seen = view(evidence(other_domain=other_pairs()), SETTINGS).pairs
        assert len(seen.images) == 29
        assert still_pairs(seen)
        np.testing.assert_array_equal(seen.held_out_images, images(4, 50))


@pytest.mark.parametrize(("most", "others"), [(26, 9), (25, 9), (10, 5)])
def test_closed_forms_take_all_of_x2_and_others_up_to_their_share_of_the_limit(
    monkeypatch, most, others
):
    # Where X2 alone fills the limit, half of it again is of the other data: some of all are drawn.
    monkeypatch.setattr(views, "most_pairs", lambda codes: most)
    held = evidence(other_domain=other_pairs())
    seen = views.joined_within_limit(held, SETTINGS).pairs
    assert len(seen.images) == 20 + others
    np.testing.assert_array_equal(seen.images[:20], images(20))
    monkeypatch.setattr(views, "most_pairs", lambda codes: 5)
    assert len(views.other_domain_within_limit(held, SETTINGS).pairs.images) == 5


@pytest.mark.parametrize("view", [views.joined, views.other_domain])
def test_mean_codes_of_other_data_come_from_the_same_source_as_x2_s(view):
    pairs, other = evidence().pairs, other_pairs()
    inside = evidence(
        noise=noise_of(pairs),
        other_domain=other,
        encode=lambda image: tf.round(255 * image[:, :2, :2, :1]) + 1,
    )
    answered = evidence(
        noise=noise_of(pairs, answers=4),
        other_domain=other,
        query=lambda pictures: codes_of(pictures) + 1,
    )
    for held in (inside, answered):
        seen = view(held, SETTINGS)
        np.testing.assert_allclose(seen.noise.public_means, seen.pairs.codes + 1)
        assert seen.noise.remaining == 0


def test_black_box_attackers_see_what_asking_tells_and_not_the_inside():
    pairs = evidence().pairs
    known, asked = noise_of(pairs), noise_of(pairs, answers=4)
    held = evidence(noise=known, asked_noise=asked, encode=codes_of)
    seen = held.as_seen(BLACK_BOX)
    assert (seen.noise, seen.known_noise, seen.encode) == (asked, None, None)
    assert held.as_seen(WHITE_BOX) is held and held.known_noise is known


@pytest.mark.parametrize(
    ("name", "noise", "random_codes", "state", "words"),
    [
        ("decoder", 0, True, "known", "noise of every value, from the inside"),
        ("linear", 4, True, "asked", "estimated from 4 answers to each image"),
        ("decoder_conditioned", None, True, "not told", "nothing of the noise in the codes; the"),
        ("optimisation", None, False, "none", "20 public images; the inside of the encoder"),
    ],
)
def test_what_an_attacker_knew_in_words(name, noise, random_codes, state, words):
    held = evidence(
        noise=None if noise is None else noise_of(evidence().pairs, noise),
        random_codes=random_codes,
    )
    found = knowledge.knowledge_facts(registry.ATTACKERS[name], held)
    assert found["noise"] == state and words in found["words"]


def test_nobody_knows_whether_recorded_codes_have_noise():
    held = evidence(query=None, unknown_noise=True)
    found = knowledge.knowledge_facts(registry.ATTACKERS["linear"], held)
    assert found["noise"] == "unknown"
    assert "not whether the codes have noise, because only recorded" in found["words"]
    assert knowledge.is_unknown([{"knew": found}]) and not knowledge.untold([{"knew": found}])


def test_mirror_images_are_not_counted_as_public_images():
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 3), np.uint8)
    with_mirrors = np.concatenate([images, images[:, :, ::-1]])
    words = "the codes of 5 public images"
    assert knowledge.public_words(images) == words
    assert knowledge.public_words(with_mirrors) == f"{words} and of their mirror images"
    assert knowledge.public_words(images[:4]) == "the codes of 4 public images"


def test_costs_grow_with_steps_and_width():
    cost = registry.ATTACKERS["decoder"].cost
    plain = cost(evidence(), SETTINGS)
    assert plain > 0
    longer = cost(evidence(), dataclasses.replace(SETTINGS, steps=20))
    assert longer == pytest.approx(2 * plain)
    assert cost(evidence(), dataclasses.replace(SETTINGS, width=8)) > 1.5 * plain


def test_attackers_chosen_by_name_come_with_those_they_start_from():
    found = registry.attackers_of("quick", ["optimisation_linear", "retrieval"])
    assert list(found) == ["linear", "retrieval", "optimisation_linear"]


def test_an_unknown_attacker_is_refused_with_the_nearest_name():
    with pytest.raises(ValueError, match=r"no attacker 'linaer'.*Did you mean linear\?"):
        registry.attackers_of("quick", ["linaer"])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("decoder", "the codes of 20 public images"),
        ("decoder_tenth", "a tenth of the codes of 20 public images"),
        ("decoder_tenfold", "of 20 public images, and those of nine times as many further images"),
        ("attention_tenfold", "of 20 public images, and those of nine times as many further"),
        ("linear_other_domain", "another data set"),
        ("decoder_other_domain", "another data set"),
        ("linear_joined", "the codes of 20 public images; another data set"),
    ],
)
def test_a_row_says_which_images_an_attacker_learned_from(name, words):
    said = knowledge.knowledge_facts(registry.ATTACKERS[name], evidence())["words"]
    assert words in said
    assert ("public images" in said) == ("public images" in words)
