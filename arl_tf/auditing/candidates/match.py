"""Is it this photo? What whoever holds candidate photos gets by comparing them with one code.

The candidates are the photos under attack, one of which the code is of; or copies of them; or, for
the person, the photos without the one that the code is of.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from arl_tf.attacks.evidence import BLACK_BOX, Evidence
from arl_tf.auditing.candidates import pairs as public_pairs
from arl_tf.auditing.candidates.asked import asked_values
from arl_tf.auditing.candidates.codes import CandidateCodes, codes_of
from arl_tf.auditing.candidates.copies import DEGRADATIONS
from arl_tf.auditing.candidates.pairs import CodePairs
from arl_tf.auditing.candidates.scores import Codes, code_scores, output_scores, standardising
from arl_tf.auditing.encoders.audited import AuditedEncoder
from arl_tf.auditing.settings import AuditSettings
from arl_tf.metrics import candidate_sets, candidates, intervals, measures, utility
from arl_tf.metrics.candidates import Score, whitened_score
from arl_tf.models.standardisation import flattened
from arl_tf.utils import progress

WAYS = {
    "likelihood": "by likelihood: the attacker has the encoder and knows its noise",
    "tolerant": "by likelihood, with mean codes from the inside or of 4 answers; the attacker has"
    " learned from public photos what changes between a photo and such a copy, or between photos"
    " of a person",
    "queries_1": "by plain distance to one answer of the encoder for each candidate",
    "queries_4": "by distance to the mean of 4 answers; of noisy values by their estimated noise",
    "informed_1": "by likelihood with one answer of the encoder for each candidate; answers for"
    " public photos have told how much of each value is noise, and whether this is Laplace noise;"
    " where noise drops values and leaves"
    " the others as they are, by those that are left",
    "informed_4": "likewise, with 4 answers for each candidate",
}
CODE, TASK_OUTPUT = "code", "task_output"
# Of the posterior over the candidates; the keys of `fitting`.
FITTING, SET_FIGURES = "fitting", ("effective", "likely", "covered")
CANDIDATE_NOISE = 106
MOST_CANDIDATES = 5000
Hits = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class CandidateMatch:
    """How often the right candidate was found.

    Attributes:
        hits: "CASE/SOURCE/WAY" -> float64 [M], NaN where no candidate is right. Cases are exact,
            other_photo and the keys of DEGRADATIONS; sources are CODE and TASK_OUTPUT. Beside
            them "exact/SOURCE/fitting/FIGURE": how many candidates fit each code.
        rows: int [M], which of the images under attack were candidates.
        identities: int [M], of these.
        missing: why figures are missing; empty where none is.
    """

    hits: Hits
    rows: np.ndarray
    identities: np.ndarray
    missing: str


def match(
    settings: AuditSettings,
    audited_encoder: AuditedEncoder,
    evidence: Evidence,
    images: np.ndarray,
    identities: np.ndarray,
    recorded_rows: np.ndarray,
    public_identities: np.ndarray | None,
) -> CandidateMatch:
    """Compares the photos under attack, after all attacks, with each of their codes.

    Args:
        settings: seed, codes of each photo.
        audited_encoder: the encoder, with its task head.
        evidence: what attackers had: the codes under attack.
        images: uint8 [M, S, S, 3], the photos under attack.
        identities: int [M].
        recorded_rows: int [M], their rows in the data set.
        public_identities: int [n] of the public images; None where people are not known.
    """
    rows = candidate_rows(identities)
    outputs = evidence.task_outputs
    codes = Codes(
        flattened(evidence.target_codes[rows]),
        evidence.pairs.codes,
        None if outputs is None else outputs.target[rows],
        None if outputs is None else outputs.public,
        evidence.several,
        asked_values(
            evidence.asked_noise,
            evidence.several,
            is_laplace=evidence.as_seen(BLACK_BOX).has_laplace_noise,
        ),
    )
    people, seed = identities[rows], CANDIDATE_NOISE + settings.seed
    of_one = None
    if public_identities is not None:
        of_one = public_pairs.of_people(evidence, public_identities)
    if audited_encoder.encoder is None:
        found = of_recorded(audited_encoder, recorded_rows[rows], seed, codes, people, of_one)
        return CandidateMatch(found, rows, people, ONLY_RECORDED)

    def logits_of(flat_codes: np.ndarray) -> np.ndarray:
        shape = evidence.target_codes.shape[1:]
        return audited_encoder.task_output(flat_codes.reshape(-1, *shape).astype(np.float32))

    with progress.bar("Candidates compared", 2 + len(DEGRADATIONS)) as advance:
        known = codes_of(audited_encoder, images[rows], seed)
        found = of_case("exact", known, codes, people, None, logits_of)
        advance()
        found |= of_case("other_photo", known, codes, people, of_one, logits_of)
        advance()
        for number, (name, (change, _)) in enumerate(DEGRADATIONS.items(), start=1):
            known = codes_of(audited_encoder, change(images[rows]), seed + 1000 * number)
            copies = public_pairs.of_copies(change, audited_encoder, evidence, seed)
            found |= of_case(name, known, codes, people, copies, logits_of)
            advance()
    missing = (
        ""
        if audited_encoder.white_box
        else f"no likelihood, because {audited_encoder.not_white_box}"
    )
    return CandidateMatch(found, rows, people, missing)


ONLY_RECORDED = (
    "only recorded codes are at hand: one code of each photo, and no encoder to ask for codes of"
    " candidates; the photos of a person are compared by their recorded codes"
)


def candidate_rows(identities: np.ndarray) -> np.ndarray:
    """Rows int64 [M] of the images under attack that are candidates: all, or MOST_CANDIDATES.

    Of more images, people are drawn, all images of each; a first one who has more is cut.
    `identities` is int [N].
    """
    if len(identities) <= MOST_CANDIDATES:
        return np.arange(len(identities))
    person = np.unique(identities, return_inverse=True)[1]
    order = np.random.default_rng(0).permutation(person.max() + 1)[person]
    most = np.searchsorted(np.cumsum(np.bincount(order)), MOST_CANDIDATES, side="right")
    return np.flatnonzero(order < max(most, 1))[:MOST_CANDIDATES]


def of_recorded(
    audited_encoder: AuditedEncoder,
    rows: np.ndarray,
    seed: int,
    codes: Codes,
    identities: np.ndarray,
    pairs: CodePairs | None,
) -> dict[str, np.ndarray]:
    """The hits where only recorded codes are at hand: other photos of the person.

    Whether they are noisy is not known: the one recorded code of a photo is its only answer.

    Args:
        audited_encoder: with recorded codes.
        rows: int [M], the candidates' rows in the data set.
        seed: of the channel's noise.
        codes: that candidates are compared with.
        identities: int [M].
        pairs: codes of two photos of a person; None where there are none.

    Returns:
        "other_photo/SOURCE/WAY" -> float64 [M].
    """
    answer = flattened(audited_encoder.channel.send(audited_encoder.recorded[rows], seed))
    known = CandidateCodes((answer,), None, noisy=True, white_box=False)
    scores = {CODE: (codes.target, code_scores(known, codes, pairs))}
    if codes.logits is not None:
        once = whitened_score(codes.logits, standardising(codes.public_logits))
        scores[TASK_OUTPUT] = (codes.logits, {"queries_1": once})
    return hits_of("other_photo", scores, identities)


def of_case(
    case: str,
    known: CandidateCodes,
    codes: Codes,
    identities: np.ndarray,
    pairs: CodePairs | None,
    logits_of: Callable[[np.ndarray], np.ndarray],
) -> dict[str, np.ndarray]:
    """The hits of one case, by each way from the code and from the task output.

    Args:
        case: as in `CandidateMatch.hits`.
        known: of the candidates' codes.
        codes: that candidates are compared with.
        identities: int [M].
        pairs: codes of two photos each that differ as a right candidate may; None without.
        logits_of: codes float [n, K] -> logits float32 [n, A].

    Returns:
        "CASE/SOURCE/WAY" -> float64 [M]; of "exact" the fitting sets, too.
    """
    scores = {CODE: (codes.target, code_scores(known, codes, pairs))}
    if codes.logits is not None:
        scores[TASK_OUTPUT] = (codes.logits, output_scores(known, codes, pairs, logits_of))
    found = hits_of(case, scores, identities)
    return found | sets_of(scores, noisy=known.noisy) if case == "exact" else found


def sets_of(
    scores: Mapping[str, tuple[np.ndarray, Mapping[str, Score]]], *, noisy: bool
) -> dict[str, np.ndarray]:
    """How many candidates fit each source's codes, where their likelihood is known.

    `scores`: source -> (codes [M, K], way -> score). Of each figure float64 [M].
    """
    found = {}
    for source, (compared, ways) in scores.items():
        if "likelihood" in ways:
            sets = candidate_sets.fitting_sets(ways["likelihood"], compared, noisy=noisy)
            for name in SET_FIGURES:
                found[f"exact/{source}/{FITTING}/{name}"] = getattr(sets, name)
    return found


def hits_of(
    case: str,
    scores: Mapping[str, tuple[np.ndarray, Mapping[str, Score]]],
    identities: np.ndarray,
) -> dict[str, np.ndarray]:
    """The hits of every source's codes [M, K] by each of its scores."""
    other = case == "other_photo"
    right = identities if other else np.arange(len(identities))
    return {
        f"{case}/{source}/{way}": candidates.hits(score, compared, right, left_out=other)
        for source, (compared, ways) in scores.items()
        for way, score in ways.items()
    }


def describe(found: CandidateMatch, reference: Hits | None, weights: np.ndarray) -> dict[str, Any]:
    """The report's `codes.candidate_match`.

    Args:
        found: the hits.
        reference: the hits at the unprotected encoder, of the same candidates; None without.
        weights: float [R, N], bootstrap resamples of all images under attack.
    """
    drawn, count = weights[:, found.rows], len(found.rows)
    person, people = np.unique(found.identities, return_inverse=True, return_counts=True)[1:]
    others = people[person] - 1

    def section(case: str, chance: float | None) -> dict[str, Any]:
        return {
            CODE: rates(found.hits, case, (CODE, TASK_OUTPUT), drawn),
            TASK_OUTPUT: rates(found.hits, case, (TASK_OUTPUT,), drawn),
            "unprotected": rates(reference or {}, case, (CODE, TASK_OUTPUT), drawn),
            "chance": chance,
        }

    several = others > 0
    return {
        "candidates": count,
        "people": len(people),
        "with_other_photo": int(several.sum()),
        "ways": dict(WAYS),
        "exact": {**section("exact", 1 / count), FITTING: fitting(found.hits, reference, drawn)},
        "degraded": {
            name: {"words": words, **section(name, 1 / count)}
            for name, (_, words) in DEGRADATIONS.items()
        },
        "other_photo": section(
            "other_photo", float(others[several].mean() / (count - 1)) if several.any() else None
        ),
        "missing": found.missing,
    }


def fitting(hits: Hits, reference: Hits | None, weights: np.ndarray) -> dict[str, Any]:
    """Source -> how many candidates fit a code: means with intervals, and the median set.

    `weights` float [R, M] are bootstrap resamples of the candidates.
    """
    sources = {CODE: hits, TASK_OUTPUT: hits, "unprotected": reference or {}}
    return {
        source: set_figures(given, CODE if source == "unprotected" else source, weights)
        for source, given in sources.items()
    }


def set_figures(hits: Hits, source: str, weights: np.ndarray) -> dict[str, Any]:
    """Each of SET_FIGURES, and `median_likely`; without values where the likelihood is unknown.

    `weights` is as of `fitting`, float [R, M].
    """
    kept = {name: hits.get(f"exact/{source}/{FITTING}/{name}") for name in SET_FIGURES}
    likely = kept["likely"]
    return {
        **{
            name: utility.estimate(None) if each is None else candidates.rate(each, weights)
            for name, each in kept.items()
        },
        "median_likely": None if likely is None else float(np.median(likely)),
    }


def rates(hits: Hits, case: str, sources: tuple[str, ...], weights: np.ndarray) -> dict[str, Any]:
    """Way -> rank-1 rate of the first source, null where it was not tried; `best` of all sources.

    The task output counts for the code, since it can be computed from it: where it is better, the
    way of `best` is "task_output/WAY". `weights` float [R, M] are bootstrap resamples of the
    candidates.
    """
    first, *others = (
        {way: hits[f"{case}/{source}/{way}"] for way in WAYS if f"{case}/{source}/{way}" in hits}
        for source in sources
    )
    tried = dict(first)
    for source, found in zip(sources[1:], others, strict=True):
        tried |= {f"{source}/{way}": each for way, each in found.items()}
    return {
        **{
            way: candidates.rate(first[way], weights) if way in first else utility.estimate(None)
            for way in WAYS
        },
        "best": best_rate(tried, weights),
    }


def best_rate(tried: Hits, weights: np.ndarray) -> dict[str, Any]:
    """The highest rate with its `way`; its interval covers the choice among the ways.

    `tried`: way -> float64 [M], NaN where no candidate is right; `weights` float [R, M].
    """
    known = {way: each for way, each in tried.items() if not np.isnan(each).all()}
    if not known:
        return {"way": None, **utility.estimate(None)}
    values = np.array([measures.mean(each) for each in known.values()])
    resampled = np.stack([measures.weighted_means(e, weights) for e in known.values()], axis=1)
    way = list(known)[int(values.argmax())]
    return {"way": way, **intervals.best_share(values, resampled)}
