"""Speed of drawing, reading, training and encoding on this machine, for `python -m arl_tf.bench`.

Times of a shared machine drift, so every figure that is meant to be compared is a ratio of two
times of this run.
"""

import functools
import os
import pathlib
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

from arl_tf.config.settings import Config, subset
from arl_tf.data import celeba_folder, image_sets, preprocessing, splits
from arl_tf.data.faces import generation
from arl_tf.data.image_sets import DataSettings
from arl_tf.data.pictures import reader
from arl_tf.data.splits import SplitSettings
from arl_tf.exporting import tflite
from arl_tf.exporting.tflite_checks import Proof
from arl_tf.models import architectures
from arl_tf.training import train
from arl_tf.training.learner import ADVERSARIAL, TASK
from arl_tf.training.settings import TrainingSettings

DRAWN_FACES = 1500
STEPS = 20
ENCODED, ROUNDS = 40, 5


def measure(data_dir: str) -> dict[str, float]:
    """Every figure by name; `data_dir` is a CelebA-layout folder, or "" for drawn faces."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(data_dir or drawn_folder(pathlib.Path(scratch) / "faces"))
        return {
            **measure_drawing(),
            **measure_readers(folder, pathlib.Path(scratch) / "tfds"),
            **measure_training(),
            **measure_tflite(),
        }


def spread(runs: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Figure -> {"min", "median", "max"} over repeated measurements of the same figures."""
    return {
        name: {
            key: float(of([run[name] for run in runs]))
            for key, of in (("min", min), ("median", np.median), ("max", max))
        }
        for name in runs[0]
    }


def seconds_of(action: Callable[[], object]) -> float:
    """Wall time of one call."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def measure_drawing() -> dict[str, float]:
    """Milliseconds that a procedural face of 64 pixels takes (one thread), best of three."""
    generation.generate_faces(64, 64, seed=0)
    best = min(seconds_of(lambda: generation.generate_faces(512, 64, seed=0)) for _ in range(3))
    return {"procedural_face_ms": best / 512 * 1e3}


def drawn_folder(folder: pathlib.Path) -> pathlib.Path:
    """Writes procedural faces as a CelebA-layout folder of JPEGs."""
    drawn = generation.generate_faces(DRAWN_FACES, 128, seed=1)
    (folder / celeba_folder.IMAGE_FOLDER).mkdir(parents=True)
    rows = [str(DRAWN_FACES), " ".join(generation.ATTRIBUTE_NAMES)]
    for number, (image, labels) in enumerate(zip(drawn.images, drawn.attributes, strict=True)):
        name = f"{number:06d}.jpg"
        Image.fromarray(image[:, 12:116]).save(
            folder / celeba_folder.IMAGE_FOLDER / name, quality=92
        )
        rows.append(" ".join([name, *("1" if label else "-1" for label in labels)]))
    (folder / celeba_folder.ATTRIBUTE_FILE).write_text("\n".join(rows) + "\n")
    return folder


class LocalFaces(tfds.core.GeneratorBasedBuilder):
    """A CelebA-layout folder as a tensorflow-datasets builder: the other way to read it."""

    VERSION = tfds.core.Version("1.0.0")
    folder: pathlib.Path

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(
                {"image": tfds.features.Image(shape=(None, None, 3))}
            ),
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        index = celeba_folder.read_folder_index(self.folder)
        for name in index.files:
            yield name, {"image": str(self.folder / celeba_folder.IMAGE_FOLDER / name)}


def measure_readers(folder: pathlib.Path, scratch: pathlib.Path) -> dict[str, float]:
    """A folder read by our plain tf.data reader, and through a tensorflow-datasets builder.

    Each once and again.
    """
    index = celeba_folder.read_folder_index(folder)
    paths = [str(folder / celeba_folder.IMAGE_FOLDER / name) for name in index.files]

    def read_plain():
        chunks = reader.read_files(paths, preprocessing.preprocessing(64))
        return sum(len(chunk.rows) for chunk in chunks)

    def read_builder():
        dataset = builder.as_dataset(split="train")
        dataset = dataset.map(
            lambda example: preprocessing.preprocess(example["image"], 64),
            num_parallel_calls=os.cpu_count(),
        )
        return sum(len(images) for images in dataset.batch(256).as_numpy_iterator())

    read_plain()
    plain = min(seconds_of(read_plain) for _ in range(2))
    LocalFaces.folder = folder
    builder = LocalFaces(data_dir=str(scratch))
    tfds.disable_progress_bar()
    preparing = seconds_of(builder.download_and_prepare)
    again = min(seconds_of(read_builder) for _ in range(2))
    return {
        "plain_reader_images_per_second": len(paths) / plain,
        "tfds_first_pass_over_plain_reader": (preparing + again) / plain,
        "tfds_later_pass_over_plain_reader": again / plain,
    }


def measure_training() -> dict[str, float]:
    """The adversarial step at 64 px: images per second, cost in task steps, wait for data."""
    config = Config(num_faces=1200, decoder_width=16)
    with tempfile.TemporaryDirectory() as cache:
        images = image_sets.load_images(subset(config, DataSettings), pathlib.Path(cache))
        parts = splits.split_by_identity(images.identities, subset(config, SplitSettings))
        settings = subset(config, TrainingSettings)
        learner = train.learner_for(settings, images, parts)
        task = timed_steps(learner, settings, images, parts, TASK)
        adversarial = timed_steps(learner, settings, images, parts, ADVERSARIAL)
    step_images = config.batch_size * (1 + config.decoder_steps)
    return {
        "adversarial_images_per_second": step_images / sum(adversarial),
        "adversarial_step_over_task_step": sum(adversarial) / sum(task),
        "data_wait_share": adversarial[0] / sum(adversarial),
    }


def timed_steps(learner, settings, images, parts, phase: str) -> tuple[float, float]:
    """(seconds waiting for data, seconds computing) of a step: means of STEPS steps after three."""
    train.compile_phase(learner, settings, phase, STEPS)
    step = tf.function(learner.train_step, autograph=False)
    batches = iter(train.batches_from(0, settings, images, parts))
    waits, computes = [], []
    for _ in range(STEPS + 3):
        started = time.perf_counter()
        batch = next(batches)
        ready = time.perf_counter()
        float(step(batch)["loss"])
        waits.append(ready - started)
        computes.append(time.perf_counter() - ready)
    return float(np.mean(waits[3:])), float(np.mean(computes[3:]))


def measure_tflite() -> dict[str, float]:
    """How much faster one picture is encoded by a .tflite file than by Keras, on the CPU.

    A small encoder, 64 pixels; every form encodes the same pictures in turn, the medians count.
    """
    encoder, _ = architectures.build_encoder_and_task_head(
        "small", image_size=64, cut="middle", code_channels=32, num_attributes=40
    )
    pictures = generation.generate_faces(ENCODED, 64, seed=2).images
    proof = Proof(pictures, pictures, pictures, np.zeros((ENCODED, 40), np.uint8))
    floats = image_sets.to_float(pictures).numpy()
    compiled = tf.function(lambda image: encoder(image, training=False), autograph=False)
    encoders: dict[str, Callable[[np.ndarray], object]] = {
        "keras_predict": lambda image: encoder.predict(image, verbose=0),
        "keras_compiled": lambda image: compiled(tf.constant(image)).numpy(),
    }
    for precision in tflite.PRECISIONS:
        runner = tflite.open_model(tflite.convert(encoder, precision, proof), precision)
        encoders[precision] = lambda image, runner=runner: runner(image=image)
    times: dict[str, list[float]] = {name: [] for name in encoders}
    for _ in range(ROUNDS):
        for name, encode in encoders.items():
            encode(floats[:1])
            times[name] += [seconds_of(functools.partial(encode, one)) for one in floats[:, None]]
    medians = {name: float(np.median(taken)) for name, taken in times.items()}
    return {
        f"tflite_{name}_speedup_to_{keras}": medians[keras] / medians[name]
        for name in tflite.PRECISIONS
        for keras in ("keras_predict", "keras_compiled")
    }
