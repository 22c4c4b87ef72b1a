"""The learner, its training, callbacks and checkpoints."""
