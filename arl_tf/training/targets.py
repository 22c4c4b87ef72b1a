"""What the task learns: labels as its kind scales them, with what teachers say of the images."""

import pathlib

import numpy as np

from arl_tf.data.image_sets import ImageSet
from arl_tf.data.splits import Splits
from arl_tf.metrics.tasks.definition import Scale
from arl_tf.metrics.tasks.registry import task_of
from arl_tf.training import distillation
from arl_tf.training.settings import TrainingFiles, TrainingSettings


def scale_of(images: ImageSet, splits: Splits) -> Scale:
    """How labels are scaled before they are learned, by those of X1's training part."""
    return task_of(images.task_kind).scale(images.attributes[splits.private_train])


def targets_for(
    settings: TrainingSettings, files: TrainingFiles, images: ImageSet, splits: Splits
) -> np.ndarray:
    """What the task learns, [N, A]: the labels, with the teachers' answers where there are any."""
    labels = images.attributes
    if settings.teachers:
        labels = distillation.distilled_targets(
            [pathlib.Path(teacher) for teacher in settings.teachers],
            settings.distil_weight,
            images,
            splits.private_train,
            files.cache,
        )
    return scale_of(images, splits).learned(labels)
