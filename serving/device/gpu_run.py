"""Runs a .tflite file on this machine's GPU accelerator: a process of its own.

    python serving/device/gpu_run.py FILE.tflite INPUTS.npz RESULT.npz [RUNS] [half]

A driver may crash the process or pick an adapter that only its log names: check_gpu starts this,
reads the log and lives on. LiteRT is asked for the GPU alone: where an operation can't run there,
compiling fails, nothing falls back to the CPU.
"""

import sys
import time
from collections.abc import Mapping

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


def run_inputs(
    model: CompiledModel, arrays: Mapping[str, np.ndarray], runs: int
) -> dict[str, np.ndarray]:
    """Codes and latencies.

    Args:
        model: its inputs are float32 [1, ...], its one output is float32.
        arrays: float32 [n, ...] for every input, by name.
        runs: timed runs, on the first row.

    Returns:
        codes float32 [n, ...]; milliseconds float64 [runs], each from writing the image to reading
        the code.
    """
    name, signature = next(iter(model.get_signature_list().items()))
    (output,) = model.get_output_tensor_details(name).values()
    shape = tuple(output["shape"])
    inputs, outputs = model.create_input_buffers(0), model.create_output_buffers(0)

    def run(row: int) -> np.ndarray:
        for buffer, key in zip(inputs, signature["inputs"], strict=True):
            buffer.write(np.ascontiguousarray(arrays[key][row][None]))
        model.run_by_index(0, inputs, outputs)
        return outputs[0].read(int(np.prod(shape)), np.float32).reshape(shape)

    codes = np.concatenate([run(row) for row in range(len(next(iter(arrays.values()))))])
    for _ in range(WARM_UP_RUNS):
        run(0)
    milliseconds = []
    for _ in range(runs):
        start = time.perf_counter()
        run(0)
        milliseconds.append(1000 * (time.perf_counter() - start))
    return {"codes": codes, "milliseconds": np.array(milliseconds)}


def main(path: str, inputs: str, result: str, runs: str = "0", precision: str = "") -> None:
    """Runs the rows of an .npz file; another gets codes, latencies and `accelerated`."""
    model = open_on_gpu(path, half=precision == "half")
    with np.load(inputs) as arrays:
        found = run_inputs(model, dict(arrays), int(runs))
    np.savez(result, accelerated=model.is_fully_accelerated(), **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
