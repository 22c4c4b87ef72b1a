"""The values that some settings choose from, and the stages with what decides them."""

# A setting belongs to the first stage whose result it changes. A finished stage remembers the
# settings of its own group and of the groups before it; "run" settings change no result.
STAGE_GROUPS = {
    "train": ("data", "model", "train"),
    "audit": ("data", "model", "train", "audit"),
    "export": ("data", "model", "train", "export"),
    "attackers": ("data", "model", "train", "audit"),
    "sweep": ("data", "model", "train", "audit", "sweep"),
    "study": ("data", "model", "train", "audit", "sweep"),
    "bench": ("data", "model", "train", "audit", "sweep", "bench"),
    "doctor": (),
    "encode": (),
}
STAGES = tuple(STAGE_GROUPS)
ENCODERS = (
    "small",
    "resnet18",
    "resnet50",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "mobilenet_v3_large",
    "efficientnet_lite0",
)
# Recorded codes need no private part but to fit a task head; the attackers get more instead.
FOR_RECORDED_CODES = {"private_fraction": 0.25, "public_fraction": 0.5}
# How images become square, and what labels are: data/preprocessing.py and data/task_kinds.py.
FITS = ("crop", "pad")
TASK_KINDS = ("multi_label", "single_label", "regression")
CUTS = ("early", "middle", "late", "pooled")
ENCODED_FORMATS = ("tfrecord", "parquet", "npz")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
STRATEGIES = ("default", "mirrored", "multi_worker", "tpu")
TFLITE_PRECISIONS = ("float32", "float16", "int8")
AUDIT_LEVELS = ("quick", "standard", "full")
STUDIES = ("features", "tasks", "data", "adversary", "defence", "later_tasks")
NOISE_SHARES = ("value", "channel", "position")
LABEL_WEIGHTS = ("none", "balanced")
OBJECTIVES = ("negative", "hinge", "toward_mean", "toward_task")
PERCEPTUAL_NETWORKS = ("efficientnet_lite0", "vgg16", "vgg19", "resnet50")
