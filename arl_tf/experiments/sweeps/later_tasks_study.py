"""The study of later tasks: what protection costs those who label codes later, and what it spares.

A provider who sends codes instead of the task output wants tasks that nobody thought of when the
encoder was trained. The same codes may tell attributes that nobody is to learn. Both are learned
from labelled codes, at each price per bit.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from arl_tf.auditing.later_tasks.section import ALL_LABELS, PROTECTED, WANTED
from arl_tf.config.settings import Config
from arl_tf.experiments.sweeps.study_definition import (
    LEAKAGE,
    MCC,
    NO_DEFENCE,
    Contrast,
    Study,
    StudyPlace,
    between,
)
from arl_tf.report.utility_words import BESIDE_HEADLINE

CODE, GAIN = f"{WANTED}.code", f"{WANTED}.gain"
PROTECTED_GAIN = f"{PROTECTED}.gain"
# Source of a row's figures in report.json's `codes.later_tasks`.
FIGURES = {
    f"{kind}.{source}": (kind, source)
    for kind in (WANTED, PROTECTED)
    for source in ("code", "task_output", "unprotected", "gain")
}
# What the task leaves out where --task_attributes does not say it; names that the data lack are
# passed over.
LATER, UNWANTED = ("Smiling", "Eyeglasses", "Wearing_Hat", "Blond_Hair"), ("Male", "Young")
UNPROTECTED = "unprotected"
# Nats of the price per bit (--lambda_rate): as celeba_noise.cfg, four and twelve times as much.
PRICES = (5e-5, 2e-4, 6e-4)
NOISE = 1.0
ALL_CODES = "all labelled codes"
SIZES = {ALL_CODES: ALL_LABELS, "1,000 labelled codes": "1000", "100 labelled codes": "100"}
LARGE_HEAD = "all labelled codes, larger task head"
HEAD = {"head_width": 2048, "head_depth": 2}
# What a device that can run the encoder alone could send in place of a code.
SMALL_NETWORK = "task output of a network of the encoder's cost"
WITHOUT_REST = {"head_rest": False}


def price_words(price: float) -> str:
    """What a price is called in tables and plots."""
    return f"price {price:g}"


def points(config: Config, names: Sequence[str]) -> list[StudyPlace]:
    """No protection and three prices, by 100, 1,000 and all labelled codes; other task heads.

    Rows that differ in the number of labelled codes alone are of one encoder.
    """
    same = task(config, names)
    levels = {UNPROTECTED: {**NO_DEFENCE, **same}}
    levels |= {price_words(p): {**NO_DEFENCE, **same, **noise(p)} for p in PRICES}
    sizes = [
        StudyPlace(series, level, overrides, labels)
        for series, labels in SIZES.items()
        for level, overrides in levels.items()
    ]
    middle = price_words(PRICES[1])
    heads = [
        StudyPlace(LARGE_HEAD, level, {**levels[level], **HEAD}) for level in (UNPROTECTED, middle)
    ]
    small = StudyPlace(SMALL_NETWORK, UNPROTECTED, {**levels[UNPROTECTED], **WITHOUT_REST})
    return [*sizes, *heads, small]


def task(config: Config, names: Sequence[str]) -> dict[str, str]:
    """Which attributes the task leaves out, and which of them are protected: as settings."""
    if config.task_attributes:
        return {}
    unwanted = [name for name in UNWANTED if name in names]
    later = [name for name in LATER if name in names] or list(names[-1:])
    left_out = dict.fromkeys([*later, *unwanted])
    return {
        "task_attributes": ",".join(f"-{name}" for name in left_out),
        "protected_attributes": ",".join(unwanted),
    }


def noise(price: float) -> dict[str, float]:
    """Settings of learned noise at a price per bit."""
    return {"code_noise": NOISE, "lambda_rate": price}


def contrasts(planned: Sequence[StudyPlace]) -> list[Contrast]:
    """What protection costs later tasks and spares; what labels and a larger head add.

    A larger head also beside a network that costs what the encoder costs.
    """
    later = "the MCC of later tasks"
    trade = {
        GAIN: "the gain of later tasks over the task output, in MCC,",
        PROTECTED_GAIN: "the gain of protected attributes over the task output, in MCC,",
        LEAKAGE: "the leakage of face similarity",
        MCC: "the mean MCC of the task",
    }
    last = price_words(PRICES[-1])
    # Rows of fewer labelled codes are of the same encoders.
    found = between(trade, UNPROTECTED, last, within=ALL_CODES)
    found += between({CODE: later}, "100 labelled codes", ALL_CODES, "series")
    head = {MCC: "the mean MCC of the task", LEAKAGE: "the leakage of face similarity"}
    found += between(head, ALL_CODES, LARGE_HEAD, "series")
    return found + between({MCC: head[MCC]}, SMALL_NETWORK, LARGE_HEAD, "series")


def row_figures(audit: Mapping[str, Any], labels: str) -> dict[str, Mapping[str, Any]]:
    """The figures of later tasks in an audit's report.json, learned from so many labelled codes.

    Empty where the task leaves no attribute out, where there are not so many codes, and in audits
    by older versions.
    """
    sizes = (audit["codes"].get("later_tasks") or {}).get("sizes", [])
    chosen = [size for size in sizes if str(size["labels"]) == labels]
    if labels == ALL_LABELS:
        chosen = sizes[-1:]
    return {
        name: size[kind][source]
        for size in chosen
        for name, (kind, source) in FIGURES.items()
        if kind in size
    }


STUDY = Study(
    "What do codes buy over sending the task output, and what do they tell beyond it?",
    points,
    contrasts,
    (GAIN, PROTECTED_GAIN),
    "To send the task output, the device must run encoder and task head. Its leakage is 0, its"
    " mean MCC is that of the row, and it buys nothing beyond what can be learned from it. A code"
    " is worth sending where the gain of wanted tasks is worth the gain of protected attributes"
    " and the leakage. Attributes outside the task were learned from so many labelled codes of"
    " public people (X2). A larger task head runs where the code arrives and costs the device"
    " nothing. A device that can run no more than the encoder could send the task output of a"
    " network of the encoder's cost: that row's task head is linear in the code, without the rest"
    " of the backbone. Its mean MCC is what a code with a larger task head must beat.",
    columns=(
        MCC,
        *BESIDE_HEADLINE,
        CODE,
        f"{WANTED}.task_output",
        f"{WANTED}.unprotected",
        GAIN,
        f"{PROTECTED}.code",
        f"{PROTECTED}.task_output",
        PROTECTED_GAIN,
        LEAKAGE,
    ),
)
