"""The script that compares two runs sees every difference, and only differences."""

import copy
import json

import compare_runs
import pytest

REPORT = {"verdict": "v", "attacks": [{"name": "linear", "ssim": {"value": 0.5}, "seconds": 3.0}]}


@pytest.fixture
def runs(tmp_path):
    """Writes two run directories; the second one's report is changed by a function."""

    def write(change):
        changed = copy.deepcopy(REPORT)
        change(changed)
        for name, content in (("before", REPORT), ("after", changed)):
            for file in compare_runs.FILES:
                path = tmp_path / name / file
                path.parent.mkdir(parents=True)
                path.write_text(json.dumps(content if "report" in file else {}))
        return str(tmp_path / "before"), str(tmp_path / "after")

    return write


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r["attacks"][0].update(seconds=9.0), "no difference"),
        (lambda r: r["attacks"][0]["ssim"].update(value=0.5 + 1e-9), "no difference"),
        (lambda r: r["attacks"][0]["ssim"].update(value=0.51), "/attacks/0/ssim/value: 0.5 before"),
        (lambda r: r.pop("verdict"), "/verdict: only before"),
        (lambda r: r["attacks"].append({}), "/attacks"),
    ],
)
def test_every_difference_but_times_is_named(runs, capsys, change, said):
    code = compare_runs.main(*runs(change))
    printed = capsys.readouterr().out
    assert said in printed
    assert code == (said != "no difference")
