"""What codes of a photo and of its copies differ by, or of two photos of a person: public ones."""

import dataclasses
from collections.abc import Callable

import numpy as np

from arl_tf.attacks.evidence import Evidence
from arl_tf.auditing.candidates.codes import CandidateCodes, codes_of
from arl_tf.auditing.encoders.audited import AuditedEncoder
from arl_tf.metrics.candidates import as_gaussian
from arl_tf.models.standardisation import flattened

MOST_COPIES, MOST_PAIRS = 600, 2000


@dataclasses.dataclass(frozen=True)
class CodePairs:
    """Mean codes of two photos each, as far as they are known.

    Attributes:
        first: float [n, K].
        second: float [n, K].
        noise: variance of the noise in their differences, as a multiple of that of single codes.
    """

    first: np.ndarray
    second: np.ndarray
    noise: float = 0.0


def mean_codes(known: CandidateCodes) -> np.ndarray:
    """What codes are on average, float [N, K]: from the inside, or the mean of what was answered.

    A recorded code is the only answer.
    """
    if known.model is not None:
        return as_gaussian(known.model).means
    return np.mean(known.answers, axis=0, dtype=np.float32)


def noise_in_means(known: CandidateCodes) -> float:
    """The share of a single code's noise variance that `mean_codes` have."""
    return 1 / len(known.answers) if known.noisy and known.model is None else 0.0


def public_means(evidence: Evidence) -> tuple[np.ndarray, float] | None:
    """What codes of the public images are on average; None where unknown.

    Returns:
        (float32 [n, K], the share of a single code's noise variance that is left in them).
    """
    noise = evidence.noise
    if noise is not None:
        left = noise.remaining / evidence.several.gain
        return flattened(noise.public_means), left if noise.answers else 0.0
    return None if evidence.random_codes else (flattened(evidence.pairs.codes), 0.0)


def of_copies(
    change: Callable[[np.ndarray], np.ndarray],
    audited_encoder: AuditedEncoder,
    evidence: Evidence,
    seed: int,
) -> CodePairs | None:
    """Public photos and their copies; None where mean codes are not known.

    Args:
        change: uint8 [n, S, S, 3] -> copies.
        audited_encoder: has an encoder.
        evidence: holds the public photos and their codes.
        seed: of the noise that is drawn.
    """
    known = public_means(evidence)
    if known is None:
        return None
    means, noise = known
    count = min(MOST_COPIES, len(means))
    rows = np.linspace(0, len(means) - 1, count).astype(np.int64)
    copies = codes_of(audited_encoder, change(evidence.pairs.images[rows]), seed)
    return CodePairs(means[rows], mean_codes(copies), noise + noise_in_means(copies))


def of_people(evidence: Evidence, identities: np.ndarray) -> CodePairs | None:
    """Two public photos of a person, in both orders; None without such people or mean codes.

    Args:
        evidence: holds codes of the public photos, the mirrored ones behind.
        identities: int [n] of the public photos.
    """
    known = public_means(evidence)
    if known is None:
        return None
    means, noise = known
    order = np.argsort(identities, kind="stable")
    same = np.flatnonzero(identities[order][1:] == identities[order][:-1])[:MOST_PAIRS]
    if not len(same):
        return None
    one, other = means[order[same]], means[order[same + 1]]
    return CodePairs(np.concatenate([one, other]), np.concatenate([other, one]), 2 * noise)
