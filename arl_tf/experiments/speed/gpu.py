"""What a GPU makes of a training, for `python -m arl_tf.bench --gpu`.

The same training on drawn faces, on the CPU and on the GPU, in each precision: time of an
adversarial step, mean MCC, memory; and the codes of one encoder, computed by both devices.
"""

import dataclasses
import pathlib
import tempfile
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from arl_tf.config.settings import Config, subset
from arl_tf.data import image_sets, splits
from arl_tf.data.image_sets import DataSettings, ImageSet, to_float
from arl_tf.data.splits import Splits, SplitSettings
from arl_tf.experiments.speed.training_steps import timed_steps
from arl_tf.training import checkpoints, train
from arl_tf.training.learner import ADVERSARIAL
from arl_tf.training.settings import TrainingFiles, TrainingSettings
from arl_tf.utils import run_files

CPU, GPU = "/CPU:0", "/GPU:0"
# Of each training: device, --precision, --jit_compile.
WAYS = (
    (CPU, "float32", False),
    (GPU, "float32", False),
    (GPU, "mixed_bfloat16", False),
    (GPU, "mixed_float16", False),
    (GPU, "float32", True),
)
SETTINGS = Config(
    num_faces=2000, decoder_width=16, warmup_epochs=6, decoder_warmup_epochs=1, epochs=2
)
COMPARED = 256
NO_GPU = (
    "--gpu needs a GPU that TensorFlow sees, and it sees none here. With NVIDIA's driver installed,"
    " run: pip install 'tensorflow[and-cuda]'. Then `python -m arl_tf.main --stages=doctor` names"
    " the GPU."
)


@dataclasses.dataclass(frozen=True)
class Row:
    """One training.

    Attributes:
        device: name of TensorFlow's device.
        precision: of the settings.
        jit_compile: whether XLA compiled the steps.
        step_ms: mean time of an adversarial step, milliseconds; NaN where it failed.
        images_per_second: private and public images of such steps in a second; NaN likewise.
        mean_mcc: of the validation part after all epochs, in [-1, 1]; NaN likewise.
        peak_mib: greatest memory of the GPU that the training's tensors took, MiB; NaN on a CPU.
        failure: why it ended early, in a line; empty where nothing failed.
    """

    device: str
    precision: str
    jit_compile: bool
    step_ms: float = float("nan")
    images_per_second: float = float("nan")
    mean_mcc: float = float("nan")
    peak_mib: float = float("nan")
    failure: str = ""


@dataclasses.dataclass(frozen=True)
class Found:
    """What was measured.

    Attributes:
        gpu: name of the GPU.
        rows: a training each.
        code_difference: greatest difference of the codes of one float32 encoder between CPU and
            GPU, as a share of the codes' standard deviation, with TensorFlow's defaults.
        exact_code_difference: the same without TensorFloat-32 products.
    """

    gpu: str
    rows: tuple[Row, ...]
    code_difference: float
    exact_code_difference: float


def measure(
    config: Config = SETTINGS, ways: Sequence[tuple[str, str, bool]] = WAYS, gpu: str = GPU
) -> Found:
    """Trains in each way, and compares the codes of the first encoder between the devices.

    Args:
        config: settings of data and training; precision and compilation are those of `ways`.
        ways: device, precision and whether XLA compiles, of each training.
        gpu: the device whose codes are compared with the CPU's.

    Raises:
        RuntimeError: no training came to its end.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        images = image_sets.load_images(subset(config, DataSettings), folder / "cache")
        parts = splits.split_by_identity(images.identities, subset(config, SplitSettings))
        rows = tuple(
            trained(config, way, folder / str(number), images, parts)
            for number, way in enumerate(ways)
        )
        trained_well = [number for number, row in enumerate(rows) if not row.failure]
        if not trained_well:
            raise RuntimeError(f"No training came to its end, the first because: {rows[0].failure}")
        encoder = checkpoints.player_path(folder / str(trained_well[0]) / "checkpoints", "encoder")
        shown = to_float(images.images[parts.private_validation[:COMPARED]])
        return Found(gpu_name(), rows, *code_differences(encoder, np.asarray(shown), gpu))


def require_gpu() -> None:
    """Raises RuntimeError, with what to do, where TensorFlow sees no GPU."""
    if not tf.config.list_physical_devices("GPU"):
        raise RuntimeError(NO_GPU)


def gpu_name() -> str:
    """What the first GPU calls itself; "no GPU" without one."""
    devices = tf.config.list_physical_devices("GPU")
    if not devices:
        return "no GPU"
    return tf.config.experimental.get_device_details(devices[0]).get("device_name", "unnamed GPU")


def trained(
    config: Config,
    way: tuple[str, str, bool],
    folder: pathlib.Path,
    images: ImageSet,
    parts: Splits,
) -> Row:
    """Trains in one way, into a folder; an error becomes the row's, and the next way may go on."""
    device, precision, compiled = way
    settings = subset(
        dataclasses.replace(config, precision=precision, jit_compile=compiled), TrainingSettings
    )
    files = TrainingFiles(
        folder / "checkpoints", folder / "logs", folder / "metrics.jsonl", folder / "cache"
    )
    folder.mkdir()
    on_gpu = device == GPU
    try:
        with tf.device(device):
            if on_gpu:
                tf.config.experimental.reset_memory_stats("GPU:0")
            train.train(settings, files, images, parts)
            learner = train.learner_for(settings, images, parts)
            seconds = sum(timed_steps(learner, settings, images, parts, ADVERSARIAL))
    # Whatever ends a way must not end the measurement of the others.
    except Exception as error:
        return Row(device, precision, compiled, failure=reason(error))
    peak = tf.config.experimental.get_memory_info("GPU:0")["peak"] if on_gpu else np.nan
    shown = settings.batch_size * (1 + settings.decoder_steps)
    return Row(
        device,
        precision,
        compiled,
        step_ms=seconds * 1e3,
        images_per_second=shown / seconds,
        mean_mcc=last_mcc(files.metrics),
        peak_mib=peak / 2**20,
    )


def reason(error: Exception) -> str:
    """The first line of what an error says; its kind where it says nothing."""
    said = str(error.message if isinstance(error, tf.errors.OpError) else error).strip()
    return said.splitlines()[0] if said else type(error).__name__


def last_mcc(metrics: pathlib.Path) -> float:
    """Mean MCC of the validation part after the last epoch."""
    lines = run_files.read_json_lines(metrics, remedy="Start the measurement again.")
    return lines[-1]["eval/mean_mcc"]


def code_differences(encoder: pathlib.Path, images: np.ndarray, gpu: str) -> tuple[float, float]:
    """How far the GPU's codes are from the CPU's: with TensorFlow's defaults, and exactly.

    By default, a GPU from NVIDIA's Ampere series on rounds the factors of float32 products to 10
    bits of mantissa (TensorFloat-32).

    Args:
        encoder: its .keras file.
        images: float32 [N, S, S, 3] in [0, 1].
        gpu: the device beside the CPU.

    Returns:
        Greatest differences as shares of the codes' standard deviation.
    """
    exact = codes_on(CPU, encoder, images)
    default = codes_on(gpu, encoder, images)
    was_on = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        without = codes_on(gpu, encoder, images)
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(was_on)
    return share_that_differs(default, exact), share_that_differs(without, exact)


def share_that_differs(codes: np.ndarray, exact: np.ndarray) -> float:
    """Greatest difference of codes float32 [N, ...], as a share of the exact ones' deviation."""
    return float(abs(codes - exact).max() / exact.std())


def codes_on(device: str, encoder: pathlib.Path, images: np.ndarray) -> np.ndarray:
    """The codes [N, ...] of float32 images [N, S, S, 3] in [0, 1], computed by a device."""
    with tf.device(device):
        return checkpoints.load_player(encoder)(images, training=False).numpy()


def table(found: Found) -> list[str]:
    """A line for each training, then the codes' differences."""
    lines = [
        f"GPU: {found.gpu}",
        f"{'device':8s} {'precision':15s} {'XLA':3s} {'ms/step':>8s} {'images/s':>9s}"
        f" {'speed-up':>8s} {'mean MCC':>8s} {'MiB':>7s}",
    ]
    first = found.rows[0].step_ms
    for row in found.rows:
        start = f"{row.device[1:4]:8s} {row.precision:15s} {'yes' if row.jit_compile else 'no':3s}"
        if row.failure:
            lines.append(f"{start} failed: {row.failure}")
            continue
        memory = "-" if np.isnan(row.peak_mib) else f"{row.peak_mib:.0f}"
        lines.append(
            f"{start} {row.step_ms:8.2f} {row.images_per_second:9.0f} {first / row.step_ms:8.2f}"
            f" {row.mean_mcc:8.3f} {memory:>7s}"
        )
    return [
        *lines,
        "",
        "Codes of one encoder, greatest difference between GPU and CPU as a share of their standard"
        " deviation:",
        f"  with TensorFlow's defaults  {found.code_difference:.1e}",
        f"  without TensorFloat-32      {found.exact_code_difference:.1e}",
    ]
