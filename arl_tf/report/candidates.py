"""Is it this photo? The audit's candidate match in words and rows."""

from collections.abc import Iterator, Mapping
from typing import Any

from arl_tf.metrics.candidate_sets import CREDIBLE
from arl_tf.report.wording import MISSING, share, who

# From this share on, one code is taken to confirm a photo.
CONFIRMED = 0.5
COLUMNS = {
    "likelihood": "code, by likelihood",
    "tolerant": "code, by likelihood that expects changes",
    "queries_1": "code, 1 query a photo",
    "queries_4": "code, 4 queries a photo",
    "informed_1": "code, 1 query a photo, noise known",
    "informed_4": "code, 4 queries a photo, noise known",
}
Section = Mapping[str, Any]


def candidate_match(content: Mapping[str, Any]) -> Section | None:
    """The section of report.json; None in an older audit."""
    return content["codes"].get("candidate_match")


def match_sentences(content: Mapping[str, Any], codes: str) -> str:
    """What a holder of the photo can do with codes, in a sentence; empty where nothing is known.

    Args:
        content: of report.json.
        codes: "one code of a photo" or the like.
    """
    found = candidate_match(content)
    if found is None:
        return ""
    exact = value_of(found["exact"], "code")
    if exact is None:
        other = value_of(found["other_photo"], "code")
        return "" if other is None else person_words(content)
    does = "can confirm it from" if exact >= CONFIRMED else "can look for it with"
    beside = [
        f"{name}: {share(value)}"
        for name, value in (
            ("a degraded copy of the photo", value_of(found["degraded"]["together"], "code")),
            ("the task output alone", value_of(found["exact"], "task_output")),
            ("an unprotected code", value_of(found["exact"], "unprotected")),
        )
        if value is not None
    ]
    guess = f"a guess: {100 * found['exact']['chance']:.1f} %"
    said = (
        f"Whoever has the photo {does} {codes}: among {found['candidates']:,} candidate photos the"
        f" right one comes first in {share(exact)} of the cases ({', '.join([*beside, guess])})"
    )
    sentences = [said, fitting_words(found), person_words(content)]
    return ". ".join(filter(None, sentences))


def fitting_words(found: Section) -> str:
    """How many candidates fit a code; empty where it is not known, and in older audits."""
    fitting = found["exact"].get("fitting")
    if not fitting or fitting["code"]["likely"]["value"] is None:
        return ""
    code = fitting["code"]
    said = f"A code narrows the candidates down to {code['likely']['value']:,.1f} on average"
    if is_calibrated(code):
        said += ", with 95 % certainty"
        doubt = ", but there the likelihood is not calibrated"
    else:
        found = share(code["covered"]["value"])
        said += (
            f", but the likelihood is not calibrated: in only {found} of the cases the right one is"
            " among these"
        )
        doubt = ", not calibrated either"
    beside = [
        f"{name}: {fitting[source]['likely']['value']:,.1f}"
        + ("" if is_calibrated(fitting[source]) else doubt)
        for name, source in (
            ("the task output alone", "task_output"),
            ("an unprotected code", "unprotected"),
        )
        if fitting[source]["likely"]["value"] is not None
    ]
    return f"{said} ({', '.join(beside)})" if beside else said


def is_calibrated(figures: Section) -> bool:
    """Whether the right candidate may be among the likely ones as often as they promise."""
    interval = figures.get("covered", MISSING)["ci95"]
    return interval is None or interval[1] >= CREDIBLE


def person_words(content: Mapping[str, Any]) -> str:
    """What somebody with another photo of the person can do; empty where nobody has two photos."""
    section, person = candidate_match(content)["other_photo"], who(content)
    value = value_of(section, "code")
    if value is None:
        return ""
    output = value_of(section, "task_output")
    beside = [] if output is None else [f"the task output alone: {share(output)}"]
    picture = content["worst"].get("reid_other_photo_rank1", {}).get("value")
    if picture is not None and picture > value:
        beside.insert(0, f"by the best picture: {share(picture)}")
    beside.append(f"a guess: {100 * section['chance']:.1f} %")
    return (
        f"With another photo of the {person} instead, compared in the same way, the {person} comes"
        f" first in {share(value)} of the cases ({', '.join(beside)})"
    )


def value_of(section: Section, source: str) -> float | None:
    """The best rate of a source."""
    return section[source]["best"]["value"]


def table(content: Mapping[str, Any]) -> Iterator[tuple[str, list[tuple[str, Section]], float]]:
    """(what the candidates are, [(column, estimate)], chance): the rows of the page's table."""
    found = candidate_match(content)
    if found is None:
        return
    rows = {"the photo itself": found["exact"]}
    for case in found["degraded"].values():
        rows[f"a copy, {case['words']}"] = case
    rows[f"another photo of the {who(content)}, not this one"] = found["other_photo"]
    for name, section in rows.items():
        if any(value_of(section, source) is not None for source in ("code", "task_output")):
            # Older audits have fewer ways.
            cells = [(words, section["code"].get(way, MISSING)) for way, words in COLUMNS.items()]
            cells.append(("task output alone", section["task_output"]["best"]))
            cells.append(("unprotected code", section["unprotected"]["best"]))
            yield name, cells, section["chance"]


def summary_figures(content: Mapping[str, Any]) -> tuple[list[Section], str] | None:
    """(best rate from code, task output, unprotected code; what to compare with)."""
    found = candidate_match(content)
    if found is None or value_of(found["exact"], "code") is None:
        return None
    exact = found["exact"]
    figures = [exact[source]["best"] for source in ("code", "task_output", "unprotected")]
    beside = [f"a guess: {100 * exact['chance']:.1f} %"]
    for name, section in (
        ("a degraded copy", found["degraded"]["together"]),
        (f"another photo of the {who(content)}", found["other_photo"]),
    ):
        value = value_of(section, "code")
        if value is not None:
            beside.insert(0, f"{name}: {share(value)}")
    return [figure if figure["value"] is not None else MISSING for figure in figures], "; ".join(
        beside
    )
