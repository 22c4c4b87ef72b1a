"""The other side: starts the process of a stranger's SavedModel, and asks it."""

import os
import pathlib
import select
import signal
import subprocess
import sys
import threading
import weakref
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

import arl_tf
from arl_tf.auditing.encoders.confined import frames

WORKER = "arl_tf.auditing.encoders.confined.worker"
# What the process may see of the environment, by the start of the name. Others may be secrets.
KEPT_VARIABLES = ("PATH", "PYTHON", "LANG", "LC_", "LD_", "TF_", "OMP_", "KMP_", "VIRTUAL_ENV")
# For one answer.
MAX_SECONDS = 600.0


class ConfinedProcess:
    """A process that has loaded one folder, and may do little else; `limits` says what."""

    def __init__(self, folder: str | os.PathLike):
        """Starts it.

        Args:
            folder: that holds saved_model.pb.

        Raises:
            ValueError: the process ended at once.
        """
        self.folder = pathlib.Path(folder)
        self._lock = threading.Lock()
        requests, self._requests = os.pipe()
        self._answers, answers = os.pipe()
        threading_of = tf.config.threading
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-P", "-m", WORKER, str(self.folder.absolute())),
                *(str(requests), str(answers)),
                str(threading_of.get_intra_op_parallelism_threads()),
                str(threading_of.get_inter_op_parallelism_threads()),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(requests, answers),
            env=environment(),
            # Ctrl-C is for the command, which then ends this process.
            start_new_session=True,
        )
        os.close(requests)
        os.close(answers)
        self._sent = os.fdopen(self._requests, "wb")
        self._received = os.fdopen(self._answers, "rb")
        self.close = weakref.finalize(self, end, self._process, self._sent, self._received)
        facts, _ = self._receive()
        if not facts["confined"]:
            logging.warning(
                "This system has no Landlock (Linux 5.13): the SavedModel %s runs in a process of"
                " its own, which can read your files, and empty or delete them",
                self.folder,
            )

    def ask(self, do: str, *arrays: np.ndarray, **values: Any) -> dict[str, Any]:
        """Asks for facts.

        Args:
            do: a method of `worker.Worker`.
            *arrays: uint8 or float32 [n, ...], as it takes them.
            **values: what else it takes.

        Raises:
            ValueError: it refuses, or has ended.
        """
        return self._exchange(do, arrays, values)[0]

    def compute(self, do: str, *arrays: np.ndarray) -> np.ndarray:
        """Asks for an array, float32 [n, ...]; arguments and errors as `ask`."""
        _, answered = self._exchange(do, arrays, {})
        if len(answered) != 1 or not answered[0].ndim or len(answered[0]) != len(arrays[0]):
            raise ValueError(f"The SavedModel {self.folder} gave no row for each of its inputs.")
        return answered[0]

    def _exchange(self, do: str, arrays: tuple[np.ndarray, ...], values: dict[str, Any]):
        """One question and its answer."""
        with self._lock:
            try:
                frames.write(self._sent, {"do": do, **values}, *arrays)
            except OSError as error:
                raise self._ended() from error
            message, answered = self._receive()
        if "error" in message:
            raise ValueError(message["error"])
        return message, answered

    def _receive(self) -> tuple[dict[str, Any], list[np.ndarray]]:
        """The next answer."""
        if not select.select([self._received], [], [], MAX_SECONDS)[0]:
            self.close()
            raise ValueError(
                f"The SavedModel {self.folder} gave no answer within {MAX_SECONDS:.0f} seconds."
            )
        try:
            return frames.read(self._received)
        except frames.FrameError as error:
            raise self._ended() from error

    def _ended(self) -> ValueError:
        """What is said where the process has ended, or answers nonsense."""
        self.close()
        code = self._process.returncode
        how = f"by the signal {signal.Signals(-code).name}" if code < 0 else f"with the code {code}"
        return ValueError(
            f"The process that ran the SavedModel {self.folder} ended {how}. It may use half of the"
            " machine's memory, may read its own folder only, and may write no file."
        )


def environment() -> dict[str, str]:
    """Variables for the process: none that could hold a secret, and no GPU.

    A GPU's memory is held by the process that was first.
    """
    kept = {name: value for name, value in os.environ.items() if name.startswith(KEPT_VARIABLES)}
    root = str(pathlib.Path(arl_tf.__file__).parents[1])
    paths = [root, *filter(None, [kept.get("PYTHONPATH")])]
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONDONTWRITEBYTECODE": "1",
        "CUDA_VISIBLE_DEVICES": "-1",
        # Keras reads settings here, and finds none.
        "KERAS_HOME": os.devnull,
    }


def end(process: subprocess.Popen, *streams: Any) -> None:
    """Ends the process and closes the pipes; nothing happens where that is done."""
    process.kill()
    process.wait()
    for stream in streams:
        try:
            stream.close()
        except OSError:
            # What was not sent yet has no reader any more.
            continue
