"""TensorBoard shows the training first, an audit as one table, and compares runs by their audit."""

import pathlib

import pytest
import tensorflow as tf
from reports import audit_report
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from arl_tf.metrics.reconstruction import MEASURES
from arl_tf.report import report_files, tensorboard, verdict

SETTINGS = {"code_noise": 1.0, "defence": "both", "deterministic": False}


def tensors_of(folder):
    """Tag -> {step: tensor} of a run below a log folder."""
    events = EventAccumulator(str(folder), size_guidance={"tensors": 0}).Reload()
    return {
        tag: {event.step: event.tensor_proto for event in events.Tensors(tag)}
        for tag in events.Tags()["tensors"]
    }, events


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """(report, log folder) of an audit in TensorBoard, written twice."""
    found = audit_report(leakage=0.37)
    found.content["utility"]["mean_mcc"] = {"value": None, "ci95": None}
    logs = tmp_path_factory.mktemp("logs")
    for _ in range(2):
        tensorboard.write_summaries(found, logs, "test", SETTINGS)
    return found, logs / "audit_test"


def table_of(folder):
    tensors, _ = tensors_of(folder)
    text = (
        tf.make_ndarray(tensors[tensorboard.FIGURES][0])[()]
        .decode()
        .replace("\N{NO-BREAK SPACE}", " ")
    )
    first, _, _ = text.partition("Embeddings predicted")
    return text, [line for line in first.splitlines() if line.startswith("|")]


def test_audit_is_one_table_with_a_row_for_every_attack_floor_and_yardstick(written):
    found, folder = written
    text, rows = table_of(folder)
    assert all(f"- {sentence}" in text for sentence in verdict.sentences(found.content))
    names = [row.split("|")[1].strip() for row in rows[2:]]
    for name in ("attack: decoder", "attack: linear", "floor: task output alone", "leakage"):
        assert name in names
    assert "compare: strangers" in names
    assert all(row.count("|") == len(MEASURES) + 1 for row in rows)
    decoder = next(row for row in rows if "attack: decoder" in row)
    assert decoder.split("|")[2:-1] == [" 0.50 ", *[" 0.500 "] * (len(MEASURES) - 2)]


def test_single_figures_are_the_few_that_hparams_compares(written):
    _, folder = written
    tensors, _ = tensors_of(folder)
    single = {tag for tag in tensors if tag not in (tensorboard.FIGURES, tensorboard.PICTURES)}
    single = {tag for tag in single if not tag.startswith("_hparams_")}
    # The mean MCC is undefined, and so is what a second judge says of drawn faces: left out.
    undefined = {f"under_attack/{name}" for name in ("mean_mcc", "utility")}
    undefined.add("under_attack/worst_face_similarity_2")
    assert single == set(tensorboard.COMPARED) - undefined
    assert tf.make_ndarray(tensors["under_attack/leakage_face_similarity"][0]) == pytest.approx(
        0.37
    )
    assert tf.make_ndarray(tensors["under_attack/worst_reid_rank1"][0]) == pytest.approx(0.5)


def test_charts_of_the_training_stand_before_those_of_the_audit(written):
    _, folder = written
    charts = [tag for tag in tensors_of(folder)[0] if tag != tensorboard.FIGURES]
    charts = [tag for tag in charts if not tag.startswith("_hparams_")]
    # TensorBoard sorts charts by name.
    assert all(sorted(["eval/x", "train/x", tag])[-1] == tag for tag in charts)


def test_hparams_hold_the_settings_and_compare_by_the_audit_not_by_training_s_decoder(written):
    _, folder = written
    metadata = tensors_of(folder)[1].summary_metadata
    started, experiment = (
        plugin_data_pb2.HParamsPluginData.FromString(metadata[tag].plugin_data.content)
        for tag in ("_hparams_/session_start_info", "_hparams_/experiment")
    )
    assert set(started.session_start_info.hparams) == set(SETTINGS)
    tags = [metric.name.tag for metric in experiment.experiment.metric_infos]
    assert tags == list(tensorboard.COMPARED)
    assert "under_attack/worst_face_similarity" in tags
    # A leakage never stands without the absolute figures.
    assert "under_attack/task_output_face_similarity" in tags
    assert "under_attack/unprotected_face_similarity" in tags
    assert "under_attack/leakage_face_similarity" in tags
    assert not any("adversary" in tag for tag in tags)


def test_attackers_curves_are_lines_of_one_chart(written):
    _, folder = written
    curves = {path.name for path in folder.iterdir() if path.is_dir()}
    # The linear map is solved in closed form: it has no curve.
    assert curves == {"decoder", "task_output_decoder"}
    losses = tensors_of(folder / "decoder")[0][tensorboard.LOSS]
    assert [float(tf.make_ndarray(losses[step])) for step in (1, 2, 3)] == pytest.approx(
        [0.3, 0.2, 0.15]
    )


def test_second_audit_replaces_the_first(written):
    _, folder = written
    assert len(list(pathlib.Path(folder).glob("events*"))) == 1


def test_audit_without_settings_has_no_hparams(tmp_path):
    tensorboard.write_summaries(audit_report(), tmp_path, "validation", None)
    assert not any("_hparams_" in tag for tag in tensors_of(tmp_path / "audit_validation")[0])


def test_pictures_are_the_reports(written):
    found, folder = written
    image = tf.make_ndarray(tensors_of(folder)[0][tensorboard.PICTURES][0])[2]
    assert (tf.io.decode_png(image).numpy() == report_files.wall_of(found, None)).all()
