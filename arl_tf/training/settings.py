"""What a training works with: its settings, and where it writes."""

import dataclasses
import pathlib

from arl_tf.defences import registry
from arl_tf.defences.definition import Choice

# Of --label_weights: every label counts the same.
UNWEIGHTED = "none"


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """How the players are built and trained; settings of `Config` by name, described there.

    `privacy_weights` is (lambda_pixel, lambda_perceptual) with 0 for a term that is not used;
    `perceptual_layer_names` is None for the network's default layers. `teachers` are the
    folders that `distil_from` names.
    """

    seed: int
    encoder: str
    weights: str
    head_width: int
    head_depth: int
    head_rest: bool
    image_size: int
    cut: str
    code_channels: int
    code_noise: float
    noise_shares: str
    code_levels: int
    lambda_rate: float
    lambda_rate_epochs: int
    warm_start: str
    teachers: tuple[str, ...]
    distil_weight: float
    decoders: int
    decoder_width: int
    decoder_depth: int
    decoder_steps: int
    decoder_restart_epochs: int
    perceptual: str
    perceptual_layer_names: tuple[str, ...] | None
    defence: str
    defence_strength: float
    defence_bound: float
    private_names: tuple[str, ...]
    objective: str
    privacy_weights: tuple[float, float]
    hinge_margin_pixel: float
    hinge_margin_perceptual: float
    mu: float
    adversary_critic_weight: float
    batch_size: int
    label_weights: str
    shift_pixels: int
    augment_scale: float
    augment_colour: float
    steps_per_epoch: int
    warmup_epochs: int
    decoder_warmup_epochs: int
    epochs: int
    warmup_learning_rate: float
    encoder_learning_rate: float
    decoder_learning_rate: float
    weight_decay: float
    weight_average: float
    precision: str
    jit_compile: bool
    checkpoint_epochs: int
    picture_epochs: int

    @property
    def defence_choice(self) -> Choice | None:
        """The published defence with its numbers; None for none, and for those of the method.

        Raises:
            ValueError: an unknown one, or numbers that it does not take.
        """
        return registry.choice_of(self.defence, self.defence_strength, self.defence_bound)


@dataclasses.dataclass(frozen=True)
class TrainingFiles:
    """Where a training writes; a run directory's paths of the same names.

    Attributes:
        checkpoints: folder of the training state and of the trained players.
        logs: TensorBoard's folder.
        metrics: file of one JSON line an epoch.
        cache: folder of what can be computed again.
    """

    checkpoints: pathlib.Path
    logs: pathlib.Path
    metrics: pathlib.Path
    cache: pathlib.Path
