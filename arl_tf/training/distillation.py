"""What the task learns: labels as its kind scales them, with what teachers say of the images."""

import hashlib
import pathlib
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from arl_tf.data.image_sets import ImageSet, to_float
from arl_tf.data.splits import Splits, names_hash
from arl_tf.data.task_kinds import MULTI_LABEL
from arl_tf.metrics.tasks.definition import Finish, Scale, Task
from arl_tf.metrics.tasks.registry import task_of
from arl_tf.models import code_layers
from arl_tf.models.fingerprint import weights_hash
from arl_tf.training import checkpoints
from arl_tf.training.settings import UNWEIGHTED, TrainingFiles, TrainingSettings
from arl_tf.utils import files, run_files

BATCH = 128
REMEDY = "The teachers are asked again."
# Of a run directory, beside its checkpoints.
SPLITS = "splits.json"
SPLITS_REMEDY = "Put back an intact copy."


def scale_of(images: ImageSet, splits: Splits) -> Scale:
    """How labels are scaled before they are learned, by those of X1's training part."""
    return task_of(images.task_kind).scale(images.attributes[splits.private_train])


def task_for(settings: TrainingSettings, images: ImageSet, splits: Splits) -> Task:
    """The kind of task with its loss: balanced by the labels of X1's training part, if so set.

    Raises:
        ValueError: the kind has no such loss.
    """
    task = task_of(images.task_kind)
    if settings.label_weights == UNWEIGHTED:
        return task
    return task.balanced(images.attributes[splits.private_train])


def finish_of(settings: TrainingSettings, images: ImageSet, splits: Splits) -> Finish:
    """What this training's task head gets behind it, by the labels of X1's training part."""
    return task_for(settings, images, splits).finish(images.attributes[splits.private_train])


def targets_for(
    settings: TrainingSettings, files: TrainingFiles, images: ImageSet, splits: Splits
) -> np.ndarray:
    """What the task learns, [N, A]: the labels, with the teachers' answers where there are any."""
    labels = images.attributes
    if settings.teachers:
        labels = distilled_targets(
            [pathlib.Path(teacher) for teacher in settings.teachers],
            settings.distil_weight,
            images,
            splits.private_train,
            files.cache,
        )
    return scale_of(images, splits).learned(labels)


def distilled_targets(
    folders: Sequence[pathlib.Path],
    weight: float,
    images: ImageSet,
    rows: np.ndarray,
    cache: pathlib.Path,
) -> np.ndarray:
    """Targets of the task's loss: (1 - weight) labels + weight times the teachers' answers.

    Cross-entropy is linear in its target. So the loss with this target is the mixture of the loss
    on the labels and of the loss on the probabilities (Hinton et al. 2015, at temperature 1). Of a
    regression the teachers' values count, and the student learns their mean with the labels.

    Args:
        folders: run directories of the teachers; their mean counts.
        weight: of the answers, in [0, 1].
        images: the data set.
        rows: int64 [n], those to learn from; other rows keep their labels.
        cache: folder in which every teacher's answers are kept.

    Returns:
        float32 [N, A]: probabilities, or values in the labels' units.

    Raises:
        ValueError: a folder holds no trained players, or players for other images or attributes.
    """
    told = [soft_labels(folder, images, rows, cache) for folder in folders]
    targets = images.attributes.astype(np.float32)
    targets[rows] += weight * (np.mean(told, axis=0) - targets[rows])
    return targets


def soft_labels(
    folder: pathlib.Path, images: ImageSet, rows: np.ndarray, cache: pathlib.Path
) -> np.ndarray:
    """A teacher's answers for some rows, float32 [n, A]; computed once and kept.

    Raises:
        ValueError: the folder holds no trained players, or players for other images or attributes.
    """
    path = checkpoints.player_path
    encoder, task_head = (
        checkpoints.load_player(path(folder / checkpoints.FOLDER, name))
        for name in ("encoder", "task_head")
    )
    check_teacher(folder, encoder, task_head, images)
    key = f"{weights_hash(encoder)} {weights_hash(task_head)} {images.images.shape}"
    if images.task_kind != MULTI_LABEL:
        key += images.task_kind
    # Files of the same names may come to hold other pictures.
    key += names_hash([images.names[row] for row in rows]) + rows_hash(images.images, rows)
    kept = cache / f"soft_labels_{hashlib.sha256(key.encode()).hexdigest()[:24]}.npy"
    found = read_kept(kept, (len(rows), len(images.attribute_names)))
    if found is None:
        logging.info("Asking the teacher %s about %d images", folder, len(rows))
        task = task_of(images.task_kind)
        found = answers(encoder, task_head, images.images, rows, task)
        cache.mkdir(parents=True, exist_ok=True)
        with files.replacing(kept) as unfinished:
            np.save(unfinished, found)
    return found


def rows_hash(images: np.ndarray, rows: np.ndarray) -> str:
    """sha256 of the pixels of rows int64 [n] of images uint8 [N, S, S, 3], in this order."""
    found = hashlib.sha256()
    for start in range(0, len(rows), BATCH):
        found.update(np.ascontiguousarray(images[rows[start : start + BATCH]]))
    return found.hexdigest()


def read_kept(path: pathlib.Path, shape: tuple[int, int]) -> np.ndarray | None:
    """Kept answers of this shape; None where there are none, or damaged ones: with a warning."""
    if not path.exists():
        return None
    try:
        found = run_files.read_array(path, remedy=REMEDY)
    except run_files.UnreadableFileError as error:
        logging.warning("%s", error)
        return None
    return found if found.shape == shape else None


def check_teacher(
    folder: pathlib.Path, encoder: keras.Model, task_head: keras.Model, images: ImageSet
) -> None:
    """Raises ValueError where a teacher takes other images or reads other attributes.

    By their names where its run directory has them, in splits.json.
    """
    found = (*encoder.input_shape[1:], task_head.output_shape[-1])
    expected = (*images.images.shape[1:], len(images.attribute_names))
    if found != expected:
        raise ValueError(
            f"--distil_from={folder} takes images {list(found[:3])} and reads {found[3]}"
            f" attributes; this run has images {list(expected[:3])} and {expected[3]} attributes."
        )
    if not (folder / SPLITS).exists():
        return
    names = run_files.read_json(folder / SPLITS, remedy=SPLITS_REMEDY).get("attributes")
    if names is not None and tuple(names) != tuple(images.attribute_names):
        raise ValueError(
            f"--distil_from={folder} reads {', '.join(names)}; this run's task is"
            f" {', '.join(images.attribute_names)}, in this order. Train the teacher with the same"
            " --task_attributes."
        )


def answers(
    encoder: keras.Model,
    task_head: keras.Model,
    images: np.ndarray,
    rows: np.ndarray,
    task: Task,
) -> np.ndarray:
    """Probabilities, or values, float32 [n, A] of rows of uint8 images [N, S, S, 3].

    Each is the mean over the image and its mirror image, as training shows both. Noise in a
    teacher's code is left out.
    """
    encode = code_layers.noiseless_encoder(encoder)

    @tf.function(reduce_retracing=True, autograph=False)
    def ask(batch):
        image = to_float(batch)
        views = (image, tf.reverse(image, axis=[2]))
        outputs = [task_head(encode(view), training=False) for view in views]
        return tf.add_n([task.answers(each) for each in outputs]) / 2

    parts = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
    return np.concatenate([ask(tf.constant(images[part])).numpy() for part in parts])
