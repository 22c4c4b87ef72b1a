"""report.html: one page without network, made of an audit's content and a few pictures."""

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jinja2
import numpy as np
from PIL import Image

from arl_tf.auditing.audit import AuditReport
from arl_tf.report import (
    alternative_words,
    candidates,
    identity_words,
    judge_words,
    later_tasks_words,
    near_duplicates_words,
    plots,
    summary,
    utility_words,
)
from arl_tf.report.image_grid import ranks, shown_rows
from arl_tf.report.learning_curve_words import curve_sentence
from arl_tf.report.verdict import all_attacks, codes_words, sentences
from arl_tf.report.wording import (
    MEASURE_NAMES,
    PERSON_BITS,
    attack_notes,
    attack_words,
    best_on_code,
    bounded,
    breakable,
    converged,
    format_estimate,
    format_figure,
    has_faces,
    headline,
    headline_words,
    images_word,
    is_from_output,
    is_photographs,
    is_retrieval,
    percent,
    reading,
    seconds_words,
    shown_measures,
    training_gaps,
    unbroken,
    who,
    with_whole_flags,
    worst_by_headline,
    yardstick_names,
)

SHOWN, PER_PAGE = 96, 12
JPEG_QUALITY = 90
# A picture that is this near to a withheld original is as good as it, dB.
TOO_NEAR = 30.0
CAPTIONS = {
    "original": ("original", "The original image"),
    "attack": ("from the code", "Reconstruction from the code"),
    "task_output": ("from the task output alone", "Reconstruction from the task output alone"),
    "mean_image": ("without the code", "The mean image, which needs no code"),
    "reference": ("unprotected code", "Reconstruction from an unprotected code"),
}


def render(
    report: AuditReport, *, embed_originals: bool, reference_pictures: np.ndarray | None
) -> str:
    """The page.

    Args:
        report: what the audit found.
        embed_originals: whether originals are embedded; else they are left out, and so is every
            picture within TOO_NEAR dB of its original. The page says so.
        reference_pictures: uint8 [N, S, S, 3], the reference's reconstructions of the same images.
    """
    content = report.content
    wall = wall_entries(report, embed_originals, reference_pictures)
    return page_template("report.html").render(
        content=content,
        captions={name: caption for name, (caption, _) in CAPTIONS.items()},
        sentences=sentences(content),
        # The measure that the verdict is about comes first.
        measures=sorted(shown_measures(content), key=lambda name: headline(content) not in name),
        headline=headline(content),
        headline_words=headline_words(content),
        has_faces=has_faces(content),
        images_word=images_word(content),
        who=who(content),
        judges=judge_words.rows(content),
        judges_blurred=judge_words.is_blurred(content),
        has_convergence=any(converged(attack) for attack in all_attacks(content)),
        summary=summary.summary_rows(content),
        not_measured=summary.not_measured(content),
        data=summary.data_words(content),
        yardsticks=yardstick_rows(content),
        utility=utility_words,
        alternative=alternative_words,
        codes_words=codes_words(content),
        person_bits=PERSON_BITS,
        candidate_rows=list(candidates.table(content)),
        candidate_columns=candidates.COLUMNS.values(),
        wall=wall,
        attacks_by_reading=attacks_by_reading(content),
        readings=readings(content, ["original", *(tile["name"] for tile in wall[0]["tiles"])]),
        worst_column=worst_column(content),
        per_page=PER_PAGE,
        embed_originals=embed_originals,
        withheld=sum(tile["withheld"] for entry in wall for tile in entry["tiles"]),
        total=len(report.originals),
        similarity=plots.similarity_scale(content),
        scale=plots.leakage_scale(content),
        bits=plots.bits_scale(content),
        curves=plots.loss_curves(content),
        gaps=training_gaps(content),
        curve_sentence=curve_sentence(content),
        later_tasks=later_tasks_words.section(content),
        later_sources=later_tasks_words.SOURCES,
        near_duplicates=near_duplicates_words.section(content),
        shot_rows=list(near_duplicates_words.rows(content)),
        identity_tables=identity_words.tables(content),
        identity_sources=identity_words.SOURCES,
        identity_measures=identity_words.MEASURES,
        provenance=dotted_rows(content["provenance"]),
    )


def page_template(name: str) -> jinja2.Template:
    """One of the templates; everything it is given is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("arl_tf.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: unbroken(value) if type(value) is str else value,
    )
    environment.filters |= {
        "estimate": format_estimate,
        "percent": percent,
        "bounded": bounded,
        "breakable": breakable,
        "duration": seconds_words,
        "whole_flags": with_whole_flags,
    }
    environment.globals |= {
        "attack_words": attack_words,
        "attack_notes": attack_notes,
        "converged": converged,
        "figure": format_figure,
        "is_photographs": is_photographs,
        "measure_names": MEASURE_NAMES,
    }
    return environment.get_template(name)


def yardstick_rows(content: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """(words, measures) of the yardsticks that the audit measured."""
    measured = content.get("yardsticks", {})
    return [
        (words, measured[name])
        for name, words in yardstick_names(content).items()
        if name in measured and measured[name][headline(content)]["value"] is not None
    ]


def wall_entries(
    report: AuditReport, embed_originals: bool, reference_pictures: np.ndarray | None
) -> list[dict[str, Any]]:
    """What the wall shows of each image, the worst protected first; arguments are `render`'s.

    `reference_pictures` are uint8 [N, S, S, 3], or None.
    """
    attack = worst_by_headline(report.content)["attack"]
    similarity = report.per_image[attack][headline(report.content)]
    columns = wall_columns(report, embed_originals, reference_pictures)
    photographs = retrieved(report.content)
    notes = {name: words for name, (words, _) in readings(report.content, columns).items()}
    rows = shown_rows(similarity, SHOWN)
    return [
        {
            "rank": rank,
            "similarity": float(similarity[row]),
            "in_tail": rank <= report.content["tail"]["images"],
            "tiles": [
                wall_tile(
                    name,
                    images[row],
                    rank,
                    note=notes[name],
                    withheld=not embed_originals
                    and (name in photographs or is_near(images[row], report.originals[row])),
                )
                for name, images in columns.items()
            ],
        }
        for row, rank in zip(rows.tolist(), ranks(similarity)[rows].tolist(), strict=True)
    ]


def wall_columns(
    report: AuditReport, embed_originals: bool, reference_pictures: np.ndarray | None
) -> dict[str, Sequence[np.ndarray] | np.ndarray]:
    """The kinds of pictures that are shown of each image, uint8 [N, S, S, 3] each."""
    attack = best_on_code(report.content)
    floor = "task_output" if "task_output" in report.pictures else "mean_image"
    columns = {
        "original": report.originals if embed_originals else None,
        "attack": report.pictures[attack],
        floor: report.pictures[floor],
        "reference": reference_pictures,
    }
    return {name: images for name, images in columns.items() if images is not None}


def column_attacks(content: Mapping[str, Any]) -> dict[str, str]:
    """The attack whose pictures a column shows; empty where that is not known."""
    kind = headline(content)
    return {
        "attack": best_on_code(content),
        "task_output": content["floors"]["task_output"][kind].get("attack", ""),
        "reference": (content["reference"] or content)["worst"][kind].get("attack", ""),
    }


def worst_column(content: Mapping[str, Any]) -> str:
    """The column that shows the worst attacker's pictures."""
    from_output = is_from_output(worst_by_headline(content)["attack"])
    return "task_output" if from_output else "attack"


def retrieved(content: Mapping[str, Any]) -> set[str]:
    """The columns whose pictures are public photographs as they are: found, not reconstructed."""
    return {name for name, attack in column_attacks(content).items() if is_retrieval(attack)}


def readings(content: Mapping[str, Any], names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """How to read each column of the wall: words for below each picture, sentences for above."""
    attacks = column_attacks(content)
    found = {}
    for name in names:
        if name == "original":
            found[name] = ("", "The picture that was turned into a code.")
        elif name == "mean_image":
            words = "The mean of the public images: what anybody can show without a code."
            found[name] = ("the same for all", words)
        else:
            found[name] = reading(content, attacks[name]) if attacks[name] else ("", "")
    return found


def attacks_by_reading(content: Mapping[str, Any]) -> dict[str, list[str]]:
    """How to read pictures -> the attacks whose pictures are to be read so."""
    found = {}
    for attack in content["attacks"]:
        found.setdefault(reading(content, attack["name"])[1], []).append(attack["name"])
    return found


def wall_tile(
    name: str, picture: np.ndarray, rank: int, *, note: str, withheld: bool
) -> dict[str, Any]:
    """One picture uint8 [S, S, 3] of the wall with what it is, or the note that it is withheld."""
    caption, words = CAPTIONS[name]
    return {
        "name": name,
        "caption": caption,
        "note": note,
        "alt": f"{words}, image {rank}",
        "withheld": withheld,
        "picture": None if withheld else data_uri(picture),
    }


def is_near(picture: np.ndarray, original: np.ndarray) -> bool:
    """Whether the PSNR of two uint8 pictures [S, S, 3] is above TOO_NEAR."""
    squared_error = np.mean(np.square(picture.astype(np.float64) - original))
    return bool(squared_error < 255.0**2 / 10 ** (TOO_NEAR / 10))


def data_uri(image: np.ndarray) -> str:
    """A picture uint8 [S, S, 3] as a JPEG inside the page."""
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(image)).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def dotted_rows(facts: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested facts as rows, "settings.seed" -> value."""
    rows = []
    for name, value in facts.items():
        if isinstance(value, Mapping):
            rows += dotted_rows(value, f"{prefix}{name}.")
        else:
            listed = isinstance(value, list | tuple)
            rows.append((f"{prefix}{name}", ", ".join(map(str, value)) if listed else str(value)))
    return rows
