"""What the labels of a data set are: the kinds of task that a head can learn."""

from arl_tf.config.choices import TASK_KINDS

# Labels are, in this order: uint8 [N, K], each 0 or 1; uint8 [N, K], one-hot, with the classes,
# sorted, as names; float32 [N, K], K targets by name.
MULTI_LABEL, SINGLE_LABEL, REGRESSION = TASK_KINDS
