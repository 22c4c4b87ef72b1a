"""Ships an encoder and its task head: SavedModels as TF Serving wants them, TFLite, a manifest.

Everything is built and compared with the Keras models in a hidden folder beside its destination,
then renamed into place, the manifest last. One export at a time may write to a folder.
"""

import contextlib
import dataclasses
import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from arl_tf.data import preprocessing
from arl_tf.data.task_kinds import MULTI_LABEL
from arl_tf.exporting import manifest, saved_model_checks, saved_models, tflite, warmup
from arl_tf.exporting.tflite_checks import Proof
from arl_tf.metrics.equivalence import ExportError as ExportError
from arl_tf.metrics.tasks.definition import Task, TaskDecisions
from arl_tf.metrics.tasks.registry import task_of
from arl_tf.models.fingerprint import weights_hash
from arl_tf.utils import publishing

MANIFEST = pathlib.Path("manifest.json")


@dataclasses.dataclass(frozen=True)
class ExportResult:
    """What an export wrote.

    Attributes:
        encoder_dir: the encoder's SavedModel, .../encoder/<version>.
        task_head_dir: the task head's SavedModel, .../task_head/<version>.
        tflite_files: one file a precision.
        manifest_path: the manifest.
        version: of both SavedModels.
        parity: the manifest's section of that name: how far each artefact's outputs are from the
            Keras model's, beside the bounds.
    """

    encoder_dir: pathlib.Path
    task_head_dir: pathlib.Path
    tflite_files: tuple[pathlib.Path, ...]
    manifest_path: pathlib.Path
    version: int
    parity: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Models:
    """Both Keras models and what is known of them; described at `export_models`."""

    encoder: keras.Model
    task_head: keras.Model
    image_size: int
    attribute_names: Sequence[str]
    task: Task
    decisions: TaskDecisions
    fit: str


def export_models(
    encoder: keras.Model,
    task_head: keras.Model,
    *,
    image_size: int,
    attribute_names: Sequence[str],
    proof: Proof,
    export_dir: pathlib.Path,
    provenance: Mapping[str, Any],
    gate: Mapping[str, Any] | None = None,
    trained_on: Mapping[str, Any] | None = None,
    precisions: Sequence[str] = tuple(tflite.PRECISIONS),
    task_kind: str = MULTI_LABEL,
    decisions: TaskDecisions | None = None,
    fit: str = preprocessing.CROP,
) -> ExportResult:
    """Writes the next version of both models.

    Earlier versions stay; TFLite files and manifest are replaced.

    Args:
        encoder: float32 [B, S, S, 3] in [0, 1] -> code float32 [B, ...].
        task_head: code -> logits float32 [B, A].
        image_size: S, pixels.
        attribute_names: A names.
        proof: images that the comparisons run on; none of T.
        export_dir: made if missing.
        provenance: facts for the manifest, as JSON can hold them (no NaN).
        gate: what the privacy gate found, for the manifest; None where there was none.
        trained_on: of `manifest.training_data`, for the manifest; None where it is not known.
        precisions: of the TFLite files, keys of tflite.PRECISIONS.
        task_kind: one of data.task_kinds.TASK_KINDS: what the task head's outputs are.
        decisions: of the task head, such as thresholds and a temperature; None: 0 and 1.
        fit: how pictures become square, as --fit of the training.

    Raises:
        ValueError: the models, names, samples or facts don't fit together; nothing was written.
        ExportError: an artefact computes something else than its Keras model, or can't be written;
            what was there before is as it was.
    """
    task = task_of(task_kind)
    decisions = decisions or task.undecided(len(attribute_names))
    models = Models(encoder, task_head, image_size, attribute_names, task, decisions, fit)
    check_arguments(models, proof, provenance)
    facts = {
        "gate": gate,
        "trained_on": trained_on and dict(trained_on),
        "provenance": dict(provenance),
    }
    return ship(models, proof, pathlib.Path(export_dir), facts, precisions)


def ship(
    models: Models,
    proof: Proof,
    export_dir: pathlib.Path,
    facts: Mapping[str, Any],
    precisions: Sequence[str],
) -> ExportResult:
    """Builds, compares and publishes all files; arguments as of `export_models`."""
    unfinished = publishing.unfinished_folders(export_dir)
    with told_as_export_error(export_dir), unfinished as (built, replaced):
        version = publishing.next_version(export_dir / "saved_model")
        folders = version_folders(version)
        errors = build_saved_models(models, proof.samples, built, folders)
        figures = tflite.write_files(
            models.encoder,
            models.task_head,
            proof,
            built,
            precisions,
            models.task,
            models.decisions,
        )
        names, encoder = models.attribute_names, models.encoder
        content = {
            **manifest.describe_models(version, names, models.image_size, encoder, models.fit),
            **manifest.describe_task(models.task, models.task_head, names),
            **manifest.describe_comparisons(errors, figures, len(proof.samples), encoder),
            "decisions": models.decisions.as_json(names),
            **facts,
            "files": publishing.describe_files(built),
        }
        (built / MANIFEST).write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")
        publish(precisions, folders, built, replaced, export_dir)
    return result_of(export_dir, version, precisions, content["parity"])


def publish(
    precisions: Sequence[str],
    folders: Mapping[str, pathlib.Path],
    built: pathlib.Path,
    replaced: pathlib.Path,
    export_dir: pathlib.Path,
) -> None:
    """Renames all that was built into place; files of other precisions go.

    So does what an export that was killed between its two models put there.
    """
    publishing.publish(
        [*folders.values(), *map(tflite.file_path, precisions), MANIFEST],
        gone=[
            *(tflite.file_path(name) for name in tflite.PRECISIONS if name not in precisions),
            *unpaired_versions(export_dir),
        ],
        built=built,
        replaced=replaced,
        export_dir=export_dir,
    )


def unpaired_versions(export_dir: pathlib.Path) -> list[pathlib.Path]:
    """Versions of one model above the newest that both have, below the export's folder.

    Older ones that stand alone were left so on purpose.
    """
    found = {
        name: set(publishing.versions(export_dir / folder.parent))
        for name, folder in version_folders(0).items()
    }
    newest = max(set.intersection(*found.values()), default=0)
    return [
        version_folders(version)[name]
        for name, versions in found.items()
        for version in sorted(versions)
        if version > newest
    ]


def result_of(
    export_dir: pathlib.Path, version: int, precisions: Sequence[str], parity: dict[str, Any]
) -> ExportResult:
    """Where the parts of a finished export lie."""
    folders = version_folders(version)
    return ExportResult(
        encoder_dir=export_dir / folders["encoder"],
        task_head_dir=export_dir / folders["task_head"],
        tflite_files=tuple(export_dir / tflite.file_path(name) for name in precisions),
        manifest_path=export_dir / MANIFEST,
        version=version,
        parity=parity,
    )


def version_folders(version: int) -> dict[str, pathlib.Path]:
    """The folder of either SavedModel, below the export's."""
    return {
        name: pathlib.Path("saved_model") / name / str(version) for name in ("encoder", "task_head")
    }


@contextlib.contextmanager
def told_as_export_error(export_dir: pathlib.Path) -> Iterator[None]:
    """Tells of a write that failed, a full disk's for one, and that nothing was lost by it."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        reason = error.message if isinstance(error, tf.errors.OpError) else str(error)
        raise ExportError(
            f"Nothing was exported to {export_dir}, what was there is as it was: {reason}"
        ) from error


def build_saved_models(
    models: Models, samples: np.ndarray, built: pathlib.Path, folders: Mapping[str, pathlib.Path]
) -> dict[str, float]:
    """Writes both SavedModels with their warm-up requests; how far each is from Keras.

    Args:
        models: the Keras models.
        samples: uint8 [n, S, S, 3], what the comparison runs on.
        built: the folder that is filled.
        folders: of either model, below it.

    Returns:
        Signature and batch -> largest difference.
    """
    encoder, task_head = models.encoder, models.task_head
    batches = saved_model_checks.keras_outputs(encoder, task_head, samples)
    encoder_dir, task_head_dir = built / folders["encoder"], built / folders["task_head"]
    saved_models.save_encoder(encoder, models.image_size, encoder_dir, models.fit)
    saved_models.save_task_head(
        task_head,
        encoder.output_shape[1:],
        models.attribute_names,
        task_head_dir,
        task=models.task,
        decisions=models.decisions,
        encoder_sha256=weights_hash(encoder),
    )
    errors = {
        **saved_model_checks.encoder_differences(encoder_dir, batches, encoder),
        **saved_model_checks.task_head_differences(
            task_head_dir, batches, models.task, models.decisions
        ),
    }
    warmup.write_requests(
        encoder_dir, "encoder", warmup.encoder_inputs(warmup.drawn_faces(models.image_size))
    )
    codes = [
        outputs["code"] for _, outputs in warmup.run_requests(encoder_dir) if "code" in outputs
    ]
    warmup.write_requests(task_head_dir, "task_head", warmup.task_head_inputs(max(codes, key=len)))
    warmup.run_requests(task_head_dir)
    return errors


def check_arguments(models: Models, proof: Proof, provenance: Mapping[str, Any]) -> None:
    """Raises ValueError for arguments of `export_models` that don't fit together."""
    encoder, task_head, image_size = models.encoder, models.task_head, models.image_size
    attribute_names = models.attribute_names
    image_shape = (image_size, image_size, 3)
    num_attributes = len(attribute_names)
    for what, found, expected in (
        ("the encoder's input", encoder.input_shape[1:], image_shape),
        ("the encoder's output type", encoder.output.dtype, "float32"),
        ("the task head's input", task_head.input_shape, encoder.output_shape),
        ("the task head's output", task_head.output_shape, (None, num_attributes)),
        ("the task head's output type", task_head.output.dtype, "float32"),
        ("an image of samples", proof.samples.shape[1:], image_shape),
        ("the type of samples", proof.samples.dtype, "uint8"),
        ("an image of calibration", proof.calibration.shape[1:], image_shape),
        ("the type of calibration", proof.calibration.dtype, "uint8"),
        ("an image of validation", proof.validation.shape[1:], image_shape),
        ("the type of validation", proof.validation.dtype, "uint8"),
        (
            "the shape of the validation images' attributes",
            proof.attributes.shape,
            (len(proof.validation), num_attributes),
        ),
    ):
        if found != expected:
            raise ValueError(
                f"Export: {what} is {found}, expected {expected} for image_size={image_size} and"
                f" {num_attributes} attributes."
            )
    for name in ("samples", "calibration", "validation"):
        if not len(getattr(proof, name)):
            raise ValueError(f"Export: {name} is empty; give at least one image.")
    if len(set(attribute_names)) < num_attributes or any(
        not name or name.splitlines() != [name] for name in attribute_names
    ):
        raise ValueError(
            f"Export: attribute names must differ and fill one line each, got {attribute_names!r}."
        )
    shared = {id(weight) for weight in encoder.variables} & {id(w) for w in task_head.variables}
    if shared:
        raise ValueError(
            f"Export: encoder and task head share {len(shared)} variables; the encoder must ship"
            " without the task head's."
        )
    try:
        json.dumps(dict(provenance), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"Export: provenance can't be written as JSON ({error}); give strings, finite numbers,"
            " lists and dictionaries, and None for what is not known."
        ) from error
