"""SavedModels on disk: finds them, finds the one signature wanted, runs it over arrays."""

import dataclasses
import hashlib
import pathlib
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from arl_tf.utils import publishing, run_files, saved_model_loading

BATCH = 128
REMEDY = "Fetch or export the SavedModel again, with its folder variables/."
# How lines of TensorFlow's errors start that say where an operation stands in a graph.
PLACES = ("Graph execution error", "Detected at node", "<stack traces", "[[{{")


@dataclasses.dataclass(frozen=True)
class Signature:
    """One input and one output of a loaded SavedModel.

    Attributes:
        model: the loaded SavedModel; signatures hold weak references to its variables.
        function: tensor by name -> tensors by name.
        input_name: of the input.
        output_name: of the output.
        shape: of the input; None where a side is free.
    """

    model: object
    function: Callable[..., dict[str, tf.Tensor]]
    input_name: str
    output_name: str
    shape: tuple[int | None, ...]

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Runs rows in batches that the signature takes; a fixed batch is filled up.

        Args:
            values: [n, ...], n >= 1, of the input's type and shape.

        Returns:
            float32 [n, ...].

        Raises:
            ValueError: the values don't fit, or what comes out is not a row of finite values each.
        """
        # A tensor of a wrong rank would abort the process.
        if len(values.shape) != len(self.shape) or any(
            side not in (None, found)
            for side, found in zip(self.shape[1:], values.shape[1:], strict=True)
        ):
            raise ValueError(
                f"{self.input_name} has the shape {list(values.shape)}; expected"
                f" {shape_words(self.shape)}."
            )
        size = self.shape[0] or BATCH
        parts = [self._run(values[start : start + size]) for start in range(0, len(values), size)]
        if not parts:
            raise ValueError(f"{self.input_name} is empty; expected at least one row.")
        return np.concatenate(parts)

    def _run(self, rows: np.ndarray) -> np.ndarray:
        """One batch: rows [n, ...] -> float32 [n, ...]; raises as `__call__`."""
        missing = (self.shape[0] or len(rows)) - len(rows)
        padded = np.concatenate([rows, np.repeat(rows[-1:], missing, axis=0)])
        try:
            output = self.function(**{self.input_name: tf.constant(padded)})[self.output_name]
        except tf.errors.OpError as error:
            raise ValueError(
                f"The SavedModel fails on {self.input_name} {list(padded.shape)}:"
                f" {operation_words(error)}"
            ) from error
        result = np.asarray(tf.cast(output, tf.float32))
        if result.ndim < 2 or len(result) != len(padded) or not np.isfinite(result).all():
            raise ValueError(
                f"{self.output_name} of {len(padded)} rows is {list(result.shape)} with"
                f" {np.count_nonzero(~np.isfinite(result))} values that are not finite; expected a"
                " row of finite values for each."
            )
        return result[: len(rows)]


def version_folder(path: str | pathlib.Path) -> pathlib.Path:
    """The folder that holds saved_model.pb: this one, or its subfolder of the highest number.

    Raises:
        ValueError: there is none, or one whose files are missing, empty or Git LFS pointers.
    """
    folder = highest_version(pathlib.Path(path))
    for file in (*folder.glob("saved_model.*"), *folder.glob("variables/*")):
        if file.is_file():
            run_files.require_whole(file, REMEDY)
    return folder


def highest_version(folder: pathlib.Path) -> pathlib.Path:
    """This folder, if it holds a SavedModel, or its subfolder of the highest number that does."""
    if is_saved_model(folder):
        return folder
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    versions = [entry for entry in entries if entry.name.isdecimal() and is_saved_model(entry)]
    if not versions:
        found = ", ".join(entry.name for entry in entries) or "nothing"
        raise ValueError(
            f"{folder} holds {found}; expected a SavedModel (saved_model.pb), or folders of its"
            " versions (1, 2, ...)."
        )
    return max(versions, key=lambda entry: int(entry.name))


def is_saved_model(folder: pathlib.Path) -> bool:
    """Whether TensorFlow's loader would find a SavedModel here."""
    return any((folder / f"saved_model.{ending}").is_file() for ending in ("pb", "pbtxt"))


def load_signature(
    folder: pathlib.Path,
    names: tuple[str, ...],
    input_name: str,
    dtype: tf.DType,
    *output_names: str,
) -> Signature:
    """The first of the named signatures that has this one input and gives such an output.

    Raises:
        ValueError: the folder can't be loaded, or has no such signature.
    """
    try:
        model = saved_model_loading.load(folder)
    except (*run_files.PARSE_ERRORS, tf.errors.OpError) as error:
        found = f"can't be loaded as a SavedModel: {run_files.one_line(error)}"
        raise run_files.refusal(folder, found, REMEDY) from error
    for name in names:
        function = getattr(model, "signatures", {}).get(name)
        if function is None:
            continue
        inputs, outputs = function.structured_input_signature[1], function.structured_outputs
        takes = list(inputs) == [input_name] and fits(inputs[input_name], dtype)
        given = [one for one in output_names if one in outputs and outputs[one].dtype.is_floating]
        if takes and given:
            shape = tuple(inputs[input_name].shape)
            return Signature(model, function, input_name, given[0], shape)
    raise ValueError(
        f"{folder} has {signature_words(model)}; expected a signature {' or '.join(names)} with the"
        f" one input {input_name}, {dtype.name} [N, ...], and an output"
        f" {' or '.join(output_names)} of floats."
    )


def operation_words(error: tf.errors.OpError) -> str:
    """What an operation complains of, without TensorFlow's lines on where it stands."""
    lines = [line.strip() for line in error.message.splitlines()]
    told = [line for line in lines if line and not line.startswith(PLACES)]
    return run_files.one_line(ValueError(" ".join(told)))


def fits(spec: tf.TensorSpec, dtype: tf.DType) -> bool:
    """Whether an input is of this type and of a known rank of at least 2."""
    return spec.dtype == dtype and (spec.shape.rank or 0) >= 2


def signature_words(model: object) -> str:
    """What a loaded SavedModel takes and gives, in a line."""
    described = []
    for name, function in getattr(model, "signatures", {}).items():
        sides = (function.structured_input_signature[1], function.structured_outputs)
        taken, given = (
            ", ".join(
                f"{key} {spec.dtype.name} {shape_words(spec.shape)}" for key, spec in s.items()
            )
            for s in sides
        )
        described.append(f"{name} ({taken} -> {given})")
    return f"the signatures {'; '.join(described)}" if described else "no signatures"


def shape_words(shape: tf.TensorShape | tuple[int | None, ...]) -> str:
    """A shape as in [N, 64, 64, 3]: N where a side is free."""
    if isinstance(shape, tf.TensorShape):
        if shape.rank is None:
            return "of any rank"
        shape = tuple(shape)
    return f"[{', '.join('N' if side is None else str(side) for side in shape)}]"


def files_hash(folder: pathlib.Path) -> str:
    """sha256 over names and contents of all files below a folder."""
    files = publishing.describe_files(folder)
    lines = "".join(f"{facts['sha256']} {name}\n" for name, facts in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()
