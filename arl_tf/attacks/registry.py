"""The list of attackers: arrays in, an AttackResult out. One dict; `--audit` takes its levels.

None shares weights or initialisation with training's adversary; none is given an image under
attack (`evidence.Evidence`).
"""

import functools
from collections.abc import Collection

from arl_tf.attacks import component_search, inversion, noise_aware, views
from arl_tf.attacks.attacker import Attacker, closed_form, decoder, white_box
from arl_tf.attacks.decoder_attacks import DecoderRecipe, decoder_cost
from arl_tf.attacks.evidence import WHITE_BOX, Evidence
from arl_tf.attacks.priors import deep_image_prior, generative, posterior, progressive
from arl_tf.attacks.regression import completion, laplace
from arl_tf.attacks.regression.kernel_ridge import kernel_attack, kernel_cost
from arl_tf.attacks.retrieval import retrieval_attack
from arl_tf.config.choices import AUDIT_LEVELS
from arl_tf.utils.suggestions import did_you_mean

LEVELS = AUDIT_LEVELS
NO_OTHER_DATA = "attackers with another data set, because none was named (--attacker_dataset)"
NO_NOISE = "attackers that are told the noise, because there is no noise or it is not known"


def likeliest_picture(starts_from: str, view: views.View = views.unchanged, **entry) -> Attacker:
    """The search for the likeliest picture given the noise, from another attacker's pictures."""
    entry = {"needs": ("encode", "noise"), "missing": NO_NOISE, **entry}
    return white_box(
        component_search.map_attack, "standard", view, starts_from=starts_from, **entry
    )


WITH_OTHER_DATA = {"needs": ("other_domain",), "missing": NO_OTHER_DATA}
# Instead of X2's images; NEEDED of `knowledge` names the others.
ONLY_OTHERS = {**WITH_OTHER_DATA, "learns_from": ""}
TENFOLD = {
    "needs": ("query", "more_images"),
    "missing": "an attacker with ten times the public images, because the encoder can't be asked",
    "learns_from": "{}, and those of nine times as many further images",
}
# Whoever fills dropped values in.
COMPLETES = {
    "knowledge": WHITE_BOX,
    "needs": ("dropping_noise",),
    "only_for": "drops_values",
    "missing": "attackers that fill in dropped values, because none are known to be dropped",
}
# Whoever uses the law of the noise, not its variance alone.
KNOWS_THE_LAW = {
    "only_for": "has_laplace_noise",
    "missing": "attackers that know the law of the noise, because none but Gaussian noise is known",
}
LONG_SEARCH = functools.partial(
    decoder_cost, DecoderRecipe("about three times as long as this decoder", steps_factor=3)
)
DECODER = DecoderRecipe("a convolutional decoder, trained for pixels and perception")
ATTACKERS: dict[str, Attacker] = {
    "linear": closed_form(noise_aware.linear_attack, "quick", floor=True),
    "wiener": closed_form(
        noise_aware.wiener_attack,
        "quick",
        knowledge=WHITE_BOX,
        needs=("known_noise",),
        missing=NO_NOISE,
    ),
    "retrieval": closed_form(retrieval_attack, "quick", floor=True),
    "kernel": closed_form(kernel_attack, "standard", floor=True, cost=kernel_cost),
    "linear_completed": closed_form(completion.linear_attack, "quick", **COMPLETES),
    "kernel_completed": closed_form(
        kernel_attack, "standard", completion.completed, cost=kernel_cost, **COMPLETES
    ),
    "wiener_laplace": closed_form(
        noise_aware.wiener_attack,
        "quick",
        laplace.with_less_noise,
        knowledge=WHITE_BOX,
        needs=("noise",),
        **KNOWS_THE_LAW,
    ),
    "kernel_laplace": closed_form(
        kernel_attack,
        "standard",
        laplace.with_less_noise,
        knowledge=WHITE_BOX,
        needs=("noise",),
        cost=kernel_cost,
        **KNOWS_THE_LAW,
    ),
    "linear_other_domain": closed_form(
        noise_aware.linear_attack, "standard", views.other_domain_within_limit, **ONLY_OTHERS
    ),
    "linear_joined": closed_form(
        noise_aware.linear_attack, "standard", views.joined_within_limit, **WITH_OTHER_DATA
    ),
    "wiener_joined": closed_form(
        noise_aware.wiener_attack,
        "standard",
        views.joined_within_limit,
        knowledge=WHITE_BOX,
        needs=("known_noise", "other_domain"),
        missing=NO_OTHER_DATA,
    ),
    "decoder": decoder(DECODER, "quick", floor=True),
    "map": likeliest_picture("wiener"),
    "map_kernel": likeliest_picture("kernel"),
    "map_laplace": likeliest_picture(
        "kernel_laplace",
        laplace.with_less_noise,
        needs=("encode", "known_noise"),
        **KNOWS_THE_LAW,
    ),
    "map_joined": likeliest_picture(
        "wiener_joined",
        views.joined_within_limit,
        needs=("encode", "noise", "other_domain"),
        missing=NO_OTHER_DATA,
    ),
    "decoder_dense": decoder(
        DecoderRecipe(
            "a wider, flatter decoder whose first layer is dense over the whole code, trained for"
            " pixels alone",
            family="dense",
            width_factor=2.0,
            extra_depth=-1,
            perceptual_factor=0.0,
        ),
        "full",
    ),
    "optimisation_components": white_box(
        component_search.match_components,
        "standard",
        starts_from="linear",
        cost=LONG_SEARCH,
    ),
    # `optimisation_components` finds more than searches over single pixels, in as much time.
    "optimisation_linear": white_box(inversion.optimise_images, "full", starts_from="linear"),
    "attention": decoder(
        DecoderRecipe(
            "a U-shaped decoder with self-attention and far more capacity, trained against a patch"
            " critic",
            family="attention",
            width_factor=1.25,
            critic_weight=0.003,
        ),
        # On task outputs it takes minutes, and no audit of photographs found it the worst there.
        "standard",
        outdone_by="optimisation_components",
    ),
    "optimisation_completed": white_box(
        component_search.match_components,
        "standard",
        completion.observed,
        cost=LONG_SEARCH,
        starts_from="kernel_completed",
        needs=("encode", "known_noise"),
        only_for=COMPLETES["only_for"],
        missing=COMPLETES["missing"],
    ),
    "optimisation": white_box(inversion.optimise_images, "full", starts_from="decoder"),
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
        views.conditioned,
        needs=("task_outputs",),
        missing="an attacker who also uses the task output, because there is no task output",
    ),
    "decoder_tenth": decoder(
        DecoderRecipe("the convolutional decoder with a tenth of the public images"),
        "full",
        views.fewer_images,
        learns_from="a tenth of {}",
    ),
    "decoder_tenfold": decoder(
        DecoderRecipe("the convolutional decoder with ten times the public images"),
        "full",
        views.more_images,
        **TENFOLD,
    ),
    "decoder_other_domain": decoder(
        DecoderRecipe("the convolutional decoder, trained on another data set"),
        "full",
        views.other_domain,
        **ONLY_OTHERS,
    ),
    "decoder_joined": decoder(
        DecoderRecipe("the convolutional decoder, trained on X2 and another data set"),
        "full",
        views.joined,
        **WITH_OTHER_DATA,
    ),
    "decoder_absolute": decoder(
        DecoderRecipe(
            "a convolutional decoder, trained for the absolute difference of pixels",
            pixel_weight=0.0,
            absolute_weight=0.3,
        ),
        "full",
    ),
    "decoder_ssim": decoder(
        DecoderRecipe("a convolutional decoder, trained for pixels and SSIM", ssim_weight=0.1),
        "full",
    ),
    "decoder_identity": decoder(
        DecoderRecipe(
            "a convolutional decoder, trained for pixels and for what an identity network sees",
            steps_factor=0.5,
            identity_weight=0.02,
        ),
        "full",
        needs=("identity_features",),
        missing="an attacker whose decoder is trained for identity: there is no identity network",
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
    "generative_progressive": white_box(progressive.progressive_inversion, "full"),
    "deep_image_prior": white_box(deep_image_prior.deep_image_prior, "full"),
    "diffusion_prior": white_box(
        posterior.posterior_inversion, "full", starts_from="linear", cost=posterior.sampling_cost
    ),
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
        noise_aware.refined_from,
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
        views.more_images,
        **TENFOLD,
    ),
}
# Those of arl_tf, not of its users: names that mean the same in every report.
SHIPPED = frozenset(ATTACKERS)


def attackers_of(level: str, names: Collection[str] = ()) -> dict[str, Attacker]:
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
            hint = did_you_mean(name, ATTACKERS)
            raise ValueError(
                f"--attackers: there is no attacker {name!r}; one of {', '.join(ATTACKERS)}.{hint}"
            )
    starts = {ATTACKERS[name].starts_from for name in names}
    return {n: a for n, a in ATTACKERS.items() if n in starts or n in names}


def suited(level: str, evidence: Evidence, names: Collection[str] = ()) -> dict[str, Attacker]:
    """`attackers_of`; without names, also without those of lower levels that others outdo here.

    An attacker may still lack something.
    """
    chosen = attackers_of(level, names)
    if names or level == LEVELS[-1]:
        return chosen
    able = {name for name, attacker in chosen.items() if not lacking(attacker, evidence)}
    return {name: a for name, a in chosen.items() if a.outdone_by not in able}


def lacking(attacker: Attacker, evidence: Evidence) -> bool:
    """Whether the evidence lacks something that an attacker needs."""
    held = [getattr(evidence, field) for field in attacker.needs]
    return any(value is None or value is False for value in held) or pointless(attacker, evidence)


def pointless(attacker: Attacker, evidence: Evidence) -> bool:
    """Whether there is nothing in the codes that an attacker could use."""
    return bool(attacker.only_for) and not getattr(evidence, attacker.only_for)
