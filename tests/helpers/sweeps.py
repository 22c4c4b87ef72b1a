"""Sweeps made up for tests: records of points, and audits that hold given figures."""

import copy

from reports import report_content

from arl_tf.experiments.sweeps import sweep_results


def audit(mcc, leakage, *, half=0.02):
    """report.json's content with these figures; a leakage of None is not known."""
    content = {"verdict": "", **copy.deepcopy(report_content(leakage=0.5))}
    content["utility"]["mean_mcc"] = {"value": mcc, "ci95": [mcc - 0.01, mcc + 0.01]}
    ends = None if leakage is None else [leakage - half, leakage + half]
    content["leakage"]["face_similarity"] = {"value": leakage, "ci95": ends}
    return content


def finished(name, *, train=10.0, audit_seconds=5.0, shared="plain", reference="reference"):
    return {
        "name": name,
        "label": f"label of {name}",
        "settings": {"code_noise": 1.0, "objective": "hinge"},
        "directory": f"points/{name}",
        "state": "finished",
        "message": "",
        "seconds": {"train": train, "audit_validation": audit_seconds},
        "shared": shared,
        "reference": reference,
        "shared_seconds": {"train": 100.0},
        "reference_seconds": {"audit_validation": 20.0},
    }


def failed(name, message="ValueError: can't be"):
    record = finished(name)
    kept = {key: record[key] for key in ("name", "label", "settings", "directory")}
    return kept | {"state": "failed", "message": message}


def results():
    """Two points on the front, one surely beaten, one whose leakage is unknown, one failed."""
    records = [finished(name) for name in ("useful", "safe", "beaten", "unknown")]
    audits = {
        "useful": audit(0.6, 0.5),
        "safe": audit(0.4, 0.2),
        "beaten": audit(0.3, 0.7),
        "unknown": audit(0.5, None),
    }
    audits["safe"]["codes"]["noisy"] = True
    references = {"reference": audit(0.65, None)}
    return sweep_results.assemble([*records, failed("impossible")], audits, references)
