"""Proves that a .tflite encoder runs on this machine's GPU, and that it computes the same codes.

    python -m serving.check_gpu FILE.tflite [--software] [--runs=50]

LiteRT's GPU accelerator runs the file; its log names the adapter, which is the proof that no CPU
fallback did. The codes are compared with the CPU's. --software takes SwiftShader, a GPU in software
that comes with Chromium, for machines without one: it proves that every operation delegates, not
speed. Ends with 0 where all holds, 1 where it does not, 2 where the file can't be checked.
"""

import argparse
import dataclasses
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence

from serving.utils import interruption

if __name__ == "__main__":
    interruption.at_once("check_gpu")

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from serving.utils.path_argument import path_argument

SWIFTSHADER = (
    "/usr/lib/chromium/vk_swiftshader_icd.json",
    "/usr/lib/chromium-browser/vk_swiftshader_icd.json",
    "/opt/google/chrome/vk_swiftshader_icd.json",
)
ADAPTER = re.compile(
    r"Selected adapter: (?P<name>.+), arch=(?P<arch>[^,]*), vendor=(?P<vendor>[^,]*),"
    r" backend=(?P<backend>[^,]*), adapterType=(?P<kind>.*)"
)
TROUBLE = re.compile(r"error|fail|not supported|couldn't|adapter", re.IGNORECASE)
# Every run logs these: accelerators of other kinds are looked for, and the registry is emptied.
HARMLESS = re.compile(r"npu_registry|[Oo]pen[Vv]ino|OpenCL|accelerator_registry|compiler_plugin")
# Relative errors, as root mean squares: measured 3e-7 with float32 arithmetic.
LARGEST_ERROR = {False: 1e-4, True: 2e-2}
TIMEOUT_SECONDS = 300
GPU_RUN = pathlib.Path(__file__).parent / "device" / "gpu_run.py"
INT8_REASON = (
    "{path} holds integers ({tensor}): LiteRT's GPU accelerator computes other codes from such a"
    " file (cosines of .32 to .45 to the CPU's, measured on SwiftShader), and does not say so."
    " Ship the float32 or float16 file for GPUs, and int8 for CPUs."
)


class CheckError(RuntimeError):
    """The file does not run on the GPU, or computes something else there."""


@dataclasses.dataclass(frozen=True)
class GpuCheck:
    """What a run on the GPU found.

    Attributes:
        adapter: the accelerator's log line about the adapter that it chose.
        software: whether that adapter is a program and no device.
        relative_error: root mean square of the difference to the CPU's codes, relative to theirs.
        gpu_milliseconds: median of one image, written, run and read.
        cpu_milliseconds: likewise, on the CPU with LiteRT's interpreter.
    """

    adapter: str
    software: bool
    relative_error: float
    gpu_milliseconds: float
    cpu_milliseconds: float


def check_file(
    path: pathlib.Path,
    *,
    vulkan_icd: pathlib.Path | None = None,
    num_images: int = 4,
    runs: int = 50,
    half: bool = False,
) -> GpuCheck:
    """Runs a file on the GPU and on the CPU.

    Args:
        path: a .tflite file with float32 inputs `image` and, of a noisy encoder, `noise`, and one
            float32 output.
        vulkan_icd: the description of the Vulkan driver to use; None: the system's.
        num_images: images that codes are compared on.
        runs: timed runs on each.
        half: let the GPU compute in float16.

    Raises:
        ValueError: the file is missing, or of integers.
        CheckError: no adapter is named, the GPU refuses the file, or its codes are others.
    """
    interpreter = open_file(path)
    arrays = random_inputs(num_images, interpreter)
    expected, cpu_milliseconds = run_on_cpu(interpreter, arrays, runs)
    with tempfile.TemporaryDirectory() as folder:
        result = pathlib.Path(folder) / "result.npz"
        inputs = pathlib.Path(folder) / "inputs.npz"
        np.savez(inputs, **arrays)
        command = [str(path), str(inputs), str(result), str(runs)]
        log = run_on_gpu([*command, "half"] if half else command, vulkan_icd)
        adapter = adapter_of(log)
        with np.load(result) as found:
            codes, milliseconds = found["codes"], found["milliseconds"]
            if not found["accelerated"]:
                raise CheckError(f"{path}: not every operation runs on {adapter['name']}.")
    error = relative_error(codes, expected)
    if not error <= LARGEST_ERROR[half]:
        raise CheckError(
            f"{path}: the codes of {adapter['name']} differ from the CPU's by a relative"
            f" {error:.3g}, expected at most {LARGEST_ERROR[half]:g}."
        )
    return GpuCheck(
        adapter=adapter[0],
        software="CPU" in adapter["kind"],
        relative_error=error,
        gpu_milliseconds=float(np.median(milliseconds)),
        cpu_milliseconds=cpu_milliseconds,
    )


def open_file(path: pathlib.Path) -> Interpreter:
    """Opens a file on the CPU; ValueError where it is none, or not for GPUs."""
    if not path.is_file():
        raise ValueError(f"{path}: there is no such file.")
    try:
        interpreter = Interpreter(model_path=str(path))
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{path} is no .tflite file: {error}") from error
    for tensor in interpreter.get_tensor_details():
        if tensor["dtype"] in (np.int8, np.uint8, np.int16) and tensor["quantization"][0]:
            raise ValueError(INT8_REASON.format(path=path, tensor=tensor["name"]))
    runner = interpreter.get_signature_runner()
    inputs, outputs = runner.get_input_details(), runner.get_output_details()
    types = {details["dtype"] for details in (*inputs.values(), *outputs.values())}
    if len(set(inputs) - {"noise"}) != 1 or len(outputs) != 1 or types != {np.float32}:
        described = [
            f"{name} {np.dtype(details['dtype']).name}"
            for name, details in (*inputs.items(), *outputs.items())
        ]
        raise ValueError(
            f"{path} has {described}; expected an image (and noise) in and a code out, float32."
        )
    return interpreter


def random_inputs(count: int, interpreter: Interpreter) -> dict[str, np.ndarray]:
    """Always the same arrays float32 [count, ...] by name: images in [0, 1], noise normal."""
    rng = np.random.default_rng(0)
    draw = {"noise": rng.standard_normal}
    return {
        name: draw.get(name, rng.random)((count, *details["shape"][1:]), np.float32)
        for name, details in interpreter.get_signature_runner().get_input_details().items()
    }


def run_on_cpu(
    interpreter: Interpreter, arrays: Mapping[str, np.ndarray], runs: int
) -> tuple[np.ndarray, float]:
    """(codes float32 [n, ...], median milliseconds of one image)."""
    runner = interpreter.get_signature_runner()

    def run(row: int) -> np.ndarray:
        (code,) = runner(**{name: values[row][None] for name, values in arrays.items()}).values()
        return code

    codes = np.concatenate([run(row) for row in range(len(next(iter(arrays.values()))))])
    milliseconds = []
    for _ in range(runs):
        start = time.perf_counter()
        run(0)
        milliseconds.append(1000 * (time.perf_counter() - start))
    return codes, float(np.median(milliseconds))


def run_on_gpu(arguments: Sequence[str], vulkan_icd: pathlib.Path | None) -> str:
    """Runs gpu_run.py and returns its log; CheckError where it fails."""
    environment = dict(os.environ)
    if vulkan_icd:
        # Read by Vulkan's loader, which lies beside Chromium's driver where the system has none.
        environment["VK_ICD_FILENAMES"] = str(vulkan_icd)
        libraries = (str(vulkan_icd.parent), environment.get("LD_LIBRARY_PATH", ""))
        environment["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, libraries))
    try:
        finished = subprocess.run(
            [sys.executable, str(GPU_RUN), *arguments],
            capture_output=True,
            text=True,
            env=environment,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise CheckError(f"The GPU run took more than {TIMEOUT_SECONDS} s.") from None
    if finished.returncode:
        raise CheckError(
            f"The GPU did not run the file ({ending(finished.returncode)}); an operation that it"
            " can't run, or no driver. LiteRT's log ends with:\n"
            f"{troubles(finished.stderr)}"
        )
    return finished.stderr


def ending(returncode: int) -> str:
    """How a process ended, in words."""
    if returncode < 0:
        return f"killed by {signal.Signals(-returncode).name}"
    return f"exit code {returncode}"


def troubles(log: str, count: int = 8) -> str:
    """The last lines of a log that tell of trouble, or else the last lines."""
    lines = log.strip().splitlines()
    telling = [line for line in lines if TROUBLE.search(line) and not HARMLESS.search(line)]
    return "\n".join((telling or lines)[-count:])


def adapter_of(log: str) -> re.Match:
    """The log's line about the adapter; CheckError where there is none."""
    found = ADAPTER.search(log)
    if found is None:
        raise CheckError(
            "LiteRT's log names no adapter, so nothing proves that a GPU ran the file. The log"
            f" ends with:\n{troubles(log)}"
        )
    return found


def relative_error(codes: np.ndarray, expected: np.ndarray) -> float:
    """Root mean square of the difference of codes [n, ...], relative to that of `expected`.

    NaN or inf where a code is not finite.
    """
    difference = np.linalg.norm((codes.astype(np.float64) - expected).ravel())
    return float(difference / max(np.linalg.norm(expected.ravel()), np.finfo(np.float64).tiny))


def find_swiftshader() -> pathlib.Path:
    """SwiftShader's description for Vulkan; ValueError where it is not installed."""
    for path in map(pathlib.Path, SWIFTSHADER):
        if path.is_file():
            return path
    raise ValueError(
        "--software needs SwiftShader, which is part of Debian's package chromium-common; not found"
        f" in {', '.join(SWIFTSHADER)}. Name its description with --vulkan_icd=FILE."
    )


def check_words(path: pathlib.Path, found: GpuCheck) -> str:
    """The check's outcome, for the terminal."""
    kind = "software adapter (proves delegation, not speed)" if found.software else "GPU"
    ratio = found.gpu_milliseconds / found.cpu_milliseconds
    return "\n".join(
        [
            f"File            {path}",
            f"Adapter         {found.adapter.removeprefix('Selected adapter: ')}",
            f"Ran on          a {kind}; every operation delegated",
            f"Codes           relative difference to the CPU's {found.relative_error:.2g}",
            f"Latency         {found.gpu_milliseconds:.2f} ms (median, one image), on the CPU"
            f" {found.cpu_milliseconds:.2f} ms: {ratio:.2f} times the CPU's",
        ]
    )


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m serving.check_gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "file", type=path_argument("file"), help="an exported encoder, float32 or float16"
    )
    driver = parser.add_mutually_exclusive_group()
    driver.add_argument("--software", action="store_true", help="use SwiftShader, not a GPU")
    driver.add_argument(
        "--vulkan_icd",
        type=path_argument("vulkan_icd"),
        help="description (JSON) of the Vulkan driver to use",
    )
    parser.add_argument("--images", type=int, default=4, help="images compared (default 4)")
    parser.add_argument("--runs", type=int, default=50, help="timed runs (default 50)")
    parser.add_argument(
        "--half", action="store_true", help="let the GPU compute in float16: faster, less exact"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Checks one file; returns the exit code."""
    given = parse_arguments(arguments)
    try:
        if given.images < 1 or given.runs < 1:
            raise ValueError(f"--images={given.images} and --runs={given.runs} must be >= 1.")
        icd = given.vulkan_icd or (find_swiftshader() if given.software else None)
        found = check_file(
            given.file, vulkan_icd=icd, num_images=given.images, runs=given.runs, half=given.half
        )
    except ValueError as error:
        print(f"check_gpu: {error}", file=sys.stderr)
        return 2
    except CheckError as error:
        print(f"check_gpu: {error}", file=sys.stderr)
        return 1
    print(check_words(given.file, found))
    return 0


if __name__ == "__main__":
    with interruption.in_one_line("check_gpu", "start the command again."):
        sys.exit(main())
