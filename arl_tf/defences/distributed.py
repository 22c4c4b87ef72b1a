"""Servers that do not collude: each gets a share of the code."""

from arl_tf.defences.definition import Defence, Number

# Where ours differs: PrivDFS (version 2) learns binary masks that may overlap a little,
# one for each server, and its fusion module on the client, a small network, combines the servers'
# predictions. Here every channel is in one share, fixed before the training, which decides what the
# channels hold; the servers' networks differ in their first layer alone; and the fusion is the mean
# of the logits. Version 1's adversarial training against a diffusion model (PrivDFS-AT) and keys of
# single users (PrivDFS-KD) are not rebuilt.
DISTRIBUTED = Defence(
    "PrivDFS (Liu et al. 2025, arXiv 2508.04346)",
    Number(
        "Number of servers; each gets a share of the channels.",
        4.0,
        2.0,
        64.0,
        (2.0, 8.0),
        whole=True,
    ),
    shares=int,
)
