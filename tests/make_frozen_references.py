"""Writes the references of the weight readers' and frozen networks' tests with original runtimes.

Run with an interpreter that has the original runtimes; the project's own environment has none:

    python -m pip install torch efficientnet-lite-pytorch dlib-bin onnx onnxruntime
    python tests/make_frozen_references.py --efficientnet_lite0=FILE.pth \\
        --efficientnet_lite1=FILE.pth --dlib=FILE.dat --sface=FILE.onnx --output=tests/fixtures

The stored files were made on CPU with Python 3.11.7, numpy 2.4.6, torch 2.13.0,
efficientnet-lite-pytorch 0.1.0 (the authors' model code for the .pth files), dlib 20.0.1
(dlib-bin 20.0.1.post1), onnx 1.23.2 and onnxruntime 1.32.0, from efficientnet-lite0-57934424.pth,
efficientnet-lite1-77cc7160.pth, dlib_face_recognition_resnet_model_v1.dat and
face_recognition_sface_2021dec_int8bq.onnx. Inputs are random blocks of colour: nobody's photo.
"""

import argparse
import pathlib

import numpy as np

# 64 is the usual size; at 49 the padding of strided layers falls differently.
LITE_SIZES = (64, 49)
LITE_BLOCKS = {
    "efficientnet_lite0": (1, 3, 5, 11, 16),
    "efficientnet_lite1": (3, 5, 8, 12),
}
# The shallow maps are large: every n-th position of them is enough.
POSITION_STEP = {1: 6, 3: 3}
CHIP_SIZE, SFACE_CHIP_SIZE = 150, 112


def block_image(size: int, seed: int) -> np.ndarray:
    """Coarse and fine random blocks of colour added up: uint8 [size, size, 3]."""
    random = np.random.default_rng(seed)
    image = np.zeros((size, size, 3), "uint8")
    for count in (5, size // 3):
        side = -(-size // count)
        blocks = random.integers(0, 128, (count, count, 3), "uint8")
        image += blocks.repeat(side, axis=0).repeat(side, axis=1)[:size, :size]
    return image


def lite_references(name: str, weights_path: str) -> dict[str, np.ndarray]:
    """Images uint8 and block outputs float32 [h, w, C] of PyTorch's EfficientNet-Lite."""
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    references = {}
    for size in LITE_SIZES:
        image = references[f"image_{size}"] = block_image(size, seed=size)
        model = EfficientNet.from_pretrained(
            name.replace("_", "-"), weights_path=weights_path, image_size=size
        ).eval()
        x = torch.from_numpy((image.astype("float32") - 127) / 128).permute(2, 0, 1)[None]
        with torch.no_grad():
            x = model._swish(model._bn0(model._conv_stem(x)))
            for number, block in enumerate(model._blocks, start=1):
                x = block(x)
                if number in LITE_BLOCKS[name]:
                    step = POSITION_STEP.get(number, 1)
                    features = x[0].permute(1, 2, 0).numpy()[::step, ::step]
                    references[f"block{number}_{size}"] = features
    return references


def dlib_references(weights_path: str) -> dict[str, np.ndarray]:
    """Chips uint8 [N, 150, 150, 3] and dlib's own descriptors of them, float32 [N, 128]."""
    import dlib

    model = dlib.face_recognition_model_v1(weights_path)
    chips = np.stack([block_image(CHIP_SIZE, seed) for seed in range(3)])
    descriptors = [np.array(model.compute_face_descriptor(chip)) for chip in chips]
    return {"chips": chips, "descriptors": np.stack(descriptors).astype("float32")}


def sface_references(weights_path: str) -> dict[str, np.ndarray]:
    """Chips uint8 [N, 112, 112, 3] and SFace's embeddings of them, float32 [N, 128]."""
    import onnx
    import onnxruntime

    model = onnx.load(weights_path)
    # The file lists its weights as inputs, too; the runtime would ask for them.
    image = [each for each in model.graph.input if each.name == "data"]
    del model.graph.input[:]
    model.graph.input.extend(image)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    chips = np.stack([block_image(SFACE_CHIP_SIZE, seed) for seed in range(3)])
    planes = chips.astype("float32").transpose(0, 3, 1, 2)
    embeddings = [session.run(None, {"data": plane[None]})[0][0] for plane in planes]
    return {"chips": chips, "embeddings": np.stack(embeddings)}


def write_state_dicts(output: pathlib.Path) -> None:
    """One small state dict in both of PyTorch's file formats; test_weights.py knows its values."""
    import torch

    grid = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    state = {
        "transposed": grid.T,
        "window": grid[1:, 2:],  # shares the storage of "transposed"
        "half": torch.tensor([0.5, -2.0], dtype=torch.float16),
        "count": torch.tensor(2**40),
        "empty": torch.zeros(0, 3, dtype=torch.float64),
        "parameter": torch.nn.Parameter(torch.ones(2)),
    }
    torch.save(state, output / "state_dict_zip.pth")
    torch.save(state, output / "state_dict_legacy.pth", _use_new_zipfile_serialization=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for option in (*LITE_BLOCKS, "dlib", "sface", "output"):
        parser.add_argument(f"--{option}", required=True)
    arguments = vars(parser.parse_args())
    output = pathlib.Path(arguments["output"])
    write_state_dicts(output)
    for name in LITE_BLOCKS:
        references = lite_references(name, arguments[name])
        np.savez_compressed(output / f"{name}_reference.npz", **references)
    references = dlib_references(arguments["dlib"])
    np.savez_compressed(output / "dlib_reference.npz", **references)
    references = sface_references(arguments["sface"])
    np.savez_compressed(output / "sface_reference.npz", **references)


if __name__ == "__main__":
    main()
