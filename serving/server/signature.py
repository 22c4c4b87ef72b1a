"""A loaded SavedModel's function: what it takes and returns, and how it is run on arrays."""

import dataclasses
import re
from collections.abc import Callable, Mapping

import grpc
import numpy as np
import tensorflow as tf

from serving.server.errors import ServingError, invalid

# What TensorFlow puts around the sentence that says what is wrong.
BOILERPLATE = ("Graph execution error", "Detected at node", "<stack traces", "[[{{", "\t [[{{")


@dataclasses.dataclass(frozen=True, eq=False)
class Signature:
    """A function of a SavedModel. Two are equal only if they are one and the same.

    Attributes:
        name: as in the SavedModel.
        inputs: name -> shape and dtype.
        outputs: name -> shape and dtype.
        function: tensors by name -> tensors by name.
    """

    name: str
    inputs: Mapping[str, tf.TensorSpec]
    outputs: Mapping[str, tf.TensorSpec]
    function: Callable[..., Mapping[str, tf.Tensor]]

    @property
    def batchable(self) -> bool:
        """Whether the first axis of every input and output is a number of items, left open."""
        return all(
            spec.shape.rank and spec.shape[0] is None
            for spec in (*self.inputs.values(), *self.outputs.values())
        )

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Runs the function on arrays that `validation.check_inputs` let pass.

        Arrays by name in and out, of the shapes of `inputs` and `outputs`.

        Raises:
            ServingError: INVALID_ARGUMENT when the graph refuses what it got, else INTERNAL.
        """
        try:
            outputs = self.function(
                **{
                    name: tf.constant(array, self.inputs[name].dtype)
                    for name, array in inputs.items()
                }
            )
            return {name: tensor.numpy() for name, tensor in outputs.items()}
        except tf.errors.InvalidArgumentError as error:
            raise invalid(f"Signature {self.name!r}: {plain_message(error)}") from error
        except tf.errors.OpError as error:
            message = f"Signature {self.name!r}: {plain_message(error)}"
            raise ServingError(grpc.StatusCode.INTERNAL, message) from error


def plain_message(error: tf.errors.OpError) -> str:
    """TensorFlow's message without the lines that tell a client nothing."""
    lines = [line.strip() for line in error.message.splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(BOILERPLATE)]
    # What the exported graph refuses comes as "assertion failed: [the words]".
    telling = [re.sub(r"assertion failed: \[(.*)\]$", r"\1", line) for line in telling]
    return " ".join(telling) or type(error).__name__
