"""The bench that configs/ ships: who attacks on T, and that its header says so."""

import pathlib
import re

import numpy as np
import pytest

from arl_tf.attacks import registry
from arl_tf.attacks.evidence import CodeNoise, Evidence, PublicPairs
from arl_tf.auditing import attack_runs
from arl_tf.config import flagfiles
from arl_tf.config.settings import Config, comma_separated
from arl_tf.experiments.benches import contestants

FILE = pathlib.Path(__file__).parents[2] / "configs/bench_small.cfg"
# Closed forms of the level quick, each with a stronger one of its kind among the attackers; and
# `attention`, which another one outdoes where the inside of the encoder is at hand.
LEFT_OUT = {"retrieval", "linear_completed", "wiener_laplace", "attention"}


def named_attackers():
    flags, _ = flagfiles.expand([f"--flagfile={FILE}"])
    values = [flag.removeprefix("--attackers=") for flag in flags if "--attackers=" in flag]
    return comma_separated(values[-1])


def header():
    lines = [line for line in FILE.read_text().splitlines() if line.startswith("#")]
    return " ".join(line.removeprefix("#").strip() for line in lines)


def evidence(noise):
    """Codes with a kind of noise, whose law follows from them: "", "gaussian", ..."""
    rng = np.random.default_rng(0)
    images, means = np.zeros((400, 8, 8, 3), np.uint8), rng.normal(size=(400, 4, 4, 2))
    drawn = {
        "": means,
        "gaussian": means + rng.normal(size=means.shape),
        "laplace": means + rng.laplace(size=means.shape),
        "dropout": 2 * means * rng.integers(0, 2, means.shape),
    }
    codes = drawn[noise].astype("f4")
    told = CodeNoise(np.ones(means.shape[1:], "f4"), means.astype("f4")) if noise else None
    pairs = PublicPairs(codes, images, codes[:2], images[:2])
    return Evidence(pairs, codes[:3], lambda image: [image], encode=lambda image: image, noise=told)


def test_only_attackers_that_are_accounted_for_are_missing_from_those_of_standard():
    run = registry.attackers_of("standard", named_attackers())
    standard = registry.attackers_of("standard")
    with_other_data = {name for name, each in standard.items() if "other_domain" in each.needs}
    assert set(standard) - set(run) == LEFT_OUT | with_other_data


def test_the_header_names_those_whose_pictures_others_start_from():
    run = registry.attackers_of("standard", named_attackers())
    beside = set(run) - set(named_attackers())
    assert beside and beside <= set(re.findall(r"`(\w+)`", header()))


ALWAYS = {"linear", "kernel", "decoder", "optimisation_components"}
OF_NOISE = {"wiener", "map", "map_kernel"}


@pytest.mark.parametrize(
    ("noise", "beside"),
    [
        ("", set()),
        ("gaussian", OF_NOISE),
        ("laplace", OF_NOISE | {"kernel_laplace", "map_laplace"}),
        ("dropout", OF_NOISE | {"kernel_completed", "optimisation_completed"}),
    ],
)
def test_attackers_of_noise_that_a_code_does_not_have_are_left_out(noise, beside):
    tasks = attack_runs.planned("standard", 1, 0, evidence(noise), named_attackers())
    assert {task.name for task in tasks} == ALWAYS | beside


def test_the_header_counts_the_contestants_and_the_trials():
    taking_part = contestants.chosen_contestants(Config(stages="bench"))
    others = len(taking_part) - 1
    assert f"of each of {others} defences (1 of `none`)" in header()
    assert f"Trials: {4 * others + 1} of" in header()
    # Two utilities, three seeds; `none` and the encoder that all start from have one choice.
    assert f"at most {6 * others + 6} (2 choices of {others} defences, 3 seeds" in header()
