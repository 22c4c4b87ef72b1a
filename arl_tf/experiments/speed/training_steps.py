"""What a step of training costs on this machine, and how long it waits for data."""

import pathlib
import tempfile
import time

import numpy as np
import tensorflow as tf

from arl_tf.config.settings import Config, subset
from arl_tf.data import image_sets, splits
from arl_tf.data.image_sets import DataSettings
from arl_tf.data.splits import SplitSettings
from arl_tf.training import train
from arl_tf.training.learner import ADVERSARIAL, TASK
from arl_tf.training.settings import TrainingSettings

STEPS = 20


def measure_training() -> dict[str, float]:
    """The adversarial step at 64 px: images per second, cost in task steps, wait for data."""
    config = Config(num_faces=1200, decoder_width=16)
    with tempfile.TemporaryDirectory() as cache:
        images = image_sets.load_images(subset(config, DataSettings), pathlib.Path(cache))
        parts = splits.split_by_identity(images.identities, subset(config, SplitSettings))
        settings = subset(config, TrainingSettings)
        learner = train.learner_for(settings, images, parts)
        task = timed_steps(learner, settings, images, parts, TASK)
        adversarial = timed_steps(learner, settings, images, parts, ADVERSARIAL)
    step_images = config.batch_size * (1 + config.decoder_steps)
    return {
        "adversarial_images_per_second": step_images / sum(adversarial),
        "adversarial_step_over_task_step": sum(adversarial) / sum(task),
        "data_wait_share": adversarial[0] / sum(adversarial),
    }


def timed_steps(learner, settings, images, parts, phase: str) -> tuple[float, float]:
    """(seconds waiting for data, seconds computing) of a step: means of STEPS steps after three."""
    train.compile_phase(learner, settings, phase, STEPS)
    step = tf.function(learner.train_step, autograph=False)
    batches = iter(train.batches_from(0, settings, images, parts))
    waits, computes = [], []
    for _ in range(STEPS + 3):
        started = time.perf_counter()
        batch = next(batches)
        ready = time.perf_counter()
        float(step(batch)["loss"])
        waits.append(ready - started)
        computes.append(time.perf_counter() - ready)
    return float(np.mean(waits[3:])), float(np.mean(computes[3:]))
