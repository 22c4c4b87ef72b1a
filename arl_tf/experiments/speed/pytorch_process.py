"""Another process that makes the adversarial step in PyTorch, where torch is installed."""

import contextlib
import dataclasses
import functools
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable, Iterator

MODULE = "arl_tf.experiments.speed.pytorch_step"


@dataclasses.dataclass(frozen=True)
class Numbers:
    """What the step depends on: settings of the same names, and the batch's.

    Attributes:
        attributes: A, logits of the task head.
        threads: of PyTorch.
        clip_norm: greatest norm of the gradients.
    """

    batch_size: int
    image_size: int
    code_channels: int
    decoder_width: int
    mu: float
    lambda_perceptual: float
    encoder_learning_rate: float
    decoder_learning_rate: float
    weight_decay: float
    attributes: int
    threads: int
    clip_norm: float


@contextlib.contextmanager
def steps(numbers: Numbers) -> Iterator[dict[str, Callable[[], object]]]:
    """Form of PyTorch's step -> a function that has it made; empty where torch is not installed.

    Raises:
        RuntimeError: PyTorch's process ended.
    """
    if importlib.util.find_spec("torch") is None:
        yield {}
        return
    command = [sys.executable, "-m", MODULE, json.dumps(dataclasses.asdict(numbers))]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            names = json.loads(answer(process))
            yield {name: functools.partial(ask, process, name) for name in names}
        finally:
            process.terminate()


def ask(process: subprocess.Popen, name: str) -> float:
    """Has one step made; the encoder's loss."""
    process.stdin.write(f"{name}\n")
    process.stdin.flush()
    return float(answer(process))


def answer(process: subprocess.Popen) -> str:
    """The next line of the process.

    Raises:
        RuntimeError: it ended.
    """
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"PyTorch's process ended with code {process.wait()}, expected a line.")
    return line
