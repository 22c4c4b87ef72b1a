"""What watches a training run: divergence, validation, pictures, checkpoints, TensorBoard."""

import json
import math
import pathlib
import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from arl_tf.data.image_sets import ImageSet, to_float
from arl_tf.data.splits import Splits
from arl_tf.metrics import measures
from arl_tf.metrics.tasks.definition import LOSS_LIMIT
from arl_tf.metrics.tasks.registry import task_of
from arl_tf.training import loss_scaling
from arl_tf.training.distillation import scale_of
from arl_tf.utils import files

VALIDATION_IMAGES = 1024
PICTURES = 8
CHECKED_EVERY = 10
# What a loss can be at most in a healthy run; a reconstruction's losses are bounded by construction
# (models/losses.py).
TASK_LOSS_LIMIT = LOSS_LIMIT

# The task's headline -> its name in an epoch's logs.
LOGGED = {"mean_mcc": "validation_mcc", "mean_r2": "validation_r2"}
# What TensorBoard says of a tag. Thresholds are chosen after the training.
DESCRIPTIONS = {
    "eval/mean_mcc": "Mean MCC on X1's validation part at thresholds of 0. The audit's mean MCC is"
    " at the thresholds that are chosen after the training.",
}
# Phases that train no decoder.
WITHOUT_ADVERSARY = ("task", "defence")
REMEDIES = {
    "task_loss": "Lower --warmup_learning_rate or --encoder_learning_rate",
    "privacy_loss": "Lower --lambda_pixel, --lambda_perceptual or --defence_strength, or use"
    " --objective=hinge",
    "reconstruction_loss": "Lower --decoder_learning_rate",
    "pixel_loss": "Lower --decoder_learning_rate",
    "perceptual_loss": "Lower --decoder_learning_rate",
    "critic_loss": "Lower --adversary_critic_weight",
    "loss": "Lower --encoder_learning_rate",
}


class TrainingDiverged(RuntimeError):
    """A loss became NaN, infinite or absurd; the message says which one and what to lower."""


class StopOnDivergence(keras.callbacks.Callback):
    """Raises TrainingDiverged instead of training on with ruined weights."""

    def __init__(self, task_loss_limit: float = TASK_LOSS_LIMIT):
        """Takes what the task's loss can be at most in a healthy run."""
        super().__init__()
        self.limit = task_loss_limit

    def on_train_batch_end(self, batch, logs=None):
        """Looks at the running means; NaN stays in them, so every tenth batch is enough."""
        if batch % CHECKED_EVERY == 0:
            check_losses(logs or {}, f"step {batch + 1} of the epoch", self.limit)

    def on_epoch_end(self, epoch, logs=None):
        """Looks before the checkpoint is written, so that a ruined state is never saved."""
        check_losses(logs or {}, f"epoch {epoch + 1}", self.limit)


def check_losses(
    logs: dict[str, float], where: str, task_loss_limit: float = TASK_LOSS_LIMIT
) -> None:
    """Raises TrainingDiverged for a loss that is not finite, or a task loss beyond reason."""
    for name in REMEDIES:
        value = float(logs.get(name, 0.0))
        too_large = name == "task_loss" and value > task_loss_limit
        if not math.isfinite(value) or too_large:
            raise TrainingDiverged(
                f"{name} is {value:g} at {where}: training diverged."
                f" {REMEDIES[name]}, and use a new --workdir or --overwrite."
            )


class DecoderRestart(keras.callbacks.Callback):
    """New weights for an adversary, on a schedule: the encoder can't specialise on one decoder."""

    def __init__(
        self,
        new_decoder: Callable[[keras.Model, int, int], keras.Model],
        every: int,
        first_epoch: int,
    ):
        """Takes the schedule, in epochs, and the source of new weights.

        Args:
            new_decoder: (learner, epoch, number) -> an adversary with new weights.
            every: epochs between restarts.
            first_epoch: where the adversarial phase begins, counted over all phases.
        """
        super().__init__()
        self.new_decoder = new_decoder
        self.every = every
        self.first_epoch = first_epoch

    def on_epoch_begin(self, epoch, logs=None):
        """Replaces weights and forgets the optimizer's moments.

        `epoch` counts from 0 over all phases.
        """
        passed = epoch - self.first_epoch
        if passed and passed % self.every == 0:
            decoders = self.model.decoders
            number = (passed // self.every - 1) % len(decoders)
            fresh = self.new_decoder(self.model, epoch, number)
            decoders[number].set_weights(fresh.get_weights())
            # A loss scale stays: it is of the networks and the data, not of these weights.
            optimizer = loss_scaling.inner(self.model.adversary_optimizer)
            for variable in optimizer.variables:
                if variable is not optimizer.learning_rate:
                    variable.assign(tf.zeros_like(variable))


class Evaluation(keras.callbacks.Callback):
    """After every epoch: task on X1's validation part, adversary on X2's.

    Writes both to TensorBoard and metrics.jsonl.
    """

    def __init__(
        self,
        images: ImageSet,
        splits: Splits,
        writer: tf.summary.SummaryWriter,
        metrics_path: pathlib.Path,
        images_per_step: int,
    ):
        """Takes the data, TensorBoard's writer, the JSON-lines file and the images of a step."""
        super().__init__()
        self.images = images
        self.private_rows = splits.private_validation[:VALIDATION_IMAGES]
        self.task = task_of(images.task_kind)
        self.labels = scale_of(images, splits).learned(images.attributes[self.private_rows])
        self.public_rows = splits.public_validation[:VALIDATION_IMAGES]
        self.writer = writer
        self.metrics_path = metrics_path
        self.images_per_step = images_per_step

    def on_epoch_begin(self, epoch, logs=None):
        """Starts the clock of the throughput."""
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        """Measures and writes; the values are added to the logs, so the progress bar shows them."""
        seconds = time.perf_counter() - self.started
        values = {f"train/{name}": float(value) for name, value in logs.items()}
        values["train/images_per_second"] = self.params["steps"] * self.images_per_step / seconds
        for player in ("protector", "adversary"):
            rate = getattr(self.model, f"{player}_optimizer").learning_rate
            # Of several devices a variable is no number, but its value is.
            values[f"train/{player}_learning_rate"] = float(tf.convert_to_tensor(rate))
        logs[LOGGED[self.task.headline]] = values[f"eval/{self.task.headline}"] = self.utility()
        if self.model.phase not in WITHOUT_ADVERSARY:
            logs["validation_psnr"] = values["eval/adversary_psnr"] = self.adversary_psnr()
        with self.writer.as_default(step=epoch + 1):
            for tag, value in values.items():
                tf.summary.scalar(tag, value, description=DESCRIPTIONS.get(tag))
        self.writer.flush()
        line = {"epoch": epoch + 1, "phase": self.model.phase, **values}
        with self.metrics_path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def utility(self) -> float:
        """The task's headline, such as the mean MCC at thresholds of 0, on X1's validation part."""
        outputs = [
            self.model.task_head(self.model.encoder(batch, training=False), training=False)
            for batch in float_batches(self.images.images, self.private_rows)
        ]
        return self.task.score(np.concatenate(outputs), self.labels)

    def adversary_psnr(self) -> float:
        """Mean PSNR (dB) of the training adversary's reconstructions on X2's validation part."""
        values = [
            measures.psnr(self.model(batch, training=False).numpy(), batch.numpy())
            for batch in float_batches(self.images.images, self.public_rows)
        ]
        return float(np.concatenate(values).mean())


class Pictures(keras.callbacks.Callback):
    """Every few epochs a TensorBoard picture: originals above the adversary's reconstructions."""

    def __init__(
        self, images: np.ndarray, rows: np.ndarray, writer: tf.summary.SummaryWriter, every: int
    ):
        """Takes uint8 [N, S, S, 3], public rows to show, a writer, the epochs between pictures."""
        super().__init__()
        self.originals = to_float(tf.constant(images[rows[:PICTURES]]))
        self.writer = writer
        self.every = every

    def on_epoch_end(self, epoch, logs=None):
        """Writes the grid where there is an adversary to show."""
        if self.model.phase in WITHOUT_ADVERSARY or (epoch + 1) % self.every:
            return
        reconstructions = self.model(self.originals, training=False)
        rows = [tf.concat(tf.unstack(row), axis=1) for row in (self.originals, reconstructions)]
        with self.writer.as_default(step=epoch + 1):
            tf.summary.image("eval/original_above_reconstruction", tf.concat(rows, axis=0)[None])


class Checkpoint(keras.callbacks.Callback):
    """Calls `save(learner, epoch)` every few epochs, and after a phase's last one."""

    def __init__(self, save: Callable[[keras.Model, int], None], every: int):
        """Takes the function that writes a checkpoint and the epochs between two."""
        super().__init__()
        self.save = save
        self.every = every

    def on_epoch_end(self, epoch, logs=None):
        """Saves; the epoch counts from 1."""
        if (epoch + 1) % self.every == 0 or epoch + 1 == self.params["epochs"]:
            self.save(self.model, epoch + 1)


def float_batches(images: np.ndarray, rows: np.ndarray, batch_size: int = 128):
    """Yields float32 [n, S, S, 3] in [0, 1] of rows int [m] of uint8 images [N, S, S, 3]."""
    for start in range(0, len(rows), batch_size):
        yield to_float(tf.constant(images[rows[start : start + batch_size]]))


def drop_lines_after(path: pathlib.Path, epoch: int) -> None:
    """Removes metrics.jsonl's lines of epochs that a killed run logged but did not save.

    Lines that can't be read go too, with a warning: they are for looking at, nothing rests on them.
    """
    if not path.exists():
        return
    lines = path.read_bytes().decode(errors="replace").splitlines(keepends=True)
    epochs = [epoch_of(line) for line in lines]
    damaged = epochs[:-1].count(None)
    if damaged:
        logging.warning("%s: %d of %d lines can't be read and go", path, damaged, len(lines))
    kept = [
        line
        for line, found in zip(lines, epochs, strict=True)
        if line.endswith("\n") and found is not None and found <= epoch
    ]
    files.write_text(path, "".join(kept))


def epoch_of(line: str) -> int | None:
    """The epoch of a line of metrics.jsonl; None where it is no such line."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    epoch = found.get("epoch") if isinstance(found, dict) else None
    return epoch if isinstance(epoch, int) else None
