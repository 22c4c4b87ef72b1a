"""When to send the task output: both conditions always; savings only where there are any."""

import html
import re

import pytest
from reports import audit_report

from arl_tf.report import alternative_words, html_page

SPACE = "\N{NO-BREAK SPACE}"


def page_of(**codes):
    found = audit_report()
    found.content["codes"] |= codes
    page = html_page.render(found, embed_originals=True, reference_pictures=None)
    return html.unescape(page).replace(SPACE, " ")


@pytest.mark.parametrize("multiply_adds", [12_000_000, None])
def test_page_says_when_to_send_the_task_output_whether_costs_are_known_or_not(multiply_adds):
    page = page_of(encoder_multiply_adds=multiply_adds, task_head_multiply_adds=multiply_adds)
    section = re.search(r'id="alternative">.*?</details>', page, re.DOTALL)[0]
    assert "the task output instead of a code: 4 yes/no decisions" in section
    for words in alternative_words.CONDITIONS:
        assert f"<li>{words}</li>" in section
    later = re.search(r'<h3 id="later_tasks">.*?<table', page, re.DOTALL)[0]
    assert alternative_words.WHEN in later


@pytest.mark.parametrize(
    ("encoder", "task_head", "words"),
    [
        (12_000_000, 5_000_000, "computes less: 12.0 million multiply-adds instead of 17.0"),
        (36_100_000, 4_000, "saves the device no computation here: 36.1 million"),
    ],
)
def test_device_is_said_to_compute_less_only_where_it_does(encoder, task_head, words):
    costs = {"encoder_multiply_adds": encoder, "task_head_multiply_adds": task_head}
    said = alternative_words.cost_words(costs)
    assert words in said and ("less" in said) is (task_head > 50_000)
    assert words in page_of(**costs)


@pytest.mark.parametrize("codes", [{}, {"encoder_multiply_adds": None}])
def test_unknown_costs_are_not_mentioned(codes):
    assert alternative_words.cost_words(codes) == ""


@pytest.mark.parametrize(
    ("kind", "codes", "words"),
    [
        ("single_label", {"task_output_bits": 256, "task_decision_bits": 3}, ": the class, 3 bits"),
        ("regression", {"task_output_bits": 64, "task_decision_bits": None}, ": 2 numbers"),
        ("multi_label", {"task_output_bits": None, "task_decision_bits": None}, "of a code"),
    ],
)
def test_what_is_sent_is_said_by_the_kind_of_task(kind, codes, words):
    content = {"utility": {"task_kind": kind}, "codes": codes}
    assert alternative_words.sent_words(content).endswith(words)
