"""An audit in TensorBoard: audit/<attacker>/<measure>, leakage, utility, the picture wall."""

import pathlib

import tensorflow as tf

from arl_tf.auditing.audit import AuditReport
from arl_tf.auditing.leakage import FLOORS
from arl_tf.metrics.reconstruction import MEASURES
from arl_tf.report.report_files import wall_of


def write_summaries(report: AuditReport, logs: pathlib.Path, name: str) -> None:
    """Writes the audit's figures below logs/audit_<name>."""
    content = report.content
    named = [(attack["name"], attack) for attack in content["attacks"] + content["floor_attacks"]]
    named += [(name, content["floors"][name]) for name in FLOORS]
    with tf.summary.create_file_writer(str(logs / f"audit_{name}")).as_default(step=0):
        for name, measures in named:
            for measure in MEASURES:
                write_scalar(f"audit/{name}/{measure}", measures[measure]["value"])
        for measure in MEASURES:
            write_scalar(f"audit/leakage/{measure}", content["leakage"][measure]["value"])
        write_scalar("audit/utility/mean_mcc", content["utility"]["mean_mcc"]["value"])
        write_scalar("audit/linkage_auc", content["codes"]["linkage_auc"]["value"])
        tf.summary.image("audit/picture_wall", wall_of(report, None)[None])
        for attack in content["attacks"] + content["floor_attacks"]:
            for check, loss in enumerate(attack["held_out_loss"], start=1):
                tf.summary.scalar(f"audit/{attack['name']}/held_out_loss", loss, step=check)


def write_scalar(tag: str, value: float | None) -> None:
    """Writes a value unless it is undefined."""
    if value is not None:
        tf.summary.scalar(tag, value)
