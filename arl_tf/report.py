"""AuditReport -> report.json, report.html, pictures and TensorBoard. Nothing is computed here."""

import json
import pathlib
from collections.abc import Sequence
from typing import Any

import jinja2
import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw, ImageFont

from arl_tf import runs
from arl_tf.audit import AuditReport
from arl_tf.leakage import FLOORS, MEASURES_FILE, save_measures
from arl_tf.rulers import MEASURES

REPORT_JSON, REPORT_HTML = "report.json", "report.html"
WALL, RECONSTRUCTIONS = "reconstructions.png", "reconstructions.npz"
PICTURED = 12
TILE = 96
LABEL_WIDTH = 190
MEASURE_NAMES = {
    "psnr": "PSNR, dB",
    "ssim": "SSIM",
    "feature_similarity": "Feature similarity",
    "face_similarity": "Face similarity",
    "reid_rank1": "Rank 1",
    "reid_rank5": "Rank 5",
}
ROW_NAMES = {
    "original": "original",
    "decoder": "from the code",
    "reference": "unprotected code",
    "task_output": "from the task output",
    "mean_image": "no code: mean image",
}


def write_report(
    report: AuditReport,
    folder: pathlib.Path,
    *,
    provenance: dict[str, Any],
    embed_pictures: bool,
    reference_pictures: np.ndarray | None = None,
) -> None:
    """Writes every file of an audit; report.json comes last: where it is, all is there.

    Args:
        report: what the audit found.
        folder: the audit's folder.
        provenance: settings and versions for the HTML page.
        embed_pictures: whether report.html shows the picture wall: for drawn faces only. Pictures
            of real people stay in files of their own.
        reference_pictures: float32 [N, S, S, 3], the reference's reconstructions of the same
            images.
    """
    folder.mkdir(parents=True, exist_ok=True)
    attack_names = [attack["name"] for attack in report.content["attacks"]]
    save_measures(folder / MEASURES_FILE, report.per_image, attack_names, report.test_hash)
    save_reconstructions(report, folder / RECONSTRUCTIONS)
    wall = picture_wall(report, reference_pictures)
    unfinished = folder / f"unfinished_{WALL}"
    Image.fromarray(wall).save(unfinished, format="PNG")
    unfinished.replace(folder / WALL)
    page = render_html(report.content, provenance, WALL if embed_pictures else None)
    runs.write_text(folder / REPORT_HTML, page)
    runs.write_json(folder / REPORT_JSON, report.content)


def read_content(folder: pathlib.Path) -> dict[str, Any]:
    """The content of an audit folder's report.json."""
    return json.loads((folder / REPORT_JSON).read_text(encoding="utf-8"))


def read_figures(folder: pathlib.Path) -> dict[str, Any] | None:
    """The audit's figures that travel with an exported encoder; None where it was not audited."""
    if not (folder / REPORT_JSON).exists():
        return None
    content = read_content(folder)
    return {
        "mean_mcc": content["utility"]["mean_mcc"],
        "worst": content["worst"],
        "leakage": content["leakage"],
    }


def save_reconstructions(report: AuditReport, path: pathlib.Path) -> None:
    """Keeps the worst attacks' reconstructions (uint8, no original).

    Reports that name this one as reference show them.
    """
    unfinished = path.with_name("unfinished_" + path.name)
    name = report.content["worst"]["face_similarity"]["attack"]
    np.savez_compressed(unfinished, reconstructions=to_bytes(report.reconstructions[name]))
    unfinished.replace(path)


def load_reconstructions(folder: pathlib.Path) -> np.ndarray | None:
    """An earlier audit's reconstructions, float32 [N, S, S, 3] in [0, 1]; None if it kept none."""
    path = folder / RECONSTRUCTIONS
    if not path.exists():
        return None
    with np.load(path) as saved:
        return saved["reconstructions"].astype(np.float32) / 255.0


def to_bytes(images: np.ndarray) -> np.ndarray:
    """Float images in [0, 1] as uint8; any shape."""
    return np.clip(np.round(images * 255.0), 0, 255).astype(np.uint8)


def pictured_rows(report: AuditReport) -> np.ndarray:
    """Images for the wall: evenly spaced over all by face similarity, the worst protected first."""
    name = report.content["worst"]["face_similarity"]["attack"]
    order = np.argsort(-report.per_image[name]["face_similarity"])
    return order[np.linspace(0, len(order) - 1, min(PICTURED, len(order))).round().astype(int)]


def picture_wall(report: AuditReport, reference_pictures: np.ndarray | None) -> np.ndarray:
    """A labelled grid, uint8 [H, W, 3].

    A column is an image; the rows are the original and each reconstruction.
    """
    rows = pictured_rows(report)
    attack = report.content["worst"]["face_similarity"]["attack"]
    named = [("original", report.originals), (attack, report.reconstructions[attack])]
    if reference_pictures is not None:
        named.append(("reference", reference_pictures))
    named += [(name, report.reconstructions[name]) for name in reversed(FLOORS)]
    strips = [labelled_strip(ROW_NAMES.get(n, n), to_bytes(images[rows])) for n, images in named]
    return np.concatenate(strips)


def labelled_strip(label: str, images: np.ndarray) -> np.ndarray:
    """One row of the wall: a label, then images enlarged to TILE pixels."""
    tiles = [
        np.asarray(Image.fromarray(image).resize((TILE, TILE), Image.Resampling.BICUBIC))
        for image in images
    ]
    panel = Image.new("RGB", (LABEL_WIDTH, TILE), "white")
    font = ImageFont.load_default(size=16)
    ImageDraw.Draw(panel).text((8, TILE // 2), label, fill="black", font=font, anchor="lm")
    return np.concatenate([np.asarray(panel), *tiles], axis=1)


def render_html(content: dict[str, Any], provenance: dict[str, Any], picture: str | None) -> str:
    """The report as one HTML page without scripts or network."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("arl_tf"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["estimate"] = format_estimate
    return environment.get_template("report.html").render(
        content=content,
        measures=MEASURE_NAMES,
        rows=table_rows(content),
        verdict=verdict(content),
        provenance=provenance,
        picture=picture,
    )


def verdict(content: dict[str, Any]) -> str:
    """The finding in one sentence."""
    mcc = format_estimate(content["utility"]["mean_mcc"])
    face = content["worst"]["face_similarity"]
    leakage = content["leakage"]["face_similarity"]
    attacked = (
        f"The task head reaches a mean MCC of {mcc}; the worst fresh attacker ({face['attack']})"
        f" reconstructs faces with a similarity of {format_estimate(face)}"
    )
    if leakage["value"] is None:
        floor = max(content["floors"][name]["face_similarity"]["value"] for name in FLOORS)
        return (
            f"{attacked}, where the task output alone gives {floor:.3f}. No reference: leakage"
            " unknown."
        )
    return (
        f"{attacked}: a leakage of {format_estimate(leakage)} (0: no more than the task tells, 1:"
        " unprotected)."
    )


def format_estimate(estimate: dict[str, Any]) -> str:
    """'value [low, high]', or a dash where it is undefined."""
    if estimate["value"] is None:
        return "–"
    if estimate["ci95"] is None:
        return f"{estimate['value']:.3f}"
    low, high = estimate["ci95"]
    return f"{estimate['value']:.3f} [{low:.3f}, {high:.3f}]"


def table_rows(content: dict[str, Any]) -> Sequence[tuple[str, dict[str, Any]]]:
    """(label, measures) of attacks, reference and floors, from most to least informed."""
    rows = [(f"attack: {attack['name']}", attack) for attack in content["attacks"]]
    if content["reference"]:
        rows.insert(0, ("unprotected reference", content["reference"]["worst"]))
    rows += [(f"floor: {ROW_NAMES[name]}", content["floors"][name]) for name in reversed(FLOORS)]
    return rows


def headline(content: dict[str, Any]) -> str:
    """The headline figures beside their floors, for the terminal."""
    lines = [f"{'':24s}" + "".join(f"{name:>20s}" for name in MEASURES)]
    for label, measures in table_rows(content):
        values = "".join(f"{measures[name]['value']:20.3f}" for name in MEASURES)
        lines.append(f"{label[:24]:24s}{values}")
    leaks = [content["leakage"][name]["value"] for name in MEASURES]
    if any(value is not None for value in leaks):
        texts = ["-" if value is None else f"{value:.3f}" for value in leaks]
        lines.append(f"{'leakage':24s}" + "".join(f"{text:>20s}" for text in texts))
    utility = content["utility"]
    summary = ", ".join(
        f"{name} {format_estimate(utility[name])}" for name in ("mean_mcc", "accuracy", "roc_auc")
    )
    return "\n".join([f"utility: {summary}", *lines])


def write_summaries(report: AuditReport, logs: pathlib.Path, split: str) -> None:
    """The audit in TensorBoard: attack/<name>/<measure>, utility, and the picture wall."""
    content = report.content
    with tf.summary.create_file_writer(str(logs / f"audit_{split}")).as_default(step=0):
        for label, measures in [(a["name"], a) for a in content["attacks"]] + [
            (name, content["floors"][name]) for name in FLOORS
        ]:
            for measure in MEASURES:
                tf.summary.scalar(f"attack/{label}/{measure}", measures[measure]["value"])
        tf.summary.scalar("eval/test_mean_mcc", content["utility"]["mean_mcc"]["value"])
        tf.summary.image("attack/picture_wall", picture_wall(report, None)[None])
        for attack in content["attacks"]:
            for check, loss in enumerate(attack["held_out_loss"], start=1):
                tf.summary.scalar(f"attack/{attack['name']}/held_out_loss", loss, step=check)
