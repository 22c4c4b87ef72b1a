"""What the labels of a data set are: the kinds of task that a head can learn."""

MULTI_LABEL = "multi_label"  # labels uint8 [N, K], each 0 or 1
SINGLE_LABEL = "single_label"  # labels uint8 [N, K], one-hot; names are the classes, sorted
REGRESSION = "regression"  # labels float32 [N, K], K targets by name

TASK_KINDS = (MULTI_LABEL, SINGLE_LABEL, REGRESSION)
