"""Adversarial representation learning: face codes that keep the task and resist inversion."""

from arl_tf.utils import environment

# Before any module of the package can import Keras, which reads its settings once.
environment.prepare()
