"""The bench: every defence with the same number of trials, under the same attackers."""

import dataclasses

from arl_tf.config.option import option


@dataclasses.dataclass(frozen=True)
class BenchGroup:
    """The bench: every defence with the same number of trials, under the same attackers."""

    bench_defences: str = option(
        "",
        "Which defences --stages=bench compares, comma-separated (docs/bench.md has their names);"
        " empty: every one that the other settings allow.",
        group="bench",
        compared=False,
    )
    bench_trials: int = option(
        6,
        "How many strengths --stages=bench tries of each defence, on validation data.",
        group="bench",
        low=1,
        high=1000,
        compared=False,
    )
    bench_seeds: int = option(
        3,
        "How many trainings of each chosen strength --stages=bench audits on T: with --seed and"
        " the seeds that follow it. The images and their parts stay those of --seed.",
        group="bench",
        low=1,
        high=100,
        compared=False,
    )
    bench_utility: str = option(
        "0.97,0.9",
        "Shares of the unprotected encoder's mean MCC that a defence must keep in --stages=bench,"
        " comma-separated. Defences are compared at each of them.",
        group="bench",
        compared=False,
    )
