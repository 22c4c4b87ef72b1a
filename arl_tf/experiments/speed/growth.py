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
from typing import Any

import numpy as np

SIDES, COUNTS = "32,64,128", "1000,10000"
# By how much an exponent may miss 1 where time grows linearly.
LINEAR_WITHIN = 0.1
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


@dataclasses.dataclass(frozen=True)
class Growth:
    """How one measurement grows with one size, while the other size stays.

    Attributes:
        action: a key of ACTIONS.
        by: "images", or "side" of an image.
        stays: the other size, in words.
        time: exponent of an image's time by that size.
        memory: that of the own memory.
    """

    action: str
    by: str
    stays: str
    time: float
    memory: float

    @property
    def total(self) -> float:
        """Exponent of the time of all images by their number, or by the pixels of one."""
        return self.time + 1 if self.by == "images" else self.time / 2

    @property
    def verdict(self) -> str:
        """Whether that time grows linearly."""
        unit = "images" if self.by == "images" else "pixels"
        excess = round(self.total - 1, 3)
        if abs(excess) <= LINEAR_WITHIN:
            return f"linear in {unit} within {LINEAR_WITHIN:.0%}"
        return f"{'more' if excess > 0 else 'less'} than linear in {unit}"

    def words(self) -> str:
        """A line of all this."""
        return (
            f"{self.action}, {self.stays}: {self.by} ^ {self.time:+.2f} (time of an image),"
            f" ^ {self.memory:+.2f} (own memory); time is {self.verdict}"
        )


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


def asked_sizes(flag: str, text: str) -> tuple[int, ...]:
    """Sizes from comma-separated text, in order.

    Args:
        flag: "sides" or "counts".
        text: the flag's value.

    Raises:
        ValueError: something that is no such size of drawn faces.
    """
    from arl_tf.config.checks import comma_separated

    found = []
    for each in comma_separated(text):
        if not each.isdecimal():
            raise ValueError(f"--{flag} must be whole numbers, comma-separated; got {each!r}.")
        found.append(int(each))
        # Refuses what no run may have.
        settings_of(**{"side": 64, "count": 1000, flag.removesuffix("s"): found[-1]})
    return tuple(sorted(set(found)))


def measure(sides: Sequence[int], counts: Sequence[int]) -> list[Row]:
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
    return [*lines, "", *(growth.words() for growth in growths(rows))]


def as_json(rows: Sequence[Row]) -> dict[str, list[dict[str, Any]]]:
    """`rows` and `growth` as JSON can hold them."""
    return {
        "rows": [dataclasses.asdict(row) for row in rows],
        "growth": [
            {**dataclasses.asdict(each), "total": each.total, "verdict": each.verdict}
            for each in growths(rows)
        ],
    }


def growths(rows: Sequence[Row]) -> list[Growth]:
    """How time and memory grow with images, at each resolution, and with the side of an image."""
    found = []
    for action in dict.fromkeys(row.action for row in rows):
        own = [row for row in rows if row.action == action]
        for side in sorted({row.side for row in own}):
            same = [row for row in own if row.side == side]
            found += growth_of(same, "images", f"{side} pixels", [row.count for row in same])
        most = [row for row in own if row.count == max(each.count for each in own)]
        found += growth_of(most, "side", f"{most[0].count} images", [row.side for row in most])
    return found


def growth_of(rows: Sequence[Row], by: str, stays: str, sizes: Sequence[int]) -> list[Growth]:
    """The growth of rows of one action with their sizes; none for a single size."""
    if len(rows) < 2:
        return []
    time_exponent = exponent(sizes, [row.seconds for row in rows])
    return [
        Growth(rows[0].action, by, stays, time_exponent, exponent(sizes, [row.own for row in rows]))
    ]


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
