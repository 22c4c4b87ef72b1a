"""The ways in which a holder of candidate photos compares them with a code or a task output."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from arl_tf.attacks.several_codes import SeveralCodes
from arl_tf.auditing.candidates import dropped
from arl_tf.auditing.candidates.asked import AskedValues
from arl_tf.auditing.candidates.codes import CandidateCodes, noise_variances
from arl_tf.auditing.candidates.pairs import CodePairs, mean_codes, noise_in_means
from arl_tf.metrics.candidates import (
    Score,
    as_gaussian,
    distance_score,
    log_likelihood,
    tolerance_whitening,
    whitened_score,
)
from arl_tf.metrics.left_values import left_score
from arl_tf.models.standardisation import channel_moments

# Of the mean variance of logits: keeps the covariance of their noise invertible.
SHRINKAGE = 1e-3


@dataclasses.dataclass(frozen=True)
class Codes:
    """The codes that candidates are compared with, and what is public.

    Attributes:
        target: float32 [M, K], each made of `several` codes.
        public: float32 [N, ...], public codes.
        logits: float32 [M, A], the task output of single codes; None without a task head.
        public_logits: float32 [N, A].
        several: how many codes are behind each of `target`, and how they were joined.
        asked: what asking about public photos told of the codes' values; None where nobody asked.
    """

    target: np.ndarray
    public: np.ndarray
    logits: np.ndarray | None
    public_logits: np.ndarray | None
    several: SeveralCodes
    asked: AskedValues | None = None

    @property
    def shows_dropped(self) -> bool:
        """Whether values that noise drops are 0 in `target`, and the others as they are."""
        return self.several.count == 1 or bool(self.several.dropped)


def code_scores(known: CandidateCodes, codes: Codes, pairs: CodePairs | None) -> dict[str, Score]:
    """Way -> score of codes against candidates."""
    deviation = channel_moments(codes.public)[1]
    plain = 1 / np.square(np.broadcast_to(deviation, codes.public.shape[1:])).ravel()
    once = distance_score(known.answers[0], plain)
    ways = {"queries_1": once} if known.noisy else every_way(known, once)
    if known.model is not None:
        ways["likelihood"] = log_likelihood(known.model, codes.several.count)
    if len(known.answers) > 1:
        mean = np.mean(known.answers, axis=0)
        ways["queries_4"] = distance_score(mean, 1 / noise_variances(known.answers))
        ways |= informed_scores(known, codes)
    if known.left is not None and codes.shows_dropped:
        ways["likelihood"] = left_score(known.left.times(codes.several.scale))
    if pairs is not None:
        ways["tolerant"] = tolerant_score(known, codes, pairs)
    return ways


def informed_scores(known: CandidateCodes, codes: Codes) -> dict[str, Score]:
    """Way -> score of who has also learned by asking what the codes' noise is like.

    Of dropped values everybody sees which ones they are. In means of several codes they are not to
    be seen, unless codes were united.
    """
    counts = {"informed_1": 1, "informed_4": len(known.answers)}
    if known.has_exact_rest and codes.shows_dropped:
        scale = codes.several.scale
        return {
            way: left_score(dropped.from_answers(known.answers, count).times(scale))
            for way, count in counts.items()
        }
    if codes.asked is None:
        return {}
    return {
        way: codes.asked.score(known.answers[:count], codes.several.count)
        for way, count in counts.items()
    }


def tolerant_score(known: CandidateCodes, codes: Codes, pairs: CodePairs) -> Score:
    """The likelihood of codes where a right candidate's differ as those of public pairs do."""
    differences, single = pairs.first - pairs.second, noise_of(known)
    means, unknown = mean_codes(known), noise_in_means(known) * single
    if known.model is None and known.noisy and codes.asked is not None:
        single = codes.asked.noise
        means, unknown = codes.asked.expected(means, len(known.answers))
    noise = single / codes.several.gain + unknown
    white = tolerance_whitening(noise, differences, pairs.noise * single)
    return whitened_score(means + differences.mean(axis=0), white)


def noise_of(known: CandidateCodes) -> np.ndarray:
    """The variance of the noise in each value of a code, float64 [K]; 0 where there is none."""
    shape = known.answers[0].shape
    if known.model is not None:
        return np.broadcast_to(as_gaussian(known.model).variances, shape).mean(axis=0)
    return noise_variances(known.answers) if len(known.answers) > 1 else np.zeros(shape[1])


def every_way(known: CandidateCodes, score: Score) -> dict[str, Score]:
    """One score for all ways: of a code without noise they all learn the same."""
    ways = {"queries_1": score, "queries_4": score}
    return {**ways, "likelihood": score} if known.white_box else ways


def output_scores(
    known: CandidateCodes,
    codes: Codes,
    pairs: CodePairs | None,
    logits_of: Callable[[np.ndarray], np.ndarray],
) -> dict[str, Score]:
    """Way -> score of the task output, logits [M, A], against candidates' logits.

    Logits are standardised by public ones; where several answers tell how noise moves them they
    are made white by that.
    """
    answers = [logits_of(answer) for answer in known.answers]
    white, noise = standardising(codes.public_logits), np.zeros(answers[0].shape[1])
    once = whitened_score(answers[0], white)
    ways = {"queries_1": once} if known.noisy else every_way(known, once)
    if len(answers) > 1:
        white = white @ noise_whitening([answer @ white for answer in answers])
        noise += 1
        ways["queries_4"] = whitened_score(np.mean(answers, axis=0), white)
    logits = logits_of(mean_codes(known))
    if known.model is not None:
        ways["likelihood"] = whitened_score(logits, white)
    if pairs is not None:
        differences = logits_of(pairs.first) - logits_of(pairs.second)
        share = 1 + noise_in_means(known)
        tolerant = white @ tolerance_whitening(
            share * noise, differences @ white, pairs.noise * noise
        )
        ways["tolerant"] = whitened_score(logits + differences.mean(axis=0), tolerant)
    return ways


def standardising(public_logits: np.ndarray) -> np.ndarray:
    """A diagonal matrix [A, A] that gives public logits [N, A] the variance 1."""
    return np.diag(1 / channel_moments(public_logits)[1])


def noise_whitening(answers: Sequence[np.ndarray]) -> np.ndarray:
    """A matrix [A, A] that makes the noise of answers [N, A] white, with a little shrinkage."""
    together = np.stack(answers).astype(np.float64)
    noise = (together - together.mean(axis=0)).reshape(-1, together.shape[-1])
    covariance = noise.T @ noise / (len(noise) * (1 - 1 / len(answers)))
    covariance += max(SHRINKAGE * np.trace(covariance) / len(covariance), 1e-12) * np.eye(
        len(covariance)
    )
    return np.linalg.inv(np.linalg.cholesky(covariance)).T
