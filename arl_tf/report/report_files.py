"""AuditReport -> report.json, report.html and pictures. Nothing is computed here."""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from absl import logging
from PIL import Image

from arl_tf.auditing.audit import AuditReport
from arl_tf.auditing.measures_file import MEASURES_FILE, save_measures
from arl_tf.auditing.resamples import Resamples
from arl_tf.metrics import reconstruction
from arl_tf.report import html_page
from arl_tf.report.image_grid import PICTURED, image_grid, spread_rows
from arl_tf.report.verdict import untold, verdict
from arl_tf.report.wording import (
    FLOOR_PREFIX,
    best_on_code,
    headline,
    is_from_output,
    is_retrieval,
    reading,
    worst_by_headline,
)
from arl_tf.utils import files, run_files

REPORT_JSON, REPORT_HTML = "report.json", "report.html"
RESAMPLES = "resamples.npz"
REMEDY = "Put back an intact copy, or audit again: the same audit with --overwrite."
# What others read of report.json.
READ_KEYS = (
    "verdict",
    "utility.mean_mcc.value",
    "floors.mean_image.face_similarity.value",
    "attacks",
    "worst.face_similarity.attack",
    "leakage.face_similarity.value",
    "codes.linkage_auc",
    "codes.channel",
    "provenance.encoder_sha256",
    "reference",
)
GRID, RECONSTRUCTIONS = "reconstructions.png", "reconstructions.npz"


def content_of(report: AuditReport) -> dict[str, Any]:
    """What report.json holds: the figures, and beside them what they mean in sentences."""
    found = report.content
    return {"verdict": verdict(found), "untold": untold(found), **found}


def write_report(
    report: AuditReport,
    folder: pathlib.Path,
    *,
    embed_originals: bool,
    reference_pictures: np.ndarray | None = None,
) -> None:
    """Writes every file of an audit; report.json comes last: where it is, all is there.

    Args:
        report: what the audit found.
        folder: the audit's folder.
        embed_originals: whether report.html shows the original images: always for drawn
            faces, for photographs only if the user says so. They stay in a file beside it.
        reference_pictures: uint8 [N, S, S, 3], the reference's reconstructions of the same images.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content = content_of(report)
    names = [attack["name"] for attack in content["attacks"] + content["floor_attacks"]]
    save_measures(
        folder / MEASURES_FILE,
        {name: report.per_image[name] for name in names},
        names,
        report.measured_on,
        content["codes"]["shape"],
        report.identity,
        report.candidate_hits,
        report.later_tasks,
    )
    save_resamples(report.resamples, folder / RESAMPLES)
    save_reconstructions(report, folder / RECONSTRUCTIONS)
    with files.replacing(folder / GRID) as unfinished:
        Image.fromarray(wall_of(report, reference_pictures)).save(unfinished, format="PNG")
    page = html_page.render(
        report, embed_originals=embed_originals, reference_pictures=reference_pictures
    )
    files.write_text(folder / REPORT_HTML, page)
    files.write_json(folder / REPORT_JSON, content)


def read_content(folder: pathlib.Path) -> dict[str, Any]:
    """The content of an audit folder's report.json.

    Raises:
        ValueError: it is missing, damaged or of another version.
    """
    path = folder / REPORT_JSON
    content = run_files.read_json(path, remedy=REMEDY, keys=READ_KEYS)
    with run_files.telling(path, REMEDY):
        check_figures(content)
    return content


def check_figures(content: Mapping[str, Any]) -> None:
    """Fails where attacks or figures of report.json are of another form than readers rely on."""
    attacks = [*content["attacks"], *content.get("floor_attacks", ())]
    for section in (*attacks, *content["floors"].values(), content["worst"]):
        for measure in reconstruction.MEASURES:
            check_number(section.get(measure), measure)
    for each in attacks:
        if not isinstance(each["name"], str):
            raise ValueError(f"an attack has the name {each['name']!r}")
    for measure, share in content["leakage"].items():
        check_number(share, f"leakage.{measure}")


def check_number(figure: Any, name: str) -> None:
    """Raises ValueError for what is no {"value": a number or null}; None: it was not measured."""
    if figure is None:
        return
    value = figure["value"]
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise ValueError(f"{name} has the value {value!r}, expected a number")


def read_figures(folder: pathlib.Path) -> dict[str, Any] | None:
    """The audit's figures that travel with an exported encoder; None where it was not audited."""
    if not (folder / REPORT_JSON).exists():
        return None
    content = read_content(folder)
    return {
        "verdict": content["verdict"],
        "mean_mcc": content["utility"]["mean_mcc"],
        "utility": content["utility"].get("headline"),
        "worst": content["worst"],
        "leakage": content["leakage"],
    }


def worst_attack(report: AuditReport) -> str:
    """The worst attack by the headline measure."""
    return worst_by_headline(report.content)["attack"]


def save_resamples(resamples: Resamples, path: pathlib.Path) -> None:
    """Keeps the figures' resamples: studies pair them."""
    with files.replacing(path) as unfinished:
        np.savez_compressed(unfinished, key=np.array(resamples.key), **resamples.figures)


def load_resamples(folder: pathlib.Path) -> Resamples | None:
    """An earlier audit's resamples; None where it kept none."""
    path = folder / RESAMPLES
    if not path.exists():
        return None
    with run_files.open_arrays(path, remedy=REMEDY) as saved:
        figures = {name: saved[name] for name in saved.files if name != "key"}
        return Resamples(str(saved["key"]), figures)


def save_reconstructions(report: AuditReport, path: pathlib.Path) -> None:
    """Keeps the worst attack's reconstructions (uint8, no original).

    Reports that name this one as reference show them.
    """
    with files.replacing(path) as unfinished:
        np.savez_compressed(unfinished, reconstructions=report.pictures[worst_attack(report)])


def load_reconstructions(folder: pathlib.Path) -> np.ndarray | None:
    """An earlier audit's reconstructions, uint8 [N, S, S, 3]; None if it kept none.

    Pictures are for show: damaged ones are left out with a warning.
    """
    path = folder / RECONSTRUCTIONS
    if not path.exists():
        return None
    try:
        with run_files.open_arrays(path, remedy=REMEDY) as saved:
            return saved["reconstructions"]
    except run_files.UnreadableFileError as error:
        logging.warning("%s The report goes without these pictures.", error)
        return None


def wall_of(report: AuditReport, reference_pictures: np.ndarray | None) -> np.ndarray:
    """Originals, the worst attack's, the reference's and the floors' pictures; uint8 [H, W, 3].

    Where the worst attack is one on the task output, the best one on the code itself is beside it.
    """
    attack, kind = worst_attack(report), headline(report.content)
    own = best_on_code(report.content)
    chosen = spread_rows(report.per_image[attack][kind], PICTURED)
    rows = {
        "original": report.originals,
        attack_label(report.content, own): report.pictures[own],
    }
    if reference_pictures is not None:
        rows["reference"] = reference_pictures
    if own != attack:
        rows[attack_label(report.content, attack)] = report.pictures[attack]
    elif "task_output" in report.pictures:
        rows["task_output"] = report.pictures["task_output"]
    rows["mean_image"] = report.pictures["mean_image"]
    return image_grid({name: images[chosen] for name, images in rows.items()})


def attack_label(content: Mapping[str, Any], attack: str) -> str:
    """The label of the worst attack's pictures; it says so where they are others' photos."""
    label = f"from the code:\n{attack}"
    if is_from_output(attack):
        label = f"from the task output:\n{attack.removeprefix(FLOOR_PREFIX)}"
    if is_retrieval(attack):
        label += f"\n({reading(content, attack)[0].replace(' of ', chr(10) + 'of ')})"
    return label
