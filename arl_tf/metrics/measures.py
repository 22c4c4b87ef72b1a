"""Measures of utility and privacy, and bootstrap intervals over identities.

Arrays in, numbers out.
"""

import functools

import numpy as np

BATCH = 256
PAIR_BINS = 2000
# Of SSIM, for values in [0, 1].
SSIM_WINDOW, SSIM_DEVIATION = 11, 1.5
SSIM_C1, SSIM_C2 = 0.01**2, 0.03**2


def confusion_counts(predicted: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """Per image and attribute, which cell of the confusion matrix it falls into.

    Args:
        predicted: bool or {0, 1} [N, A].
        actual: likewise.

    Returns:
        float64 [N, A, 4]: one-hot over (true positive, false positive, false negative, true
        negative).
    """
    predicted, actual = predicted.astype(bool), actual.astype(bool)
    cells = [predicted & actual, predicted & ~actual, ~predicted & actual, ~predicted & ~actual]
    return np.stack(cells, axis=-1).astype(np.float64)


def matthews_correlation(counts: np.ndarray) -> np.ndarray:
    """Matthews' correlation coefficient (Matthews 1975); 0 where it is undefined.

    Args:
        counts: float [..., 4], sums of `confusion_counts`.

    Returns:
        float64 [...] in [-1, 1].
    """
    true_pos, false_pos, false_neg, true_neg = np.moveaxis(counts, -1, 0)
    numerator = true_pos * true_neg - false_pos * false_neg
    squared = (
        (true_pos + false_pos)
        * (true_pos + false_neg)
        * (true_neg + false_pos)
        * (true_neg + false_neg)
    )
    return np.divide(numerator, np.sqrt(squared), out=np.zeros_like(numerator), where=squared > 0)


def roc_auc(scores: np.ndarray, actual: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Area under the ROC curve, once for each row of image weights; ties count one half.

    Args:
        scores: float [N].
        actual: {0, 1} [N].
        weights: float [R, N], e.g. how often a resample drew each image.

    Returns:
        float64 [R]; NaN where a resample has no positive or no negative.
    """
    values, group = np.unique(scores, return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(len(values)))
    positive = np.add.reduceat((weights * actual)[:, order], starts, axis=1)
    negative = np.add.reduceat((weights * (1 - actual))[:, order], starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative
    wins = (positive * (below + 0.5 * negative)).sum(axis=1)
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    return np.divide(wins, pairs, out=np.full(len(weights), np.nan), where=pairs > 0)


def psnr(reconstructions: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio of each image, dB, peak 1.

    Both float32 [N, H, W, 3] in [0, 1]; returns float64 [N]. An exact reconstruction is reported as
    100 dB, so that means stay finite.
    """
    squared = np.square(reconstructions.astype(np.float64) - images).mean(axis=(1, 2, 3))
    return -10 * np.log10(np.maximum(squared, 1e-10))


def ssim(reconstructions: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Structural similarity of each image, mean of channels.

    Wang et al. 2004 (doi 10.1109/TIP.2003.819861): Gaussian window of 11 pixels, sigma 1.5. Both
    float32 [N, H, W, 3] in [0, 1], H and W >= 11; returns float64 [N] in [-1, 1]. The window is
    taken as a product of two, which is much faster than tf.image.ssim.
    """
    parts = []
    for start in range(0, len(images), BATCH):
        seen, true = (
            np.moveaxis(pictures[start : start + BATCH], -1, 1).astype(np.float64)
            for pictures in (reconstructions, images)
        )
        mean, true_mean = windowed(seen), windowed(true)
        variances = windowed(seen**2 + true**2) - mean**2 - true_mean**2
        covariance = windowed(seen * true) - mean * true_mean
        luminance = (2 * mean * true_mean + SSIM_C1) / (mean**2 + true_mean**2 + SSIM_C1)
        contrast = (2 * covariance + SSIM_C2) / (variances + SSIM_C2)
        parts.append((luminance * contrast).mean(axis=(1, 2, 3)))
    return np.concatenate(parts)


def windowed(values: np.ndarray) -> np.ndarray:
    """Weighted means of SSIM's windows: float64 [..., H, W] -> [..., H - 10, W - 10]."""
    down, across = (window_means(side) for side in values.shape[-2:])
    return down @ values @ across.T


@functools.lru_cache(maxsize=8)
def window_means(side: int) -> np.ndarray:
    """The matrix of a Gaussian window's means along `side` pixels; float64 [side - 10, side]."""
    offsets = np.arange(SSIM_WINDOW) - SSIM_WINDOW // 2
    weights = np.exp(-(offsets**2) / (2 * SSIM_DEVIATION**2))
    rows = np.arange(side - SSIM_WINDOW + 1)[:, None]
    means = np.zeros((len(rows), side))
    means[rows, rows + np.arange(SSIM_WINDOW)] = weights / weights.sum()
    return means


def face_similarity(embeddings: np.ndarray, others: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Cosine of identity embeddings, row by row, after subtracting a mean embedding.

    Without the mean, the identity network's cosine is about 0.84 between any two pictures.

    Args:
        embeddings: float [N, D].
        others: float [N, D].
        mean: float [D], mean embedding of the public images.

    Returns:
        float64 [N] in [-1, 1].
    """
    return (centred_directions(embeddings, mean) * centred_directions(others, mean)).sum(axis=1)


def centred_directions(embeddings: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Embeddings [N, D] minus their mean [D], scaled to unit length; float64 [N, D]."""
    centred = embeddings.astype(np.float64) - mean
    return centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)


def reidentified(
    probes: np.ndarray,
    gallery: np.ndarray,
    identities: np.ndarray,
    mean: np.ndarray,
    rank: int,
    without: np.ndarray | None = None,
) -> np.ndarray:
    """Whether the right person is among the `rank` gallery pictures nearest to each probe.

    Args:
        probes: float [N, D], embeddings of the reconstructions.
        gallery: float [N, D], embeddings of the originals.
        identities: int [N], of probe and gallery picture alike.
        mean: float [D], mean embedding of the public images.
        rank: how many nearest pictures count.
        without: int [N], the gallery picture that is not searched for each probe; None: all are.

    Returns:
        float64 [N] in {0, 1}; its mean is the rank-k re-identification rate.
    """
    similarity = centred_directions(probes, mean) @ centred_directions(gallery, mean).T
    if without is not None:
        similarity[np.arange(len(without)), without] = -np.inf
    return found_by_score(similarity, identities, rank)


def found_by_score(scores: np.ndarray, identities: np.ndarray, rank: int) -> np.ndarray:
    """Whether the right person is among the `rank` candidates that score best.

    Args:
        scores: float [N, N], of each probe (row) with each candidate.
        identities: int [N], of probe and candidate alike.
        rank: how many candidates count.

    Returns:
        float64 [N] in {0, 1}.
    """
    rank = min(rank, scores.shape[1])
    nearest = np.argpartition(-scores, rank - 1, axis=1)[:, :rank]
    return (identities[nearest] == identities[:, None]).any(axis=1).astype(np.float64)


def other_photos(identities: np.ndarray) -> np.ndarray:
    """How many other images there are of each image's person; identities int [N], int64 [N]."""
    _, person, counts = np.unique(identities, return_inverse=True, return_counts=True)
    return counts[person] - 1


def pair_histograms(
    similarity: np.ndarray, identities: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Histograms over similarity of pairs of one person and of two, in each resample.

    An approximation that makes resamples of a million pairs quick. Edges are quantiles, so that
    every bin holds about as many pairs: where nearly all pairs are of two people, the AUC is off by
    at most about half a bin, 1 / (2 PAIR_BINS).

    Args:
        similarity: float [M, M].
        identities: int [M].
        weights: float [R, M]; a pair of one person weighs what the person does, a pair of two the
            product.

    Returns:
        (same, different): float64 [R, PAIR_BINS].
    """
    same, different = np.zeros((2, len(weights), PAIR_BINS))
    first, second = np.triu_indices(len(identities), k=1)
    if not len(first):
        return same, different
    scores = similarity[first, second]
    edges = np.unique(quantiles(scores, np.linspace(0, 1, PAIR_BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, scores, side="right")
    of_one = identities[first] == identities[second]
    one_bins, two_bins = bins[of_one], bins[~of_one]
    one, two_first, two_second = first[of_one], first[~of_one], second[~of_one]
    for row, weight in enumerate(weights):
        same[row] = np.bincount(one_bins, weight[one], minlength=PAIR_BINS)
        products = weight[two_first] * weight[two_second]
        different[row] = np.bincount(two_bins, products, minlength=PAIR_BINS)
    return same, different


def quantiles(values: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """np.quantile of values float [N] without NaN, bit for bit, for thousands of shares.

    NumPy selects for each share anew; sorted once, they are all at hand. Shares are float [Q] in
    [0, 1]; returns float64 [Q].
    """
    ordered = np.sort(values)
    places = (len(ordered) - 1) * shares
    below = np.floor(places).astype(int)
    part = places - below
    low, high = ordered[below], ordered[np.minimum(below + 1, len(ordered) - 1)]
    # As NumPy interpolates: from the nearer end.
    step = high - low
    return np.where(part >= 0.5, high - step * (1 - part), low + step * part)


def auc_of_histograms(same: np.ndarray, different: np.ndarray) -> np.ndarray:
    """Area under the ROC curve of `pair_histograms`; ties within a bin count one half.

    Both float [R, bins]; returns float64 [R] in [0, 1], NaN where a resample has one kind only.
    """
    below = np.cumsum(different, axis=1) - different
    wins = (same * (below + 0.5 * different)).sum(axis=1)
    pairs = same.sum(axis=1) * different.sum(axis=1)
    return np.divide(wins, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)


def true_accept_rate(
    same: np.ndarray, different: np.ndarray, false_accept_rate: float
) -> np.ndarray:
    """Share of pairs of one person that are accepted where a given share of the others are.

    Between two bins the ROC curve is a straight line.

    Args:
        same: float [R, bins], of pairs of one person, by growing similarity.
        different: likewise, of two.
        false_accept_rate: the given share, in [0, 1].

    Returns:
        float64 [R] in [0, 1]; NaN where a resample has one kind only.
    """
    found = np.full(len(same), np.nan)
    for row, (hits, misses) in enumerate(zip(same[:, ::-1], different[:, ::-1], strict=True)):
        if hits.sum() and misses.sum():
            false = np.concatenate([[0.0], np.cumsum(misses) / misses.sum()])
            true = np.concatenate([[0.0], np.cumsum(hits) / hits.sum()])
            found[row] = rate_at(false, true, false_accept_rate)
    return found


def rate_at(false: np.ndarray, true: np.ndarray, rate: float) -> float:
    """The true rate of a ROC curve at a false rate; the upper end where the curve is vertical.

    The curve is float [K] each, rising from 0 to 1; so are `rate` and the result in [0, 1].
    """
    # np.interp promises nothing where two points have the same false rate.
    left = np.searchsorted(false, rate, side="right") - 1
    if left == len(false) - 1:
        return float(true[-1])
    share = (rate - false[left]) / (false[left + 1] - false[left])
    return float(true[left] + share * (true[left + 1] - true[left]))


def identity_weights(identities: np.ndarray, samples: int, seed: int) -> np.ndarray:
    """Bootstrap resamples of whole identities: pictures of one person are not independent.

    Args:
        identities: int [N].
        samples: R.
        seed: of the draws.

    Returns:
        float64 [R, N]: how often each image stands in each resample.
    """
    unique, person = np.unique(identities, return_inverse=True)
    draws = np.random.default_rng([seed, 2]).multinomial(
        len(unique), np.full(len(unique), 1 / len(unique)), size=samples
    )
    return draws[:, person].astype(np.float64)


def mean(values: np.ndarray) -> float:
    """Mean of per-image values [N], without those that are NaN; NaN where all are."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else np.nan


def weighted_means(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean of per-image values [N] in each resample [R, N]; float64 [R].

    Values that are NaN are left out. A resample without any other has the mean NaN.
    """
    known = ~np.isnan(values)
    drawn = weights if known.all() else weights[:, known]
    total = drawn.sum(axis=1)
    return np.divide(
        drawn @ values[known], total, out=np.full(len(weights), np.nan), where=total > 0
    )


def interval(resampled: np.ndarray) -> tuple[float, float]:
    """The central 95 % of resampled values [R]; NaN, an undefined value, is left out."""
    low, high = np.nanpercentile(resampled, [2.5, 97.5])
    return float(low), float(high)
