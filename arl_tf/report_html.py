"""report.html: one page without network, made of an audit's content and a few pictures."""

import base64
import io
from collections.abc import Mapping
from typing import Any

import jinja2
import numpy as np
from PIL import Image

from arl_tf import report_plots
from arl_tf.audit import AuditReport
from arl_tf.picture_wall import shown_rows
from arl_tf.report_words import FLOOR_NAMES, MEASURE_NAMES, format_estimate, percent, verdict

SHOWN, PER_PAGE = 96, 12
JPEG_QUALITY = 90
# A reconstruction that is this near to a withheld original is as good as it, dB.
TOO_NEAR = 30.0


def render(
    report: AuditReport, *, embed_originals: bool, reference_pictures: np.ndarray | None
) -> str:
    """The page.

    Args:
        report: what the audit found.
        embed_originals: whether originals are embedded; else a note says what was left out.
        reference_pictures: uint8 [N, S, S, 3], the reference's reconstructions of the same images.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("arl_tf"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"estimate": format_estimate, "percent": percent}
    content = report.content
    wall = wall_entries(report, embed_originals, reference_pictures)
    return environment.get_template("report.html").render(
        content=content,
        verdict=verdict(content),
        measures=MEASURE_NAMES,
        floor_names=FLOOR_NAMES,
        wall=wall,
        per_page=PER_PAGE,
        embed_originals=embed_originals,
        withheld=sum(entry["withheld"] for entry in wall),
        total=len(report.originals),
        scale=report_plots.leakage_scale(content),
        curves=report_plots.loss_curves(content),
        provenance=flattened(content["provenance"]),
    )


def wall_entries(
    report: AuditReport, embed_originals: bool, reference_pictures: np.ndarray | None
) -> list[dict[str, Any]]:
    """What the wall shows of each image, the worst protected first."""
    attack = report.content["worst"]["face_similarity"]["attack"]
    measures = report.per_image[attack]
    rows = shown_rows(measures["face_similarity"], SHOWN)
    shown = {"original": report.originals if embed_originals else None, "attack": None}
    shown["attack"] = report.pictures[attack]
    shown["floor"] = report.pictures[
        "task_output" if "task_output" in report.pictures else "mean_image"
    ]
    shown["reference"] = reference_pictures
    entries = []
    for rank, row in enumerate(rows, start=1):
        withheld = not embed_originals and measures["psnr"][row] > TOO_NEAR
        pictures = {
            name: None if images is None else data_uri(images[row])
            for name, images in shown.items()
        }
        if withheld:
            pictures["attack"] = pictures["reference"] = None
        entries.append(
            {
                "rank": rank,
                "similarity": float(measures["face_similarity"][row]),
                "withheld": withheld,
                **pictures,
            }
        )
    return entries


def data_uri(image: np.ndarray) -> str:
    """A picture uint8 [S, S, 3] as a JPEG inside the page."""
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(image)).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def flattened(facts: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Nested facts as rows, "settings.seed" -> value."""
    rows = []
    for name, value in facts.items():
        if isinstance(value, Mapping):
            rows += flattened(value, f"{prefix}{name}.")
        else:
            rows.append((f"{prefix}{name}", value))
    return rows
