"""Black-box inversion: new decoders learn (code, image) pairs, then decode unseen codes.

They share no weight and no initialisation with training's adversary.
"""

import dataclasses
import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from arl_tf.attacks import noise_views, objectives
from arl_tf.attacks.decoder_training import Curve, decode, decoder_step, train_decoder
from arl_tf.attacks.evidence import BLACK_BOX, AttackerOptions, AttackResult, Evidence
from arl_tf.attacks.networks import build_attention_decoder, build_dense_decoder
from arl_tf.attacks.objectives import Loss
from arl_tf.models import architectures, costs
from arl_tf.models.standardisation import with_position

FAMILIES = {
    "convolutional": architectures.build_decoder,
    "attention": build_attention_decoder,
    "dense": build_dense_decoder,
}


@dataclasses.dataclass(frozen=True)
class DecoderRecipe:
    """What one attacking decoder is and learns from.

    Attributes:
        words: for readers of the report.
        family: a key of FAMILIES.
        width_factor: times AttackerOptions.width.
        extra_depth: more than AttackerOptions.depth, or less where it is negative.
        steps_factor: times AttackerOptions.steps.
        pixel_weight: of the pixel loss.
        perceptual_factor: times AttackerOptions.mu, the weight of the perceptual loss.
        absolute_weight: of the mean absolute difference of pixels.
        ssim_weight: of 1 - SSIM.
        identity_weight: of 1 - the cosine of embeddings; needs `Evidence.identity_features`.
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
    absolute_weight: float = 0.0
    ssim_weight: float = 0.0
    identity_weight: float = 0.0
    critic_weight: float = 0.0
    queries_again: bool = False


def decoder_attack(
    evidence: Evidence, settings: AttackerOptions, *, name: str, recipe: DecoderRecipe
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
    trained = train_attacker(evidence, settings, name=name, recipe=recipe)
    return AttackResult(
        name=name,
        knowledge=BLACK_BOX,
        settings={
            "words": recipe.words,
            **scaled(settings, recipe).as_json(),
            "parameters": trained.decoder.count_params(),
            "public_images": len(evidence.pairs.images),
            "steps_taken": trained.curve.steps,
            "late_gain": trained.curve.late_gain,
        },
        seconds=time.perf_counter() - started,
        held_out_loss=trained.curve.held_out_loss,
        reconstructions=trained(evidence.target_codes),
        held_out_reconstructions=trained(evidence.pairs.held_out_codes),
    )


@dataclasses.dataclass(frozen=True)
class TrainedDecoder:
    """An attacking decoder that has learned, and how it sees codes.

    Attributes:
        decoder: code as seen -> reconstruction float32 [n, S, S, 3] in [0, 1].
        seen: codes float32 [n, ...] as they leave -> as the decoder sees them: standardised, with
            their position.
        curve: of its training.
    """

    decoder: keras.Model
    seen: Callable[[np.ndarray], np.ndarray]
    curve: Curve

    def __call__(self, codes: np.ndarray) -> np.ndarray:
        """Reconstructions float32 [n, S, S, 3] of codes as they leave."""
        return decode(self.decoder, self.seen(codes))


def train_attacker(
    evidence: Evidence, settings: AttackerOptions, *, name: str, recipe: DecoderRecipe
) -> TrainedDecoder:
    """Trains one decoder on the public pairs; arguments and errors are `decoder_attack`'s."""
    settings = scaled(settings, recipe)
    keras.utils.set_random_seed(settings.seed)
    pairs = evidence.pairs
    scale = noise_views.seen_codes(pairs, evidence.noise)

    def seen(codes: np.ndarray) -> np.ndarray:
        return with_position(scale(codes))

    decoder = build(evidence, settings, recipe)
    curve = train_decoder(
        decoder,
        pair_batches(evidence, seen, settings, recipe.queries_again),
        (seen(pairs.held_out_codes), pairs.held_out_images),
        settings=settings,
        loss=recipe_loss(evidence, settings, recipe),
        critic_weight=recipe.critic_weight,
        name=name,
    )
    return TrainedDecoder(decoder, seen, curve)


def build(evidence: Evidence, settings: AttackerOptions, recipe: DecoderRecipe) -> keras.Model:
    """A decoder with new weights for the codes at hand; the settings are scaled already."""
    pairs = evidence.pairs
    return FAMILIES[recipe.family](
        with_position(pairs.codes[:1]).shape[1:],
        image_size=pairs.images.shape[1],
        width=settings.width,
        depth=settings.depth,
        name="attacker",
    )


def recipe_loss(evidence: Evidence, settings: AttackerOptions, recipe: DecoderRecipe) -> Loss:
    """What a recipe's decoder minimises."""
    plain = objectives.reconstruction_loss(
        evidence.perceptual_features, recipe.perceptual_factor * settings.mu, recipe.pixel_weight
    )
    return objectives.weighted_sum(
        [
            (1.0, plain),
            (recipe.absolute_weight, objectives.absolute_loss),
            (recipe.ssim_weight, objectives.ssim_loss),
            (recipe.identity_weight, objectives.identity_loss(evidence.identity_features)),
        ]
    )


def seconds_of_steps(
    evidence: Evidence, settings: AttackerOptions, recipe: DecoderRecipe, steps: int
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


def decoder_cost(recipe: DecoderRecipe, evidence: Evidence, settings: AttackerOptions) -> float:
    """Multiply-adds of a decoder's training: forward, and about twice that backward."""
    settings = scaled(settings, recipe)
    model = FAMILIES[recipe.family](
        with_position(evidence.pairs.codes[:1]).shape[1:],
        image_size=evidence.pairs.images.shape[1],
        width=settings.width,
        depth=settings.depth,
    )
    each = 3 * costs.multiply_adds(model)
    return settings.steps * settings.batch_size * each


def scaled(settings: AttackerOptions, recipe: DecoderRecipe) -> AttackerOptions:
    """The settings with the recipe's factors applied."""
    return dataclasses.replace(
        settings,
        width=max(1, round(settings.width * recipe.width_factor)),
        depth=max(0, settings.depth + recipe.extra_depth),
        steps=max(1, round(settings.steps * recipe.steps_factor)),
    )


def pair_batches(
    evidence: Evidence,
    seen: Callable[[np.ndarray], np.ndarray],
    settings: AttackerOptions,
    queries_again: bool,
) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    """A function that draws the next (codes as seen [B, ...], images uint8 [B, S, S, 3]).

    Where noise is known, every batch has its own.
    """
    pairs = evidence.pairs
    batch_size = min(settings.batch_size, len(pairs.images))
    rng = np.random.default_rng(settings.seed)
    noise_rng = np.random.default_rng([settings.seed, 1])
    fresh = noise_views.fresh_codes(pairs, evidence.noise, evidence.query)
    waiting = np.empty(0, np.int64)

    def draw() -> tuple[np.ndarray, np.ndarray]:
        nonlocal waiting
        if len(waiting) < batch_size:
            waiting = np.concatenate([waiting, rng.permutation(len(pairs.images))])
        rows, waiting = waiting[:batch_size], waiting[batch_size:]
        codes = evidence.query(pairs.images[rows]) if queries_again else fresh(rows, noise_rng)
        return seen(codes), pairs.images[rows]

    return draw
