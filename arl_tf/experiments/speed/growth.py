"""How time and memory grow with images and resolution, for `python -m arl_tf.bench --growth`.

Each figure comes from a process of its own, so that no memory of another measurement counts.
"""

import argparse
import dataclasses
import json
import pathlib
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence

import numpy as np

SIDES, COUNTS = (32, 64, 128), (1_000, 10_000)
STEPS, WARM = 10, 2
CHUNK = 256
STATUS = pathlib.Path("/proc/self/status")


@dataclasses.dataclass(frozen=True)
class Row:
    """One measurement.

    Attributes:
        action: a key of ACTIONS.
        side: of the images, pixels.
        count: images of the data set.
        seconds: per image, without the start of the process.
        peak: greatest resident memory of the process, MiB. Pages of the prepared images that were
            read and that the system may drop at any time count, too.
        own: greatest resident memory without pages of files, MiB, looked at after each chunk or
            step; `peak` where the system does not tell.
    """

    action: str
    side: int
    count: int
    seconds: float
    peak: float
    own: float


class OwnMemory:
    """The greatest resident memory without pages of files that was seen, MiB."""

    def __init__(self) -> None:
        """Starts with what is held now."""
        self.greatest = 0.0
        self.look()

    def look(self) -> None:
        """Takes the memory of this moment into account."""
        self.greatest = max(self.greatest, anonymous_memory())


def anonymous_memory() -> float:
    """Resident memory of this process without pages of files, MiB; 0 where none can tell."""
    if not STATUS.exists():
        return 0.0
    lines = dict(line.split(":", 1) for line in STATUS.read_text().splitlines() if ":" in line)
    return float(lines.get("RssAnon", "0 kB").split()[0]) / 1024


def prepare(side: int, count: int, cache: pathlib.Path, memory: OwnMemory) -> float:
    """Seconds an image of drawing the faces and writing the prepared cache."""
    from arl_tf.data import image_sets

    started = time.perf_counter()
    image_sets.load_images(data_settings(side, count), cache)
    memory.look()
    return (time.perf_counter() - started) / count


def train_steps(side: int, count: int, cache: pathlib.Path, memory: OwnMemory) -> float:
    """Seconds an image, private and public ones together, of adversarial steps."""
    import tensorflow as tf

    from arl_tf.config.settings import subset
    from arl_tf.data import image_sets, splits
    from arl_tf.metrics.tasks.registry import task_of
    from arl_tf.training import train
    from arl_tf.training.phases import ADVERSARIAL
    from arl_tf.training.settings import TrainingSettings

    config = settings_of(side, count)
    images = image_sets.load_images(data_settings(side, count), cache)
    parts = splits.split_by_identity(images.identities, subset(config, splits.SplitSettings))
    settings = subset(config, TrainingSettings)
    learner = train.learner_for(settings, images, parts)
    train.compile_phase(learner, settings, ADVERSARIAL, STEPS, task_of(images.task_kind))
    step = tf.function(learner.train_step, autograph=False)
    seconds = []
    batches = train.batches_from(0, settings, images, parts).take(STEPS + WARM)
    started = time.perf_counter()
    for batch in batches:
        float(step(batch)["loss"])
        seconds.append(time.perf_counter() - started)
        started = time.perf_counter()
        memory.look()
    return float(np.mean(seconds[WARM:])) / (config.batch_size * (1 + config.decoder_steps))


def encode(side: int, count: int, cache: pathlib.Path, memory: OwnMemory) -> float:
    """Seconds an image of encoding all of the prepared cache, chunk by chunk."""
    import tensorflow as tf

    from arl_tf.data import image_sets
    from arl_tf.models import architectures

    config = settings_of(side, count)
    images = image_sets.load_images(data_settings(side, count), cache)
    encoder, _ = architectures.build_encoder_and_task_head(
        config.encoder,
        image_size=side,
        cut=config.cut,
        code_channels=config.code_channels,
        num_attributes=len(images.attribute_names),
    )
    run = tf.function(
        lambda chunk: encoder(image_sets.to_float(chunk), training=False),
        autograph=False,
        input_signature=[tf.TensorSpec((None, side, side, 3), tf.uint8)],
    )
    run(tf.constant(images.images[:CHUNK]))
    started = time.perf_counter()
    for first in range(0, count, CHUNK):
        run(tf.constant(images.images[first : first + CHUNK])).numpy()
        memory.look()
    return (time.perf_counter() - started) / count


ACTIONS: dict[str, Callable[[int, int, pathlib.Path, OwnMemory], float]] = {
    "prepare": prepare,
    "train": train_steps,
    "encode": encode,
}


def settings_of(side: int, count: int):
    """The settings of every measurement: the small encoder on drawn faces."""
    from arl_tf.config.settings import Config

    return Config(dataset="faces", num_faces=count, image_size=side, decoder_width=16)


def data_settings(side: int, count: int):
    """Those of the data."""
    from arl_tf.config.settings import subset
    from arl_tf.data.image_sets import DataSettings

    return subset(settings_of(side, count), DataSettings)


def measure(sides: Sequence[int] = SIDES, counts: Sequence[int] = COUNTS) -> list[Row]:
    """All measurements; RuntimeError where one of their processes fails."""
    rows = []
    for side in sides:
        for count in counts:
            with tempfile.TemporaryDirectory() as cache:
                rows += [in_a_process(action, side, count, cache) for action in ACTIONS]
    return rows


def in_a_process(action: str, side: int, count: int, cache: str) -> Row:
    """One measurement; RuntimeError where its process fails."""
    command = [
        sys.executable,
        "-m",
        "arl_tf.experiments.speed.growth",
        action,
        str(side),
        str(count),
        cache,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(
            f"The process that measures {action} of {count} images of {side} pixels ended with code"
            f" {done.returncode}: {done.stderr.strip()[-500:]}"
        )
    return Row(**json.loads(done.stdout.splitlines()[-1]))


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The power x of values = c * sizes ** x, to 2 places; least squares of the logarithms."""
    found = round(float(np.polyfit(np.log(sizes), np.log(values), 1)[0]), 2)
    # 0 has no sign.
    return found or 0.0


def table(rows: Sequence[Row]) -> list[str]:
    """A line for each measurement, then the exponents."""
    lines = [f"{'':8s} {'pixels':>6s} {'images':>7s} {'ms/image':>9s} {'MiB own':>8s} {'MiB':>7s}"]
    lines += [
        f"{row.action:8s} {row.side:6d} {row.count:7d} {row.seconds * 1e3:9.3f} {row.own:8.0f}"
        f" {row.peak:7.0f}"
        for row in rows
    ]
    return [*lines, "", *exponent_lines(rows)]


def exponent_lines(rows: Sequence[Row]) -> list[str]:
    """How time and memory grow with images, at each resolution, and with the side of an image."""
    lines = []
    for action in dict.fromkeys(row.action for row in rows):
        own = [row for row in rows if row.action == action]
        for side in sorted({row.side for row in own}):
            found = [row for row in own if row.side == side]
            lines += grown(found, f"{action}, {side} pixels: images", [row.count for row in found])
        most = [row for row in own if row.count == max(each.count for each in own)]
        lines += grown(most, f"{action}, {most[0].count} images: side", [row.side for row in most])
    return lines


def grown(rows: Sequence[Row], words: str, sizes: Sequence[int]) -> list[str]:
    """A line of exponents; none for a single size."""
    if len(rows) < 2:
        return []
    per_image = exponent(sizes, [row.seconds for row in rows])
    memory = exponent(sizes, [row.own for row in rows])
    return [f"{words} ^ {per_image:+.2f} (time of an image), ^ {memory:+.2f} (own memory)"]


def main() -> None:
    """One measurement in this process; prints it as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("action", choices=ACTIONS)
    parser.add_argument("side", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("cache", type=pathlib.Path)
    asked = parser.parse_args()
    memory = OwnMemory()
    seconds = ACTIONS[asked.action](asked.side, asked.count, asked.cache, memory)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    row = Row(asked.action, asked.side, asked.count, seconds, peak, memory.greatest or peak)
    print(json.dumps(dataclasses.asdict(row)))


if __name__ == "__main__":
    main()
