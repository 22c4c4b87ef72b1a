"""Are two codes of the same person? By cosine, and by metrics learned from public people."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import linalg

from arl_tf import metrics
from arl_tf.code_scale import code_scale
from arl_tf.metrics import centred_directions
from arl_tf.utility import estimate

MOST_DIMENSIONS = 512
MOST_RESAMPLES = 200
BINS = 2000
FALSE_ACCEPT_RATE = 0.01
RIDGE_SHARE = 0.1
SHRINKAGES = (0.3, 0.1, 0.03, 0.01, 1e-3, 1e-4)


def link(
    target_codes: np.ndarray,
    target_identities: np.ndarray,
    *,
    public_codes: np.ndarray,
    public_identities: np.ndarray,
    public_embeddings: np.ndarray | None = None,
    samples: int,
    seed: int,
) -> dict[str, dict[str, Any]]:
    """How well each metric links codes of one person.

    Args:
        target_codes: float32 [M, ...].
        target_identities: int [M]; for the evaluation only.
        public_codes: float32 [N, ...], what the metrics are learned from.
        public_identities: int [N].
        public_embeddings: float32 [N, D], a public face network's embeddings of the public images;
            None: the metric that needs them is left out.
        samples: bootstrap resamples of identities, at most MOST_RESAMPLES.
        seed: of the resamples.

    Returns:
        metric -> {"auc", "tar_at_far_1_percent", "rank1"}, each {"value", "ci95"}; metrics that
        can't be learned are left out.
    """
    scale = code_scale(public_codes)
    public, target = (
        codes.reshape(len(codes), -1) for codes in (scale(public_codes), scale(target_codes))
    )
    weights = metrics.identity_weights(target_identities, min(samples, MOST_RESAMPLES), seed)
    found = {}
    for name, similarity in LINKING_METRICS.items():
        matrix = similarity(public, public_identities, public_embeddings, target)
        if matrix is not None:
            found[name] = evaluate(matrix, target_identities, weights)
    return found


def cosine(public, identities, embeddings, target) -> np.ndarray:
    """Cosine of standardised codes, centred by the public mean; float64 [M, M]."""
    del identities, embeddings
    directions = centred_directions(target, public.mean(axis=0, dtype=np.float64))
    return directions @ directions.T


def joint_bayesian(public, identities, embeddings, target) -> np.ndarray | None:
    """Log-likelihood ratio of "one person" against "two" (Chen et al. 2012, Bayesian Face).

    Codes are a person's mean plus a deviation, both Gaussian. Difference d and sum s of two codes
    have covariances 2 W and 2 (2 T - W) for one person and 2 T for two, W within and T in total.
    Both are shrunk towards a sphere by the share that links every fifth public person's codes best,
    learned from the others. None where no public person has two images.
    """
    del embeddings
    if not has_pairs(identities):
        return None
    public, target = reduced(public, target)
    people = np.unique(identities)
    held_out = np.isin(identities, people[::5])
    shrinkage = SHRINKAGES[0]
    if has_pairs(identities[held_out]) and has_pairs(identities[~held_out]):
        known = gaussian_people(public[~held_out], identities[~held_out])
        aucs = [
            whole_auc(likelihood_ratios(known, each, public[held_out]), identities[held_out])
            for each in SHRINKAGES
        ]
        shrinkage = SHRINKAGES[int(np.argmax(aucs))]
    return likelihood_ratios(gaussian_people(public, identities), shrinkage, target)


def has_pairs(identities: np.ndarray) -> bool:
    """Whether anybody has two codes."""
    return len(np.unique(identities)) < len(identities)


def gaussian_people(
    codes: np.ndarray, identities: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean float64 [D] and the covariances [D, D] within people and in total; codes [N, D]."""
    _, person, counts = np.unique(identities, return_inverse=True, return_counts=True)
    several = counts[person] > 1
    sums = np.zeros((len(counts), codes.shape[1]))
    np.add.at(sums, person, codes)
    residuals = (codes - (sums / counts[:, None])[person])[several]
    # A mean of n images takes one degree of freedom of n.
    degrees = several.sum() - (counts > 1).sum()
    centred = codes - codes.mean(axis=0)
    return codes.mean(axis=0), residuals.T @ residuals / degrees, centred.T @ centred / len(codes)


def likelihood_ratios(
    people: tuple[np.ndarray, np.ndarray, np.ndarray], shrinkage: float, target: np.ndarray
) -> np.ndarray:
    """Log-likelihood ratios of all pairs of codes [M, D], up to a constant; float64 [M, M]."""
    mean, within, total = people
    sphere = np.eye(len(mean)) * max(np.trace(total) / len(mean), 1e-12)
    within = (1 - shrinkage) * within + shrinkage * sphere
    # The part between people must not be negative in any direction, or the model is none.
    values, vectors = linalg.eigh((1 - shrinkage) * total + shrinkage * sphere - within)
    between = (vectors * np.maximum(values, 0)) @ vectors.T
    two = linalg.inv(2 * (within + between))
    of_difference = two - linalg.inv(2 * within)
    of_sum = two - linalg.inv(2 * within + 4 * between)
    centred = target - mean
    alone = ((centred @ (of_difference + of_sum)) * centred).sum(axis=1)
    together = centred @ (of_sum - of_difference) @ centred.T
    return 0.5 * (alone[:, None] + alone + 2 * together)


def whole_auc(similarity: np.ndarray, identities: np.ndarray) -> float:
    """ROC AUC over all pairs, each of weight one."""
    return auc_of_histograms(
        *pair_histograms(similarity, identities, np.ones((1, len(identities))))
    )[0]


def face_embedding(public, identities, embeddings, target) -> np.ndarray | None:
    """Cosine of face embeddings that a ridge regression predicts from the codes; float64 [M, M]."""
    del identities
    if embeddings is None:
        return None
    mean = public.mean(axis=0)
    centred, wanted = public - mean, embeddings - embeddings.mean(axis=0)
    gram = centred @ centred.T if len(public) < public.shape[1] else centred.T @ centred
    gram[np.diag_indices_from(gram)] += RIDGE_SHARE * max(np.trace(gram) / len(gram), 1e-12)
    if len(public) < public.shape[1]:
        kernel = centred.T @ linalg.solve(gram, wanted, assume_a="pos")
    else:
        kernel = linalg.solve(gram, centred.T @ wanted, assume_a="pos")
    directions = centred_directions((target - mean) @ kernel, 0.0)
    return directions @ directions.T


LINKING_METRICS: dict[str, Callable[..., np.ndarray | None]] = {
    "cosine": cosine,
    "joint_bayesian": joint_bayesian,
    "face_embedding": face_embedding,
}


def reduced(public: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both in the public codes' first principal components, MOST_DIMENSIONS at most; float64."""
    public, target = public.astype(np.float64), target.astype(np.float64)
    if public.shape[1] <= MOST_DIMENSIONS:
        return public, target
    mean = public.mean(axis=0)
    _, _, directions = linalg.svd(public - mean, full_matrices=False)
    directions = directions[:MOST_DIMENSIONS].T
    return (public - mean) @ directions, (target - mean) @ directions


def evaluate(similarity: np.ndarray, identities: np.ndarray, weights: np.ndarray) -> dict[str, Any]:
    """ROC AUC, true accept rate and rank 1 of a similarity matrix [M, M], with intervals."""
    same, different = pair_histograms(
        similarity, identities, np.concatenate([ones(weights), weights])
    )
    auc, accepted = auc_of_histograms(same, different), accepts_of_histograms(same, different)
    return {
        "auc": nan_estimate(auc),
        "tar_at_far_1_percent": nan_estimate(accepted),
        "rank1": rank1(similarity, identities, weights),
    }


def ones(weights: np.ndarray) -> np.ndarray:
    """The "resample" in which every image stands once; float64 [1, M]."""
    return np.ones((1, weights.shape[1]))


def pair_histograms(
    similarity: np.ndarray, identities: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Histograms over similarity of pairs of one person and of two, in each resample.

    Bins hold about as many pairs each, so that nearly all ties between kinds are avoided: with
    BINS = 2000 an AUC is off by less than 1 / 4000.

    Args:
        similarity: float [M, M].
        identities: int [M].
        weights: float [R, M]; a pair of one person weighs what the person does, a pair of two the
            product.

    Returns:
        (same, different): float64 [R, BINS].
    """
    first, second = np.triu_indices(len(identities), k=1)
    scores = similarity[first, second]
    edges = np.unique(np.quantile(scores, np.linspace(0, 1, BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, scores, side="right")
    is_same = identities[first] == identities[second]
    same, different = np.empty((len(weights), BINS)), np.empty((len(weights), BINS))
    one, two = ~is_same, is_same
    for row, weight in enumerate(weights):
        same[row] = np.bincount(bins[two], weight[first[two]], minlength=BINS)
        product = weight[first[one]] * weight[second[one]]
        different[row] = np.bincount(bins[one], product, minlength=BINS)
    return same, different


def auc_of_histograms(same: np.ndarray, different: np.ndarray) -> np.ndarray:
    """Area under the ROC curve, float64 [R]; ties within a bin count one half; NaN: undefined."""
    below = np.cumsum(different, axis=1) - different
    wins = (same * (below + 0.5 * different)).sum(axis=1)
    pairs = same.sum(axis=1) * different.sum(axis=1)
    return np.divide(wins, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)


def accepts_of_histograms(same: np.ndarray, different: np.ndarray) -> np.ndarray:
    """Share of same-person pairs accepted where FALSE_ACCEPT_RATE of the others are; float64 [R].

    Between two bins the ROC curve is a straight line.
    """
    found = np.full(len(same), np.nan)
    for row, (hits, misses) in enumerate(zip(same[:, ::-1], different[:, ::-1], strict=True)):
        if hits.sum() and misses.sum():
            false = np.concatenate([[0.0], np.cumsum(misses) / misses.sum()])
            true = np.concatenate([[0.0], np.cumsum(hits) / hits.sum()])
            found[row] = np.interp(FALSE_ACCEPT_RATE, *highest_at(false, true))
    return found


def highest_at(false: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The curve with one point for each false accept rate, the highest: np.interp needs that."""
    last = np.append(np.diff(false) > 0, True)
    return false[last], true[last]


def nan_estimate(values: np.ndarray) -> dict[str, Any]:
    """The first value with the interval of the others; undefined where it is NaN."""
    if np.isnan(values[0]):
        return estimate(None)
    return estimate(float(values[0]), values[1:])


def rank1(similarity: np.ndarray, identities: np.ndarray, weights: np.ndarray) -> dict[str, Any]:
    """How often the nearest code of a gallery is of the same person.

    The gallery holds the first code of every person; probes are the others'.
    """
    _, gallery = np.unique(identities, return_index=True)
    probes = np.setdiff1d(np.arange(len(identities)), gallery)
    if not len(probes) or len(gallery) < 2:
        return estimate(None)
    nearest = gallery[similarity[np.ix_(probes, gallery)].argmax(axis=1)]
    hits = (identities[nearest] == identities[probes]).astype(np.float64)
    resampled = weights[:, probes]
    drawn = resampled.sum(axis=1)
    means = np.divide(resampled @ hits, drawn, out=np.full(len(drawn), np.nan), where=drawn > 0)
    return estimate(float(hits.mean()), means)
