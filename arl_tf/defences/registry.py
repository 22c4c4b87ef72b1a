"""The list of defences. One dict; `--defence` takes its names beside those of the method."""

import keras

from arl_tf.config.defences import METHOD, NONE
from arl_tf.defences.bottleneck import BOTTLENECK
from arl_tf.defences.contrastive import CONTRASTIVE
from arl_tf.defences.decomposition import DECOMPOSITION
from arl_tf.defences.definition import LAYER_PREFIX, Choice, Defence, Number
from arl_tf.defences.distributed import DISTRIBUTED
from arl_tf.defences.dropout import DROPOUT
from arl_tf.defences.entropy import ENTROPY
from arl_tf.defences.fisher import FISHER
from arl_tf.defences.linear_adversary import LINEAR_ADVERSARY
from arl_tf.defences.noise import GAUSSIAN_NOISE, LAPLACE_NOISE
from arl_tf.defences.nopeek import NOPEEK
from arl_tf.defences.pruning import PRUNING
from arl_tf.defences.shredder import SHREDDER
from arl_tf.defences.ssim_hinge import SSIM_HINGE
from arl_tf.defences.target_image import TARGET_IMAGE
from arl_tf.models.code_layers import DrawnNoise
from arl_tf.utils.suggestions import did_you_mean

DEFENCES: dict[str, Defence] = {
    "noise": GAUSSIAN_NOISE,
    "laplace": LAPLACE_NOISE,
    "dropout": DROPOUT,
    "shredder": SHREDDER,
    "bottleneck": BOTTLENECK,
    "nopeek": NOPEEK,
    "ssim_hinge": SSIM_HINGE,
    "entropy": ENTROPY,
    "target_image": TARGET_IMAGE,
    "contrastive": CONTRASTIVE,
    "pruning": PRUNING,
    "fisher": FISHER,
    "decomposition": DECOMPOSITION,
    "distributed": DISTRIBUTED,
    "linear_adversary": LINEAR_ADVERSARY,
}


def choice_of(name: str, strength: float = 0.0, bound: float = 0.0) -> Choice | None:
    """A defence with its numbers; None for none, and for those of the method.

    Args:
        name: of the defence.
        strength: its first number; 0: its default.
        bound: its second number; 0: its default.

    Raises:
        ValueError: an unknown name, or a number that the defence does not take.
    """
    if name == NONE or name in METHOD:
        return None
    if name not in DEFENCES:
        hint = did_you_mean(name, DEFENCES)
        raise ValueError(
            f"--defence: there is no defence {name!r}; one of {', '.join(DEFENCES)}.{hint}"
        )
    defence = DEFENCES[name]
    if bound and defence.bound is None:
        raise ValueError(f"--defence={name} takes no --defence_bound, got {bound:g}.")
    return Choice(
        name,
        number(name, "defence_strength", defence.strength, strength),
        number(name, "defence_bound", defence.bound, bound) if defence.bound else 0.0,
    )


def number(name: str, setting: str, expected: Number, value: float) -> float:
    """A number as given, or its default for 0; ValueError where it is not in range or whole."""
    value = value or expected.default
    if not expected.low <= value <= expected.high:
        raise ValueError(
            f"--{setting} of --defence={name} must be in [{expected.low:g}, {expected.high:g}], got"
            f" {value:g}: {expected.words}"
        )
    if expected.whole and value != int(value):
        raise ValueError(
            f"--{setting} of --defence={name} must be a whole number, got {value:g}:"
            f" {expected.words}"
        )
    return value


def check_code(
    choice: Choice | None,
    *,
    code_channels: int,
    code_noise: float,
    code_levels: int,
    deterministic: bool,
) -> None:
    """Raises ValueError where a defence's noise or shares do not go with the code.

    Also where a layer is misnamed.

    Args:
        choice: of the defence.
        code_channels: of the bottleneck that normalises the code; 0: none.
        code_noise: deviation of other noise in the code; 0: none.
        code_levels: that the code is rounded to; 0: not rounded.
        deterministic: whether a seed decides everything in training.
    """
    if choice is not None and 0 < code_channels < shares_of(choice):
        raise ValueError(
            f"--defence={choice.name} --defence_strength={choice.strength:g} gives every server at"
            f" least one channel: use --code_channels >= {shares_of(choice)}, got {code_channels}."
        )
    noise = [layer for layer in layers_of(choice) if isinstance(layer, DrawnNoise)]
    if choice is None or not noise:
        return
    if not code_channels:
        raise ValueError(
            f"--defence={choice.name} needs a normalised code, whose variance is 1: use"
            " --code_channels >= 1, got 0."
        )
    if deterministic:
        raise ValueError(
            f"--deterministic with --defence={choice.name}: it makes the noise repeatable, and"
            " repeatable noise is no protection; leave one of them out."
        )
    if code_noise:
        raise ValueError(
            f"--defence={choice.name} adds its own noise; leave out --code_noise={code_noise:g}."
        )
    if code_levels and not noise[0].is_gaussian:
        raise ValueError(
            f"--defence={choice.name} adds noise that is not Gaussian, whose mean behind a rounding"
            f" is not known; leave out --code_levels={code_levels}."
        )


def check_private(choice: Choice | None, names: str) -> None:
    """Raises ValueError where a defence misses its private attributes, or has no use for them."""
    defence = choice and DEFENCES[choice.name]
    wanted = bool(defence and defence.private)
    if wanted and not names:
        raise ValueError(
            f"--defence={choice.name} hides private attributes: name them with"
            " --private_attributes (--protected_attributes only has the audit check them)."
        )
    if names and not (wanted or (defence and defence.private_optional)):
        raise ValueError(
            f"--private_attributes={names} needs a defence that hides them, got"
            f" --defence={choice.name if choice else NONE}. To have the audit check what a code"
            " tells of them, use --protected_attributes."
        )


def layers_of(choice: Choice | None) -> list[keras.Layer]:
    """New layers for the end of an encoder; none for a defence without.

    Raises:
        ValueError: a layer's name does not begin with LAYER_PREFIX.
    """
    make = DEFENCES[choice.name].layers if choice else None
    if choice is None or make is None:
        return []
    layers = list(make(choice.strength, choice.bound))
    for layer in layers:
        if not layer.name.startswith(LAYER_PREFIX):
            raise ValueError(
                f"--defence={choice.name}: the names of its layers must begin with"
                f" {LAYER_PREFIX!r}, got {layer.name!r}."
            )
    return layers


def shares_of(choice: Choice | None) -> int:
    """Into how many shares a defence divides codes; 1: they stay whole."""
    divide = DEFENCES[choice.name].shares if choice else None
    return divide(choice.strength) if choice and divide else 1


def description(choice: Choice | None, code_shape: tuple[int, ...]) -> str:
    """What a defence's numbers mean for codes of a shape, in a sentence; "" where it says none."""
    say = DEFENCES[choice.name].describe if choice else None
    return say(choice.strength, code_shape) if choice and say else ""


def trains_decoders(name: str) -> bool:
    """Whether a training with this defence has an adversary."""
    return name in METHOD or (name != NONE and DEFENCES[name].adversary)
