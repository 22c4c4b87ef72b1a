"""The process that loads a SavedModel of a stranger and runs it: `python -m` this, with a folder.

It takes messages of `frames` from the first of two given pipes and answers on the second. It
confines itself before TensorFlow starts any thread.
"""

import os
import sys
from typing import Any, BinaryIO

import numpy as np

from arl_tf.auditing.encoders.confined import frames, limits


class Worker:
    """One SavedModel, an encoder or a task head, behind messages."""

    def __init__(self, folder: str):
        """Takes the folder that holds saved_model.pb."""
        self.folder = folder
        self.encoder: Any = None
        self.task_head: Any = None

    def open_encoder(self, image_size: int | None) -> dict[str, Any]:
        """Loads an encoder; what `ExternalEncoder` says of it, but for the functions."""
        from arl_tf.auditing.encoders import external

        self.encoder = external.load_saved_model(self.folder, image_size)
        return {
            "white_box": self.encoder.differentiable is not None,
            "why_not": self.encoder.why_not,
            "random_codes": self.encoder.random_codes,
            "image_size": self.encoder.image_size,
            "code_shape": list(self.encoder.code_shape),
            "sha256": self.encoder.sha256,
            "mean_draws": self.encoder.mean_draws,
            "straight_through": self.encoder.straight_through,
        }

    def open_task_head(self) -> dict[str, Any]:
        """Loads a task head; what `ExternalTaskHead` says of it, but for the function."""
        from arl_tf.auditing.encoders import external

        self.task_head = external.load_task_head(self.folder)
        names = self.task_head.attribute_names
        return {
            "attribute_names": None if names is None else list(names),
            "sha256": self.task_head.sha256,
        }

    def encode(self, images: np.ndarray) -> np.ndarray:
        """Images uint8 [n, S, S, 3] -> codes float32 [n, ...]."""
        return self.encoder.encode(images)

    def classify(self, codes: np.ndarray) -> np.ndarray:
        """Codes float32 [n, ...] -> logits float32 [n, A]."""
        return self.task_head.classify(codes)

    def mean_code(self, images: np.ndarray) -> np.ndarray:
        """Images float32 [n, S, S, 3] in [0, 1] -> codes float32 [n, ...], on average."""
        return self.encoder.differentiable(images).numpy()

    def gradient(self, images: np.ndarray, upstream: np.ndarray) -> np.ndarray:
        """Of the sum of `upstream` [n, ...] times the codes of images [n, S, S, 3], by the images.

        All are float32.
        """
        import tensorflow as tf

        image = tf.constant(images)
        with tf.GradientTape() as tape:
            tape.watch(image)
            code = self.encoder.differentiable(image)
        return tape.gradient(code, image, output_gradients=tf.constant(upstream)).numpy()


def serve(worker: Worker, requests: BinaryIO, answers: BinaryIO) -> None:
    """Answers messages until the other side ends."""
    while True:
        try:
            message, arrays = frames.read(requests)
        except frames.FrameError:
            return
        try:
            answer = getattr(worker, message.pop("do"))(*arrays, **message)
        except Exception as error:  # Whatever a stranger's model raises is said, not followed.
            frames.write(answers, {"error": str(error) or type(error).__name__})
            continue
        if isinstance(answer, dict):
            frames.write(answers, answer)
        else:
            frames.write(answers, {}, np.asarray(answer, np.float32))


def set_threads(intra: int, inter: int) -> None:
    """As many threads as the other process has; 0: TensorFlow's own choice."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(intra)
    tf.config.threading.set_inter_op_parallelism_threads(inter)


def main() -> None:
    """Takes: a folder, two file descriptors, two numbers of threads."""
    folder, *numbers = sys.argv[1:]
    requests, answers, intra, inter = map(int, numbers)
    with os.fdopen(requests, "rb") as taken, os.fdopen(answers, "wb") as given:
        confined = limits.confine(folder)
        set_threads(intra, inter)
        frames.write(given, {"confined": confined})
        serve(Worker(folder), taken, given)


if __name__ == "__main__":
    main()
