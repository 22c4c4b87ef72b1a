"""The attack that finds a public image instead of making one."""

import time
from collections.abc import Callable, Mapping

import numpy as np

from arl_tf.attacks.closed_form import closed_form_result, nearest
from arl_tf.attacks.evidence import AttackerOptions, AttackResult, Evidence
from arl_tf.attacks.noise_views import seen_codes, signal_variance
from arl_tf.models.standardisation import flattened, standardisation

# How codes are scaled before their distances are compared.
Scales = Mapping[str, Callable[[np.ndarray], np.ndarray]]
STANDARDISED = "standardised"


def retrieval_attack(evidence: Evidence, settings: AttackerOptions, *, name: str) -> AttackResult:
    """The public image whose code is nearest, as it is: what a code has in common with others.

    Nearest by Euclidean distance of standardised codes. Where the noise is known, the distance is
    that from the public images' *mean* codes, and of several ways to weight values (`scales`) the
    one counts whose pictures of held-out public images are nearest to these.

    Args:
        evidence: public pairs and target codes; `noise` where something is known of it.
        settings: mu, for the reported loss.
        name: of the attack in the report.
    """
    started = time.perf_counter()
    pairs = evidence.pairs
    gallery = pairs.codes if evidence.noise is None else evidence.noise.public_means
    best = None
    for words, scale in scales(evidence).items():
        rows = nearest_rows(pairs.held_out_codes, gallery, scale)
        error = squared_distance(pairs.images[rows], pairs.held_out_images)
        if best is None or error < best[0]:
            best = (error, words, scale, rows)
    _, words, scale, held_out = best
    target = nearest_rows(evidence.target_codes, gallery, scale)
    return closed_form_result(
        evidence,
        settings,
        name=name,
        started=started,
        words="the public photo with the nearest code",
        extra={"public_images": len(gallery), "codes_compared": words},
        pictures=tuple(pairs.images[rows].astype(np.float32) / 255 for rows in (target, held_out)),
    )


def scales(evidence: Evidence) -> Scales:
    """Ways to scale codes, the first of them the only one where no noise is known.

    By 1/v of the noise's variances v: the likelihood that a code is of an image. By 1/(s + v), with
    the signal's variances s: for the distance to another image, whose signal differs. By the
    signal's share of that.
    """
    found = {STANDARDISED: standardisation(evidence.pairs.codes)}
    noise = evidence.noise
    if noise is None:
        return found
    total = np.sqrt(signal_variance(noise) + np.square(noise.deviation, dtype=np.float64))
    return {
        **found,
        "by their noise": noise.in_units,
        "by all they vary": lambda codes: codes / total,
        "by their signal's share": seen_codes(evidence.pairs, noise),
    }


def nearest_rows(
    codes: np.ndarray, gallery: np.ndarray, scale: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Row of the gallery code [N, ...] nearest to each code [M, ...]; int64 [M]."""
    probes, against = (flattened(scale(each)).astype(np.float32) for each in (codes, gallery))
    # Of large numbers with small differences the squares would lose those.
    centre = against.mean(axis=0)
    return nearest(probes - centre, against - centre)


def squared_distance(found: np.ndarray, truth: np.ndarray) -> float:
    """Mean squared difference of uint8 pictures [N, S, S, 3]."""
    return float(np.square(found.astype(np.float32) - truth).mean())
