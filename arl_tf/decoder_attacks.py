"""Black-box inversion: new decoders learn (code, image) pairs, then decode unseen codes.

They share no weight and no initialisation with training's adversary. The loop is our own, not
`fit`: it stops by its own curve, averages weights, and may train a critic beside the decoder.
"""

import dataclasses
import time
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from arl_tf import models
from arl_tf.adversary import BLACK_BOX, AttackResult, AttackSettings, Evidence
from arl_tf.attack_losses import Loss, held_out_loss, reconstruction_loss
from arl_tf.attack_models import build_attention_decoder, build_patch_critic
from arl_tf.code_scale import code_scale, with_position

STEPS_BETWEEN_CHECKS = 50
DECODED_AT_ONCE = 128
CLIP_NORM = 5.0
# The rate stays at its peak until the averaged decoder's held-out loss gains less than this share
# over the last third of the steps; then it decays over as many steps again as DECAY_SHARE says.
ENOUGH_GAIN = 0.01
DECAY_SHARE = 0.25
AVERAGE_MOMENTUM = 0.99
CRITIC_RATE = 2e-4

FAMILIES = {"convolutional": models.build_decoder, "attention": build_attention_decoder}


@dataclasses.dataclass(frozen=True)
class DecoderRecipe:
    """What one attacking decoder is and learns from.

    Attributes:
        words: for readers of the report.
        family: a key of FAMILIES.
        width_factor: times AttackSettings.width.
        extra_depth: more than AttackSettings.depth.
        steps_factor: times AttackSettings.steps.
        pixel_weight: of the pixel loss.
        perceptual_factor: times AttackSettings.mu, the weight of the perceptual loss.
        critic_weight: of a patch critic's opinion; 0: none is trained.
        queries_again: asks the encoder for new codes of its images in every step: whoever knows
            that codes are noisy learns from many draws of each.
    """

    words: str
    family: str = "convolutional"
    width_factor: float = 1.0
    extra_depth: int = 0
    steps_factor: float = 1.0
    pixel_weight: float = 1.0
    perceptual_factor: float = 1.0
    critic_weight: float = 0.0
    queries_again: bool = False


@dataclasses.dataclass(frozen=True)
class Curve:
    """How a decoder's training went.

    Attributes:
        held_out_loss: of the averaged decoder at every check.
        steps: taken.
        late_gain: share of the held-out loss that the last third of the steps at full rate took
            away; below ENOUGH_GAIN more training gives next to nothing.
    """

    held_out_loss: tuple[float, ...]
    steps: int
    late_gain: float


def decoder_attack(
    evidence: Evidence, settings: AttackSettings, *, name: str, recipe: DecoderRecipe
) -> AttackResult:
    """Trains one decoder on the public pairs and decodes the codes under attack.

    The weights with the best held-out loss are kept. The decoder is told the position of every code
    beside it, so that a code without any information still leads to the mean image.

    Args:
        evidence: public pairs, target codes, the frozen network g; `query` where the recipe asks
            again.
        settings: sizes before the recipe's factors.
        name: of the attack in the report.
        recipe: what this decoder is.

    Raises:
        ValueError: the training diverged, or the codes' shape can't be decoded.
    """
    started = time.perf_counter()
    settings = scaled(settings, recipe)
    keras.utils.set_random_seed(settings.seed)
    pairs = evidence.pairs
    scale = code_scale(pairs.codes)

    def seen(codes: np.ndarray) -> np.ndarray:
        return with_position(scale(codes))

    decoder = build(evidence, settings, recipe)
    loss = recipe_loss(evidence, settings, recipe)
    curve = train_decoder(
        decoder,
        pair_batches(evidence, seen, settings, recipe.queries_again),
        (seen(pairs.held_out_codes), pairs.held_out_images),
        settings=settings,
        loss=loss,
        critic_weight=recipe.critic_weight,
        name=name,
    )
    return AttackResult(
        name=name,
        knowledge=BLACK_BOX,
        settings={
            "words": recipe.words,
            **dataclasses.asdict(settings),
            "parameters": decoder.count_params(),
            "public_images": len(pairs.images),
            "steps_taken": curve.steps,
            "late_gain": curve.late_gain,
        },
        seconds=time.perf_counter() - started,
        held_out_loss=curve.held_out_loss,
        reconstructions=decode(decoder, seen(evidence.target_codes)),
        held_out_reconstructions=decode(decoder, seen(pairs.held_out_codes)),
    )


def build(evidence: Evidence, settings: AttackSettings, recipe: DecoderRecipe) -> keras.Model:
    """A decoder with new weights for the codes at hand; the settings are scaled already."""
    pairs = evidence.pairs
    return FAMILIES[recipe.family](
        with_position(pairs.codes[:1]).shape[1:],
        image_size=pairs.images.shape[1],
        width=settings.width,
        depth=settings.depth,
        name="attacker",
    )


def recipe_loss(evidence: Evidence, settings: AttackSettings, recipe: DecoderRecipe) -> Loss:
    """What a recipe's decoder minimises."""
    return reconstruction_loss(
        evidence.perceptual_features, recipe.perceptual_factor * settings.mu, recipe.pixel_weight
    )


def seconds_of_steps(
    evidence: Evidence, settings: AttackSettings, recipe: DecoderRecipe, steps: int
) -> float:
    """Wall time of some training steps, without the first two, which compile."""
    settings = scaled(settings, recipe)
    decoder = build(evidence, settings, recipe)
    optimizer = keras.optimizers.Adam(settings.learning_rate)
    optimizer.build(decoder.trainable_variables)
    average = [tf.Variable(value) for value in decoder.trainable_variables]
    step = decoder_step(decoder, optimizer, average, recipe_loss(evidence, settings, recipe), 0.0)
    draw = pair_batches(evidence, with_position, settings, queries_again=False)
    for number in range(steps + 2):
        if number == 2:
            started = time.perf_counter()
        step(*map(tf.constant, draw()))
    return time.perf_counter() - started


def scaled(settings: AttackSettings, recipe: DecoderRecipe) -> AttackSettings:
    """The settings with the recipe's factors applied."""
    return dataclasses.replace(
        settings,
        width=max(1, round(settings.width * recipe.width_factor)),
        depth=settings.depth + recipe.extra_depth,
        steps=max(1, round(settings.steps * recipe.steps_factor)),
    )


def pair_batches(
    evidence: Evidence,
    seen: Callable[[np.ndarray], np.ndarray],
    settings: AttackSettings,
    queries_again: bool,
) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    """A function that draws the next (codes as seen [B, ...], images uint8 [B, S, S, 3])."""
    pairs = evidence.pairs
    batch_size = min(settings.batch_size, len(pairs.images))
    rng = np.random.default_rng(settings.seed)
    waiting = np.empty(0, np.int64)

    def draw() -> tuple[np.ndarray, np.ndarray]:
        nonlocal waiting
        if len(waiting) < batch_size:
            waiting = np.concatenate([waiting, rng.permutation(len(pairs.images))])
        rows, waiting = waiting[:batch_size], waiting[batch_size:]
        codes = evidence.query(pairs.images[rows]) if queries_again else pairs.codes[rows]
        return seen(codes), pairs.images[rows]

    return draw


def train_decoder(
    decoder: keras.Model,
    draw: Callable[[], tuple[np.ndarray, np.ndarray]],
    held_out: tuple[np.ndarray, np.ndarray],
    *,
    settings: AttackSettings,
    loss: Loss,
    critic_weight: float,
    name: str,
) -> Curve:
    """Trains a decoder and leaves it with the best of its averaged weights.

    At a constant rate until more of it gains less than ENOUGH_GAIN or the steps run out, then with
    a rate that decays to nothing.
    """
    optimizer = keras.optimizers.Adam(settings.learning_rate, global_clipnorm=CLIP_NORM)
    optimizer.build(decoder.trainable_variables)
    average = [tf.Variable(value) for value in decoder.trainable_variables]
    step = decoder_step(decoder, optimizer, average, loss, critic_weight)
    # Where the steps are few, so are those between two checks.
    interval = max(1, min(STEPS_BETWEEN_CHECKS, settings.steps // 8))
    decay_steps = max(1, round(settings.steps * DECAY_SHARE))
    curve, best_weights, taken = [], decoder.get_weights(), 0

    def advance(rates: Sequence[float]) -> None:
        nonlocal taken, best_weights
        for rate in rates:
            optimizer.learning_rate.assign(rate)
            step(*map(tf.constant, draw()))
            taken += 1
        curve.append(averaged_loss(decoder, average, held_out, loss))
        if not np.isfinite(curve[-1]):
            raise ValueError(
                f"Attack {name} diverged (held-out loss {curve[-1]} after {taken} steps); lower"
                " --attacker_learning_rate."
            )
        if curve[-1] <= min(curve):
            best_weights = [value.numpy() for value in average]

    while taken < settings.steps - decay_steps and not flat(curve):
        advance([settings.learning_rate] * interval)
    late_gain = gain_of_last_third(curve)
    decaying = settings.learning_rate * cosine(decay_steps)
    for start in range(0, decay_steps, interval):
        advance(decaying[start : start + interval])
    for variable, value in zip(decoder.trainable_variables, best_weights, strict=True):
        variable.assign(value)
    return Curve(tuple(curve), taken, late_gain)


def decoder_step(
    decoder: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    average: Sequence[tf.Variable],
    loss: Loss,
    critic_weight: float,
) -> Callable[[tf.Tensor, tf.Tensor], None]:
    """One step of the decoder, and of its critic if it has one, as a tf.function."""
    critic, critic_optimizer = None, None
    if critic_weight:
        critic = build_patch_critic(decoder.output_shape[1], width=32)
        critic_optimizer = keras.optimizers.Adam(CRITIC_RATE, beta_1=0.5)
        critic_optimizer.build(critic.trainable_variables)

    @tf.function
    def step(codes, images):
        with tf.GradientTape() as tape:
            reconstruction = decoder(codes, training=True)
            total = loss(images, reconstruction)
            if critic is not None:
                total -= critic_weight * tf.reduce_mean(critic(reconstruction, training=True))
        variables = decoder.trainable_variables
        optimizer.apply(tape.gradient(total, variables), variables)
        # Short at first: a long average would hold on to the random start.
        count = tf.cast(optimizer.iterations, tf.float32)
        momentum = tf.minimum(AVERAGE_MOMENTUM, count / (count + 9.0))
        for mean, variable in zip(average, variables, strict=True):
            mean.assign_sub((1.0 - momentum) * (mean - variable))
        if critic is not None:
            real = tf.cast(images, tf.float32) / 255.0
            critic_step(critic, critic_optimizer, real, tf.stop_gradient(reconstruction))

    return step


def critic_step(
    critic: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    real: tf.Tensor,
    reconstruction: tf.Tensor,
) -> tf.Tensor:
    """A step on the critic's hinge loss (Lim and Ye 2017): real above 1, reconstructed below -1."""
    with tf.GradientTape() as tape:
        hinge = tf.reduce_mean(tf.nn.relu(1.0 - critic(real, training=True))) + tf.reduce_mean(
            tf.nn.relu(1.0 + critic(reconstruction, training=True))
        )
    variables = critic.trainable_variables
    optimizer.apply(tape.gradient(hinge, variables), variables)
    return hinge


def averaged_loss(
    decoder: keras.Model,
    average: Sequence[tf.Variable],
    held_out: tuple[np.ndarray, np.ndarray],
    loss: Loss,
) -> float:
    """Held-out loss of the decoder with its averaged weights, which are taken out again."""
    current = [variable.numpy() for variable in decoder.trainable_variables]
    for variable, mean in zip(decoder.trainable_variables, average, strict=True):
        variable.assign(mean)
    value = held_out_loss(decode(decoder, held_out[0]), held_out[1], loss)
    for variable, previous in zip(decoder.trainable_variables, current, strict=True):
        variable.assign(previous)
    return value


def decode(decoder: keras.Model, codes: np.ndarray) -> np.ndarray:
    """Reconstructions float32 [N, S, S, 3] of codes as the decoder sees them."""
    return decoder.predict(codes, batch_size=DECODED_AT_ONCE, verbose=0)


def flat(curve: Sequence[float]) -> bool:
    """Whether the training has reached where more gains less than ENOUGH_GAIN.

    Six checks at least: the first ones say little.
    """
    return len(curve) >= 6 and gain_of_last_third(curve) < ENOUGH_GAIN


def gain_of_last_third(curve: Sequence[float]) -> float:
    """Share of the best loss two thirds of the way that the last third has taken away."""
    until = max(1, len(curve) * 2 // 3)
    if until >= len(curve):
        return 1.0
    before = min(curve[:until])
    return (before - min(curve)) / max(before, 1e-12)


def cosine(steps: int) -> np.ndarray:
    """From 1 to about 0 in `steps` values: half a cosine."""
    return 0.5 * (1 + np.cos(np.pi * (np.arange(steps) + 0.5) / steps))
