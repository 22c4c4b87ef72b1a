"""What else can be read from a code: attributes that are not in the task, and who it is."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from scipy import linalg

from arl_tf.data.pipelines import without_autotune
from arl_tf.metrics import measures
from arl_tf.metrics.projection import projected
from arl_tf.metrics.utility import estimate
from arl_tf.models.perceptron import build_perceptron, log_odds
from arl_tf.models.standardisation import standardisation

HIDDEN = {"linear": 0, "mlp": 256}
CODE_DROPOUTS = (0.0, 0.5)
HIDDEN_DROPOUT = 0.5
EPOCHS, PATIENCE, BATCH = 60, 4, 64
LEARNING_RATE, WEIGHT_DECAY = 1e-3, 1e-2
FEWEST_PEOPLE, MOST_PEOPLE = 10, 200
COMPONENTS = 64
SHRINKAGES = (0.3, 0.1, 0.01, 1e-3, 1e-4, 1e-6)


def attribute_probe(
    public_codes: np.ndarray,
    public_labels: np.ndarray,
    held_out_codes: np.ndarray,
    held_out_labels: np.ndarray,
    target_codes: np.ndarray,
    target_labels: np.ndarray,
    names: tuple[str, ...],
    *,
    seed: int,
    scale: Callable[[np.ndarray], np.ndarray] | None = None,
) -> dict[str, dict[str, float]]:
    """MCC with which a linear and a multilayer probe read attributes from codes.

    Trained on public codes for all attributes together. Held-out ones choose when to stop, whether
    the code is dropped out, and the threshold of each attribute.

    Args:
        public_codes: float32 [N, ...].
        public_labels: {0, 1} [N, K].
        held_out_codes: likewise.
        held_out_labels: likewise.
        target_codes: float32 [M, ...].
        target_labels: {0, 1} [M, K]; for the evaluation only.
        names: K names.
        seed: of the probes.
        scale: codes -> codes as the probes see them, of the same shape; None: standardised.

    Returns:
        name -> {"linear": mcc, "mlp": mcc}, in [-1, 1].

    Raises:
        ValueError: codes, labels and names don't fit together.
    """
    check_labels(public_codes, public_labels, names, "public")
    check_labels(held_out_codes, held_out_labels, names, "held-out")
    check_labels(target_codes, target_labels, names, "target")
    scale = scale or standardisation(public_codes)
    public, held_out, target = (
        scale(codes).reshape(len(codes), -1)
        for codes in (public_codes, held_out_codes, target_codes)
    )
    found: dict[str, dict[str, float]] = {name: {} for name in names}
    for kind, hidden in HIDDEN.items():
        probe = best_probe(public, public_labels, held_out, held_out_labels, hidden, seed)
        known, asked = (np.asarray(probe(codes, training=False)) for codes in (held_out, target))
        values = thresholded_mcc(known, asked, held_out_labels, target_labels)
        for name, value in zip(names, values, strict=True):
            found[name][kind] = float(value)
    return found


def check_labels(codes: np.ndarray, labels: np.ndarray, names: tuple[str, ...], which: str) -> None:
    """Raises ValueError unless codes [N, ...] have labels [N, K], one of each of K names."""
    if labels.shape != (len(codes), len(names)) or not labels.size:
        raise ValueError(
            f"Probing for {len(names)} attributes in {len(codes)} {which} codes needs labels"
            f" {(len(codes), len(names))}, neither of them 0; got {labels.shape}."
        )


def best_probe(
    public: np.ndarray,
    public_labels: np.ndarray,
    held_out: np.ndarray,
    held_out_labels: np.ndarray,
    hidden: int,
    seed: int,
) -> keras.Model:
    """The trained probe with the lowest held-out loss; wide codes need dropout, logits none.

    Args:
        public: float32 [N, D], standardised codes.
        public_labels: {0, 1} [N, K].
        held_out: float32 [M, D], of other people.
        held_out_labels: {0, 1} [M, K].
        hidden: width of the hidden layer; 0: none.
        seed: draws weights, order and dropout.
    """
    validation = without_autotune(
        tf.data.Dataset.from_tensors((held_out, held_out_labels.astype(np.float32)))
    )
    probes = []
    for code_dropout in CODE_DROPOUTS:
        probe = build_probe(public.shape[1], public_labels, hidden, code_dropout, seed)
        history = probe.fit(
            batches(public, public_labels, seed),
            validation_data=validation,
            epochs=EPOCHS,
            shuffle=False,
            verbose=0,
            callbacks=[keras.callbacks.EarlyStopping(patience=PATIENCE, restore_best_weights=True)],
        )
        probes.append((min(history.history["val_loss"]), probe))
    return min(probes, key=lambda scored: scored[0])[1]


def batches(codes: np.ndarray, labels: np.ndarray, seed: int) -> tf.data.Dataset:
    """Batches of (codes [N, D], labels [N, K]), in another order each epoch."""
    codes, labels = tf.constant(codes), tf.constant(labels, tf.float32)
    rows = tf.data.Dataset.range(len(codes)).shuffle(len(codes), seed).batch(BATCH)
    return without_autotune(rows.map(lambda row: (tf.gather(codes, row), tf.gather(labels, row))))


def build_probe(
    num_values: int, labels: np.ndarray, hidden: int, code_dropout: float, seed: int
) -> keras.Model:
    """Code [B, D] -> logits [B, K], linear or with one hidden layer; compiled."""
    return build_perceptron(
        num_values,
        log_odds(labels),
        hidden=hidden,
        code_dropout=code_dropout,
        hidden_dropout=HIDDEN_DROPOUT,
        learning_rate=LEARNING_RATE,
        weight_decay=WEIGHT_DECAY,
        seed=seed + 17,
        name="probe",
    )


def thresholded_mcc(
    held_out: np.ndarray, target: np.ndarray, held_out_labels: np.ndarray, target_labels: np.ndarray
) -> np.ndarray:
    """The MCC of each attribute, with the threshold that held-out scores choose; float64 [K].

    Args:
        held_out: float [H, K], scores that are higher where an attribute is rather there.
        target: float [M, K], likewise.
        held_out_labels: {0, 1} [H, K].
        target_labels: {0, 1} [M, K].
    """
    predicted = target > best_thresholds(held_out, held_out_labels)
    counts = measures.confusion_counts(predicted, target_labels).sum(axis=0)
    return measures.matthews_correlation(counts)


def best_thresholds(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The threshold of each attribute with the highest MCC on these codes.

    Every cut between two different logits is tried: a rare attribute's lies far from the middle.

    Args:
        logits: float [N, K].
        labels: {0, 1} [N, K].

    Returns:
        float64 [K]; an attribute is predicted where its logit is larger.
    """
    order = np.argsort(-logits, axis=0, kind="stable")
    values = np.take_along_axis(logits, order, axis=0).astype(np.float64)
    actual = np.take_along_axis(labels, order, axis=0).astype(np.float64)
    true_pos, false_pos = np.cumsum(actual, axis=0), np.cumsum(1 - actual, axis=0)
    counts = [true_pos, false_pos, true_pos[-1] - true_pos, false_pos[-1] - false_pos]
    scores = measures.matthews_correlation(np.stack(counts, axis=-1))
    # Behind the last logit lies the cut that predicts the attribute everywhere.
    following = np.concatenate([values[1:], values[-1:] - 1])
    best = np.argmax(np.where(values > following, scores, -np.inf), axis=0)[None]
    cuts = (values + following) / 2
    return np.take_along_axis(cuts, best, axis=0)[0]


def identity_probe(
    codes: np.ndarray,
    identities: np.ndarray,
    *,
    seed: int,
    samples: int,
    min_images: int = 2,
    means: np.ndarray | None = None,
    lacking: float = 1.0,
) -> dict[str, Any] | None:
    """Closed-set identification: which of the known people does a code show?

    Of people with several images the last is left out and asked for. Fisher's linear discriminant
    learns from all the others, also from people who are not asked for: codes differ within them
    alike.

    Args:
        codes: float32 [N, ...].
        identities: int [N].
        seed: chooses people where there are more than MOST_PEOPLE, and draws resamples.
        samples: bootstrap resamples of people.
        min_images: of a person who is asked for, >= 2.
        means: float32 [N, ...], what the codes are on average, where that is known: then both are
            in units in which the noise of every value has variance 1.
        lacking: variance of the noise that `codes` have and `means` have not, in [0, 1].

    Returns:
        {"people", "images", "accuracy": {"value", "ci95"}, "chance"}, images being those of these
        people that were learned from; None where fewer than FEWEST_PEOPLE have so many images.

    Raises:
        ValueError: identities don't fit the codes, or min_images < 2.
    """
    if len(codes) != len(identities) or min_images < 2:
        raise ValueError(
            "The identity probe needs one identity for each code and min_images >= 2, got"
            f" {len(codes)} codes, {len(identities)} identities and min_images {min_images}."
        )
    people = asked_people(identities, min_images, seed)
    if len(people) < FEWEST_PEOPLE:
        return None
    asked = last_rows(identities, people)
    known = np.setdiff1d(np.arange(len(codes)), asked)
    learned, seen = principal_components(codes, known, means)
    noise = 0.0 if means is None else lacking
    shrinkage = best_shrinkage(learned[known], seen[known], identities[known], noise)
    named = identify(learned[known], identities[known], seen[asked], people, shrinkage, noise)
    hits = (named == people).astype(np.float64)
    weights = measures.identity_weights(people, samples, seed)
    return {
        "people": len(people),
        "images": int(np.isin(identities[known], people).sum()),
        "accuracy": estimate(float(hits.mean()), measures.weighted_means(hits, weights)),
        "chance": 1 / len(people),
    }


def asked_people(identities: np.ndarray, min_images: int, seed: int) -> np.ndarray:
    """Those of identities int [N] with min_images or more, MOST_PEOPLE at most; int [P], sorted.

    Those with the most images come first: what is learned of them is learned best.
    """
    unique, counts = np.unique(identities, return_counts=True)
    unique, counts = unique[counts >= min_images], counts[counts >= min_images]
    order = np.random.default_rng(seed).permutation(len(unique))
    ranked = order[np.argsort(-counts[order], kind="stable")]
    return np.sort(unique[ranked[:MOST_PEOPLE]])


def last_rows(identities: np.ndarray, people: np.ndarray) -> np.ndarray:
    """The row of each person's last image, int [P]; identities int [N], people int [P]."""
    return np.array([np.flatnonzero(identities == person)[-1] for person in people])


def principal_components(
    codes: np.ndarray, known: np.ndarray, means: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """(What is learned from, codes), in the principal components of known rows of the first.

    Both float64 [N, C]. What is learned from are standardised codes, or mean codes as they are.
    """
    if means is None:
        codes = means = standardisation(codes[known])(codes)
    flat = (values.reshape(len(values), -1).astype(np.float64) for values in (means, codes))
    learned, seen = flat
    project = projected(learned[known], COMPONENTS)
    return project(learned), project(seen)


def best_shrinkage(
    learned: np.ndarray, codes: np.ndarray, identities: np.ndarray, noise: float
) -> float:
    """The one of SHRINKAGES with which most people are told by what is known of them.

    The last image of everybody with several is asked for: its code, by what the other images gave
    to learn from. Of equally good ones the smallest, which hides least; the first of SHRINKAGES
    where too few people have several.

    Args:
        learned: float64 [N, C], what is learned from.
        codes: float64 [N, C].
        identities: int [N].
        noise: variance in every direction that `codes` have beside `learned`.
    """
    unique, counts = np.unique(identities, return_counts=True)
    people = unique[counts > 1]
    if len(people) < FEWEST_PEOPLE:
        return SHRINKAGES[0]
    asked = last_rows(identities, people)
    known = np.setdiff1d(np.arange(len(codes)), asked)
    rates = []
    for shrinkage in SHRINKAGES:
        named = identify(learned[known], identities[known], codes[asked], people, shrinkage, noise)
        rates.append((named == people).mean())
    return min(s for s, rate in zip(SHRINKAGES, rates, strict=True) if rate == max(rates))


def identify(
    codes: np.ndarray,
    identities: np.ndarray,
    asked: np.ndarray,
    people: np.ndarray,
    shrinkage: float,
    noise: float = 0.0,
) -> np.ndarray:
    """The person whom each code shows, by Fisher's linear discriminant (Rao 1948).

    scikit-learn's warns of people with a single image; here they count with none of the deviations.

    Args:
        codes: float64 [N, D], known ones, centred.
        identities: int [N].
        asked: float64 [M, D].
        people: int [P], sorted, among the identities; the answers to choose from.
        shrinkage: share of the sphere in the covariance within people, in (0, 1].
        noise: variance in every direction that the codes asked for have beside the known ones.

    Returns:
        int [M].
    """
    unique, person, counts = np.unique(identities, return_inverse=True, return_counts=True)
    sums = np.zeros((len(unique), codes.shape[1]))
    np.add.at(sums, person, codes)
    means = sums / counts[:, None]
    deviations = codes - means[person]
    within = deviations.T @ deviations / max(len(codes) - len(unique), 1)
    sphere = np.eye(len(within)) * max(np.square(codes).mean(), 1e-12)
    within = (1 - shrinkage) * within + shrinkage * sphere + noise * np.eye(len(within))
    means = means[np.searchsorted(unique, people)]
    weights = linalg.solve(within, means.T, assume_a="pos")
    scores = asked @ weights - 0.5 * (means.T * weights).sum(axis=0)
    return people[scores.argmax(axis=1)]
