"""Runs a .tflite file on this machine's GPU accelerator: a process of its own.

    python serving/gpu_run.py FILE.tflite IMAGES.npy RESULT.npz [RUNS] [half]

A driver may crash the process or pick an adapter that only its log names: check_gpu starts this,
reads the log and lives on. LiteRT is asked for the GPU alone: where an operation can't run there,
compiling fails, nothing falls back to the CPU.
"""

import sys
import time

import numpy as np
from ai_edge_litert.compiled_model import CompiledModel
from ai_edge_litert.hardware_accelerator import HardwareAccelerator
from ai_edge_litert.options import GpuOptions, Options

WARM_UP_RUNS = 3


def open_on_gpu(path: str, *, half: bool) -> CompiledModel:
    """Compiles a file for the GPU alone; arithmetic in float32, or in float16 where it may."""
    options = Options(
        hardware_accelerators=HardwareAccelerator.GPU,
        gpu_options=GpuOptions(enforce_f32=not half),
    )
    return CompiledModel.from_file(path, options=options)


def run_images(model: CompiledModel, images: np.ndarray, runs: int) -> dict[str, np.ndarray]:
    """Codes and latencies.

    Args:
        model: one input, float32 [1, ...], and one output, float32.
        images: float32 [n, ...].
        runs: timed runs, on the first image.

    Returns:
        codes float32 [n, ...]; milliseconds float64 [runs], each from writing the image to reading
        the code.
    """
    name = next(iter(model.get_signature_list()))
    (output,) = model.get_output_tensor_details(name).values()
    shape = tuple(output["shape"])
    inputs, outputs = model.create_input_buffers(0), model.create_output_buffers(0)

    def run(image: np.ndarray) -> np.ndarray:
        inputs[0].write(np.ascontiguousarray(image[None]))
        model.run_by_index(0, inputs, outputs)
        return outputs[0].read(int(np.prod(shape)), np.float32).reshape(shape)

    codes = np.concatenate([run(image) for image in images])
    for _ in range(WARM_UP_RUNS):
        run(images[0])
    milliseconds = []
    for _ in range(runs):
        start = time.perf_counter()
        run(images[0])
        milliseconds.append(1000 * (time.perf_counter() - start))
    return {"codes": codes, "milliseconds": np.array(milliseconds)}


def main(path: str, images: str, result: str, runs: str = "0", precision: str = "") -> None:
    """Runs the images of an .npy file; an .npz file gets codes, latencies and `accelerated`."""
    model = open_on_gpu(path, half=precision == "half")
    found = run_images(model, np.load(images), int(runs))
    np.savez(result, accelerated=model.is_fully_accelerated(), **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
