"""The studies: which points each trains and audits, and which of them it compares."""

from collections.abc import Sequence

from arl_tf.config.choices import CUTS
from arl_tf.config.settings import Config
from arl_tf.experiments.sweeps import later_tasks_study
from arl_tf.experiments.sweeps.study_definition import (
    FACE,
    LEAKAGE,
    MCC,
    NO_DEFENCE,
    Contrast,
    Study,
    StudyPlace,
    between,
)

DECODER = "decoder.face_similarity"
# The first of them are the task of few attributes; those that a data set lacks are passed over.
TASK_ORDER = ("Smiling", "Male", "Eyeglasses", "Bangs", "Young", "Mustache", "Blond_Hair")
NEAR_IDENTITY, LOCAL = ("Male", "Young", "Big_Nose"), ("Smiling", "Eyeglasses")
ALL = "all"
NOTHING, MEAN, LEARNED = "nothing more", "toward_mean", "learned noise"
# Ingredient -> what it was added to.
ADDED_TO = {
    "learned noise, toward_mean": LEARNED,
    "hinge": NOTHING,
    MEAN: NOTHING,
    "toward_task": NOTHING,
    "+ ensemble": MEAN,
    "+ restarts": "+ ensemble",
    "+ 3 decoder steps": "+ restarts",
    "sign code": NOTHING,
    "fixed noise": NOTHING,
    LEARNED: NOTHING,
    "learned noise, sign": LEARNED,
}


def features(config: Config, names: Sequence[str]) -> list[StudyPlace]:
    """Every cut with a narrow and a wide code."""
    return [
        StudyPlace(f"{channels} channels", cut, {"cut": cut, "code_channels": channels})
        for channels in (8, 32)
        for cut in CUTS
    ]


def tasks(config: Config, names: Sequence[str]) -> list[StudyPlace]:
    """Tasks of 1, 5, 10 and all attributes; two near identity against two local ones."""
    order = [name for name in TASK_ORDER if name in names]
    order += [name for name in names if name not in order]
    sizes = [size for size in (1, 5, 10) if size < len(names)]
    numbers = [
        StudyPlace("attributes", str(size), {"task_attributes": ",".join(order[:size])})
        for size in sizes
    ]
    everything = StudyPlace("attributes", ALL, {"task_attributes": ""})
    pairs = {"near identity": NEAR_IDENTITY, "local": LOCAL}
    kinds = [
        StudyPlace("kind", kind, {"task_attributes": ",".join(pair)})
        for kind, wanted in pairs.items()
        if len(pair := [name for name in wanted if name in names][:2]) == 2
    ]
    return [*numbers, everything, *kinds]


def data_sizes(config: Config, names: Sequence[str]) -> list[StudyPlace]:
    """X2's and X1's size, people whom both know, X2 from --attacker_dataset where there is one."""
    public = [StudyPlace("X2", f"× {s:g}", {"public_share": s}) for s in (0.01, 0.1, 0.3, 1.0)]
    private = [StudyPlace("X1", f"X1 × {s:g}", {"private_share": s}) for s in (0.1, 0.3, 1.0)]
    overlap = [
        StudyPlace("overlap", f"{100 * s:.0f} % of X1", {"public_overlap": s})
        for s in (0.0, 0.5, 1.0)
    ]
    other = {
        "public_dataset": config.attacker_dataset,
        "public_data_dir": config.attacker_data_dir,
    }
    domain = [StudyPlace("domain", "same domain", {})]
    domain += [StudyPlace("domain", "other domain", other)] if config.attacker_dataset else []
    return [*public, *private, *overlap, *domain]


def adversary(config: Config, names: Sequence[str]) -> list[StudyPlace]:
    """Three strengths of training's decoder against three of the audit's."""
    trained = {
        "weak": (max(4, config.decoder_width // 2), 1, 1),
        "middle": (config.decoder_width, 1, 1),
        "strong": (config.decoder_width * 2, 2, 2),
    }
    attacking = {"weak": 0.5, "middle": 1, "strong": 2}
    return [
        StudyPlace(
            f"trained against {fought}",
            f"{name} attacker",
            {
                "decoder_width": width,
                "decoder_steps": steps,
                "decoders": decoders,
                "attacker_width": max(4, round(config.attacker_width * factor)),
                "attacker_steps": max(1, round(config.attacker_steps * factor)),
            },
        )
        for fought, (width, steps, decoders) in trained.items()
        for name, factor in attacking.items()
    ]


def defence(config: Config, names: Sequence[str]) -> list[StudyPlace]:
    """One ingredient more at a time, on the same encoder; as many encoder epochs for each.

    What fights several adversaries, restarts them or lets them learn longer builds on toward_mean.
    """
    fought = {
        **NO_DEFENCE,
        "defence": "both" if config.defence == "none" else config.defence,
        "point_epochs": config.point_epochs,
    }
    alone = {**NO_DEFENCE, "point_epochs": config.point_epochs + config.epochs}
    toward_mean = {**fought, "objective": "toward_mean"}
    ensemble = {**toward_mean, "decoders": 3}
    restarts = {**ensemble, "decoder_restart_epochs": 1}
    learned = {"code_noise": 1.0, "lambda_rate": 5e-5}
    ingredients = {
        NOTHING: alone,
        "hinge": {**fought, "objective": "hinge"},
        MEAN: toward_mean,
        "toward_task": {**fought, "objective": "toward_task"},
        "+ ensemble": ensemble,
        "+ restarts": restarts,
        "+ 3 decoder steps": {**restarts, "decoder_steps": 3},
        "sign code": {**alone, "code_levels": 2},
        "fixed noise": {**alone, "code_noise": 1.2},
        LEARNED: {**alone, **learned},
        "learned noise, sign": {**alone, **learned, "code_levels": 2},
        "learned noise, toward_mean": {**toward_mean, **learned},
    }
    return [StudyPlace("ingredients", name, settings) for name, settings in ingredients.items()]


def feature_contrasts(points: Sequence[StudyPlace]) -> list[Contrast]:
    """From the earliest to the latest cut, from narrow to wide."""
    figures = {LEAKAGE: "the leakage of face similarity", MCC: "the mean MCC"}
    return [
        *between(figures, CUTS[0], CUTS[-1]),
        *between(figures, "8 channels", "32 channels", "series"),
    ]


def task_contrasts(points: Sequence[StudyPlace]) -> list[Contrast]:
    """From one attribute to all, from local ones to those near identity."""
    figures = {LEAKAGE: "the leakage of face similarity", FACE: "the worst face similarity"}
    found = between(figures, "1", ALL)
    if any(point.x == "local" for point in points):
        found += between(figures, "local", "near identity")
    return found


def data_contrasts(points: Sequence[StudyPlace]) -> list[Contrast]:
    """Each factor from its least to its most."""
    face = {FACE: "the worst face similarity"}
    found = [
        *between(face, "× 0.01", "× 1"),
        *between({MCC: "the mean MCC", **face}, "X1 × 0.1", "X1 × 1"),
        *between(face, "0 % of X1", "100 % of X1"),
    ]
    if any(point.x == "other domain" for point in points):
        found += between(face, "same domain", "other domain")
    return found


def adversary_contrasts(points: Sequence[StudyPlace]) -> list[Contrast]:
    """From the weak to the strong attacker, from the weak to the strong training."""
    figures = {DECODER: "the face similarity that the new decoder reaches"}
    return [
        *between(figures, "trained against weak", "trained against strong", "series"),
        *between(figures, "weak attacker", "strong attacker"),
        *between({MCC: "the mean MCC"}, "trained against weak", "trained against strong", "series"),
    ]


def defence_contrasts(points: Sequence[StudyPlace]) -> list[Contrast]:
    """All ingredients of the last point together; then each beside what it was added to."""
    leakage = {LEAKAGE: "the leakage of face similarity"}
    found = between({**leakage, MCC: "the mean MCC"}, NOTHING, "learned noise, toward_mean")
    for ingredient, base in ADDED_TO.items():
        found += between(leakage, base, ingredient)
    return found


STUDIES = {
    "features": Study(
        "At which layer should the encoder be cut, and how wide should the code be?",
        features,
        feature_contrasts,
        (MCC, LEAKAGE),
        "The leakage of each point is relative to the unprotected encoder of the same cut and"
        " width.",
    ),
    "tasks": Study(
        "How does the task change what the code gives away?",
        tasks,
        task_contrasts,
        (MCC, FACE),
        "The mean MCC of a point is over the attributes of its own task, and the floor of its"
        " leakage is the output of that task. So compare tasks by face similarity, not by leakage.",
    ),
    "data": Study(
        "What changes with the size of the private (X1) and the public data (X2), and the people"
        " in them?",
        data_sizes,
        data_contrasts,
        (MCC, FACE),
        "All points are measured on the same images. The leakage of a point is relative to an"
        " unprotected encoder that is attacked with the same public data (X2). So compare sizes by"
        " face similarity, not by leakage.",
    ),
    "adversary": Study(
        "Does training against a stronger decoder protect against a stronger attacker?",
        adversary,
        adversary_contrasts,
        (DECODER, FACE),
        "The new decoder is of the same kind as the adversary of the training. The worst attacker"
        " may be of another kind.",
    ),
    "defence": Study(
        "Which part of the defence protects?",
        defence,
        defence_contrasts,
        (MCC, LEAKAGE),
        "Every point starts from the same unprotected encoder and trains it for the same number of"
        " epochs. Points with a + add one part to the point before them; the first of these adds to"
        " toward_mean.",
        is_ordered=False,
    ),
    "later_tasks": later_tasks_study.STUDY,
}
