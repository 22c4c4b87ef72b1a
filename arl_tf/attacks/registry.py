"""The list of attackers: arrays in, an AttackResult out. One dict; `--audit` takes its levels.

None shares weights or initialisation with training's adversary; none is given an image under
attack (adversary.py).
"""

import dataclasses
import difflib
import functools
from collections.abc import Callable, Collection

import numpy as np

from arl_tf.attacks import generative, inversion, noise_aware
from arl_tf.attacks.closed_form import linear_pictures
from arl_tf.attacks.decoder_attacks import FAMILIES, DecoderRecipe, decoder_attack, scaled
from arl_tf.attacks.evidence import (
    BLACK_BOX,
    WHITE_BOX,
    AttackerOptions,
    AttackResult,
    CodeNoise,
    Evidence,
)
from arl_tf.attacks.retrieval import retrieval_attack
from arl_tf.models import costs
from arl_tf.models.standardisation import with_position

LEVELS = ("quick", "standard", "full")
MORE_IMAGES, FEWER_IMAGES = 10, 0.1
# Of a logit's deviation: beside a noisy code the task output counts in full.
OUTPUT_NOISE = 0.1
NO_GRADIENT = "white-box attacks, because the inside of the encoder is not available"
NO_NOISE = "attackers that are told the noise, because there is no noise or it is not known"


@dataclasses.dataclass(frozen=True)
class Attacker:
    """One way to attack codes.

    Attributes:
        run: (evidence, settings, *, name, start) -> AttackResult; `start` is the result of the
            attack that `starts_from` names, None where there is none.
        level: the first of LEVELS that runs it.
        knowledge: BLACK_BOX or WHITE_BOX.
        needs: fields of Evidence without which it can't run.
        starts_from: the attack whose result it improves.
        floor: whether it also attacks the task output alone. What only makes sense for codes
            does not.
        trained: whether another seed gives another result.
        cost: (evidence, settings) -> multiply-adds at most, roughly, for the forecast.
        missing: what the report says was not tested where `needs` is not met.
    """

    run: Callable[..., AttackResult]
    level: str
    knowledge: str = BLACK_BOX
    needs: tuple[str, ...] = ()
    starts_from: str | None = None
    floor: bool = False
    trained: bool = True
    cost: Callable[[Evidence, AttackerOptions], float] = lambda evidence, settings: 0.0
    missing: str = ""


def unchanged(evidence: Evidence, settings: AttackerOptions) -> Evidence:
    """The evidence as it is."""
    del settings
    return evidence


def conditioned(evidence: Evidence, settings: AttackerOptions) -> Evidence:
    """The task output laid beside every code, and seen with it.

    What is known of the noise says how codes are weighted; the task output is a mean of nothing, so
    no other noise can be drawn for both.
    """
    del settings
    pairs, outputs = evidence.pairs, evidence.task_outputs
    noise = evidence.noise
    if noise is not None:
        small = OUTPUT_NOISE * outputs.public.std(axis=0)[None] + np.float32(1e-6)
        noise = CodeNoise(
            beside(noise.deviation[None], small)[0],
            beside(pairs.codes, outputs.public),
            noise.answers,
            remaining=1.0,
        )
    return dataclasses.replace(
        evidence,
        pairs=dataclasses.replace(
            pairs,
            codes=beside(pairs.codes, outputs.public),
            held_out_codes=beside(pairs.held_out_codes, outputs.held_out),
        ),
        target_codes=beside(evidence.target_codes, outputs.target),
        noise=noise,
    )


def beside(codes: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Codes [N, ..., c] with vectors [N, A] at every position: [N, ..., c + A]."""
    spread = vectors.reshape(len(vectors), *[1] * (codes.ndim - 2), -1)
    return np.concatenate(
        [codes, np.broadcast_to(spread, (*codes.shape[:-1], spread.shape[-1]))], -1
    )


def fewer_images(evidence: Evidence, settings: AttackerOptions) -> Evidence:
    """A tenth of the public pairs."""
    pairs = evidence.pairs
    count = max(2, round(FEWER_IMAGES * len(pairs.images)))
    rows = np.random.default_rng(settings.seed).permutation(len(pairs.images))[:count]
    noise = evidence.noise and evidence.noise.of(rows)
    return with_pairs(evidence, codes=pairs.codes[rows], images=pairs.images[rows], noise=noise)


def more_images(evidence: Evidence, settings: AttackerOptions) -> Evidence:
    """Ten times the public pairs: the encoder is asked once for the codes of further images."""
    pairs = evidence.pairs
    added = evidence.more_images((MORE_IMAGES - 1) * len(pairs.images), settings.seed)
    codes = np.concatenate([pairs.codes, evidence.query(added)])
    noise = evidence.noise and evidence.noise.of_single_answers(codes)
    images = np.concatenate([pairs.images, added])
    return with_pairs(evidence, codes=codes, images=images, noise=noise)


def other_domain(evidence: Evidence, settings: AttackerOptions) -> Evidence:
    """Public pairs of another data set instead; its own held-out images choose when to stop."""
    del settings
    pairs = evidence.other_domain
    noise = evidence.noise and evidence.noise.of_single_answers(pairs.codes)
    return dataclasses.replace(evidence, pairs=pairs, noise=noise)


def with_pairs(
    evidence: Evidence, *, codes: np.ndarray, images: np.ndarray, noise: CodeNoise | None
) -> Evidence:
    """The evidence with other training pairs and the same held-out ones."""
    pairs = dataclasses.replace(evidence.pairs, codes=codes, images=images)
    return dataclasses.replace(evidence, pairs=pairs, noise=noise)


def decoder(
    recipe: DecoderRecipe,
    level: str,
    view: Callable[[Evidence, AttackerOptions], Evidence] = unchanged,
    **entry,
) -> Attacker:
    """An attacker that trains one decoder on one view of the evidence."""

    def run(evidence, settings, *, name, start=None):
        del start
        return decoder_attack(view(evidence, settings), settings, name=name, recipe=recipe)

    return Attacker(run, level, cost=functools.partial(decoder_cost, recipe), **entry)


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


def closed_form(attack: Callable[..., AttackResult], level: str) -> Attacker:
    """An attacker that trains nothing."""

    def run(evidence, settings, *, name, start=None):
        del start
        return attack(evidence, settings, name=name)

    return Attacker(run, level, floor=True, trained=False)


def white_box(attack: Callable[..., AttackResult], level: str, **entry) -> Attacker:
    """An attacker that differentiates the encoder."""

    def run(evidence, settings, *, name, start=None):
        return dataclasses.replace(attack(evidence, settings, start=start), name=name)

    return Attacker(
        run,
        level,
        WHITE_BOX,
        needs=("encode",),
        missing=NO_GRADIENT,
        cost=functools.partial(decoder_cost, DecoderRecipe("about as long as this decoder")),
        **entry,
    )


DECODER = DecoderRecipe("a convolutional decoder, trained for pixels and perception")
ATTACKERS: dict[str, Attacker] = {
    "linear": closed_form(noise_aware.linear_attack, "quick"),
    "wiener": dataclasses.replace(
        closed_form(noise_aware.wiener_attack, "quick"),
        knowledge=WHITE_BOX,
        needs=("known_noise",),
        missing=NO_NOISE,
        floor=False,
    ),
    "retrieval": closed_form(retrieval_attack, "quick"),
    "decoder": decoder(DECODER, "quick", floor=True),
    "map": dataclasses.replace(
        white_box(noise_aware.map_attack, "standard", starts_from="wiener"),
        needs=("encode", "noise"),
        missing=NO_NOISE,
    ),
    "optimisation_linear": white_box(inversion.optimise_images, "standard", starts_from="linear"),
    "attention": decoder(
        DecoderRecipe(
            "a U-shaped decoder with self-attention and far more capacity, trained against a patch"
            " critic",
            family="attention",
            width_factor=1.25,
            critic_weight=0.003,
        ),
        "standard",
        floor=True,
    ),
    "optimisation": white_box(inversion.optimise_images, "standard", starts_from="decoder"),
    "decoder_pixel": decoder(
        DecoderRecipe(
            "a wider convolutional decoder, trained for pixels alone",
            width_factor=1.5,
            perceptual_factor=0.0,
        ),
        "full",
        floor=True,
    ),
    "decoder_perceptual": decoder(
        DecoderRecipe("a convolutional decoder, trained mostly for perception", pixel_weight=0.1),
        "full",
        floor=True,
    ),
    "decoder_conditioned": decoder(
        DecoderRecipe("a convolutional decoder that also gets the task output"),
        "full",
        conditioned,
        needs=("task_outputs",),
        missing="an attacker who also uses the task output, because there is no task output",
    ),
    "decoder_tenth": decoder(
        DecoderRecipe("the convolutional decoder with a tenth of the public images"),
        "full",
        fewer_images,
    ),
    "decoder_tenfold": decoder(
        DecoderRecipe("the convolutional decoder with ten times the public images"),
        "full",
        more_images,
        needs=("query", "more_images"),
        missing="an attacker with ten times the public images, because the encoder can't be asked",
    ),
    "decoder_other_domain": decoder(
        DecoderRecipe("the convolutional decoder, trained on another data set"),
        "full",
        other_domain,
        needs=("other_domain",),
        missing="an attacker with another data set, because none was named (--attacker_dataset)",
    ),
    "decoder_adaptive": decoder(
        DecoderRecipe(
            "a convolutional decoder that asks for new codes in every step, to learn through noise",
            queries_again=True,
        ),
        "full",
        needs=("query", "random_codes"),
        missing="an attacker who learns through noise, because no noise is known in the codes",
    ),
    "generative_prior": white_box(generative.latent_inversion, "full"),
    "decoder_deep": decoder(
        DecoderRecipe(
            "a convolutional decoder twice as wide and deeper, trained twice as long",
            width_factor=2,
            extra_depth=2,
            steps_factor=2,
        ),
        "full",
        floor=True,
    ),
    "attention_linear": decoder(
        DecoderRecipe(
            "the U-shaped decoder with self-attention, which refines the linear map's pictures",
            family="attention",
        ),
        "full",
        linear_pictures,
        floor=True,
    ),
    "attention_plain": decoder(
        DecoderRecipe(
            "the U-shaped decoder with self-attention without a critic, trained twice as long",
            family="attention",
            width_factor=2,
            extra_depth=1,
            steps_factor=2,
        ),
        "full",
        floor=True,
    ),
    "attention_tenfold": decoder(
        DecoderRecipe(
            "the U-shaped decoder with ten times the public images",
            family="attention",
            width_factor=2,
            steps_factor=2,
        ),
        "full",
        more_images,
        needs=("query", "more_images"),
        missing="an attacker with ten times the public images, because the encoder can't be asked",
    ),
}


def chosen(level: str, names: Collection[str] = ()) -> dict[str, Attacker]:
    """The attackers of a level and of the levels before it; or those of `names`, in their order.

    Named ones come with those whose results they start from.

    Raises:
        ValueError: there is no attacker of a name.
    """
    if not names:
        reach = LEVELS.index(level)
        return {n: a for n, a in ATTACKERS.items() if LEVELS.index(a.level) <= reach}
    for name in names:
        if name not in ATTACKERS:
            near = difflib.get_close_matches(name, ATTACKERS, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise ValueError(
                f"--attackers: there is no attacker {name!r}; one of {', '.join(ATTACKERS)}.{hint}"
            )
    starts = {ATTACKERS[name].starts_from for name in names}
    return {n: a for n, a in ATTACKERS.items() if n in starts or n in names}


def lacking(attacker: Attacker, evidence: Evidence) -> bool:
    """Whether the evidence lacks something that an attacker needs."""
    held = [getattr(evidence, field) for field in attacker.needs]
    return any(value is None or value is False for value in held)
