"""About what a list of points will cost on this machine, before the first one runs."""

import time
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from arl_tf import train
from arl_tf.config import Config
from arl_tf.data import ImageSet
from arl_tf.points import shared_config
from arl_tf.splits import Splits
from arl_tf.studies import StudyPoint

PROBE_STEPS = 3
# Measured with `python -m arl_tf.bench`: what an adversarial step costs in task steps, on the
# data and decoder of configs/base.cfg; of it the adversary's own part.
ADVERSARIAL_STEP, ADVERSARY_STEP = 4.2, 2.5
# An image in an attacker's step beside one in a task step; attacks of level quick that train.
ATTACKER_IMAGE, TRAINED_ATTACKS = 2.5, 2
# Of an audit, whatever is attacked: judging networks, the linear map, measures, pictures.
SECONDS_OF_AUDIT = 40.0


def words(config: Config, planned: Sequence[StudyPoint], images: ImageSet, parts: Splits) -> str:
    """'N points, about M min on this machine', by the time of a few task steps."""
    seconds = forecast(config, planned, parts, seconds_of_step(config, images, parts))
    return f"{len(planned)} points, very roughly {max(1, round(seconds / 60))} min on this machine"


def forecast(
    config: Config, planned: Sequence[StudyPoint], parts: Splits, step_seconds: float
) -> float:
    """Seconds of all points, of the encoders they share, and of their references' audits.

    Args:
        config: what all points have.
        planned: the points.
        parts: of the data.
        step_seconds: of one task step.
    """
    steps = train.steps_per_epoch(config, parts)
    epochs = config.point_epochs
    if config.defence != "none":
        epochs += ADVERSARY_STEP * config.decoder_warmup_epochs + ADVERSARIAL_STEP * config.epochs
    attacks = TRAINED_ATTACKS * config.attacker_steps * ATTACKER_IMAGE
    attack_images = config.attacker_batch_size / config.batch_size
    audit = SECONDS_OF_AUDIT + attacks * attack_images * step_seconds
    plain = [shared_config(config, point.overrides) for point in planned]
    trained = {str(sorted(each.settings("train").items())) for each in plain}
    audited = {str(sorted(each.settings("audit").items())) for each in plain}
    training = len(planned) * epochs + len(trained) * config.warmup_epochs
    return training * steps * step_seconds + (len(planned) + len(audited)) * audit


def seconds_of_step(config: Config, images: ImageSet, parts: Splits) -> float:
    """Seconds of one task step of the plain encoder, its first steps left out."""
    learner = train.build_learner(shared_config(config, {}), images, parts)
    train.compile_phase(learner, config, "task", PROBE_STEPS)
    batches = iter(train.batches_from(0, config, images, parts))
    step = tf.function(learner.train_step)
    step(next(batches))
    start = time.perf_counter()
    for _ in range(PROBE_STEPS):
        losses = step(next(batches))
    np.asarray(losses["loss"])
    return (time.perf_counter() - start) / PROBE_STEPS
