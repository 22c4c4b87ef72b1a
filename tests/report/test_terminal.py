"""The terminal's lines say what the figures say, in columns that fit a terminal."""

from reports import audit_report

from arl_tf.report import terminal, verdict


def test_headline_sets_the_attacks_beside_floors_and_yardsticks_and_ends_with_the_verdict():
    content = audit_report(leakage=0.37).content
    lines = terminal.headline(content).splitlines()
    starts = (
        "Utility: mean MCC 0.410",
        "With thresholds of 0: mean MCC 0.380",
        "",
        " ",
        "unprotected code, worst",
        "this code, worst",
        "attack: decoder",
        "attack: linear",
        "adversary of the training",
        "floor: task output alone",
        "floor: mean image",
        "compare: same person",
        "compare: blurred copy",
        "compare: strangers",
        "leakage",
        "",
        "Warning: warned thing",
        *verdict.sentences(content),
    )
    assert all(line.startswith(start) for line, start in zip(lines, starts, strict=True))
    assert "0.370" in lines[14]
    assert all(len(line) <= 110 for line in lines[:15])


def test_headline_names_the_attributes_that_the_mean_mcc_leaves_out():
    content = audit_report().content
    content["utility"] |= {
        "attributes": dict.fromkeys(f"a{number}" for number in range(40)),
        "one_class": ["a3", "a7"],
    }
    first, _, third, *_ = terminal.headline(content).splitlines()
    assert first.startswith("Utility: mean MCC over 38 of 40 attributes 0.410")
    assert "a3, a7" in third


def test_headline_reads_an_older_report_without_yardsticks():
    content = audit_report().content
    del content["yardsticks"]
    assert "compare:" not in terminal.headline(content)


def test_undefined_figures_are_dashes_in_their_columns():
    values = (None, 0.5, 0.25, None, 0.1, 1.0)
    drawn = terminal.cells(dict(zip(terminal.COLUMNS, values, strict=False)))
    assert drawn.split() == ["-", "0.500", "0.250", "-", "0.100", "1.000"]
