"""What else can be read from a code: attributes that are not in the task, and who it is."""

from typing import Any

import keras
import numpy as np
from keras import layers
from sklearn.linear_model import LogisticRegression

from arl_tf import metrics
from arl_tf.code_scale import code_scale
from arl_tf.utility import estimate

HIDDEN = 256
EPOCHS, PATIENCE, BATCH = 40, 4, 64
FEWEST_PEOPLE, MOST_PEOPLE = 10, 200
THRESHOLDS = 41


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
) -> dict[str, dict[str, float]]:
    """MCC with which a linear and a multilayer probe read attributes from codes.

    Trained on public codes, stopped and cut at a threshold for each attribute by held-out ones.

    Args:
        public_codes: float32 [N, ...].
        public_labels: {0, 1} [N, K].
        held_out_codes: likewise.
        held_out_labels: likewise.
        target_codes: float32 [M, ...].
        target_labels: {0, 1} [M, K]; for the evaluation only.
        names: K names.
        seed: of the probes.

    Returns:
        name -> {"linear": mcc, "mlp": mcc}.
    """
    scale = code_scale(public_codes)
    public, held_out, target = (
        codes.reshape(len(codes), -1)
        for codes in map(scale, (public_codes, held_out_codes, target_codes))
    )
    found: dict[str, dict[str, float]] = {name: {} for name in names}
    for kind, hidden in (("linear", 0), ("mlp", HIDDEN)):
        probe = build_probe(public.shape[1], len(names), hidden, seed)
        probe.fit(
            public,
            public_labels.astype(np.float32),
            validation_data=(held_out, held_out_labels.astype(np.float32)),
            batch_size=BATCH,
            epochs=EPOCHS,
            verbose=0,
            callbacks=[keras.callbacks.EarlyStopping(patience=PATIENCE, restore_best_weights=True)],
        )
        thresholds = best_thresholds(probe.predict(held_out, verbose=0), held_out_labels)
        predicted = probe.predict(target, verbose=0) > thresholds
        counts = metrics.confusion_counts(predicted, target_labels).sum(axis=0)
        for name, value in zip(names, metrics.matthews_correlation(counts), strict=True):
            found[name][kind] = float(value)
    return found


def build_probe(num_values: int, num_attributes: int, hidden: int, seed: int) -> keras.Model:
    """Code [B, D] -> logits [B, K], linear or with one hidden layer."""
    keras.utils.set_random_seed(seed + 17)
    code = keras.Input((num_values,), name="code")
    features = code
    if hidden:
        features = layers.Dense(hidden, activation="relu", name="hidden")(features)
        features = layers.Dropout(0.5, name="dropout")(features)
    probe = keras.Model(code, layers.Dense(num_attributes, name="logits")(features), name="probe")
    probe.compile(
        keras.optimizers.AdamW(1e-3, weight_decay=1e-2),
        keras.losses.BinaryCrossentropy(from_logits=True),
        jit_compile=False,
    )
    return probe


def best_thresholds(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The threshold of each attribute with the highest MCC on these codes; float64 [K].

    Candidates are quantiles of the logits.
    """
    candidates = np.quantile(logits, np.linspace(0, 1, THRESHOLDS), axis=0)
    scores = [
        metrics.matthews_correlation(metrics.confusion_counts(logits > row, labels).sum(axis=0))
        for row in candidates
    ]
    return np.take_along_axis(candidates, np.argmax(scores, axis=0)[None], axis=0)[0]


def identity_probe(
    codes: np.ndarray, identities: np.ndarray, *, seed: int, samples: int, min_images: int = 2
) -> dict[str, Any] | None:
    """Closed-set identification: which of the known people does a code show?

    Of people with several images the last is left out and asked for; a linear softmax classifier
    learns the others.

    Args:
        codes: float32 [N, ...].
        identities: int [N].
        seed: chooses people where there are more than MOST_PEOPLE.
        samples: bootstrap resamples of people.
        min_images: of a person, >= 2.

    Returns:
        {"people", "images", "accuracy": {"value", "ci95"}, "chance"}; None where fewer than
        FEWEST_PEOPLE have so many images.
    """
    unique, counts = np.unique(identities, return_counts=True)
    several = unique[counts >= min_images]
    if len(several) < FEWEST_PEOPLE:
        return None
    # Those with the most images: what is learned of them is learned best.
    order = np.random.default_rng(seed).permutation(len(several))
    ranked = np.argsort(-counts[counts >= min_images][order], kind="stable")
    people = several[order[ranked[:MOST_PEOPLE]]]
    rows = np.flatnonzero(np.isin(identities, people))
    last = np.array([rows[identities[rows] == person][-1] for person in people])
    known = np.setdiff1d(rows, last)
    flat = code_scale(codes[known])(codes).reshape(len(codes), -1)
    # Unit mean square length: the penalty then means the same for codes of any size.
    flat /= max(np.sqrt(np.square(flat[known]).sum(axis=1).mean()), 1e-12)
    classifier = LogisticRegression(C=100.0, max_iter=300)
    classifier.fit(flat[known], identities[known])
    hits = (classifier.predict(flat[last]) == people).astype(np.float64)
    weights = metrics.identity_weights(people, samples, seed)
    return {
        "people": len(people),
        "images": len(known),
        "accuracy": estimate(float(hits.mean()), metrics.weighted_means(hits, weights)),
        "chance": 1 / len(people),
    }
