"""The contract of the exported models, as clients see it: signatures, inputs, attributes."""

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np


@dataclasses.dataclass(frozen=True)
class TensorSpec:
    """A model's input or output as its metadata gives it.

    Attributes:
        dtype: numpy's name of its type; `bytes` for strings.
        shape: None where a side is free; None as a whole where the rank is.
    """

    dtype: str
    shape: tuple[int | None, ...] | None


@dataclasses.dataclass(frozen=True)
class ServedSignature:
    """A served model's signature, as its metadata gives it: inputs and outputs by name."""

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]


@dataclasses.dataclass(frozen=True)
class Signature:
    """One of the exported models' signatures.

    Attributes:
        name: the signature's.
        input_name: of its one input.
        dtype: of the input, as in TensorSpec.
        outputs: names of the outputs that are used.
        optional: outputs that are used where the model has them; older exports lack them.
        instead: outputs that are used in the place of all others where the model has them.
    """

    name: str
    input_name: str
    dtype: str
    outputs: tuple[str, ...]
    optional: tuple[str, ...] = ()
    instead: tuple[str, ...] = ()


ENCODE = Signature("encode", "image", "uint8", ("code",))
ENCODE_BYTES = Signature("encode_bytes", "image_bytes", "bytes", ("code",))
# A task head that reads numbers in units, such as an age, gives values, and decides nothing.
READ_OUTPUTS = ("logits", "probability"), ("decision",), ("value",)
READ = Signature("serving_default", "code", "float32", *READ_OUTPUTS)
# The same with codes as bytes, float32 in little-endian order: for REST, where numbers are slow.
ENCODE_TO_BYTES = Signature("encode_to_bytes", "image_bytes", "bytes", ("code_bytes",))
READ_BYTES = Signature("read_bytes", "code_bytes", "bytes", *READ_OUTPUTS)

# An exported encoder, and a task head that reads its codes, have a signature of this name with the
# encoder's hash behind it.
ENCODER_MARK = "encoder_sha256_"


def named_encoder(signatures: Iterable[str]) -> str | None:
    """The encoder's hash that the names of a model's signatures tell; None where none does."""
    marks = [name for name in signatures if name.startswith(ENCODER_MARK)]
    return marks[0].removeprefix(ENCODER_MARK) if marks else None


@dataclasses.dataclass(frozen=True)
class Attributes:
    """What the task head reads from codes.

    Attributes:
        names: A names of attributes, classes or values.
        logits: float32 [N, A]; None where the task head reads values.
        probability: float32 [N, A] in [0, 1]; None likewise.
        decision: bool [N, A]: whether a logit is above its attribute's threshold, or which class is
            the likeliest; of a task head that an older version exported, whether the probability is
            above 0.5. None likewise.
        value: float32 [N, A], in the units that the task head was trained on; None of attributes
            and classes.
    """

    names: tuple[str, ...]
    logits: np.ndarray | None
    probability: np.ndarray | None
    decision: np.ndarray | None
    value: np.ndarray | None = None

    def as_dicts(self) -> list[dict[str, float]]:
        """A dictionary a code: probability by name, or value by name."""
        found = self.value if self.probability is None else self.probability
        return [dict(zip(self.names, row, strict=True)) for row in found.tolist()]

    def decisions_as_dicts(self) -> list[dict[str, bool]]:
        """A dictionary a code: decision by name; empty ones where nothing is decided."""
        if self.decision is None:
            return [{} for _ in self.value]
        return [dict(zip(self.names, row, strict=True)) for row in self.decision.tolist()]
