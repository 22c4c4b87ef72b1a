"""Is it this photo? What whoever holds candidate photos gets by comparing them with one code.

The candidates are the photos under attack, one of which the code is of; or copies of them; or, for
the person, the photos without the one that the code is of.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from arl_tf.attacks.evidence import Evidence
from arl_tf.auditing.candidate_codes import (
    CandidateCodes,
    codes_of,
    flat,
    noise_variances,
)
from arl_tf.auditing.degradations import DEGRADATIONS
from arl_tf.auditing.encoders.audited import AuditedEncoder
from arl_tf.auditing.settings import AuditSettings
from arl_tf.metrics import candidates, utility
from arl_tf.metrics.candidates import (
    Score,
    as_gaussian,
    distance_score,
    log_likelihood,
    whitened_score,
)
from arl_tf.models.standardisation import channel_moments

WAYS = {
    "likelihood": "by likelihood: the attacker has the encoder and knows its noise",
    "queries_1": "by plain distance to one answer of the encoder for each candidate",
    "queries_4": "by distance to the mean of 4 answers; of noisy values by their estimated noise",
}
CODE, TASK_OUTPUT = "code", "task_output"
CANDIDATE_NOISE = 106
MOST_CANDIDATES = 5000
# Of the mean variance of logits: keeps the covariance of their noise invertible.
SHRINKAGE = 1e-3
Hits = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class CandidateMatch:
    """How often the right candidate was found.

    Attributes:
        hits: "CASE/SOURCE/WAY" -> float64 [M], NaN where no candidate is right. Cases are exact,
            other_photo and the keys of DEGRADATIONS; sources are CODE and TASK_OUTPUT.
        rows: int [M], which of the images under attack were candidates.
        identities: int [M], of these.
        missing: why figures are missing; empty where none is.
    """

    hits: Hits
    rows: np.ndarray
    identities: np.ndarray
    missing: str


@dataclasses.dataclass(frozen=True)
class Codes:
    """The codes that candidates are compared with, and what is public.

    Attributes:
        target: float32 [M, K], each the mean of `per_photo` codes.
        public: float32 [N, ...], public codes.
        logits: float32 [M, A], the task output of single codes; None without a task head.
        public_logits: float32 [N, A].
        per_photo: codes behind each of `target`.
    """

    target: np.ndarray
    public: np.ndarray
    logits: np.ndarray | None
    public_logits: np.ndarray | None
    per_photo: int


def match(
    settings: AuditSettings,
    subject: AuditedEncoder,
    evidence: Evidence,
    images: np.ndarray,
    identities: np.ndarray,
    recorded_rows: np.ndarray,
) -> CandidateMatch:
    """Compares the photos under attack, after all attacks, with each of their codes.

    Args:
        settings: seed, codes of each photo.
        subject: the encoder, with its task head.
        evidence: what attackers had: the codes under attack.
        images: uint8 [M, S, S, 3], the photos under attack.
        identities: int [M].
        recorded_rows: int [M], their rows in the data set.
    """
    rows = candidate_rows(identities)
    outputs = evidence.task_outputs
    codes = Codes(
        flat(evidence.target_codes[rows]),
        evidence.pairs.codes,
        None if outputs is None else outputs.target[rows],
        None if outputs is None else outputs.public,
        settings.codes_per_photo,
    )
    people, seed = identities[rows], CANDIDATE_NOISE + settings.seed
    if subject.encoder is None:
        answers = (flat(subject.codes_of(recorded_rows[rows], images, seed)),)
        # Whether they are noisy is not known: the one recorded answer is all.
        known = CandidateCodes(answers, None, noisy=True, white_box=False)
        logits = None
        if subject.recorded_logits is not None:
            logits = subject.recorded_logits[recorded_rows[rows]]
        found = of_case("other_photo", known, codes, people, lambda _: logits)
        return CandidateMatch(found, rows, people, ONLY_RECORDED)

    def logits_of(flat_codes: np.ndarray) -> np.ndarray | None:
        if codes.logits is None:
            return None
        return subject.task_output(flat_codes.reshape(-1, *evidence.target_codes.shape[1:]))

    found = {}
    for number, (case, view) in enumerate(CASES.items()):
        known = codes_of(subject, view(images[rows]), seed + 1000 * number)
        found |= of_case(case, known, codes, people, logits_of)
        if case == "exact":
            found |= of_case("other_photo", known, codes, people, logits_of)
    missing = "" if subject.white_box else f"no likelihood, because {subject.not_white_box}"
    return CandidateMatch(found, rows, people, missing)


CASES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "exact": lambda images: images,
    **{name: change for name, (change, _) in DEGRADATIONS.items()},
}
ONLY_RECORDED = (
    "only recorded codes are at hand: one code of each photo, and no encoder to ask for codes of"
    " candidates; the photos of a person are compared by their recorded codes"
)


def candidate_rows(identities: np.ndarray) -> np.ndarray:
    """Which of the images under attack are candidates: all, or whole people, MOST_CANDIDATES."""
    if len(identities) <= MOST_CANDIDATES:
        return np.arange(len(identities))
    person = np.unique(identities, return_inverse=True)[1]
    order = np.random.default_rng(0).permutation(person.max() + 1)[person]
    return np.sort(np.argsort(order, kind="stable")[:MOST_CANDIDATES])


def of_case(
    case: str,
    known: CandidateCodes,
    codes: Codes,
    identities: np.ndarray,
    logits_of: Callable[[np.ndarray], np.ndarray | None],
) -> dict[str, np.ndarray]:
    """The hits of one case, by each way from the code and from the task output."""
    other = case == "other_photo"
    right = identities if other else np.arange(len(identities))
    scores = {CODE: (codes.target, code_scores(known, codes))}
    if codes.logits is not None:
        scores[TASK_OUTPUT] = (codes.logits, output_scores(known, codes, logits_of))
    return {
        f"{case}/{source}/{way}": candidates.hits(score, compared, right, left_out=other)
        for source, (compared, ways) in scores.items()
        for way, score in ways.items()
    }


def code_scores(known: CandidateCodes, codes: Codes) -> dict[str, Score]:
    """Way -> score of codes against candidates."""
    deviation = channel_moments(codes.public)[1]
    plain = 1 / np.square(np.broadcast_to(deviation, codes.public.shape[1:])).ravel()
    once = distance_score(known.answers[0], plain)
    if not known.noisy:
        return every_way(known, once)
    ways = {"queries_1": once}
    if known.model is not None:
        ways["likelihood"] = log_likelihood(known.model, codes.per_photo)
    if len(known.answers) > 1:
        mean = np.mean(known.answers, axis=0)
        ways["queries_4"] = distance_score(mean, 1 / noise_variances(known.answers))
    return ways


def every_way(known: CandidateCodes, score: Score) -> dict[str, Score]:
    """One score for all ways: of a code without noise they all learn the same."""
    return {way: score for way in WAYS if way != "likelihood" or known.white_box}


def output_scores(
    known: CandidateCodes,
    codes: Codes,
    logits_of: Callable[[np.ndarray], np.ndarray],
) -> dict[str, Score]:
    """Way -> score of the task output, logits [M, A], against candidates' logits.

    Logits are standardised by public ones; where several answers tell how noise moves them they
    are made white by that.
    """
    answers = [logits_of(answer) for answer in known.answers]
    standard = np.diag(1 / channel_moments(codes.public_logits)[1])
    once = whitened_score(answers[0], standard)
    if not known.noisy:
        return every_way(known, once)
    if len(answers) == 1:
        return {"queries_1": once}
    white = standard @ noise_whitening([answer @ standard for answer in answers])
    ways = {"queries_1": once, "queries_4": whitened_score(np.mean(answers, axis=0), white)}
    if known.model is not None:
        mean = as_gaussian(known.model).means.astype(np.float32)
        ways["likelihood"] = whitened_score(logits_of(mean), white)
    return ways


def noise_whitening(answers: Sequence[np.ndarray]) -> np.ndarray:
    """A matrix [A, A] that makes the noise of answers [N, A] white, with a little shrinkage."""
    together = np.stack(answers).astype(np.float64)
    noise = (together - together.mean(axis=0)).reshape(-1, together.shape[-1])
    covariance = noise.T @ noise / (len(noise) * (1 - 1 / len(answers)))
    covariance += max(SHRINKAGE * np.trace(covariance) / len(covariance), 1e-12) * np.eye(
        len(covariance)
    )
    return np.linalg.inv(np.linalg.cholesky(covariance)).T


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
            CODE: rates(found.hits, f"{case}/{CODE}", drawn),
            TASK_OUTPUT: rates(found.hits, f"{case}/{TASK_OUTPUT}", drawn),
            "unprotected": rates(reference or {}, f"{case}/{CODE}", drawn),
            "chance": chance,
        }

    several = others > 0
    return {
        "candidates": count,
        "people": len(people),
        "with_other_photo": int(several.sum()),
        "ways": dict(WAYS),
        "exact": section("exact", 1 / count),
        "degraded": {
            name: {"words": words, **section(name, 1 / count)}
            for name, (_, words) in DEGRADATIONS.items()
        },
        "other_photo": section(
            "other_photo", float(others[several].mean() / (count - 1)) if several.any() else None
        ),
        "missing": found.missing,
    }


def rates(hits: Hits, prefix: str, weights: np.ndarray) -> dict[str, Any]:
    """Way -> rank-1 rate, null where it was not tried; `best`: the highest, with its `way`."""
    tried = {
        way: candidates.rate(hits[f"{prefix}/{way}"], weights)
        for way in WAYS
        if f"{prefix}/{way}" in hits
    }
    known = {way: found for way, found in tried.items() if found["value"] is not None}
    best: dict[str, Any] = {"way": None, **utility.estimate(None)}
    if known:
        way = max(known, key=lambda name: known[name]["value"])
        best = {"way": way, **known[way]}
    return {**{way: tried.get(way, utility.estimate(None)) for way in WAYS}, "best": best}
