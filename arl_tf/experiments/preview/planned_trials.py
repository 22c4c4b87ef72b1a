"""The points that a sweep, study or bench would train."""

from collections.abc import Sequence

from arl_tf.config.settings import Config
from arl_tf.data.image_sets import ImageSet


def planned_trials(config: Config, images: ImageSet) -> tuple[Sequence, int]:
    """(points, how many); no points where a sampler chooses them."""
    # Imported late: a sweep needs packages that other stages do not.
    from arl_tf.experiments.sweeps import search_space, studies, trials

    if "study" in config.stage_names:
        names = images.attribute_names + images.other_attribute_names
        planned = studies.STUDIES[config.study].points(config, names)
        return planned, len(planned)
    if "bench" in config.stage_names:
        return (), planned_bench(config)
    if config.sweep_trials:
        return (), config.sweep_trials
    space = search_space.parse_space(config.sweep)
    points = [trials.named_trial(config, chosen) for chosen in search_space.grid(space)]
    return points, len(points)


def planned_bench(config: Config) -> int:
    """How many points a bench trains at most: every trial, and every choice with further seeds."""
    from arl_tf.experiments.benches import choice, contestants

    found = contestants.chosen_contestants(config)
    tried = [choice.trials_of(config, contestant) for contestant in found]
    chosen = [min(number, len(choice.utilities(config))) for number in tried]
    return sum(tried) + sum(chosen) * (config.bench_seeds - 1)
