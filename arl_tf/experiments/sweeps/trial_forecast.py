"""About what a list of points will cost on this machine, before the first one runs."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from arl_tf.auditing.settings import QUICK, steps_at
from arl_tf.config.settings import Config, subset
from arl_tf.data.splits import Splits
from arl_tf.defences import registry
from arl_tf.experiments.experiment import Experiment
from arl_tf.experiments.sweeps.studies import StudyPlace
from arl_tf.experiments.sweeps.trials import shared_config
from arl_tf.metrics.tasks.registry import task_of
from arl_tf.training import train
from arl_tf.training.settings import TrainingSettings

PROBE_STEPS = 3
# Measured with `python -m arl_tf.bench`: what an adversarial step costs in task steps, on the
# data and decoder of configs/base.cfg; of it the adversary's own part.
ADVERSARIAL_STEP, ADVERSARY_STEP = 4.2, 2.5
# An image in an attacker's step beside one in a task step; attacks of level quick that train.
ATTACKER_IMAGE, TRAINED_ATTACKS = 2.5, 2
# Of an audit, whatever is attacked: judging networks, the linear map, measures, pictures.
SECONDS_OF_AUDIT = 40.0


def forecast_words(experiment: Experiment, planned: Sequence[StudyPlace]) -> str:
    """'N points, about M min on this machine', by the time of a few task steps."""
    step_seconds = seconds_of_step(experiment)
    seconds = forecast(experiment.config, planned, experiment.parts, step_seconds)
    return f"{len(planned)} points, very roughly {max(1, round(seconds / 60))} min on this machine"


def forecast(
    config: Config, planned: Sequence[StudyPlace], parts: Splits, step_seconds: float
) -> float:
    """Seconds of all points, of the encoders they share, and of their references' audits.

    Args:
        config: what all points have.
        planned: the points.
        parts: of the data.
        step_seconds: of one task step.
    """
    steps = train.steps_per_epoch(subset(config, TrainingSettings), parts)
    attacks = TRAINED_ATTACKS * steps_at(QUICK, config.attacker_steps) * ATTACKER_IMAGE
    attack_images = config.attacker_batch_size / config.batch_size
    audit = SECONDS_OF_AUDIT + attacks * attack_images * step_seconds
    plain = [shared_config(config, point.overrides) for point in planned]
    shared = distinct([each.stage_settings("train") for each in plain])
    references = distinct([each.stage_settings("audit") for each in plain])
    base = config.stage_settings("study") | {"point_epochs": config.point_epochs}
    audited = distinct([base | point.overrides for point in planned])
    # Points that differ in their attackers alone are trained once.
    of_training = config.stage_settings("train")
    trained = distinct(
        [{n: v for n, v in each.items() if n in (*of_training, "point_epochs")} for each in audited]
    )
    epochs = sum(map(task_epochs, trained)) + len(shared) * config.warmup_epochs
    return epochs * steps * step_seconds + (len(audited) + len(references)) * audit


def distinct(settings: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those of the settings that differ from each other."""
    return list({str(sorted(each.items())): each for each in settings}.values())


def task_epochs(settings: Mapping[str, Any]) -> float:
    """What a point's training costs, in epochs for the task alone."""
    if settings["defence"] == registry.NONE:
        return settings["point_epochs"]
    if not registry.trains_decoders(settings["defence"]):
        return settings["point_epochs"] + settings["epochs"]
    # Every further decoder, and every further step of one, costs the adversary's own part again.
    fights = settings["decoders"] * settings["decoder_steps"]
    adversarial = ADVERSARIAL_STEP + (fights - 1) * ADVERSARY_STEP
    adversary = fights * ADVERSARY_STEP
    return (
        settings["point_epochs"]
        + adversary * settings["decoder_warmup_epochs"]
        + adversarial * settings["epochs"]
    )


def seconds_of_step(experiment: Experiment) -> float:
    """Seconds of one task step of the plain encoder, its first steps left out."""
    config, images, parts = experiment.config, experiment.images, experiment.parts
    settings = subset(config, TrainingSettings)
    plain = subset(shared_config(config, {}), TrainingSettings)
    learner = train.learner_for(plain, images, parts)
    task = task_of(images.task_kind)
    train.compile_phase(learner, settings, "task", PROBE_STEPS, task)
    batches = iter(train.batches_from(0, settings, images, parts))
    step = tf.function(learner.train_step, autograph=False)
    step(next(batches))
    start = time.perf_counter()
    for _ in range(PROBE_STEPS):
        losses = step(next(batches))
    np.asarray(losses["loss"])
    return (time.perf_counter() - start) / PROBE_STEPS
