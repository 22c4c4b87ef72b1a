"""The figures of an audit that conditions are held against, as report.json's content has them."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from arl_tf.config.conditions import (
    ATTACK_MEASURES,
    CAPACITY_BITS,
    EMBEDDING_LEAKAGE,
    EMBEDDING_RANK1,
    EMBEDDING_RANK1_LEAKAGE,
    MAE,
    OF_ITS_OWN_REPORT,
    PROTECTED_GAIN,
    UNKNOWN,
    UTILITY,
    UTILITY_MEASURES,
    Figures,
)


def report_figures(content: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The measures of DIRECTIONS that report.json's content holds.

    Utility as measured, attacks by the worst of each measure. Older reports lack measures.
    """
    leakage = content["leakage"]
    known = [name for name in ATTACK_MEASURES if name in leakage]
    return {
        **{name: content["utility"].get(name, UNKNOWN) for name in (*UTILITY_MEASURES, MAE)},
        UTILITY: utility_figure(content),
        **{name: worst_figure(content, name) for name in known},
        **{f"leakage.{name}": leakage[name] for name in known},
        "linkage_auc": content["codes"]["linkage_auc"],
        PROTECTED_GAIN: protected_gain(content),
        EMBEDDING_LEAKAGE: embedding_figure(content, "cosine", "leakage"),
        EMBEDDING_RANK1: embedding_figure(content, "reid_rank1", "worst", "code"),
        EMBEDDING_RANK1_LEAKAGE: embedding_figure(content, "reid_rank1", "leakage"),
        CAPACITY_BITS: {"value": content["codes"].get("capacity_bits"), "ci95": None},
    }


def reference_figures(
    content: Mapping[str, Any], own: Figures | None = None
) -> dict[str, Mapping[str, Any]]:
    """The figures of the reference that a share of it is a share of, as far as they are known.

    What attackers gain is read from the audit itself: there the reference was attacked by those
    that attacked this code, and later audits of the reference do not change it. Its own report
    counts all its attackers, so it says what the reference is good for, and no more.

    Args:
        content: report.json's of the audit whose figures are compared.
        own: `report_figures` of the reference's own report; None where it is not there.
    """
    reference = content["reference"]
    if not reference:
        return {}
    known = [name for name in ATTACK_MEASURES if name in reference["worst"]]
    return {
        **{name: own[name] for name in OF_ITS_OWN_REPORT if own and name in own},
        **{name: reference["worst"][name] for name in known},
        EMBEDDING_RANK1: unprotected_rank1(content),
    }


def unprotected_rank1(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """The unprotected code's rank 1 by predicted embedding, by the attacks on this code alone.

    Of several networks the one that finds fewest: each network's own share would be less strict.
    Attacks of which the reference's knew more are left out. Undefined where a network has none.
    """
    found = [
        max(
            (
                attack["unprotected"]["reid_rank1"]
                for attack in section["attacks"]
                # Older reports do not say which ones knew more: only fusions can.
                if attack["name"] not in section.get("left_out", ("fusion",))
            ),
            key=lambda each: -math.inf if each["value"] is None else each["value"],
            default=UNKNOWN,
        )
        for section in networks_of(content)
    ]
    if any(each["value"] is None for each in found):
        return UNKNOWN
    return min(found, key=lambda each: each["value"], default=UNKNOWN)


def utility_figure(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """The one number of the task's kind; older reports are of attributes."""
    found = content["utility"].get("headline") or content["utility"]["mean_mcc"]
    return {"value": found["value"], "ci95": found["ci95"]}


def protected_gain(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """The largest gain over --protected_attributes; undefined where it was not measured."""
    protected = (content["codes"].get("later_tasks") or {}).get("protected")
    return protected["largest_gain"] if protected else UNKNOWN


def embedding_figure(content: Mapping[str, Any], measure: str, *keys: str) -> Mapping[str, Any]:
    """A figure of the attacks on identity: that of the network with the highest cautious end.

    A network that measured the code and has no figure, or none with an interval, counts as the
    highest: it may be anything. Undefined where no network measured the code, and in older reports.
    `keys` lead to the measures in the section of a network.
    """
    found = []
    for section in networks_of(content):
        figures: Any = section
        for key in keys:
            figures = figures[key]
        if section["worst"]["code"][measure]["value"] is not None:
            found.append(figures[measure])
    return max(found, key=highest_end, default=UNKNOWN)


def networks_of(content: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """The sections of the attacks on identity by network; none in older reports."""
    return ((content.get("identity_attacks") or {}).get("networks") or {}).values()


def highest_end(estimate: Mapping[str, Any]) -> float:
    """The high end of an interval; infinite where there is none."""
    return estimate["ci95"][1] if estimate["ci95"] else math.inf


def worst_figure(content: Mapping[str, Any], measure: str) -> Mapping[str, Any]:
    """The worst attack's figure, on the code or on the task output computed from it.

    `worst` of older reports counts attacks on the code alone.
    """
    figures = (content["worst"][measure], content["floors"]["task_output"][measure])
    known = [found for found in figures if found["value"] is not None]
    return max(known, key=lambda found: found["value"], default=figures[0])
