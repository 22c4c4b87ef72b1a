"""What REST and gRPC clients share: checks before sending, batches, folders, attributes."""

import abc
import dataclasses
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np

from serving.clients.contract import (
    ENCODE,
    ENCODE_BYTES,
    ENCODER_MARK,
    READ,
    Attributes,
    ServedSignature,
    Signature,
    TensorSpec,
    named_encoder,
)
from serving.clients.errors import AnswerError, NotFoundError, RejectedError, ServerError
from serving.clients.file_batches import (
    OnUnreadable,
    Path,
    black_png,
    file_batches,
    log_unreadable,
)
from serving.pictures.folders import pictures_in

# Of a decision, which comes as 0 or 1, and of a probability where there is no decision.
DECIDED = 0.5
# Characters of a hash that a message shows.
SHOWN = 12
# What a call may end with whose model has been replaced since the client asked for its signatures.
# A signature that is gone is INVALID_ARGUMENT by REST and FAILED_PRECONDITION by gRPC.
STALE = (ValueError, AnswerError, NotFoundError, RejectedError, ServerError)


class CodeClient(abc.ABC):
    """A client of served encoders and task heads; how a call travels is left to subclasses."""

    # Bytes that a value takes on the wire, by type.
    bytes_per_value: Mapping[str, float]

    def __init__(
        self,
        address: str,
        *,
        encoder: str = "encoder",
        task_head: str = "task_head",
        version: int | None = None,
        label: str | None = None,
        attribute_names: Sequence[str] | None = None,
        encoder_sha256: str | None = None,
        timeout: float = 10.0,
        retries: int = 3,
        batch_size: int = 32,
        max_request_bytes: int = 16 * 2**20,
    ):
        """Nothing is sent yet.

        Args:
            address: HOST:PORT.
            encoder: the served encoder's name.
            task_head: the served task head's name.
            version: of both models; None: the server's choice, the newest.
            label: of both models' version, instead of its number.
            attribute_names: in the task head's order, see the export's manifest.json.
            encoder_sha256: of the encoder that the codes are of, see the manifest; a task head that
                names another one gets no code. Without a version the server checks it at every
                call, because another version may be served meanwhile. None: not checked.
            timeout: seconds that a call may take.
            retries: how often a call may be repeated.
            batch_size: most images or codes in a call.
            max_request_bytes: most bytes of values in a call.

        Raises:
            ValueError: an argument can't be meant.
        """
        for name, value in (("batch_size", batch_size), ("max_request_bytes", max_request_bytes)):
            if value < 1:
                raise ValueError(f"{name} must be >= 1, got {value}.")
        if version is not None and label is not None:
            raise ValueError(f"Give a version or a label, not both: got {version} and {label!r}.")
        self.address = address
        self.encoder = encoder
        self.task_head = task_head
        self.version = version
        self.label = label
        self.attribute_names = None if attribute_names is None else tuple(attribute_names)
        self.encoder_sha256 = encoder_sha256
        self.timeout = timeout
        self.retries = retries
        self.batch_size = batch_size
        self.max_request_bytes = max_request_bytes
        self._served: dict[str, dict[str, ServedSignature]] = {}

    @abc.abstractmethod
    def close(self) -> None:
        """Closes the connections."""

    @abc.abstractmethod
    def _predict(self, model: str, signature: Signature, rows: Sequence) -> dict[str, np.ndarray]:
        """One call: rows of one input (array [n, ...] or n bytes) to the outputs [n, ...] by name.

        Raises:
            EncoderError: the call failed.
        """

    @abc.abstractmethod
    def _signatures(self, model: str) -> dict[str, ServedSignature]:
        """A model's signatures by name, out of its metadata."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def encode(self, images: np.ndarray) -> np.ndarray:
        """Encodes prepared images.

        Args:
            images: uint8 [N, S, S, 3], N >= 1, RGB, cropped and resized as the manifest says.

        Returns:
            Codes, float32 [N, ...].

        Raises:
            ValueError: the images don't fit the encoder; nothing was sent.
            EncoderError: the call failed.
        """
        if images.dtype != np.uint8:
            raise ValueError(f"images are {images.dtype}, expected uint8 in 0..255.")
        return self._with_current(
            self.encoder, lambda: self._predict_array(self.encoder, ENCODE, images)["code"]
        )

    def encode_files(
        self, paths: Iterable[Path], *, on_unreadable: OnUnreadable = log_unreadable
    ) -> Iterator[tuple[pathlib.Path, np.ndarray]]:
        """Encodes image files of any size; the server decodes, crops and resizes them.

        Files are read as they are needed, a batch at a time. One that can't be read, or that the
        server can't decode, is reported and left out; the others go on.

        Args:
            paths: JPEG, PNG, BMP, GIF or WebP files.
            on_unreadable: is called with the path and the reason.

        Yields:
            (path, code float32 [...]), in the order of `paths`.

        Raises:
            EncoderError: a call failed for another reason than a file.
        """
        limit = self.max_request_bytes / self.bytes_per_value["bytes"]
        for batch in file_batches(paths, self.batch_size, limit, on_unreadable):
            yield from self._encode_batch(batch, on_unreadable)

    def encode_folder(
        self, folder: Path, *, on_unreadable: OnUnreadable = log_unreadable
    ) -> Iterator[tuple[pathlib.Path, np.ndarray]]:
        """Encodes the pictures of a folder and its subfolders, sorted by path, as `encode_files`.

        Yields (path, code float32 [...]).

        Pictures are files that end as `serving.pictures.formats.ENDINGS` has it; hidden ones are
        left out. Files that end as in `UNREAD_ENDINGS` there are reported as unreadable.

        Raises:
            ValueError: it is no folder, or holds no picture.
        """
        return self.encode_files(pictures_in(pathlib.Path(folder)), on_unreadable=on_unreadable)

    def read_attributes(self, codes: np.ndarray) -> Attributes:
        """Has the task head read attributes, classes or values from codes.

        Without `attribute_names` they are called attribute_0, attribute_1, ...

        Args:
            codes: floats [N, ...], N >= 1.

        Raises:
            ValueError: the codes don't fit the task head, are of another encoder than the one that
                it reads, or aren't finite; the task head got none.
            EncoderError: the call failed.
        """
        if not np.issubdtype(codes.dtype, np.floating):
            raise ValueError(f"codes are {codes.dtype}, expected floats.")
        if not np.isfinite(codes).all():
            raise ValueError("codes hold NaN or inf, expected finite values.")
        rows = codes.astype(np.float32)
        outputs = self._with_current(
            self.task_head,
            lambda: self._predict_array(self.task_head, self._pairing_signature(), rows),
        )
        values = outputs.get("value")
        found = (outputs["probability"] if values is None else values).shape[1]
        names = self.attribute_names or tuple(f"attribute_{place}" for place in range(found))
        if len(names) != found:
            raise AnswerError(
                f"The task head reads {found} attributes, {len(names)} names are known for them:"
                " names and model are of different exports."
            )
        if values is not None:
            return Attributes(names, None, None, None, values)
        probability = outputs["probability"]
        decision = outputs.get("decision", probability) > DECIDED
        return Attributes(names, outputs["logits"], probability, decision)

    def head_encoder(self) -> str | None:
        """The hash of the encoder that the task head reads codes of; None where it names none.

        Asks the server each time.

        Raises:
            EncoderError: the call failed.
        """
        self._served.pop(self.task_head, None)
        return named_encoder(self._served_signatures(self.task_head, READ))

    def _pairing_signature(self) -> Signature:
        """The signature by which codes are read, so that no other encoder's task head reads them.

        Without a version, another one may be served by the time that codes arrive. The signature
        that has the encoder's hash for a name is then gone, so the server refuses them.

        Raises:
            ValueError: the task head reads another encoder's codes.
        """
        if not self.encoder_sha256:
            return READ
        found = named_encoder(self._served.get(self.task_head, ()))
        if found is None:
            # Not asked yet, or a task head that names none: one that names another may follow it.
            found = self.head_encoder()
        if found not in (None, self.encoder_sha256):
            raise ValueError(
                f"{self.task_head} reads codes of the encoder {found[:SHOWN]}, these are of"
                f" {self.encoder_sha256[:SHOWN]}: its answers would mean nothing, so it got none of"
                " them. Use encoder and task head of one export."
            )
        if found is None or self.version is not None:
            return READ
        return dataclasses.replace(READ, name=f"{ENCODER_MARK}{found}")

    def _with_current(self, model: str, call: Callable[[], Any]) -> Any:
        """The result of `call`, which is made again where it failed for an outdated signature.

        The client keeps a model's signatures. A server may replace a version that was not named.
        """
        known = self._served.get(model)
        try:
            return call()
        except STALE:
            if known is None or self.version is not None:
                raise
            self._served.pop(model, None)
            if self._signatures(model) == known:
                self._served[model] = known
                raise
            return call()

    def _predict_array(
        self, model: str, signature: Signature, rows: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Rows [N, ...] to outputs [N, ...] by name, in calls of at most `batch_size` rows."""
        self._check_rows(model, signature, rows)
        row_bytes = rows[0].size * self.bytes_per_value[signature.dtype]
        size = max(1, min(self.batch_size, int(self.max_request_bytes / row_bytes)))
        starts = range(0, len(rows), size)
        parts = [self._predict_rows(model, signature, rows[at : at + size]) for at in starts]
        names = self._wanted(model, signature)
        return {name: np.concatenate([part[name] for part in parts]) for name in names}

    def _predict_rows(
        self, model: str, signature: Signature, rows: Sequence
    ) -> dict[str, np.ndarray]:
        """One call, its answer checked: a row of finite values for each row, [n, ...] by name."""
        outputs = self._predict(model, signature, rows)
        for name in self._wanted(model, signature):
            output = outputs.get(name)
            if output is None or output.ndim < 2 or len(output) != len(rows):
                shape = None if output is None else list(output.shape)
                raise AnswerError(
                    f"{model} answers {len(rows)} rows with {name} of shape {shape}; expected a row"
                    " of values for each."
                )
            if not np.isfinite(output).all():
                raise AnswerError(f"{model} answers with {name} that holds NaN or inf.")
        return outputs

    def _check_rows(self, model: str, signature: Signature, rows: np.ndarray) -> None:
        """Refuses rows [N, ...] that the model can't take before they are sent; ValueError.

        TF Serving runs what it gets, and a tensor of a wrong rank can end its process.
        """
        shape = self._input_spec(model, signature).shape
        if shape is None:
            return
        matches = rows.ndim == len(shape) and all(
            expected in (None, found) for expected, found in zip(shape, rows.shape, strict=True)
        )
        if not (matches and len(rows)):
            sides = ", ".join("N" if side is None else str(side) for side in shape)
            raise ValueError(
                f"{signature.input_name} has the shape {list(rows.shape)}; {model} expects"
                f" [{sides}], N >= 1."
            )

    def _served_signatures(self, model: str, signature: Signature) -> dict[str, ServedSignature]:
        """A model's signatures, this one among them; asks the server where it has not yet."""
        # A variable of its own: another thread may find the kept ones outdated meanwhile.
        found = self._served.get(model, {})
        if signature.name not in found:
            found = self._signatures(model)
            if signature.name not in found:
                raise NotFoundError(
                    f"{model} has the signatures {', '.join(sorted(found)) or 'none'}; expected"
                    f" {signature.name}."
                )
            self._served[model] = found
        return found

    def _wanted(self, model: str, signature: Signature) -> tuple[str, ...]:
        """Names of the outputs that are used: also the optional ones that the model has."""
        served = self._served_signatures(model, signature)[signature.name].outputs
        if signature.instead and set(signature.instead) <= set(served):
            return signature.instead
        return (*signature.outputs, *(name for name in signature.optional if name in served))

    def _input_spec(self, model: str, signature: Signature) -> TensorSpec:
        """The input's type and shape."""
        inputs = self._served_signatures(model, signature)[signature.name].inputs
        spec = inputs.get(signature.input_name)
        if spec is None or spec.dtype != signature.dtype:
            found = {name: spec.dtype for name, spec in inputs.items()}
            raise AnswerError(
                f"{model}'s signature {signature.name} takes {found}; expected"
                f" {signature.input_name} of type {signature.dtype}."
            )
        return spec

    def _encode_batch(
        self, batch: list[tuple[pathlib.Path, bytes]], on_unreadable: OnUnreadable
    ) -> Iterator[tuple[pathlib.Path, np.ndarray]]:
        """Encodes files: (path, code float32 [...]) of each.

        A batch that is refused is halved until the file at fault is found.
        """
        self._input_spec(self.encoder, ENCODE_BYTES)
        paths, contents = zip(*batch, strict=True)
        try:
            codes = self._with_current(
                self.encoder,
                lambda: self._predict_rows(self.encoder, ENCODE_BYTES, contents)["code"],
            )
        except RejectedError as error:
            if len(batch) == 1:
                if not self._takes_pictures():
                    raise
                on_unreadable(paths[0], str(error))
                return
            middle = len(batch) // 2
            yield from self._encode_batch(batch[:middle], on_unreadable)
            yield from self._encode_batch(batch[middle:], on_unreadable)
        else:
            yield from zip(paths, codes, strict=True)

    def _takes_pictures(self) -> bool:
        """Whether the server takes a whole picture: only then a refused file is at fault."""
        try:
            self._predict_rows(self.encoder, ENCODE_BYTES, [black_png()])
        except RejectedError:
            return False
        return True
