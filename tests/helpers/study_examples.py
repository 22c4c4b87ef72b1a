"""A study's results made up for tests: study.json's content as the stage writes it."""

from reports import report_content

from arl_tf.experiments.sweeps import study_results
from arl_tf.experiments.sweeps.studies import Contrast, Study, StudyPlace

PLACES = ("early", "late", "pooled")


def record(name, state="finished", message=""):
    return {
        "name": name,
        "label": name,
        "settings": {},
        "state": state,
        "message": message,
        "directory": f"points/{name}",
        "seconds": {"train": 10.0, "audit_validation": 5.0},
        "shared": "s",
        "reference": "r",
        "shared_seconds": {"train": 100.0},
        "reference_seconds": {"audit_validation": 7.0},
    }


def study_content(finished=5, is_ordered=True):
    """Six points on two lines, the first so many of them finished, the others not."""
    points = [
        StudyPlace(f"{channels} channels", place, {"cut": place, "code_channels": channels})
        for channels in (8, 32)
        for place in PLACES
    ]
    records = [
        record(f"p{number}", *(() if number < finished else ("failed", "ValueError: <no> & why")))
        for number in range(6)
    ]
    audits = {f"p{number}": report_content(0.1 + 0.1 * number) for number in range(finished)}
    leakage = Contrast("leakage.face_similarity", "the leakage", "early", "late")
    utility = Contrast("mean_mcc", "the mean MCC", "early", "late")
    study = Study(
        "Where to cut?",
        lambda config, names: points,
        lambda points: [leakage, utility],
        ("mean_mcc", "leakage.face_similarity"),
        "A note.",
        is_ordered,
    )
    return study_results.assemble("features", study, points, records, audits, {})
