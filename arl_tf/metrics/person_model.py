"""Codes as Gaussians around a mean of each person: likelihood ratios of "one person" or "two".

Chen et al. 2012, Bayesian Face Revisited: A Joint Formulation.
"""

import dataclasses

import numpy as np
from scipy import linalg

from arl_tf.metrics import measures

# Which of these link (or fit) best is found on every fifth public person, unseen by what is tried.
DIMENSIONS = (16, 32, 64, 128, 256, 512)
SHRINKAGES = (0.6, 0.3, 0.1, 0.03, 0.01, 1e-3, 1e-4, 1e-6)
# Components and shrinkage for photographs, where nothing can be held out.
DEFAULT_CHOICE = 64, 0.1


@dataclasses.dataclass(frozen=True)
class PublicCodes:
    """What a metric learns from, as rows of numbers around 0.

    Attributes:
        learned: float32 [N, D], codes; mean codes where the noise is known.
        codes: float32 [N, D], codes as those of targets are.
        noise: variance in every direction that `codes` have beside `learned`.
    """

    learned: np.ndarray
    codes: np.ndarray
    noise: float


def best_joint_bayesian(public: PublicCodes, identities: np.ndarray) -> tuple[int, float]:
    """How many components, and which of SHRINKAGES, link held-out public people's codes best.

    Of choices that link them equally well, e.g. perfectly, the boldest: among more people it may
    still tell them apart. DEFAULT_CHOICE where too few people have two images to tell. `identities`
    is int [N], of the codes.
    """
    count = public.codes.shape[1]
    choices = sorted({min(each, count) for each in DIMENSIONS})
    held_out = held_out_people(identities)
    if not (has_pairs(identities[held_out]) and has_pairs(identities[~held_out])):
        return min(DEFAULT_CHOICE[0], count), DEFAULT_CHOICE[1]
    aucs = {}
    for dimensions in choices:
        learned, kept = public.learned[:, :dimensions], public.codes[:, :dimensions]
        people = gaussian_people(learned[~held_out], identities[~held_out], public.noise)
        for shrinkage in SHRINKAGES:
            similarity = likelihood_ratios(people, shrinkage, kept[held_out])
            aucs[dimensions, shrinkage] = whole_auc(similarity, identities[held_out])
    # Undefined where all held-out codes are of one person.
    return max(reversed(aucs), key=lambda choice: np.nan_to_num(aucs[choice], nan=0.5))


def held_out_people(identities: np.ndarray) -> np.ndarray:
    """Whether each of [N] codes is of every fifth person; bool [N]."""
    return np.unique(identities, return_inverse=True)[1] % 5 == 0


def has_pairs(identities: np.ndarray) -> bool:
    """Whether anybody has two codes; identities int [N]."""
    return len(np.unique(identities)) < len(identities)


def gaussian_people(
    codes: np.ndarray, identities: np.ndarray, noise: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean float64 [D] and covariances [D, D] within and between people; codes [N, D].

    `noise` is the variance in every direction that other codes have beside these; it is within.
    """
    _, person, counts = np.unique(identities, return_inverse=True, return_counts=True)
    several = counts[person] > 1
    sums = np.zeros((len(counts), codes.shape[1]))
    np.add.at(sums, person, codes)
    residuals = (codes - (sums / counts[:, None])[person])[several]
    # A mean of n images takes one degree of freedom of n.
    degrees = several.sum() - (counts > 1).sum()
    within = residuals.T @ residuals / degrees
    # Total less within must not be negative in any direction, or the model is none.
    values, vectors = linalg.eigh(np.cov(codes, rowvar=False, bias=True) - within)
    between = (vectors * np.maximum(values, 0)) @ vectors.T
    return codes.mean(axis=0), within + noise * np.eye(len(within)), between


def likelihood_ratios(
    people: tuple[np.ndarray, np.ndarray, np.ndarray], shrinkage: float, target: np.ndarray
) -> np.ndarray:
    """Log-likelihood ratios of all pairs of codes [M, D], up to a constant; float64 [M, M]."""
    mean, within, between = people
    sphere = np.eye(len(mean)) * max(np.trace(within + between) / len(mean), 1e-12)
    within = (1 - shrinkage) * within + shrinkage * sphere
    between = (1 - shrinkage) * between
    two = linalg.inv(2 * (within + between))
    of_difference = two - linalg.inv(2 * within)
    of_sum = two - linalg.inv(2 * within + 4 * between)
    centred = target - mean
    alone = ((centred @ (of_difference + of_sum)) * centred).sum(axis=1)
    together = centred @ (of_sum - of_difference) @ centred.T
    return 0.5 * (alone[:, None] + alone + 2 * together)


def whole_auc(similarity: np.ndarray, identities: np.ndarray) -> float:
    """ROC AUC in [0, 1] over all pairs, each of weight one.

    Args:
        similarity: float [M, M], higher for codes that are rather of one person.
        identities: int [M].
    """
    once = np.ones((1, len(identities)))
    return measures.auc_of_histograms(*measures.pair_histograms(similarity, identities, once))[0]
