"""An audit in TensorBoard: one table of figures, the attackers' training, and what HParams read.

TensorBoard sorts its charts by name. Charts of the audit begin with "under_attack/", so that the
curves of the training, "eval/" and "train/", stand before them.
"""

import pathlib
import shutil
from collections.abc import Iterable, Mapping
from typing import Any

import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams

from arl_tf.auditing.audit import AuditReport
from arl_tf.report import identity_words, scale
from arl_tf.report.report_files import wall_of
from arl_tf.report.terminal import COLUMNS, table_rows
from arl_tf.report.utility_words import headline, one_class_words
from arl_tf.report.verdict import sentences
from arl_tf.report.wording import (
    MISSING,
    format_figure,
    shown_measures,
    unbroken,
)

FIGURES, PICTURES = "audit/figures", "under_attack/pictures"
# Short heads without spaces that break: TensorBoard divides words where a table is wide.
HEADS = {measure: words.replace(" ", "\N{NO-BREAK SPACE}") for measure, words in COLUMNS.items()}
LOSS = "under_attack/held_out_loss"
# The single figures that TensorBoard's HParams compares runs by; the words are their columns.
COMPARED = {
    "under_attack/leakage_face_similarity": "leakage of face similarity",
    "under_attack/worst_face_similarity": "worst face similarity",
    "under_attack/worst_face_similarity_2": "worst face similarity, second judge",
    "under_attack/task_output_face_similarity": "face similarity, task output",
    "under_attack/unprotected_face_similarity": "face similarity, unprotected",
    "under_attack/worst_reid_rank1": "worst rank 1",
    "under_attack/worst_ssim": "worst SSIM",
    "under_attack/mean_mcc": "mean MCC (images under attack)",
    "under_attack/utility": "utility: mean MCC, macro MCC or mean R² (images under attack)",
}


def write_summaries(
    report: AuditReport, logs: pathlib.Path, name: str, settings: Mapping[str, Any] | None
) -> None:
    """Writes an audit below logs/audit_<name>, in place of an earlier one.

    Each attacker's held-out loss is in a folder of its own, so that one chart shows all of them.

    Args:
        report: what the audit found.
        logs: TensorBoard's folder.
        name: of the audit.
        settings: that the encoder was trained with, for HParams; None: no entry there.
    """
    folder, content = logs / f"audit_{name}", report.content
    shutil.rmtree(folder, ignore_errors=True)
    with tf.summary.create_file_writer(str(folder)).as_default(step=0):
        if settings is not None:
            write_hyper_parameters(settings)
        tf.summary.text(FIGURES, markdown(content))
        tf.summary.image(PICTURES, wall_of(report, None)[None])
        for tag, value in compared_figures(content).items():
            if value is not None:
                tf.summary.scalar(tag, value)
    for attack in content["attacks"] + content["floor_attacks"]:
        if len(attack["held_out_loss"]) > 1:
            write_curve(attack, folder / attack["name"].replace("/", "_"))


def write_hyper_parameters(settings: Mapping[str, Any]) -> None:
    """TensorBoard's HParams entry: the encoder's settings, and what to compare encoders by.

    That is their audit, not how the decoder did that training fought: an encoder that misleads that
    decoder may leak to any other.
    """
    hparams.hparams_config(
        hparams=[hparams.HParam(name) for name in settings],
        metrics=[hparams.Metric(tag, display_name=words) for tag, words in COMPARED.items()],
    )
    hparams.hparams(dict(settings))


def compared_figures(content: Mapping[str, Any]) -> dict[str, float | None]:
    """The figures of COMPARED, in its order; None where one is undefined."""
    worst = content["worst"]
    values = (
        content["leakage"]["face_similarity"],
        worst["face_similarity"],
        worst.get("face_similarity_2", MISSING),
        content["floors"]["task_output"]["face_similarity"],
        scale.steps(content)["unprotected"],
        worst["reid_rank1"],
        worst["ssim"],
        content["utility"]["mean_mcc"],
        headline(content["utility"])[1],
    )
    return {tag: found["value"] for tag, found in zip(COMPARED, values, strict=True)}


def write_curve(attack: Mapping[str, Any], folder: pathlib.Path) -> None:
    """An attacker's held-out loss over the checks of its training."""
    with tf.summary.create_file_writer(str(folder)).as_default():
        for check, loss in enumerate(attack["held_out_loss"], start=1):
            tf.summary.scalar(LOSS, loss, step=check)


def markdown(content: Mapping[str, Any]) -> str:
    """The verdict, and a table of attacks, floors, yardsticks and leakage, as Markdown."""
    rows, shown = [*table_rows(content), ("leakage", content["leakage"])], shown_measures(content)
    lines = [
        *(f"- {sentence}" for sentence in sentences(content)),
        "",
        "| | " + " | ".join(HEADS[measure] for measure in shown) + " |",
        "|---" * (len(shown) + 1) + "|",
        *(f"| {label} | {' | '.join(figures(label, found, shown))} |" for label, found in rows),
    ]
    lines += identity_words.markdown(content)
    left_out = one_class_words(content["utility"])
    return unbroken("\n".join([*lines, *(["", left_out] if left_out else [])]))


def figures(label: str, found: Mapping[str, Any], shown: Iterable[str]) -> list[str]:
    """A row's figures; a dash for one that is undefined."""
    return [
        "–"
        if found[measure]["value"] is None
        else format_figure("leakage" if label == "leakage" else measure, found[measure]["value"])
        for measure in shown
    ]
