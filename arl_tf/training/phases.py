"""The phases of a training, by the players that learn in them."""

TASK, ADVERSARY, ADVERSARIAL, DEFENCE = "task", "adversary", "adversarial", "defence"
PHASES = (TASK, ADVERSARY, ADVERSARIAL, DEFENCE)
# Those in which decoders learn.
FIGHTS = (ADVERSARY, ADVERSARIAL)
# Those in which the encoder works against somebody.
PROTECTING = (ADVERSARIAL, DEFENCE)
