"""The phases of a training, by the players that learn in them, and the losses of each."""

TASK, ADVERSARY, ADVERSARIAL, DEFENCE = "task", "adversary", "adversarial", "defence"
PHASES = (TASK, ADVERSARY, ADVERSARIAL, DEFENCE)
# Those in which decoders learn.
FIGHTS = (ADVERSARY, ADVERSARIAL)
# Those in which the encoder works against somebody.
PROTECTING = (ADVERSARIAL, DEFENCE)

PROTECTOR_LOSSES = ("loss", "task_loss", "privacy_loss", "rate_bits")
ADVERSARY_LOSSES = ("reconstruction_loss", "pixel_loss", "perceptual_loss")
LOSSES = PROTECTOR_LOSSES + ADVERSARY_LOSSES
# Those that a phase logs.
LOGGED = {
    TASK: PROTECTOR_LOSSES,
    ADVERSARY: ("loss", *ADVERSARY_LOSSES),
    ADVERSARIAL: LOSSES,
    DEFENCE: PROTECTOR_LOSSES,
}
