"""Are two codes of the same person? By cosine, and by metrics learned from public people."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from sklearn.linear_model import Ridge

from arl_tf.metrics import measures
from arl_tf.metrics.intervals import best_share
from arl_tf.metrics.measures import centred_directions
from arl_tf.metrics.person_model import (
    DIMENSIONS,
    PublicCodes,
    best_joint_bayesian,
    gaussian_people,
    has_pairs,
    held_out_people,
    likelihood_ratios,
)
from arl_tf.metrics.projection import projected
from arl_tf.metrics.utility import estimate
from arl_tf.models.standardisation import standardisation

MOST_RESAMPLES = 200
FALSE_ACCEPT_RATE = 0.01
# Which of them fits best is found on every fifth public person.
RIDGE_SHARES = (1e-3, 0.01, 0.1, 1.0, 10.0, 100.0)
# Of a channel's deviation: what differs by less is rounding, not code.
RESOLUTION_DECIMALS = 6
PREDICTED = "predicted_embeddings"


def link(*codes_and_people: np.ndarray, **given: Any) -> dict[str, dict[str, Any]]:
    """How well each metric links codes of one person: as `link_drawn`, without the draws.

    Codes are float32 [M, ...], people int [M].
    """
    return link_drawn(*codes_and_people, **given)[0]


def link_drawn(
    target_codes: np.ndarray,
    target_identities: np.ndarray,
    *,
    public_codes: np.ndarray,
    public_identities: np.ndarray,
    public_embeddings: np.ndarray | None = None,
    public_means: np.ndarray | None = None,
    lacking: float = 1.0,
    predicted: Mapping[str, np.ndarray] | None = None,
    samples: int,
    seed: int,
) -> tuple[dict[str, dict[str, Any]], dict[str, np.ndarray]]:
    """How well each metric links codes of one person, and what its AUC is in each resample.

    Args:
        target_codes: float32 [M, ...].
        target_identities: int [M]; for the evaluation only.
        public_codes: float32 [N, ...], what the metrics are learned from.
        public_identities: int [N].
        public_embeddings: float32 [N, D], a public face network's embeddings of the public images;
            None: the metric that needs them is left out.
        public_means: float32 [N, ...], what the public codes are on average, where that is known:
            then all codes are in units in which the noise of every value has variance 1.
        lacking: variance of the noise that codes have and `public_means` have not, in [0, 1].
        predicted: identity network -> float [M, E] of length 1, what attacks on identity predict
            from the target codes; None: the metric that needs them is left out.
        samples: bootstrap resamples of identities, at most MOST_RESAMPLES.
        seed: of the resamples.

    Returns:
        metric -> {"auc", "tar_at_far_1_percent", "rank1"}, each {"value", "ci95"}; the value is
        None where no person has two targets, or all are of one. Metrics that can't be learned are
        left out. Then metric -> AUC float64 [1 + R], of all targets and of each resample. The
        resamples are the same for all codes of the same targets.

    Raises:
        ValueError: codes, identities and embeddings don't fit together.
    """
    check_evidence(target_codes, target_identities, public_codes, public_identities)
    if public_embeddings is not None and len(public_embeddings) != len(public_codes):
        raise ValueError(
            f"{len(public_codes)} public codes need as many embeddings, got"
            f" {len(public_embeddings)}."
        )
    if public_means is None:
        codes, target = centred_codes(public_codes, target_codes)
        public = PublicCodes(codes, codes, 0.0)
    else:
        public, target = centred_units(public_codes, target_codes, public_means, lacking)
    weights = measures.identity_weights(target_identities, min(samples, MOST_RESAMPLES), seed)
    found, drawn = {}, {}
    for name, similarity in LINKING_METRICS.items():
        matrix = similarity(public, public_identities, public_embeddings, target)
        if matrix is not None:
            found[name], drawn[name] = evaluate_drawn(matrix, target_identities, weights)
    if predicted:
        matrix = predicted_embeddings(predicted)
        found[PREDICTED], drawn[PREDICTED] = evaluate_drawn(matrix, target_identities, weights)
    return found, drawn


def best_auc(drawn: Iterable[np.ndarray]) -> dict[str, Any]:
    """The highest AUC, with an interval that covers the choice; undefined where all are.

    `drawn`: AUCs float64 [1 + R] by each way, the first of all targets, the others of resamples.
    """
    known = [each for each in drawn if not np.isnan(each[0])]
    if not known:
        return estimate(None)
    columns = np.stack(known, axis=1)
    return best_share(columns[0], columns[1:])


def check_evidence(
    target_codes: np.ndarray,
    target_identities: np.ndarray,
    public_codes: np.ndarray,
    public_identities: np.ndarray,
) -> None:
    """Raises ValueError unless codes [N, ...] have identities int [N], of both kinds."""
    for what, codes, identities in (
        ("target", target_codes, target_identities),
        ("public", public_codes, public_identities),
    ):
        if len(codes) != len(identities) or not len(codes):
            raise ValueError(
                f"Linking needs one identity for each {what} code and at least one code, got"
                f" {len(codes)} codes and {len(identities)} identities."
            )
    if target_codes.shape[1:] != public_codes.shape[1:]:
        raise ValueError(
            f"Target codes {target_codes.shape[1:]} must be shaped as the public ones,"
            f" {public_codes.shape[1:]}."
        )


def centred_codes(public: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both standardised, flattened, less the public mean of each value; float32 [N, D], [M, D].

    Rounded, so that values which do not depend on the image are 0 exactly, and all similarities of
    constant codes one tie.
    """
    scale = standardisation(public)
    public, target = (scale(codes).reshape(len(codes), -1) for codes in (public, target))
    mean = public.mean(axis=0, dtype=np.float64)
    return tuple(
        np.round((codes - mean).astype(np.float32), RESOLUTION_DECIMALS)
        for codes in (public, target)
    )


def centred_units(
    public: np.ndarray, target: np.ndarray, means: np.ndarray, lacking: float
) -> tuple[PublicCodes, np.ndarray]:
    """Codes and mean codes in units of their noise, flattened, less the means' mean.

    Codes are float [N, ...] and [M, ...], means [N, ...], the target ones then float32 [M, D];
    `lacking` is the variance of the noise that the means lack.
    """
    flat = [codes.reshape(len(codes), -1) for codes in (means, public, target)]
    centre = flat[0].mean(axis=0, dtype=np.float64)
    learned, codes, target = ((values - centre).astype(np.float32) for values in flat)
    return PublicCodes(learned, codes, lacking), target


def cosine(public, identities, embeddings, target) -> np.ndarray:
    """Cosine of standardised codes, centred by the public mean; float64 [M, M].

    Where the noise is known, each value counts by what it tells: one of signal variance s beside
    noise of variance 1 by sqrt(s) / (s + 1).
    """
    del identities, embeddings
    if public.noise:
        signal = np.maximum(public.learned.var(axis=0, dtype=np.float64) + public.noise - 1, 0.0)
        target = target * np.sqrt(signal) / (signal + 1)
    directions = centred_directions(target, 0.0)
    return directions @ directions.T


def joint_bayesian(public, identities, embeddings, target) -> np.ndarray | None:
    """Log-likelihood ratio of "one person" against "two" (Chen et al. 2012, Bayesian Face).

    Codes are a person's mean plus a deviation, both Gaussian. Difference d and sum s of two codes
    have covariances 2 W and 2 (2 T - W) for one person and 2 T for two, W within and T in total.
    W is shrunk towards a sphere, T - W as much. Shrinkage and number of principal components are
    those that link held-out public people best. float64 [M, M]; None where no public person has two
    images.
    """
    del embeddings
    if not has_pairs(identities):
        return None
    # A number stamped into a whole channel is among the first components: after standardising it
    # varies as much as all positions of the channel together.
    project = projected(public.learned, DIMENSIONS[-1])
    along = PublicCodes(project(public.learned), project(public.codes), public.noise)
    target = project(target)
    dimensions, shrinkage = best_joint_bayesian(along, identities)
    people = gaussian_people(along.learned[:, :dimensions], identities, along.noise)
    return likelihood_ratios(people, shrinkage, target[:, :dimensions])


def face_embedding(public, identities, embeddings, target) -> np.ndarray | None:
    """Cosine of face embeddings that a ridge regression predicts from the codes; float64 [M, M].

    Its penalty is the one that predicts held-out public people's embeddings best, by cosine. None
    without embeddings, and where all public images are of one person.
    """
    held_out = held_out_people(identities)
    if embeddings is None or held_out.all():
        return None
    learned, wanted = public.learned.astype(np.float64), embeddings - embeddings.mean(axis=0)
    shares = ridge_shares(public)
    agreement = [
        measures.face_similarity(
            public.codes[held_out]
            @ ridge_regression(learned[~held_out], wanted[~held_out], share, public.noise),
            wanted[held_out],
            0.0,
        ).mean()
        for share in shares
    ]
    share = shares[int(np.argmax(agreement))]
    matrix = ridge_regression(learned, wanted, share, public.noise)
    directions = centred_directions(target @ matrix, 0.0)
    return directions @ directions.T


def predicted_embeddings(predicted: Mapping[str, np.ndarray]) -> np.ndarray:
    """Sum of the cosines of predicted embeddings over identity networks; float64 [M, M].

    `predicted`: network -> float [M, E] of length 1.
    """
    rows = [each.astype(np.float64) for each in predicted.values()]
    # Rounded, so that all similarities of equal predictions are one tie.
    return np.round(sum(each @ each.T for each in rows), RESOLUTION_DECIMALS)


def ridge_shares(public: PublicCodes) -> tuple[float, ...]:
    """The shares that `ridge_regression` is tried with.

    Of little noise, shares of the mean eigenvalue that are larger than the noise are tried, too.
    """
    if not public.noise:
        return RIDGE_SHARES
    eigenvalue = np.square(public.learned, dtype=np.float64).sum() / min(public.learned.shape)
    of_codes = (share * eigenvalue / (public.noise * len(public.learned)) for share in RIDGE_SHARES)
    return (*RIDGE_SHARES, *(share for share in of_codes if share > RIDGE_SHARES[-1]))


def ridge_regression(
    codes: np.ndarray, wanted: np.ndarray, share: float, noise: float = 0.0
) -> np.ndarray:
    """Matrix [D, E] from codes [N, D] to [N, E] (Hoerl and Kennard 1970), by scikit-learn.

    The penalty is a share of the mean eigenvalue of the smaller Gram matrix; of mean codes it is a
    share of what noise of variance `noise` adds to that matrix (Wiener 1949).
    """
    size = noise * len(codes) or max(np.square(codes).sum() / min(codes.shape), 1e-12)
    return Ridge(share * size, fit_intercept=False).fit(codes, wanted).coef_.T


# (public codes, identities int [N], embeddings float32 [N, E] or None, target codes float32 [M, D])
# -> similarity float64 [M, M]; None where the metric can't be learned.
LINKING_METRICS: dict[str, Callable[..., np.ndarray | None]] = {
    "cosine": cosine,
    "joint_bayesian": joint_bayesian,
    "face_embedding": face_embedding,
}


def evaluate(similarity: np.ndarray, identities: np.ndarray, weights: np.ndarray) -> dict[str, Any]:
    """ROC AUC, true accept rate and rank 1 of a similarity matrix [M, M], with intervals."""
    return evaluate_drawn(similarity, identities, weights)[0]


def evaluate_drawn(
    similarity: np.ndarray, identities: np.ndarray, weights: np.ndarray
) -> tuple[dict[str, Any], np.ndarray]:
    """`evaluate`, and the AUC float64 [1 + R]: of all images, then of each resample.

    Similarity is float [M, M], identities int [M], weights of bootstrap resamples float [R, M].
    """
    # The first row is no resample: every image stands once.
    rows = np.concatenate([np.ones((1, len(identities))), weights])
    pairs = measures.pair_histograms(similarity, identities, rows)
    aucs = measures.auc_of_histograms(*pairs)
    figures = {
        "auc": nan_estimate(aucs),
        "tar_at_far_1_percent": nan_estimate(measures.true_accept_rate(*pairs, FALSE_ACCEPT_RATE)),
        "rank1": rank1(similarity, identities, weights),
    }
    return figures, aucs


def nan_estimate(values: np.ndarray) -> dict[str, Any]:
    """The first of values float [1 + R] with the interval of the others; undefined for NaN."""
    if np.isnan(values[0]):
        return estimate(None)
    return estimate(float(values[0]), values[1:])


def rank1(similarity: np.ndarray, identities: np.ndarray, weights: np.ndarray) -> dict[str, Any]:
    """How often the nearest code of a gallery is of the same person.

    The gallery holds the first code of every person, also of those with a single one; probes are
    the others'. The interval resamples probes, by person; the gallery stays whole.
    Similarity is float [M, M], identities int [M], weights of bootstrap resamples float [R, M].
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
