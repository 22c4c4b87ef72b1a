"""The absolute figures of a measure on one scale."""

from reports import report_content

from arl_tf.report import scale


def test_scale_has_its_six_steps_in_order():
    found = scale.steps(report_content(0.3))
    values = {name: estimate["value"] for name, estimate in found.items()}
    assert values == {
        "mean_image": 0.1,
        "two_strangers": 0.05,
        "task_output": 0.2,
        "code": 0.5,
        "unprotected": 0.8,
        "same_person": 0.75,
    }
    assert list(values) == list(scale.STEPS)


def test_what_was_not_measured_is_left_out_of_the_words():
    content = report_content()
    assert scale.steps(content)["unprotected"]["value"] is None
    assert "unprotected" not in scale.scale_sentence(content)
    assert scale.scale_sentence(content, "face_similarity_2") == ""
