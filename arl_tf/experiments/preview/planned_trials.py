"""The points that a sweep, study or bench would train."""

from collections.abc import Mapping
from typing import Any

from arl_tf.config.settings import Config
from arl_tf.data.image_sets import ImageSet


def planned_trials(config: Config, images: ImageSet) -> list[Any]:
    """The points, each with its `overrides`; what a sampler or a search chooses is made up here."""
    # Imported late: a sweep needs packages that other stages do not.
    from arl_tf.experiments.sweeps import search_space, studies, trials

    if "study" in config.stage_names:
        names = images.attribute_names + images.other_attribute_names
        return list(studies.STUDIES[config.study].points(config, names))
    if "bench" in config.stage_names:
        return planned_bench(config)
    space = search_space.parse_space(config.sweep)
    chosen = sampled(space, config) if config.sweep_trials else search_space.grid(space)
    return [trials.named_trial(config, each) for each in chosen]


def sampled(space: Mapping[str, Any], config: Config) -> list[dict[str, Any]]:
    """Settings of as many points as a sampler shall choose, drawn at random instead."""
    import optuna

    from arl_tf.experiments.sweeps import trial_queue

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(config.seed))
    return [trial_queue.suggest(study.ask(), space) for _ in range(config.sweep_trials)]


def planned_bench(config: Config) -> list[Any]:
    """What a bench trains at most: every trial, and every choice with further seeds.

    Strengths are spread over the range instead of searched: they do not change how long it takes.
    """
    from arl_tf.experiments.benches import choice, contestants

    points = []
    for contestant in contestants.chosen_contestants(config):
        tried = choice.trials_of(config, contestant)
        positions = [(number + 0.5) / tried for number in range(tried)]
        chosen = positions[: len(choice.utilities(config))]
        for seed in range(config.seed, config.seed + config.bench_seeds):
            points += [
                choice.trial_at(config, contestant, position, seed)
                for position in (positions if seed == config.seed else chosen)
            ]
    return points
