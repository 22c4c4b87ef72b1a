"""What TensorBoard shows of an audit is what report.json says."""

import pytest
import tensorflow as tf
from reports import audit_report
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from arl_tf.report import report_files, tensorboard


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """(report, tag -> {step: value}, the wall's bytes) of an audit in TensorBoard."""
    found = audit_report(leakage=0.37)
    found.content["utility"]["mean_mcc"] = {"value": None, "ci95": None}
    logs = tmp_path_factory.mktemp("logs")
    tensorboard.write_summaries(found, logs, "validation")
    events = EventAccumulator(str(logs / "audit_validation"), size_guidance={"tensors": 0})
    events.Reload()
    tensors = {
        tag: {event.step: event.tensor_proto for event in events.Tensors(tag)}
        for tag in events.Tags()["tensors"]
    }
    return found, tensors


def scalar(tensors, tag, step=0):
    return float(tf.make_ndarray(tensors[tag][step]))


def test_scalars_are_the_attackers_the_floors_and_the_leakage(written):
    _, tensors = written
    assert scalar(tensors, "audit/decoder/face_similarity") == pytest.approx(0.5)
    assert scalar(tensors, "audit/linear/psnr") == pytest.approx(0.4)
    assert scalar(tensors, "audit/mean_image/ssim") == pytest.approx(0.1)
    assert scalar(tensors, "audit/task_output/reid_rank1") == pytest.approx(0.2)
    assert scalar(tensors, "audit/leakage/face_similarity") == pytest.approx(0.37)


def test_held_out_loss_is_a_curve_by_check(written):
    _, tensors = written
    curve = [scalar(tensors, "audit/decoder/held_out_loss", step) for step in (1, 2, 3)]
    assert curve == pytest.approx([0.3, 0.2, 0.15])
    assert len(tensors["audit/linear/held_out_loss"]) == 1


def test_undefined_figures_are_left_out(written):
    assert "audit/utility/mean_mcc" not in written[1]


def test_wall_is_the_reports(written):
    found, tensors = written
    image = tf.make_ndarray(tensors["audit/picture_wall"][0])[2]
    shown = tf.io.decode_png(image).numpy()
    assert (shown == report_files.wall_of(found, None)).all()
