"""What a step of training costs on this machine, and how long it waits for data."""

import dataclasses
import pathlib
import tempfile
import time
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from arl_tf.config.settings import Config, subset
from arl_tf.data import image_sets, splits
from arl_tf.data.image_sets import DataSettings, ImageSet
from arl_tf.data.splits import Splits, SplitSettings
from arl_tf.experiments.preview import estimates
from arl_tf.experiments.speed import pytorch_process, readers, step_parts
from arl_tf.experiments.speed.timing import in_turn, seconds_of
from arl_tf.metrics.tasks.registry import task_of
from arl_tf.models.pretrained import perceptual
from arl_tf.training import rules, train
from arl_tf.training.learner import ADVERSARIAL, TASK, AdversarialRepresentationLearner
from arl_tf.training.settings import TrainingSettings
from arl_tf.training.step_images import as_float
from arl_tf.utils.cores import usable_cores

STEPS, ROUNDS = 20, 10
# The training that is measured.
MEASURED = Config(num_faces=1200, decoder_width=16)
# Batches of which the data alone are timed.
BATCHES = 100
# A product of two square matrices of this side, float32.
PRODUCT_SIDE = 1024
GIGA = 1e9


def measure_training(folder: pathlib.Path) -> dict[str, float]:
    """The adversarial step at 64 px: its rate, its parts, its wait for data, and PyTorch's.

    Args:
        folder: photos in CelebA's layout, read as training reads them.
    """
    settings = subset(MEASURED, TrainingSettings)
    with tempfile.TemporaryDirectory() as cache:
        images = image_sets.load_images(subset(MEASURED, DataSettings), pathlib.Path(cache))
        parts = splits.split_by_identity(images.identities, subset(MEASURED, SplitSettings))
        learner = train.learner_for(settings, images, parts)
        task = timed_steps(learner, settings, images, parts, TASK)
        adversarial = timed_steps(learner, settings, images, parts, ADVERSARIAL)
        prepared = prepared_images_per_second(settings, images, parts)
        batch = next(batches_of(settings, images, parts))
        figures = step_figures(learner, settings, batch)
    step_images = settings.batch_size * (1 + settings.decoder_steps)
    rate = step_images / sum(adversarial)
    photos, seconds = readers.plain_reading(folder, settings.image_size, MEASURED.num_faces)
    return {
        "adversarial_images_per_second": rate,
        "adversarial_step_over_task_step": sum(adversarial) / sum(task),
        "data_wait_share": adversarial[0] / sum(adversarial),
        "data_over_training": prepared / rate,
        "jpeg_data_over_training": photos / seconds / rate,
        **figures,
    }


def timed_steps(
    learner: AdversarialRepresentationLearner,
    settings: TrainingSettings,
    images: ImageSet,
    parts: Splits,
    phase: str,
) -> tuple[float, float]:
    """(seconds waiting for data, seconds computing) of a step: means of STEPS steps after three."""
    train.compile_phase(learner, settings, phase, STEPS, task_of(images.task_kind))
    compiled = settings.jit_compile or None
    step = tf.function(learner.train_step, autograph=False, jit_compile=compiled)
    batches = batches_of(settings, images, parts)
    waits, computes = [], []
    for _ in range(STEPS + 3):
        started = time.perf_counter()
        batch = next(batches)
        ready = time.perf_counter()
        float(step(batch)["loss"])
        waits.append(ready - started)
        computes.append(time.perf_counter() - ready)
    return float(np.mean(waits[3:])), float(np.mean(computes[3:]))


def batches_of(settings: TrainingSettings, images: ImageSet, parts: Splits) -> Iterator:
    """The training's batches, from the first on."""
    return iter(train.batches_from(0, settings, images, parts))


def prepared_images_per_second(
    settings: TrainingSettings, images: ImageSet, parts: Splits
) -> float:
    """Images of batches in a second, from prepared images, while nothing is trained."""
    batches = batches_of(settings, images, parts)
    next(batches)
    seconds = seconds_of(lambda: [next(batches) for _ in range(BATCHES)])
    return BATCHES * settings.batch_size * (1 + settings.decoder_steps) / seconds


def step_figures(
    learner: AdversarialRepresentationLearner, settings: TrainingSettings, batch
) -> dict[str, float]:
    """The step beside the sum of its parts, beside the machine's peak, and beside PyTorch's."""
    (private, labels), public = batch
    given = (as_float(private), tf.cast(labels, tf.float32)), as_float(public)
    step = tf.function(learner.train_step, autograph=False)
    actions = {"step": lambda: float(step(given)["loss"]), "product": matrix_product()}
    parts = step_parts.parts_of(learner, given)
    with pytorch_process.steps(pytorch_numbers(settings, labels.shape[1])) as torch:
        times = in_turn({**actions, **parts, **torch}, ROUNDS)
    alone = sum(times[name] for name in parts)
    peak = PRODUCT_SIDE**3 / times["product"]
    network = perceptual.perceptual_network(
        settings.perceptual, settings.image_size, settings.perceptual_layer_names
    )
    counted = settings.batch_size * estimates.step_multiply_adds(learner, network, ADVERSARIAL)
    found = {
        "step_over_parts": times["step"] / alone,
        **{f"step_share_{name}": times[name] / alone for name in parts},
        "step_giga_multiply_adds": counted / GIGA,
        "matrix_product_peak_share": counted / times["step"] / peak,
    }
    if torch:
        found["over_pytorch"] = min(times[name] for name in torch) / times["step"]
        found |= {f"over_{name}": times[name] / times["step"] for name in torch}
    return found


def matrix_product():
    """A function that multiplies two large matrices: what this machine can do at best."""
    factor = tf.random.stateless_normal((PRODUCT_SIDE, PRODUCT_SIDE), (0, 0))
    return tf.function(lambda: tf.linalg.matmul(factor, factor), autograph=False)


def pytorch_numbers(settings: TrainingSettings, attributes: int) -> pytorch_process.Numbers:
    """What PyTorch's step has to be like, to be the same as ours."""
    fields = {field.name for field in dataclasses.fields(pytorch_process.Numbers)}
    same = {name: getattr(settings, name) for name in fields if hasattr(settings, name)}
    threads = tf.config.threading.get_intra_op_parallelism_threads()
    return pytorch_process.Numbers(
        **same,
        lambda_perceptual=settings.privacy_weights[1],
        attributes=attributes,
        threads=threads or usable_cores(),
        clip_norm=rules.CLIP_NORM,
    )
