"""The kinds of task by name."""

from arl_tf.data.task_kinds import MULTI_LABEL, REGRESSION, SINGLE_LABEL
from arl_tf.metrics.tasks.definition import Task
from arl_tf.metrics.tasks.multi_label import MultiLabel
from arl_tf.metrics.tasks.regression import Regression
from arl_tf.metrics.tasks.single_label import SingleLabel

TASKS: dict[str, Task] = {
    MULTI_LABEL: MultiLabel(),
    SINGLE_LABEL: SingleLabel(),
    REGRESSION: Regression(),
}


def task_of(kind: str) -> Task:
    """The task of a kind; ValueError for an unknown one."""
    if kind not in TASKS:
        raise ValueError(f"A task is one of {', '.join(TASKS)}; got {kind!r}.")
    return TASKS[kind]
