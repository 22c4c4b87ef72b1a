"""Training: the alternating steps, the defences, the task, the stop."""

import dataclasses

from arl_tf.config.choices import LABEL_WEIGHTS, OBJECTIVES, PRECISIONS, STRATEGIES
from arl_tf.config.defences import DEFENCES
from arl_tf.config.option import option


@dataclasses.dataclass(frozen=True)
class TrainingGroup:
    """Training: the alternating steps, the defences, the task, the stop."""

    defence: str = option(
        "perceptual",
        "Which reconstruction losses the encoder works against: none (no adversary), pixel"
        " (--lambda_pixel), perceptual (--lambda_perceptual) or both. Other names are published"
        " defences, see docs/defences.md.",
        group="train",
        choices=DEFENCES,
        unprotected="none",
    )
    defence_strength: float = option(
        0.0,
        "How strong a published defence is; what the number means depends on --defence, see"
        " docs/defences.md. 0: the defence's own default.",
        group="train",
        low=0,
        defence=True,
    )
    defence_bound: float = option(
        0.0,
        "The second number of a published defence that takes one, see docs/defences.md. 0: the"
        " defence's own default.",
        group="train",
        low=0,
        defence=True,
    )
    private_attributes: str = option(
        "",
        "What the training hides: attributes, comma-separated, that a defence works against:"
        " --defence=contrastive, and pruning and target_image where some are named. The data must"
        " have them, and the task must leave them out (--task_attributes). --protected_attributes"
        " names what the audit checks.",
        group="train",
        defence=True,
    )
    objective: str = option(
        "negative",
        "Form of the encoder's privacy term: negative (the paper's), hinge (the gain stops at"
        " --hinge_margin_*), toward_mean (pull the decoder's output to the public mean image) or"
        " toward_task (to what a decoder of the task output alone would show).",
        group="train",
        choices=OBJECTIVES,
        defence=True,
    )
    lambda_pixel: float = option(
        1.0,
        "Weight of the pixel privacy term (--defence=pixel or both).",
        group="train",
        low=0,
        defence=True,
    )
    lambda_perceptual: float = option(
        0.02,
        "Weight of the perceptual privacy term (--defence=perceptual or both).",
        group="train",
        low=0,
        defence=True,
    )
    hinge_margin_pixel: float = option(
        0.06,
        "Pixel loss at which the hinge stops rewarding (mean squared error).",
        group="train",
        low=0,
        high=1,
        defence=True,
    )
    hinge_margin_perceptual: float = option(
        1.5,
        "Perceptual loss at which the hinge stops rewarding.",
        group="train",
        low=0,
        defence=True,
    )
    lambda_rate: float = option(
        0.0,
        "Price per bit of the code, in nats of the task loss. The encoder then learns how much"
        " noise each position and channel has (needs --code_noise); 0: the same noise everywhere.",
        group="train",
        low=0,
        defence=True,
        ingredient=True,
    )
    warm_start: str = option(
        "",
        "Run directory of a trained encoder of the same shape. Training begins with its encoder and"
        " task head, and loads no --weights; empty: random weights, or --weights.",
        group="train",
        path=True,
        defence=True,
    )
    lambda_rate_epochs: int = option(
        0,
        "Epochs in which the price per bit rises from 0 to --lambda_rate, from the first epoch in"
        " which the encoder learns; 0: the whole price at once.",
        group="train",
        low=0,
        defence=True,
        ingredient=True,
    )
    distil_from: str = option(
        "",
        "Run directories of trained encoders (teachers), comma-separated, of the same images and"
        " attributes. The task learns from their probabilities, too (--distil_weight); empty: from"
        " the labels alone.",
        group="train",
        paths=True,
        defence=True,
    )
    distil_weight: float = option(
        0.7,
        "Weight of the teachers' probabilities in the task's loss; the labels have the rest"
        " (--distil_from).",
        group="train",
        low=0,
        high=1,
        defence=True,
    )
    mu: float = option(
        0.1,
        "Weight of the perceptual loss in the adversary's own loss.",
        group="train",
        low=0,
        attack_identity=True,
        shared="audit",
    )
    adversary_critic_weight: float = option(
        0.0,
        "Weight gamma of L_gan in the adversary's own loss: a critic learns to tell patches of"
        " images from those of reconstructions, and the decoders learn to please it, too; 0: no"
        " critic.",
        group="train",
        low=0,
        defence=True,
        ingredient=True,
    )
    decoders: int = option(
        1,
        "Number of adversaries that train at once, of different widths and depths. The encoder"
        " works against the mean of their losses.",
        group="train",
        low=1,
        high=8,
        defence=True,
        ingredient=True,
    )
    decoder_steps: int = option(
        1,
        "Steps of the adversary, each on new public images, for each step of the encoder.",
        group="train",
        low=1,
        high=100,
        defence=True,
        ingredient=True,
    )
    decoder_restart_epochs: int = option(
        0,
        "Give an adversary new weights every so many adversarial epochs; with --decoders one"
        " adversary after the other; 0: never.",
        group="train",
        low=0,
        defence=True,
        ingredient=True,
    )
    batch_size: int = option(
        64, "Images of X1, and of X2, in one step.", group="train", low=2, high=65536
    )
    label_weights: str = option(
        "none",
        "How labels count in the task's loss. balanced: the positives of an attribute count as much"
        " as its negatives, by weights from X1's training part, however rare it is. The logits of"
        " the saved task head are log odds all the same. Only for tasks of several attributes"
        " (multi_label).",
        group="train",
        choices=LABEL_WEIGHTS,
    )
    shift_pixels: int = option(
        0,
        "Move each private image of a training step by up to so many pixels in each direction; 0:"
        " no pixel. Images are mirrored at random in any case.",
        group="train",
        low=0,
        high=31,
    )
    augment_scale: float = option(
        0.0,
        "Cut a square out of each private image of a training step and scale it up: up to this"
        " share of the side is cut off, at random; 0: nothing.",
        group="train",
        low=0,
        high=0.5,
    )
    augment_colour: float = option(
        0.0,
        "Change the contrast of each private image of a training step by up to this share, and the"
        " light of each of its colours by up to half of it; 0: nothing.",
        group="train",
        low=0,
        high=1,
    )
    steps_per_epoch: int = option(
        0, "Encoder steps per epoch; 0: one pass over X1.", group="train", low=0
    )
    warmup_epochs: int = option(
        14, "Epochs for the task alone, before the adversary joins.", group="train", low=0
    )
    decoder_warmup_epochs: int = option(
        2,
        "Epochs in which only the adversary learns, after --warmup_epochs.",
        group="train",
        low=0,
        defence=True,
    )
    epochs: int = option(
        6,
        "Epochs in which the encoder learns against the adversary, or with a published defence;"
        " --defence=none has none of them.",
        group="train",
        low=0,
        defence=True,
    )
    warmup_learning_rate: float = option(
        2e-3,
        "Highest learning rate of encoder and task head in --warmup_epochs; it falls by a cosine.",
        group="train",
        low=1e-8,
        high=1,
    )
    encoder_learning_rate: float = option(
        3e-4,
        "Learning rate of encoder and task head in --epochs.",
        group="train",
        low=1e-8,
        high=1,
        defence=True,
    )
    decoder_learning_rate: float = option(
        2e-3,
        "Learning rate of the adversary.",
        group="train",
        low=1e-8,
        high=1,
        defence=True,
    )
    weight_decay: float = option(
        1e-2, "AdamW weight decay of encoder and task head.", group="train", low=0, high=1
    )
    weight_average: float = option(
        0.0,
        "Decay, per step, of a moving average of the weights of encoder and task head. At the end"
        " of a phase it takes the place of the weights; 0: the weights of the last step.",
        group="train",
        low=0,
        high=0.99999,
    )
    precision: str = option(
        "float32",
        "How the players compute in training. The mixed ones keep weights in float32 and need a"
        " GPU or CPU that is fast at half precision; mixed_float16 scales each player's loss. The"
        " code, the audit and the exported files are float32 in any case.",
        group="train",
        choices=PRECISIONS,
    )
    jit_compile: bool = option(
        False,
        "Let XLA compile the training step. It may be faster on a GPU, and is slower on most CPUs.",
        group="train",
    )
    strategy: str = option(
        "default",
        "Devices that share each training step: default (one), mirrored (all GPUs of this machine,"
        " or --devices), multi_worker (several machines; each runs this command with its own"
        " TF_CONFIG, and --workdir is the same folder). --batch_size is that of all devices"
        " together. tpu is not supported.",
        group="run",
        topic="train",
        choices=STRATEGIES,
    )
    devices: int = option(
        0,
        "How many devices --strategy=mirrored takes; 0: all GPUs. Without a GPU, so many logical"
        " CPUs.",
        group="run",
        topic="train",
        low=0,
        high=64,
    )
    checkpoint_epochs: int = option(
        1, "Epochs between checkpoints.", group="run", topic="train", low=1
    )
    picture_epochs: int = option(
        2, "Epochs between TensorBoard picture grids.", group="run", topic="train", low=1
    )
    deterministic: bool = option(
        False,
        "Deterministic operations: the same seed gives the same bits (slower).",
        group="train",
    )
