"""Memory and time of a training and of an audit, estimated from networks and a few timed steps."""

import dataclasses
import time
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from arl_tf.attacks import registry
from arl_tf.attacks.evidence import AttackerOptions, Evidence, PublicPairs
from arl_tf.auditing import attack_runs
from arl_tf.metrics.tasks.definition import Task
from arl_tf.models import costs
from arl_tf.training import train
from arl_tf.training.learner import ADVERSARY, AdversarialRepresentationLearner
from arl_tf.training.phases import FIGHTS
from arl_tf.training.settings import TrainingSettings

# Of the batch, so that a large network is not trained for minutes to say how long it takes.
PROBE_IMAGES = 8
PROBE_STEPS = 2
# Forward, and backward to the weights and to the input; where the weights stay, to the input alone.
TRAINING_PASSES, FROZEN_PASSES = 3, 2
FLOAT_BYTES = 4


@dataclasses.dataclass(frozen=True)
class PhaseTime:
    """A phase of training.

    Attributes:
        phase: one of learner.PHASES.
        epochs: of it.
        steps: of an epoch.
        step_seconds: of a step, measured with few images and scaled to the batch.
    """

    phase: str
    epochs: int
    steps: int
    step_seconds: float

    @property
    def seconds(self) -> float:
        """Of the whole phase."""
        return self.epochs * self.steps * self.step_seconds


def activation_bytes(model: keras.Model) -> int:
    """Bytes of all layers' outputs for one image in float32."""
    return sum(layer_bytes(layer) for layer in model.layers)


def layer_bytes(layer: keras.Layer) -> int:
    """Bytes of one layer's outputs; of all layers inside where it is a model."""
    if isinstance(layer, keras.Model):
        return activation_bytes(layer)
    shapes = [tensor.shape[1:] for tensor in keras.tree.flatten(layer.output)]
    return sum(FLOAT_BYTES * int(np.prod(shape)) for shape in shapes)


def state_bytes(learner: AdversarialRepresentationLearner, *, trains_decoders: bool) -> int:
    """Bytes of weights, of their gradients and of two moments of each, as AdamW keeps them.

    Decoders are built for every defence; where none trains them, their weights are all they take.
    """
    trained = count_values(learner.protector_variables)
    if trains_decoders:
        trained += count_values(learner.adversary_variables)
    players = [learner.encoder, learner.task_head, *learner.decoders]
    weights = sum(player.count_params() for player in players)
    return FLOAT_BYTES * (weights + 3 * trained)


def count_values(variables: Sequence[keras.Variable]) -> int:
    """Numbers that variables hold."""
    return sum(int(np.prod(variable.shape)) for variable in variables)


def step_bytes(
    learner: AdversarialRepresentationLearner,
    perceptual: keras.Model,
    batch_size: int,
    phase: str,
) -> int:
    """Bytes of a step's activations: what the backward pass needs of every network.

    The frozen network sees originals and reconstructions; of the originals nothing is kept.
    """
    own = activation_bytes(learner.encoder) + activation_bytes(learner.task_head)
    if phase not in FIGHTS:
        return batch_size * own
    fought = sum(activation_bytes(decoder) for decoder in learner.decoders)
    return batch_size * (own + fought + len(learner.decoders) * activation_bytes(perceptual))


def timed_phases(
    learner: AdversarialRepresentationLearner,
    settings: TrainingSettings,
    steps: int,
    labels_shape: tuple[int, ...],
    task: Task,
) -> list[PhaseTime]:
    """Times a few steps of every phase, on random pictures.

    Args:
        learner: new players; their weights move.
        settings: of the training.
        steps: of an epoch.
        labels_shape: of one image's labels.
        task: their kind.
    """
    images = min(settings.batch_size, PROBE_IMAGES)
    batch = random_batch(settings, images, labels_shape)
    found = []
    for phase, epochs in train.phases(settings):
        train.compile_phase(learner, settings, phase, epochs * steps, task)
        seconds = seconds_of_step(learner, batch) * settings.batch_size / images
        found.append(PhaseTime(phase, epochs, steps, seconds))
    return found


def random_batch(settings: TrainingSettings, images: int, labels_shape: tuple[int, ...]):
    """A batch as `train_step` takes it, of random pictures and labels."""
    rng = np.random.default_rng(0)
    side = settings.image_size
    private = rng.integers(0, 256, (images, side, side, 3), np.uint8)
    public = rng.integers(0, 256, (settings.decoder_steps, images, side, side, 3), np.uint8)
    labels = rng.integers(0, 2, (images, *labels_shape)).astype(np.float32)
    return (tf.constant(private), tf.constant(labels)), tf.constant(public)


def seconds_of_step(learner: AdversarialRepresentationLearner, batch) -> float:
    """Seconds of a step, the shortest of a few; the first one, which builds the graph, is not."""
    step = tf.function(learner.train_step, autograph=False)
    taken = []
    for _ in range(PROBE_STEPS + 1):
        started = time.perf_counter()
        losses = step(batch)
        np.asarray(next(iter(losses.values())))
        taken.append(time.perf_counter() - started)
    return min(taken[1:])


def step_multiply_adds(
    learner: AdversarialRepresentationLearner, perceptual: keras.Model, phase: str
) -> float:
    """Multiply-adds of one image through a phase's step, forward and backward.

    Originals pass the frozen network without a backward pass, once for all decoders. What a defence
    without decoders adds to the task's step is small beside it, and is not counted.
    """
    encoder, head = costs.multiply_adds(learner.encoder), costs.multiply_adds(learner.task_head)
    if phase not in FIGHTS:
        return TRAINING_PASSES * (encoder + head)
    decoders = sum(map(costs.multiply_adds, learner.decoders))
    features = costs.multiply_adds(perceptual)
    compared = FROZEN_PASSES * len(learner.decoders) * features + features
    learned = learner.decoder_steps * (encoder + TRAINING_PASSES * decoders + compared)
    if phase == ADVERSARY:
        return learned
    # The encoder spoils what decoders make that do not learn meanwhile.
    spoiled = FROZEN_PASSES * decoders + compared
    return learned + TRAINING_PASSES * (encoder + head) + spoiled


def multiply_adds_per_second(
    phases: Sequence[PhaseTime],
    learner: AdversarialRepresentationLearner,
    perceptual: keras.Model,
    batch_size: int,
) -> float:
    """How fast this machine trains, by the first phase's step."""
    counted = step_multiply_adds(learner, perceptual, phases[0].phase)
    return batch_size * counted / phases[0].step_seconds


def attacker_speed(
    options: AttackerOptions,
    code_shape: tuple[int, ...],
    image_size: int,
    features: Callable[[tf.Tensor], Sequence[tf.Tensor]],
) -> float:
    """Multiply-adds a second of an attacker's training, by a few steps on random codes.

    Args:
        options: of the attackers.
        code_shape: of one code.
        image_size: side of the images, pixels.
        features: the frozen network g, of the attackers' loss; image float32 [B, S, S, 3] in
            [0, 1] -> maps float32 [B, h, w, c].
    """
    rng, count = np.random.default_rng(0), options.batch_size
    codes = rng.normal(size=(count, *code_shape)).astype(np.float32)
    images = rng.integers(0, 256, (count, image_size, image_size, 3), np.uint8)
    evidence = Evidence(PublicPairs(codes, images, codes, images), codes, features)
    return attack_runs.multiply_adds_per_second(evidence, options)


def audit_multiply_adds(
    attackers: dict[str, registry.Attacker],
    options: AttackerOptions,
    code_shape: tuple[int, ...],
    image_size: int,
    seeds: int,
) -> float:
    """Multiply-adds of all attacks' trainings, at most: attackers stop when they have learned.

    Args:
        attackers: by name.
        options: their sizes.
        code_shape: of one code.
        image_size: side of the images, pixels.
        seeds: with which each trained attacker is run.
    """
    codes = np.zeros((1, *code_shape), np.float32)
    images = np.zeros((1, image_size, image_size, 3), np.uint8)
    evidence = Evidence(PublicPairs(codes, images, codes, images), codes, None)
    return sum(
        attacker.cost(evidence, options) * (seeds if attacker.trained else 1)
        for attacker in attackers.values()
    )
