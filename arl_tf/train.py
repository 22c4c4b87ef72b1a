"""train(config, run, images, splits): trains the players phase by phase and saves them.

Resumes where it was killed.
"""

import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging
from tensorboard.plugins.hparams import api as hparams

from arl_tf import callbacks, checkpoints, frozen, losses, models, run_files, trainer
from arl_tf.code_layers import NoisyCode, QuantisedCode
from arl_tf.config import Config
from arl_tf.data import ImageSet
from arl_tf.losses import PrivacyObjective
from arl_tf.pipelines import training_batches
from arl_tf.runs import RunDirectory, fit_verbosity
from arl_tf.splits import Splits

CLIP_NORM = 5.0
BOUNDS = (NoisyCode, QuantisedCode)
PLAYERS = ("encoder", "task_head", "decoder")


def train(config: Config, run: RunDirectory, images: ImageSet, splits: Splits) -> None:
    """Trains one run's players, from its last checkpoint if it has one; saves them as .keras files.

    Raises:
        callbacks.TrainingDiverged: a loss is not finite, or far beyond what its term can be.
    """
    learner = build_learner(config, images, splits)
    steps = steps_per_epoch(config, splits)
    done = restore(learner, config, run, steps)
    callbacks.drop_lines_after(run.metrics, done)
    writer = tf.summary.create_file_writer(str(run.logs))
    write_hyper_parameters(config, writer)
    first_epoch = 0
    for phase, epochs in phases(config):
        start, end = max(first_epoch, done), first_epoch + epochs
        if start == first_epoch:
            compile_phase(learner, config, phase, epochs * steps)
        if start < end:
            logging.info("Phase '%s': epochs %d to %d, %d steps each", phase, start + 1, end, steps)
            learner.fit(
                batches_from(start * steps, config, images, splits),
                initial_epoch=start,
                epochs=end,
                steps_per_epoch=steps,
                shuffle=False,
                verbose=fit_verbosity(),
                callbacks=watchers(config, run, images, splits, writer, phase, first_epoch),
            )
        first_epoch = end
    writer.close()
    for name in PLAYERS:
        checkpoints.save_player(getattr(learner, name), run.player(name))


def phases(config: Config) -> list[tuple[str, int]]:
    """(phase, epochs) in the order they are trained; phases without epochs are left out."""
    plan = [(trainer.TASK, config.warmup_epochs)]
    if config.defence != "none":
        plan += [
            (trainer.ADVERSARY, config.decoder_warmup_epochs),
            (trainer.ADVERSARIAL, config.epochs),
        ]
    return [(phase, epochs) for phase, epochs in plan if epochs]


def steps_per_epoch(config: Config, splits: Splits) -> int:
    """Encoder steps in an epoch: as set, or one pass over the private images."""
    return config.steps_per_epoch or max(1, len(splits.private_train) // config.batch_size)


def batches_from(
    first_step: int, config: Config, images: ImageSet, splits: Splits
) -> tf.data.Dataset:
    """The run's endless batches from `first_step` on."""
    return training_batches(
        images,
        splits,
        batch_size=config.batch_size,
        decoder_steps=config.decoder_steps,
        seed=config.seed,
        first_step=first_step,
    )


def build_learner(
    config: Config, images: ImageSet, splits: Splits
) -> trainer.AdversarialRepresentationLearner:
    """Builds the three players with weights drawn by the config's seed."""
    keras.utils.set_random_seed(config.seed)
    encoder, task_head = models.build_encoder_and_task_head(
        config.encoder,
        image_size=config.image_size,
        cut=config.cut,
        code_channels=config.code_channels,
        num_attributes=len(images.attribute_names),
        bounds=models.CodeBounds(config.code_noise, config.lambda_rate > 0, config.code_levels),
    )
    if config.warm_start:
        start_from(config, encoder, task_head)
    return trainer.AdversarialRepresentationLearner(
        encoder,
        task_head,
        build_decoder(config, encoder),
        perceptual_features=perceptual_features(config),
        mean_image=mean_image(images.images, splits.public_train),
        more_decoders=[build_decoder(config, encoder, k) for k in range(1, config.decoders)],
        task_decoder=build_task_decoder(config, task_head),
    )


def start_from(config: Config, encoder: keras.Model, task_head: keras.Model) -> None:
    """Copies the weights that --warm_start's players share with these: all but the code's bounds.

    Raises:
        ValueError: it holds no trained players, or players of another shape.
    """
    folder = RunDirectory(pathlib.Path(config.warm_start))
    for player, name in ((encoder, "encoder"), (task_head, "task_head")):
        started = checkpoints.load_player(folder.player(name))
        bounds = [layer for layer in player.layers if isinstance(layer, BOUNDS)]
        own = sum(len(layer.weights) for layer in bounds)
        given = sum(len(layer.weights) for layer in started.layers if isinstance(layer, BOUNDS))
        kept = player.get_weights()[len(player.weights) - own :] if own else []
        weights = started.get_weights()[: len(started.weights) - given] + kept
        shapes = [weight.shape for weight in weights]
        if shapes != [weight.shape for weight in player.get_weights()]:
            raise ValueError(
                f"--warm_start={config.warm_start} holds a {name} of another shape than"
                f" --encoder={config.encoder} --cut={config.cut}"
                f" --code_channels={config.code_channels} with these attributes."
            )
        player.set_weights(weights)


def build_decoder(config: Config, encoder: keras.Model, number: int = 0) -> keras.Model:
    """A training adversary, with new weights; the first is of the size that is set.

    Others are narrower and deeper, wider and shallower, in turn.
    """
    width, depth = ((1.0, 0), (0.5, 1), (1.5, -1))[number % 3]
    return models.build_decoder(
        encoder.output_shape[1:],
        image_size=config.image_size,
        width=round(config.decoder_width * width),
        depth=max(0, config.decoder_depth + depth),
        name=f"decoder{number}" if number else "decoder",
    )


def build_task_decoder(config: Config, task_head: keras.Model) -> keras.Model | None:
    """A decoder of the task output alone; None where no objective needs it."""
    if config.defence == "none" or config.objective != losses.TOWARD_TASK:
        return None
    return models.build_decoder(
        task_head.output_shape[1:],
        image_size=config.image_size,
        width=config.decoder_width,
        depth=config.decoder_depth,
        name="task_decoder",
    )


def restarted_decoder(config: Config, encoder: keras.Model, epoch: int, number: int) -> keras.Model:
    """New weights of adversary `number`, which depend on seed and epoch alone.

    So a resumed run restarts with the same ones.
    """
    keras.utils.set_random_seed((config.seed + 7919 * (epoch + 1)) % 2**32)
    return build_decoder(config, encoder, number)


def perceptual_features(config: Config) -> Callable[[tf.Tensor], list[tf.Tensor]]:
    """The frozen network g as a function of images float32 [B, S, S, 3] in [0, 1]."""
    network = frozen.perceptual_network(
        config.perceptual, config.image_size, config.perceptual_layer_names
    )
    return lambda image: keras.tree.flatten(network(image, training=False))


def mean_image(images: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Mean of the chosen rows of uint8 images [N, S, S, 3]; float32 [S, S, 3] in [0, 1]."""
    total = np.zeros(images.shape[1:], np.float64)
    for start in range(0, len(rows), 256):
        total += images[rows[start : start + 256]].sum(axis=0, dtype=np.float64)
    return (total / len(rows) / 255.0).astype(np.float32)


def compile_phase(
    learner: trainer.AdversarialRepresentationLearner, config: Config, phase: str, num_steps: int
) -> None:
    """Gives the learner fresh optimizers for a phase of `num_steps` encoder steps."""
    peak = config.encoder_learning_rate
    if phase == trainer.TASK:
        peak = config.warmup_learning_rate
    rate = keras.optimizers.schedules.CosineDecay(peak, num_steps, alpha=0.01)
    lambda_pixel, lambda_perceptual = config.privacy_weights
    learner.compile(
        keras.optimizers.AdamW(rate, weight_decay=config.weight_decay, global_clipnorm=CLIP_NORM),
        keras.optimizers.Adam(config.decoder_learning_rate, global_clipnorm=CLIP_NORM),
        phase=phase,
        privacy=PrivacyObjective(
            config.objective,
            lambda_pixel,
            lambda_perceptual,
            config.hinge_margin_pixel,
            config.hinge_margin_perceptual,
        ),
        mu=config.mu,
        decoder_steps=config.decoder_steps,
        lambda_rate=config.lambda_rate,
    )


def restore(
    learner: trainer.AdversarialRepresentationLearner, config: Config, run: RunDirectory, steps: int
) -> int:
    """Loads the newest checkpoint that can be read.

    Returns:
        How many epochs lie behind it; 0 where there is no checkpoint.

    Raises:
        ValueError: there are checkpoints, and none of them can be read.
    """
    found = checkpoints.newest_first(run.checkpoints)
    for checkpoint in found:
        try:
            epoch = load_checkpoint(learner, config, checkpoint, steps)
        except run_files.UnreadableFileError as error:
            logging.warning("%s", error)
            continue
        logging.info("Resuming after epoch %d from %s", epoch, checkpoint)
        return epoch
    if found:
        raise ValueError(
            f"No checkpoint of {run.checkpoints} can be read ({', '.join(p.name for p in found)});"
            " put back an intact copy, or train from the beginning with --overwrite."
        )
    return 0


def load_checkpoint(
    learner: trainer.AdversarialRepresentationLearner,
    config: Config,
    checkpoint: pathlib.Path,
    steps: int,
) -> int:
    """Loads one checkpoint, optimizers included; returns how many epochs lie behind it."""
    state, epochs = checkpoints.read_state(checkpoint), dict(phases(config))
    if state["phase"] not in epochs or not isinstance(state["epoch"], int):
        raise run_files.refusal(
            checkpoint / checkpoints.STATE,
            f"is of no phase of this training: {dict(state)}",
            checkpoints.CHECKPOINT_REMEDY,
        )
    compile_phase(learner, config, state["phase"], epochs[state["phase"]] * steps)
    checkpoints.load_weights(learner, checkpoint)
    return state["epoch"]


def watchers(
    config: Config,
    run: RunDirectory,
    images: ImageSet,
    splits: Splits,
    writer: tf.summary.SummaryWriter,
    phase: str,
    first_epoch: int,
) -> list[keras.callbacks.Callback]:
    """What watches a phase; the checkpoint comes last, so that it covers what the others wrote."""
    images_per_step = config.batch_size * (phase != trainer.ADVERSARY) + (
        config.batch_size * config.decoder_steps * (phase != trainer.TASK)
    )
    watching: list[keras.callbacks.Callback] = [
        callbacks.StopOnDivergence(),
        callbacks.Evaluation(images, splits, writer, run.metrics, images_per_step),
        callbacks.Pictures(images.images, splits.public_validation, writer, config.picture_epochs),
        callbacks.Checkpoint(
            lambda learner, epoch: checkpoints.save(run.checkpoints, learner, epoch=epoch),
            config.checkpoint_epochs,
        ),
    ]
    if phase == trainer.ADVERSARIAL and config.decoder_restart_epochs:
        restart = callbacks.DecoderRestart(
            lambda learner, epoch, number: restarted_decoder(
                config, learner.encoder, epoch, number
            ),
            config.decoder_restart_epochs,
            first_epoch,
        )
        watching.insert(0, restart)
    return watching


def write_hyper_parameters(config: Config, writer: tf.summary.SummaryWriter) -> None:
    """TensorBoard's HParams entry: all settings that shape training, the measure to compare by."""
    settings: dict[str, Any] = config.settings("train")
    with writer.as_default(step=0):
        hparams.hparams_config(
            hparams=[hparams.HParam(name) for name in settings],
            metrics=[
                hparams.Metric("eval/mean_mcc", display_name="mean MCC (X1 validation)"),
                hparams.Metric(
                    "eval/adversary_psnr", display_name="adversary PSNR, dB (X2 validation)"
                ),
            ],
        )
        hparams.hparams(settings)
