"""An audit's report made up for tests: what report.json holds, with drawn faces for pictures."""

import numpy as np

from arl_tf.auditing.audit import AuditReport
from arl_tf.auditing.identity.measurements import IDENTITY_MEASURES
from arl_tf.auditing.measures_file import Measured
from arl_tf.auditing.resamples import Resamples
from arl_tf.data.faces import generation
from arl_tf.metrics import utility
from arl_tf.metrics.reconstruction import FACE_2, MEASURES

COUNT = 5


def each_measure(found):
    """Drawn faces have one judge of identity: the second one's figure is undefined."""
    return {m: {**found, **(utility.estimate(None) if m == FACE_2 else {})} for m in MEASURES}


def estimates(value):
    found = each_measure({"value": value, "ci95": [value - 0.1, value + 0.1]})
    return {**found, "tail": {"value": value + 0.2, "ci95": [value + 0.1, value + 0.3]}}


def attack(name, value, losses=(0.3, 0.2, 0.15)):
    return {
        "name": name,
        "knowledge": "black-box",
        "knew": {"noise": "none", "words": "the codes of 9 public images"},
        "settings": {"words": f"what {name} is"},
        "seconds": 1.0,
        "held_out_loss": list(losses),
        "late_gain": 0.004,
        **estimates(value),
    }


def linkage(value):
    return {
        name: {"value": value, "ci95": [value - 0.1, value + 0.1]}
        for name in ("auc", "tar_at_far_1_percent", "rank1")
    }


def judge():
    pairs = {
        "auc": {"value": 0.95, "ci95": [0.9, 1.0]},
        "same_person": {"value": 0.6, "ci95": [0.5, 0.7], "range90": [0.3, 0.9]},
        "strangers": {"value": 0.0, "ci95": [-0.1, 0.1], "range90": [-0.3, 0.3]},
    }
    kinds = dict.fromkeys(("originals", "blurred", "attack_pictures"), pairs)
    return {
        "network": "drawn_faces",
        "images": COUNT,
        "attack": "decoder",
        "blur_pixels": 1.5,
        **kinds,
    }


def yardstick(value):
    return {**{m: e for m, e in estimates(value).items() if m != "tail"}, "images": COUNT}


def identity_attacks(leakage):
    """A section of one network: the ridge regression, and the fusion, which is the worst."""

    def figures(value):
        return {
            m: {"value": value, "ci95": [value - 0.1, value + 0.1]}
            if value
            else utility.estimate(None)
            for m in IDENTITY_MEASURES
        }

    def sources(value):
        return {
            "code": figures(value),
            "task_output": figures(value - 0.1),
            "unprotected": figures(leakage and 0.8),
        }

    ends = None if leakage is None else [leakage - 0.05, leakage + 0.05]
    share = {"value": leakage, "ci95": ends}
    shares = dict.fromkeys(IDENTITY_MEASURES, share)
    facts = {"knowledge": "black-box", "settings": {"words": "an attack"}, "seconds": 1.0}
    attacks = [
        {"name": name, **facts, **sources(value), "leakage": shares}
        for name, value in (("ridge", 0.3), ("fusion", 0.4))
    ]
    worst = {
        source: {m: {"attack": "fusion", **found} for m, found in each.items()}
        for source, each in sources(0.4).items()
    }
    network = {"attacks": attacks, "worst": worst, "leakage": shares, "left_out": []}
    return {"networks": {"drawn_faces": network}}


def learning_curve():
    points = [
        {
            "share": share,
            "public_images": round(1600 * share),
            "psnr": {"value": 13.0 + share, "ci95": [12.9 + share, 13.1 + share]},
            "face_similarity": {"value": 0.2 + share / 10, "ci95": [0.1, 0.4]},
        }
        for share in (0.125, 0.25, 0.5, 1.0)
    ]
    gains = {
        "psnr": {"value": 0.5, "ci95": [0.4, 0.6]},
        "face_similarity": {"value": 0.05, "ci95": [0.04, 0.06]},
    }
    return {"points": points, "last_doubling": gains}


def candidate_rates(value):
    found = {"value": value, "ci95": [value - 0.01, value + 0.01]}
    queries = ("queries_1", "queries_4", "informed_1", "informed_4")
    ways = dict.fromkeys(("likelihood", "tolerant", *queries), found)
    return {**ways, "best": {"way": "likelihood", **found}}


def candidate_section(code, output, unprotected, chance, **more):
    sources = {"code": code, "task_output": output, "unprotected": unprotected}
    return {**more, **{name: candidate_rates(v) for name, v in sources.items()}, "chance": chance}


def candidate_match():
    return {
        "candidates": COUNT,
        "people": 4,
        "with_other_photo": 2,
        "ways": {},
        "exact": candidate_section(1.0, 0.6, 0.98, 0.2),
        "degraded": {
            "shifted": candidate_section(0.9, 0.5, 0.97, 0.2, words="shifted"),
            "together": candidate_section(0.8, 0.4, 0.96, 0.2, words="all of it"),
        },
        "other_photo": candidate_section(0.3, 0.25, 0.5, 0.24),
        "missing": "",
    }


def later_tasks():
    """Young, learned from 100 codes and from all 400; it is protected and told."""

    def sources(value):
        found = {"code": value, "task_output": value - 0.2, "unprotected": value + 0.1, "gain": 0.2}
        return {name: {"value": v, "ci95": [v - 0.05, v + 0.05]} for name, v in found.items()}

    sizes = [
        {"labels": n, "draws": d, "attributes": {"Young": sources(v)}}
        | dict.fromkeys(("mean", "wanted", "protected_mean"), sources(v))
        for n, d, v in ((100, 5, 0.3), (400, 1, 0.5))
    ]
    gain = sources(0.5)["gain"]
    protected = {
        "attributes": {"Young": {"gain": gain, "told": True}},
        "largest_gain": {"attribute": "Young", **gain},
    }
    return {"learned_from": "X2", "images": COUNT, "sizes": sizes, "protected": protected}


def report_content(leakage=None):
    leak = {"value": leakage, "ci95": leakage and [leakage - 0.05, leakage + 0.05]}
    return {
        "level": "standard",
        "utility": {
            "mean_mcc": {"value": 0.41, "ci95": [0.4, 0.42]},
            "accuracy": utility.estimate(0.9),
            "roc_auc": utility.estimate(None),
            "attributes": {
                "Smiling": {"mcc": 0.7, "mcc_at_0": 0.6, "accuracy": 0.9, "positives": 3}
            },
            "mean_mcc_at_0": {"value": 0.38, "ci95": [0.37, 0.39]},
            "thresholds": {"Smiling": -0.5},
            "calibration": {"temperature": 1.5, "error": 0.02, "error_uncalibrated": 0.06},
            "mean_mcc_two_classes": {"value": 0.41, "ci95": [0.4, 0.42]},
            "undefined_mcc": [],
            "one_class": [],
        },
        "floors": {"mean_image": estimates(0.1), "task_output": estimates(0.2)},
        "yardsticks": {
            "same_person": yardstick(0.75),
            "two_strangers": yardstick(0.05),
            "blurred_copy": yardstick(0.85),
        },
        "floor_attacks": [attack("task_output/decoder", 0.2)],
        "attacks": [attack("decoder", 0.5), attack("linear", 0.4, (0.3,))],
        "worst": each_measure({"attack": "decoder", "value": 0.5, "ci95": [0.4, 0.6]}),
        "judges": [judge()],
        "tail": {"share": 0.01, "images": 1, "attack": "decoder", "value": 0.7, "ci95": None},
        "leakage": each_measure(leak),
        "codes": {
            "linkage_auc": utility.estimate(0.8),
            "linkage": {"cosine": {"code": linkage(0.8), "task_output": linkage(0.6)}},
            "attribute_probe": {"Young": {"mcc": 0.5, "linear": 0.5, "mlp": 0.4, "kernel": 0.45}},
            "later_tasks": later_tasks(),
            "identity_probe": {
                "people": 20,
                "images": 60,
                "accuracy": {"value": 0.4, "ci95": [0.3, 0.5]},
                "task_output_accuracy": {"value": 0.2, "ci95": [0.1, 0.3]},
                "chance": 0.05,
            },
            "candidate_match": candidate_match(),
            "shape": [8, 8, 32],
            "bytes": 8192,
            "capacity_bits": 2048.0,
            "bounded_by": "2 levels",
            "noisy": False,
            "codes_per_photo": 1,
            "rate_bits": 1500.0,
            "packed_bytes": 256,
            "encoder_multiply_adds": 12_000_000,
            "task_head_multiply_adds": 5_000_000,
            "task_output_bits": 128,
            "task_decision_bits": 4,
            "channel": None,
        },
        "learning_curve": learning_curve(),
        "identity_attacks": identity_attacks(leakage),
        "reference": leakage
        and {
            "workdir": "runs/unprotected",
            "worst": each_measure({"attack": "linear", "value": 0.8, "ci95": [0.7, 0.9]}),
            "tail": {"value": 0.9, "ci95": [0.8, 1.0]},
        },
        "training_adversary": estimates(0.3),
        "warnings": ["warned thing"],
        "assumptions": ["assumed thing"],
        "not_tested": ["not tested thing"],
        "measured_on": {
            "split": "test",
            "images": COUNT,
            "image_size": 64,
            "identities": 4,
            "attacker_images": 9,
            "chance_rank1": 0.28,
            "identities_known": True,
            "faces": "drawn",
        },
        "provenance": {
            "date": "2026-11-25",
            "seed": 1,
            "encoder_sha256": "0" * 64,
            "settings": {"workdir": "runs/x"},
        },
    }


def audit_report(leakage=None, count=COUNT):
    rng = np.random.default_rng(0)
    floors = ("task_output", "task_output/decoder", "mean_image")
    names = ("decoder", "linear", *floors, "training_adversary")
    originals = generation.generate_faces(count, 32, seed=9).images
    noise = rng.integers(-20, 20, (len(names), *originals.shape))
    return AuditReport(
        content=report_content(leakage),
        per_image={name: {m: rng.random(count) for m in MEASURES} for name in names},
        pictures={
            name: np.clip(originals + noise[number], 0, 255).astype(np.uint8)
            for number, name in enumerate(names)
        },
        resamples=Resamples("key", {"mean_mcc": rng.random(20)}),
        originals=originals,
        names=tuple(f"face_{number}" for number in range(count)),
        measured_on=Measured("hash"),
    )
