"""The learning curve in words."""

from reports import report_content

from arl_tf.report.learning_curve_words import curve_sentence


def content_with(gain, interval):
    content = report_content()
    content["learning_curve"]["last_doubling"]["face_similarity"] = {
        "value": gain,
        "ci95": interval,
    }
    return content


def test_a_gain_that_is_certain_and_visible_says_that_more_images_would_help():
    words = curve_sentence(content_with(0.05, [0.04, 0.06]))
    assert words.startswith("An attacker with more public images would probably get")
    assert "from 800 to 1,600 images" in words and "+0.050" in words and "+0.50 dB" in words


def test_a_small_or_uncertain_gain_does_not():
    for gain, interval in ((0.004, [0.003, 0.005]), (0.05, [-0.01, 0.1]), (-0.01, [-0.02, 0.0])):
        words = curve_sentence(content_with(gain, interval))
        assert words.startswith("More public images of the same kind would hardly help")


def test_an_audit_without_a_curve_says_nothing():
    assert curve_sentence({}) == curve_sentence({"learning_curve": None}) == ""
