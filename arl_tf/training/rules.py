"""The rules that a learner plays by: defaults and checks of `compile`, and how a file keeps them.

A learner has each rule as an attribute with the name of `compile`'s argument.
"""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras

from arl_tf.defences.definition import Choice
from arl_tf.models import patch_critic
from arl_tf.models.losses import TOWARD_TASK, PrivacyObjective
from arl_tf.training import defending, loss_scaling
from arl_tf.training.phases import ADVERSARIAL, PHASES
from arl_tf.training.players import serialised

if TYPE_CHECKING:
    from arl_tf.training.learner import AdversarialRepresentationLearner

# Defaults of `compile`, those of the flags of the same names.
PROTECTOR_RATE, ADVERSARY_RATE, WEIGHT_DECAY, CLIP_NORM = 3e-4, 2e-3, 1e-2, 5.0
DEFAULT_PRIVACY = PrivacyObjective("negative", 0.0, 0.02)
# Plain arguments of `compile` that `save` keeps; files of older versions lack some.
PLAIN = (
    "phase",
    "mu",
    "adversary_critic_weight",
    "decoder_steps",
    "lambda_rate",
    "lambda_rate_steps",
    "weight_average",
    "private_labels",
    "jit_compile",
)


def check(
    phase: str,
    privacy: PrivacyObjective | None,
    defence: Choice | None,
    task_decoder: keras.Model | None,
) -> None:
    """Raises ValueError where a phase is unknown, or lacks what it needs."""
    if phase not in PHASES:
        raise ValueError(f"phase must be one of {', '.join(PHASES)}; got {phase!r}.")
    if phase == ADVERSARIAL and privacy is None and defence is None:
        raise ValueError("The adversarial phase needs a privacy objective, got None.")
    defending.check_phase(phase, defence)
    if privacy and privacy.form == TOWARD_TASK and task_decoder is None:
        raise ValueError("The form toward_task needs a task_decoder, got None.")


def require_compiled(learner: "AdversarialRepresentationLearner") -> None:
    """Raises ValueError, in Keras' words, where `compile` was not called yet."""
    if not getattr(learner, "compiled", False):
        raise ValueError("You must call `compile()` before calling `fit()`.")


def optimizers(
    learner: "AdversarialRepresentationLearner",
    protector: keras.optimizers.Optimizer | None,
    adversary: keras.optimizers.Optimizer | None,
) -> tuple[keras.optimizers.Optimizer, keras.optimizers.Optimizer]:
    """Both sides' optimizers, built, each with a loss scale of its own where float16 needs one.

    Args:
        learner: holds the players.
        protector: of encoder and task head; None: AdamW.
        adversary: of the decoders; None: Adam.
    """
    protector = protector or keras.optimizers.AdamW(
        PROTECTOR_RATE, weight_decay=WEIGHT_DECAY, global_clipnorm=CLIP_NORM
    )
    adversary = adversary or keras.optimizers.Adam(ADVERSARY_RATE, global_clipnorm=CLIP_NORM)
    # Either player's gradients pass all networks, whichever of them compute in float16.
    everyone = [learner.encoder, learner.task_head, *learner.decoders]
    protector = loss_scaling.scaled(protector, everyone)
    adversary = loss_scaling.scaled(adversary, everyone)
    # Built here, or loading a checkpoint would silently skip their state.
    protector.build(learner.protector_variables)
    adversary.build(learner.adversary_variables)
    return protector, adversary


def critic_of(
    learner: "AdversarialRepresentationLearner", weight: float
) -> patch_critic.AdversaryCritic | None:
    """The critic of a phase with a fresh optimizer, a new one where the learner has none yet.

    None for a weight of 0: no weights are drawn, so that a training without it stays the same.
    """
    if not weight:
        return None
    critic = learner.critic or patch_critic.AdversaryCritic(learner.encoder.input_shape[1])
    critic.begin()
    return critic


def config_of(learner: "AdversarialRepresentationLearner") -> dict[str, Any]:
    """Arguments of a learner's `compile`, as `save` keeps them."""
    return {
        "protector_optimizer": serialised(learner.protector_optimizer),
        "adversary_optimizer": serialised(learner.adversary_optimizer),
        "loss": serialised(learner.task_loss_name),
        "privacy": learner.privacy and dataclasses.asdict(learner.privacy),
        "defence": learner.defence and dataclasses.asdict(learner.defence),
        **{name: getattr(learner, name) for name in PLAIN},
    }


def arguments_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `compile` that `config_of` described; what a file lacks keeps its default."""
    deserialise = keras.saving.deserialize_keras_object
    return {
        "protector_optimizer": deserialise(config["protector_optimizer"]),
        "adversary_optimizer": deserialise(config["adversary_optimizer"]),
        "loss": deserialise(config["loss"]),
        "privacy": config["privacy"] and PrivacyObjective(**config["privacy"]),
        "defence": Choice(**config["defence"]) if config.get("defence") else None,
        **{name: config[name] for name in PLAIN if name in config},
    }
