"""The contract of the exported models, as clients see it: signatures, inputs, attributes."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class InputSpec:
    """A model's input as its metadata gives it.

    Attributes:
        dtype: numpy's name of its type; `bytes` for strings.
        shape: None where a side is free; None as a whole where the rank is.
    """

    dtype: str
    shape: tuple[int | None, ...] | None


@dataclasses.dataclass(frozen=True)
class Signature:
    """One of the exported models' signatures.

    Attributes:
        name: the signature's.
        input_name: of its one input.
        dtype: of the input, as in InputSpec.
        outputs: names of the outputs that are used.
    """

    name: str
    input_name: str
    dtype: str
    outputs: tuple[str, ...]


ENCODE = Signature("encode", "image", "uint8", ("code",))
ENCODE_BYTES = Signature("encode_bytes", "image_bytes", "bytes", ("code",))
READ = Signature("serving_default", "code", "float32", ("logits", "probability"))


@dataclasses.dataclass(frozen=True)
class Attributes:
    """What the task head reads from codes.

    Attributes:
        names: A attribute names.
        logits: float32 [N, A].
        probability: float32 [N, A] in [0, 1].
    """

    names: tuple[str, ...]
    logits: np.ndarray
    probability: np.ndarray

    def as_dicts(self) -> list[dict[str, float]]:
        """A dictionary a code: probability by name."""
        return [dict(zip(self.names, row, strict=True)) for row in self.probability.tolist()]
