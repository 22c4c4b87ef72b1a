"""Data that are no faces, each kind from files to answers: train, audit, export, serve, ask."""

import json

import numpy as np
import pytest
import tensorflow as tf
from conftest import run_main
from PIL import Image
from serving_models import serving
from waiting import LONG

from arl_tf import example_folder
from arl_tf.data.labelled import shapes
from serving import client_cli

pytestmark = pytest.mark.slow

FLAGS = (
    *("--warmup_epochs=1", "--epochs=1", "--steps_per_epoch=4", "--decoder_width=4"),
    *("--attackers=linear", "--bootstrap_samples=100", "--threads=1"),
)
# Configuration, the layout of its data set, and what the labels are called.
KINDS = {
    "classes_example": ("classes", list(shapes.SHAPES)),
    "folder_example": ("table", ["large", "striped"]),
    "regression_example": ("table", ["size"]),
    "numpy_example": ("numpy", ["large", "striped"]),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_photo_gets_from_the_endpoint_what_the_exported_files_say(name, tmp_path, capfd):
    layout, labels = KINDS[name]
    folder, run = tmp_path / "set", tmp_path / "run"
    drawn = [str(folder), f"--layout={layout}", "--images=120", "--images_per_room=6"]
    assert example_folder.main(drawn) == 0
    data = folder / "shapes.npz" if layout == "numpy" else folder
    finished = run_main(
        f"--flagfile=configs/{name}.cfg", f"--data_dir={data}", f"--workdir={run}", *FLAGS
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    manifest = json.loads((run / "export/manifest.json").read_text())
    assert manifest["trained_on"]["faces"] is False
    check_report(json.loads((run / "audit/report.json").read_text()), labels)
    photo = next((tmp_path / "set").rglob("*.png"), None) or saved_photo(data, tmp_path)
    with serving(run / "export/saved_model") as server:
        answer = asked(server, run, photo, capfd)
    probability, decision, value = said(run, photo)
    if name == "regression_example":
        assert answer["values"] == pytest.approx(dict(zip(labels, value, strict=True)), rel=1e-2)
        return
    for label, expected, decided in zip(labels, probability, decision, strict=True):
        assert answer["attributes"][label] == pytest.approx(expected, abs=5e-3)
        if abs(expected - 0.5) > 0.1:
            assert answer["decisions"][label] == decided


def check_report(report, labels):
    assert report["measured_on"]["faces"] == "none"
    shown = json.dumps(report["utility"])
    assert all(f'"{label}"' in shown for label in labels)


def saved_photo(arrays, folder):
    """The first image of an .npz as a file."""
    with np.load(arrays) as saved:
        Image.fromarray(saved["images"][0]).save(folder / "photo.png")
    return folder / "photo.png"


def asked(server, run, photo, capfd):
    """What the client prints of a photo that the server answers for."""
    capfd.readouterr()
    client_cli.main(
        [
            *("encode", str(photo), "--json", f"--timeout={LONG}"),
            f"--tflite={run / 'export/tflite/encoder_float32.tflite'}",
            f"--head=localhost:{server.rest_api_port}",
        ]
    )
    (answer,) = json.loads(capfd.readouterr().out)["photos"]
    return answer


def said(run, photo):
    """What encoder and task head of the export say of a photo, in this process."""
    folder = run / "export/saved_model"
    encoder, task_head = (
        tf.saved_model.load(str(folder / name / "1")).signatures
        for name in ("encoder", "task_head")
    )
    found = encoder["encode_bytes"](image_bytes=tf.constant([photo.read_bytes()]))
    outputs = task_head["serving_default"](code=found["code"])
    return (
        outputs[key].numpy()[0] if key in outputs else None
        for key in ("probability", "decision", "value")
    )
