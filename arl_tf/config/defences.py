"""Names of defences. What they do stands in `defences/registry.py`; a test holds both equal."""

NONE = "none"
# Those of the method, which work against reconstruction losses.
METHOD = ("pixel", "perceptual", "both")
# Those whose training has decoders. These are lists: `arl_tf.register_defence` adds to them.
WITH_DECODERS = [*METHOD, "ssim_hinge", "target_image", "pruning"]
DEFENCES = [
    NONE,
    *METHOD,
    "noise",
    "laplace",
    "dropout",
    "shredder",
    "bottleneck",
    "nopeek",
    "ssim_hinge",
    "entropy",
    "target_image",
    "contrastive",
    "pruning",
    "fisher",
    "decomposition",
    "distributed",
    "linear_adversary",
]
