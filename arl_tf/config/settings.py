"""Every hyper-parameter of arl_tf, once: default, range, help. Flags are derived from it.

Only `main.py` hands the global FLAGS to `define_flags` and `given_flags`; everything else takes a
`Config`.
"""

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from absl import flags

from arl_tf.config.checks import ALONE, check_combinations, check_value
from arl_tf.config.checks import RESERVED_FACES_SEED as RESERVED_FACES_SEED
from arl_tf.config.checks import TFDS_PREFIX as TFDS_PREFIX
from arl_tf.config.checks import comma_separated as comma_separated
from arl_tf.config.defences import DEFENCES
from arl_tf.config.path_values import clean_path
from arl_tf.config.scopes import Scope, marked, unprotected_values

Values = TypeVar("Values")

# A setting belongs to the first stage whose result it changes. A finished stage remembers the
# settings of its own group and of the groups before it; "run" settings change no result.
STAGE_GROUPS = {
    "train": ("data", "model", "train"),
    "audit": ("data", "model", "train", "audit"),
    "export": ("data", "model", "train", "export"),
    "attackers": ("data", "model", "train", "audit"),
    "sweep": ("data", "model", "train", "audit", "sweep"),
    "study": ("data", "model", "train", "audit", "sweep"),
    "doctor": (),
    "encode": (),
}
STAGES = tuple(STAGE_GROUPS)
ENCODERS = ("small", "resnet18", "resnet50", "mobilenet_v3_small", "efficientnet_lite0")
# Recorded codes need no private part but to fit a task head; the attackers get more instead.
FOR_RECORDED_CODES = {"private_fraction": 0.25, "public_fraction": 0.5}
CUTS = ("early", "middle", "late", "pooled")
ENCODED_FORMATS = ("tfrecord", "npz")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
TFLITE_PRECISIONS = ("float32", "float16", "int8")
AUDIT_LEVELS = ("quick", "standard", "full")
STUDIES = ("features", "tasks", "data", "adversary", "defence")
OBJECTIVES = ("negative", "hinge", "toward_mean", "toward_task")
PERCEPTUAL_NETWORKS = ("efficientnet_lite0", "vgg16", "vgg19", "resnet50")


def option(
    default: Any,
    help_text: str,
    *,
    group: str,
    low: float | None = None,
    high: float | None = None,
    choices: Sequence[str] | None = None,
    path: bool = False,
    paths: bool = False,
    topic: str | None = None,
    **scope: Any,
) -> Any:
    """A dataclass field that carries a setting's default, range or choices, help, group and scope.

    Args:
        default: also the flag's default; its type is the setting's.
        help_text: of the flag.
        group: the stage whose result the setting changes, or "run".
        low: least value.
        high: greatest value.
        choices: all values, where there are few.
        path: whether it names a file or folder.
        paths: whether it names several, comma-separated.
        topic: the part of --helpfull where it stands, if not that of its group.
        **scope: marks of `scopes.Scope`, which say what else the setting decides.
    """
    metadata = {"help": help_text, "group": group, "low": low, "high": high, "choices": choices}
    shown = {"path": path or paths, "several": paths, "topic": topic or group}
    return dataclasses.field(default=default, metadata=metadata | shown | {"scope": Scope(**scope)})


@dataclasses.dataclass(frozen=True)
class Config:
    """All settings of one run; impossible ones raise ValueError when it is built.

    Symbols in the help texts are those of the method (arXiv 1911.10143): X1 private, X2 public, T
    test.
    """

    # The run.
    workdir: str = option(
        "runs/default", "Run directory: everything the run writes.", group="run", path=True
    )
    stages: str = option(
        "train,audit,export",
        "Stages to run, comma-separated: train, audit, export; attackers, for the demo page of"
        " serving.local_server; or one of these alone: sweep (many operating points, see --sweep),"
        " study (see --study), doctor (checks packages, machine and data, and says what to mend),"
        " encode (many photos into codes, see --encode_from).",
        group="run",
    )
    overwrite: bool = option(
        False, "Redo stages that are finished; what they wrote before is replaced.", group="run"
    )
    dry_run: bool = option(
        False,
        "Print what the command would do (settings, data, networks, time and memory) and end."
        " Nothing is trained or written.",
        group="run",
    )
    cache_dir: str = option(
        "",
        "Where prepared images are kept; empty: inside --workdir. Share one to decode once.",
        group="run",
        path=True,
    )
    threads: int = option(
        0,
        "Threads of one operation; 0: all cores. Two runs side by side want half each.",
        group="run",
        low=0,
    )
    seed: int = option(
        0,
        "Seed of splits, initial weights, data order and attackers.",
        group="data",
        topic="run",
        low=0,
        high=2**31 - 1,
        attack_identity=True,
    )

    # Data.
    dataset: str = option(
        "faces",
        "Data: 'faces' (procedural, embedded), 'celeba' (a folder in CelebA's file layout, see"
        " --data_dir) or 'tfds:NAME' (a TensorFlow Datasets builder with an attribute dictionary,"
        " such as tfds:celeb_a).",
        group="data",
        attack_identity=True,
        shared="model",
    )
    data_dir: str = option(
        "",
        "Folder of the data: CelebA layout, or tfds' data_dir.",
        group="data",
        path=True,
        compared=False,
    )
    tfds_download: bool = option(
        False,
        "Let tensorflow-datasets download the data set. Nothing is downloaded otherwise.",
        group="run",
        topic="data",
    )
    image_size: int = option(
        64,
        "Side of the square images the networks see, pixels; a multiple of 32.",
        group="data",
        low=32,
        high=512,
        shared="model",
    )
    num_faces: int = option(
        6000, "Procedural images to draw (--dataset=faces).", group="data", low=60
    )
    images_per_identity: int = option(
        4, "Procedural images of each identity (--dataset=faces).", group="data", low=1, high=1000
    )
    private_fraction: float = option(
        0.6, "Share of images in X1 (private: encoder and task).", group="data", low=0.01, high=0.98
    )
    public_fraction: float = option(
        0.25,
        "Share of images in X2 (public: adversary and attackers). The rest is T, the test set.",
        group="data",
        low=0.01,
        high=0.98,
        shared="audit",
    )
    private_images: int = option(
        0, "Images in X1 as a number; 0: --private_fraction.", group="data", low=0
    )
    public_images: int = option(
        0,
        "Images in X2 as a number; 0: --public_fraction.",
        group="data",
        low=0,
        shared="audit",
    )
    private_share: float = option(
        1.0,
        "Share of the people in X1's training part whose images the encoder and the task head learn"
        " from. The other images of that part are not used. The validation parts and T do not"
        " change.",
        group="data",
        low=0.001,
        high=1,
    )
    public_share: float = option(
        1.0,
        "Share of the people in X2's training part whose images the adversary and the attackers"
        " learn from. The validation parts and T do not change.",
        group="data",
        low=0.001,
        high=1,
        shared="audit",
    )
    public_overlap: float = option(
        0.0,
        "Share of X2's training part that is replaced by images of people of X1's training part. It"
        " shows what an adversary gains who knows some of the private people.",
        group="data",
        low=0,
        high=1,
        shared="audit",
    )
    public_dataset: str = option(
        "",
        "Another data set (as --dataset) that replaces X2's training part, with at most as many"
        " images. The test images do not change. Empty: X2 is of --dataset.",
        group="data",
        shared="audit",
    )
    public_data_dir: str = option(
        "",
        "Folder of --public_dataset (as --data_dir).",
        group="data",
        path=True,
        compared=False,
    )
    validation_fraction: float = option(
        0.1,
        "Share of X1's and of X2's images set aside (by identity) for validation and early"
        " stopping.",
        group="data",
        low=0.02,
        high=0.5,
    )
    task_attributes: str = option(
        "",
        "Attributes that the task head reads, comma-separated; empty: all. With a minus before each"
        " name, such as -Male,-Young: all but these. The audit tries to read the attributes outside"
        " the task from the code: at once (probes), and from few labelled codes (later tasks).",
        group="data",
        attack_identity=True,
        shared="model",
    )
    max_bad_images: float = option(
        0.01,
        "Share of unreadable or missing images that are skipped; more is an error.",
        group="data",
        low=0,
        high=1,
    )

    # Models.
    encoder: str = option(
        "small",
        "Backbone that encoder and task head are cut from.",
        group="model",
        choices=ENCODERS,
        shared="model",
    )
    weights: str = option(
        "",
        "Weights that the backbone starts from: imagenet, or a file; empty: random. Those of"
        " efficientnet_lite0 come with the requirements; Keras downloads those of resnet50 and"
        " mobilenet_v3_small. A file is a PyTorch state dict of EfficientNet-Lite0, or Keras' own"
        " weight file without top.",
        group="model",
        path=True,
        shared="model",
    )
    head_width: int = option(
        512,
        "Units of each hidden layer of the task head (--head_depth).",
        group="model",
        low=1,
        high=65536,
        shared="model",
    )
    head_depth: int = option(
        0,
        "Hidden layers of the task head behind the backbone. They run where the code arrives and"
        " cost the device nothing; 0: a linear classifier.",
        group="model",
        low=0,
        high=16,
        shared="model",
    )
    cut: str = option(
        "middle",
        "Where the backbone is cut into encoder and task head. The code's side is 1/4 of the"
        " image's (early), 1/8 (middle) or 1/16 (late); pooled gives a vector.",
        group="model",
        choices=CUTS,
        shared="model",
    )
    code_channels: int = option(
        32,
        "Channels of the code, by a 1x1 bottleneck; 0: the backbone's own.",
        group="model",
        low=0,
        high=4096,
        shared="model",
    )
    code_levels: int = option(
        0,
        "Round every value of the code to one of so many levels; 2 keeps its sign; 0: not rounded."
        " A value then carries at most log2 of that number of bits.",
        group="model",
        low=0,
        high=256,
        defence=True,
        unprotected=0,
    )
    code_noise: float = option(
        0.0,
        "Standard deviation of the Gaussian noise that the encoder adds to a code of variance 1;"
        " 0: none. The noise is drawn anew for every code, in training and in use.",
        group="model",
        low=0,
        high=100,
        defence=True,
        unprotected=0.0,
    )
    decoder_width: int = option(
        32,
        "Width of the training adversary's decoder: half the channels on its largest grid.",
        group="model",
        low=4,
        high=1024,
        defence=True,
    )
    decoder_depth: int = option(
        1,
        "Residual blocks of the training adversary's decoder per resolution.",
        group="model",
        low=0,
        high=8,
        defence=True,
    )
    perceptual: str = option(
        "efficientnet_lite0",
        "Perceptual network g. efficientnet_lite0 comes with the requirements; the others are"
        " keras.applications with ImageNet weights, which Keras downloads.",
        group="model",
        choices=PERCEPTUAL_NETWORKS,
        attack_identity=True,
        shared="audit",
    )
    perceptual_layers: str = option(
        "",
        "Layers of g, comma-separated; empty: its default layers.",
        group="model",
        attack_identity=True,
        shared="audit",
    )

    # Training.
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
        "Attributes that a defence hides, comma-separated (--defence=contrastive): known in the"
        " data, and none of the task's. Name the task's with --task_attributes.",
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
        "Price of a bit of the code, in nats of the task loss. The encoder then learns how much"
        " noise each position and channel has (needs --code_noise); 0: the same noise everywhere.",
        group="train",
        low=0,
        defence=True,
        ingredient=True,
    )
    warm_start: str = option(
        "",
        "Run directory of a trained encoder of the same shape. Training begins with its encoder and"
        " task head; empty: random weights.",
        group="train",
        path=True,
        defence=True,
    )
    lambda_rate_epochs: int = option(
        0,
        "Epochs in which the price of a bit rises from 0 to --lambda_rate, from the first epoch in"
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
        "Adversary steps (each on fresh public images) per encoder step.",
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
    shift_pixels: int = option(
        0,
        "Move each private image of a training step by up to so many pixels in each direction; 0:"
        " not. Images are mirrored at random in any case.",
        group="train",
        low=0,
        high=31,
    )
    steps_per_epoch: int = option(
        0, "Encoder steps per epoch; 0: one pass over X1.", group="train", low=0
    )
    warmup_epochs: int = option(
        14, "Epochs for the task alone, before the adversary joins.", group="train", low=0
    )
    decoder_warmup_epochs: int = option(
        2,
        "Epochs in which only the adversary learns, on the warm encoder.",
        group="train",
        low=0,
        defence=True,
    )
    epochs: int = option(
        6,
        "Adversarial epochs (--defence=none trains none of them).",
        group="train",
        low=0,
        defence=True,
    )
    warmup_learning_rate: float = option(
        2e-3,
        "Peak rate of encoder and task head in warm-up (cosine decay).",
        group="train",
        low=1e-8,
        high=1,
    )
    encoder_learning_rate: float = option(
        3e-4,
        "Rate of encoder and task head against the adversary.",
        group="train",
        low=1e-8,
        high=1,
        defence=True,
    )
    decoder_learning_rate: float = option(
        2e-3,
        "Rate of the adversary.",
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

    # Audit.
    audit_split: str = option(
        "test",
        "What the audit measures on: test (T), or validation (parts of X1 and X2; choose settings"
        " there, not on T).",
        group="run",
        topic="audit",
        choices=("test", "validation"),
        attack_identity=True,
    )
    audit: str = option(
        "standard",
        "Which attackers attack the codes: quick (minutes; about 200 test images, and decoders"
        " train a sixth of --attacker_steps), standard, or full (hours).",
        group="audit",
        choices=AUDIT_LEVELS,
        shared="audit",
    )
    attackers: str = option(
        "",
        "Names of the attackers to run instead of those of --audit, comma-separated. The report"
        " says which ones were left out.",
        group="audit",
        one_audit=True,
    )
    audit_seeds: int = option(
        1,
        "How many seeds each trained attacker is run with. The one with the best held-out loss"
        " counts; the report gives the spread.",
        group="audit",
        low=1,
        high=100,
        shared="audit",
    )
    reference: str = option(
        "",
        "Run directory of an audited unprotected encoder. The report needs it to compute the"
        " leakage. 'auto' trains and audits one with the same settings and --defence=none, and"
        " keeps it in --cache_dir.",
        group="audit",
        path=True,
        subject=True,
    )
    codes: str = option(
        "",
        "Audit recorded codes instead of a run's encoder: an .npz file with codes, images, and"
        " optionally labels, names, identities, logits (docs/audit_your_encoder.md).",
        group="audit",
        path=True,
        subject=True,
    )
    encoder_saved_model: str = option(
        "",
        "Audit the encoder of this SavedModel (image uint8 -> code) instead of a run's.",
        group="audit",
        path=True,
        subject=True,
    )
    encoder_tflite: str = option(
        "",
        "Audit the encoder of this .tflite file (image float32 [1, S, S, 3] -> code) instead of a"
        " run's. White-box attackers need its float form beside it: --encoder_saved_model.",
        group="audit",
        path=True,
        subject=True,
    )
    task_head_saved_model: str = option(
        "",
        "The task head that belongs to --encoder_saved_model or --encoder_tflite (code -> logits);"
        " without it the audit fits one on X1.",
        group="audit",
        path=True,
        subject=True,
        attack_identity=True,
    )
    channel_clip: float = option(
        0.0,
        "Audit the code as a deployment sends it: with values limited to this range around 0; 0:"
        " not limited.",
        group="audit",
        low=0,
        unprotected=0.0,
        subject=True,
        one_audit=True,
    )
    channel_levels: int = option(
        0,
        "Audit the code as a deployment sends it: with values rounded to so many levels within"
        " --channel_clip; 0: not rounded.",
        group="audit",
        low=0,
        high=65536,
        unprotected=0,
        subject=True,
        one_audit=True,
    )
    channel_noise: float = option(
        0.0,
        "Audit the code as a deployment sends it: with Gaussian noise of this standard deviation,"
        " drawn anew for every code; 0: none.",
        group="audit",
        low=0,
        unprotected=0.0,
        subject=True,
        one_audit=True,
    )
    codes_per_photo: int = option(
        1,
        "How many codes of each photo the attackers get. They average the codes, which removes part"
        " of the noise of --code_noise or --channel_noise. This report has a folder of its own,"
        " beside that of single codes.",
        group="run",
        topic="audit",
        low=1,
        high=4096,
        subject=True,
    )
    attacker_queries: int = option(
        8,
        "How often attackers without the inside of a noisy encoder ask it for the code of each"
        " public image. From the answers they estimate mean codes and the noise of every value; 1:"
        " they learn nothing of the noise.",
        group="audit",
        low=1,
        high=1024,
        attack_identity=True,
    )
    attacker_dataset: str = option(
        "",
        "Another data set (as --dataset) for attackers that have public images of another source"
        " alone, or beside X2; empty: these attackers are not tested.",
        group="audit",
        attack_identity=True,
        shared="audit",
    )
    attacker_data_dir: str = option(
        "",
        "Folder of --attacker_dataset (as --data_dir).",
        group="audit",
        path=True,
        attack_identity=True,
    )
    report_originals: bool = option(
        False,
        "Embed original test photos in report.html. Drawn faces are embedded in any case.",
        group="run",
        topic="audit",
    )
    attacker_width: int = option(
        64,
        "Channels of the audit's fresh decoder (see --decoder_width).",
        group="audit",
        low=4,
        attack_identity=True,
        shared="audit",
    )
    attacker_depth: int = option(
        2,
        "Residual blocks of the audit's decoder per resolution.",
        group="audit",
        low=0,
        high=8,
        attack_identity=True,
        shared="audit",
    )
    attacker_steps: int = option(
        1500,
        "Most training steps of the audit's decoders. A decoder stops earlier when further steps"
        " gain less than 1 %.",
        group="audit",
        low=1,
        attack_identity=True,
        shared="audit",
    )
    attacker_batch_size: int = option(
        32,
        "Public images in an attacker's step.",
        group="audit",
        low=1,
        attack_identity=True,
        shared="audit",
    )
    attacker_learning_rate: float = option(
        2e-3,
        "Learning rate of the attackers' decoders. It is constant until further steps gain less"
        " than 1 % or run out, and then falls by a cosine.",
        group="audit",
        low=1e-8,
        high=1,
        attack_identity=True,
        shared="audit",
    )
    protected_attributes: str = option(
        "",
        "Attributes outside the task that a code must not tell beyond the task output,"
        " comma-separated. The report says for each whether it does, and --require takes the"
        " largest gain in MCC: protected_gain<=0.05. Later tasks are the other way round: what a"
        " code tells of them is what it is for.",
        group="audit",
        defence=True,
    )
    bootstrap_samples: int = option(
        1000,
        "Bootstrap resamples (of identities) behind each 95 % interval.",
        group="audit",
        low=100,
    )

    # Export.
    require: str = option(
        "",
        "What the audit must have found for the encoder to be exported, comma-separated, such as"
        " 'face_similarity<=0.25,leakage.reid_rank1<=0.1,mean_mcc>=0.95*reference'. The cautious"
        " end of a figure's 95 % interval counts where it has one: the high end for <=, the low"
        " end for >=; the reference's figure counts by its value.",
        group="export",
    )
    allow_unaudited: bool = option(
        False,
        "Export even without an audit of T, or with one that does not meet --require. The manifest"
        " says so.",
        group="run",
        topic="export",
    )
    tflite_precisions: str = option(
        "float32,float16,int8",
        "TFLite files to export, comma-separated: float32, float16, int8; empty: none. If a file"
        " does not agree with the Keras encoder, nothing is exported.",
        group="export",
    )
    calibration_images: int = option(
        256,
        "Public images (of X2) from which the int8 file learns the ranges of its tensors.",
        group="export",
        low=16,
        high=10_000,
    )
    # Sweep and studies.
    sweep: str = option(
        "",
        "What --stages=sweep varies: settings of model and training, each with its values, such as"
        " 'lambda_pixel=0.5|1.5|5;code_noise=0|1|2' (every combination is tried). With"
        " --sweep_trials also ranges, 'lambda_pixel=0.1..10', logarithmic where they begin above"
        " 0. Finished points are never redone; --overwrite tries failed ones again.",
        group="sweep",
    )
    sweep_trials: int = option(
        0,
        "How many points a sampler chooses within --sweep; it looks for more mean MCC and less"
        " leakage; 0: every combination.",
        group="sweep",
        low=0,
        compared=False,
    )
    point_epochs: int = option(
        2,
        "Task epochs of each point, instead of --warmup_epochs. A point starts from an encoder that"
        " all points of its shape share, and that was trained for --warmup_epochs.",
        group="sweep",
        low=0,
    )
    target: str = option(
        "",
        "After --stages=sweep, choose by these conditions, such as 'face_similarity<=0.25' (with"
        " the most mean MCC) or 'mean_mcc>=0.95*reference' (with the least leakage): judged on"
        " validation data by the cautious end of the 95 % interval. The chosen point is audited"
        " on T once and exported.",
        group="run",
        topic="sweep",
    )
    study: str = option(
        "",
        "What --stages=study varies: features (cut and channels), tasks (attributes), data (X1,"
        " X2), adversary (its strength in training and in the audit) or defence (one ingredient"
        " more at a time).",
        group="sweep",
        choices=("", *STUDIES),
    )

    # Encoding of many photos.
    encode_from: str = option(
        "",
        "Photos that --stages=encode turns into codes: a folder, tfds:NAME, or TFRecord files,"
        " comma-separated.",
        group="run",
        topic="encode",
        path=True,
    )
    encode_to: str = option(
        "",
        "Folder of the codes of --stages=encode. A command that was stopped goes on in it.",
        group="run",
        topic="encode",
        path=True,
    )
    encode_format: str = option(
        "tfrecord",
        "Form of the codes: tfrecord (name and code of each photo), or npz (for --codes). An npz"
        " file holds the prepared photos, too: an audit needs them.",
        group="run",
        topic="encode",
        choices=ENCODED_FORMATS,
    )
    encode_processes: int = option(
        1,
        "Processes that encode side by side on this machine; 0: one for each core.",
        group="run",
        topic="encode",
        low=0,
        high=1024,
    )
    noise_key: str = option(
        "",
        "File of a secret of 32 bytes that decides the encoder's noise: a photo that is encoded"
        " twice then has one code; empty: the noise is drawn anew for each photo.",
        group="run",
        topic="encode",
        path=True,
    )
    beam_options: str = option(
        "",
        "Encode on Apache Beam, with these options of Beam, such as '--runner=DirectRunner"
        " --direct_num_workers=4 --direct_running_mode=multi_processing'; empty: without Beam.",
        group="run",
        topic="encode",
    )

    def __post_init__(self) -> None:
        """Raises ValueError for the first setting, or pair of settings, that is impossible."""
        for field in dataclasses.fields(self):
            check_value(field, getattr(self, field.name))
        for name in path_names():
            object.__setattr__(self, name, cleaned(name, getattr(self, name)))
        check_combinations(self, STAGES, TFLITE_PRECISIONS)

    @property
    def stage_names(self) -> tuple[str, ...]:
        """The stages asked for, in the order they run."""
        asked = comma_separated(self.stages)
        return tuple(name for name in STAGES if name in asked)

    @property
    def audit_name(self) -> str:
        """What tells an audit from others of the same encoder: see `audit_name`."""
        return audit_name(self.audit_split, self.codes_per_photo)

    @property
    def attacker_names(self) -> tuple[str, ...]:
        """The attackers asked for by name; empty: those of the level."""
        return comma_separated(self.attackers)

    @property
    def private_names(self) -> tuple[str, ...]:
        """The attributes of --private_attributes."""
        return comma_separated(self.private_attributes)

    @property
    def protected_names(self) -> tuple[str, ...]:
        """The attributes of --protected_attributes."""
        return comma_separated(self.protected_attributes)

    @property
    def teachers(self) -> tuple[str, ...]:
        """The run directories of --distil_from."""
        return comma_separated(self.distil_from)

    @property
    def is_external(self) -> bool:
        """Whether the audit is of an encoder that arl_tf did not train."""
        return bool(self.codes or self.encoder_saved_model or self.encoder_tflite)

    @property
    def is_unprotected(self) -> bool:
        """Whether nothing at all protects the code: what leakage is measured against."""
        return all(
            getattr(self, name) == value
            for name, value in unprotected_values(self, groups=("model", "train")).items()
        )

    @property
    def perceptual_layer_names(self) -> tuple[str, ...] | None:
        """Layers of g, or None for the network's default layers."""
        return comma_separated(self.perceptual_layers) or None

    @property
    def privacy_weights(self) -> tuple[float, float]:
        """(lambda_pixel, lambda_perceptual) as --defence leaves them: an inactive term weighs 0."""
        pixel = self.lambda_pixel if self.defence in ("pixel", "both") else 0.0
        perceptual = self.lambda_perceptual if self.defence in ("perceptual", "both") else 0.0
        return pixel, perceptual

    def stage_settings(self, stage: str) -> dict[str, Any]:
        """The settings that decide what `stage`, one of STAGES, produces."""
        groups, uncompared = STAGE_GROUPS[stage], marked(self, "compared", value=False)
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.metadata["group"] in groups and field.name not in uncompared
        }


def audit_name(audit_split: str, codes_per_photo: int) -> str:
    """What tells an audit from others of the same encoder: "test", "validation", "16_codes"."""
    if codes_per_photo == 1:
        return audit_split
    codes = f"{codes_per_photo}_codes"
    return codes if audit_split == "test" else f"{audit_split}_{codes}"


def flag_help(field: dataclasses.Field) -> str:
    """A flag's help text with its range and choices appended."""
    low, high, choices = (field.metadata[key] for key in ("low", "high", "choices"))
    text = field.metadata["help"]
    bounds = [f"{sign} {bound}" for sign, bound in ((">=", low), ("<=", high)) if bound is not None]
    if bounds:
        text += f" Range: {' and '.join(bounds)}."
    if choices:
        text += f" One of: {', '.join(choices)}."
    return text


def define_flags(flag_values: flags.FlagValues) -> None:
    """Defines one absl flag for every field of Config, with its default, range and choices as help.

    Ranges and choices are checked by Config, whose messages say more than absl's; `usage` shows the
    help.
    """
    makers: dict[type, Callable[..., Any]] = {
        bool: flags.DEFINE_boolean,
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        str: flags.DEFINE_string,
    }
    for field in dataclasses.fields(Config):
        makers[type(field.default)](
            field.name,
            field.default,
            flag_help(field),
            flag_values=flag_values,
            module_name=f"arl_tf, settings of {field.metadata['group']}",
        )
        # absl calls the main module by the program's path.
        flag_values.register_key_flag_for_module(sys.argv[0], flag_values[field.name])


def path_names() -> tuple[str, ...]:
    """The settings that name files and folders."""
    return tuple(field.name for field in dataclasses.fields(Config) if field.metadata["path"])


def given_flags(flag_values: flags.FlagValues) -> dict[str, Any]:
    """The settings that the command line or a flagfile named, with their values.

    Raises:
        ValueError: a path can't be what was meant.
    """
    names = (field.name for field in dataclasses.fields(Config))
    given: dict[str, Any] = {
        name: flag_values[name].value for name in names if flag_values[name].present
    }
    return given | {name: cleaned(name, given[name]) for name in path_names() if name in given}


def cleaned(name: str, value: str) -> str:
    """A setting's path, or each of its comma-separated paths, as `clean_path` gives it."""
    if not Config.__dataclass_fields__[name].metadata["several"]:
        return clean_path(name, value)
    return ",".join(clean_path(name, path) for path in comma_separated(value))


def check_given(given: Mapping[str, Any]) -> None:
    """Raises ValueError where the command line says what to vary, but no stage would vary it."""
    stages = given.get("stages", Config.stages)
    for name in ALONE:
        if given.get(name) and name not in comma_separated(stages):
            raise ValueError(
                f"--{name}={given[name]} needs --stages={name}, got --stages={stages}."
            )


def from_mapping(values: Mapping[str, Any]) -> Config:
    """A Config from a mapping such as a run's config.json; unknown keys raise ValueError."""
    known = {field.name for field in dataclasses.fields(Config)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ValueError(
            f"Unknown settings {', '.join(unknown)}: written by another version of arl_tf?"
            " Use that version, or another --workdir."
        )
    return Config(**values)


def subset(config: Config, kind: Callable[..., Values], **others: Any) -> Values:
    """The values that a part of arl_tf takes: a dataclass whose fields are settings by name.

    Args:
        config: all settings.
        kind: the dataclass.
        **others: its fields that are no settings.
    """
    fields = dataclasses.fields(kind)  # type: ignore[arg-type]
    names = [field.name for field in fields if field.name not in others]
    return kind(**{name: getattr(config, name) for name in names}, **others)


def as_dict(config: Config) -> dict[str, Any]:
    """All settings, in order of definition."""
    return dataclasses.asdict(config)


def inheritable_names() -> list[str]:
    """Settings that a later command on the same run directory takes over: all but group "run"."""
    return [field.name for field in dataclasses.fields(Config) if field.metadata["group"] != "run"]


def inherited(
    recorded: Mapping[str, Any], finished: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """What a command takes over from earlier ones on the same run directory.

    What one audit was of is not another's: the attackers chosen for a look at validation must not
    weaken the audit of T in silence.

    Args:
        recorded: settings of the directory's latest command.
        finished: stage -> the settings it was run with.
        given: settings that the command line names.
    """
    names = inheritable_names()
    found = {name: recorded[name] for name in names if name in recorded}
    own, latest = (
        audit_name(
            values.get("audit_split", Config.audit_split),
            values.get("codes_per_photo", Config.codes_per_photo),
        )
        for values in (given, recorded)
    )
    of_own = finished.get(f"audit_{own}")
    if of_own is not None:
        audit = [f.name for f in dataclasses.fields(Config) if f.metadata["group"] == "audit"]
        return found | {name: of_own[name] for name in audit if name in of_own}
    if own != latest and "audit" in recorded.get("stages", ""):
        return without(found, marked(Config, "one_audit"))
    return found


def without(settings: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The settings but for some of them."""
    return {name: value for name, value in settings.items() if name not in names}
