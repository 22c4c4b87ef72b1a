"""What attacks on identity are given beside the evidence, and what they return."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from arl_tf.attacks.evidence import BLACK_BOX, WHITE_BOX, Evidence
from arl_tf.attacks.knowledge import noise_state, noise_words, public_words

# Identity network -> directions float32 [n, E]: embeddings less the mean embedding of public
# images, of length 1.
Directions = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class PublicFaces:
    """How an attacker's own identity networks see the public images.

    Attributes:
        public: of `PublicPairs.images`, [N, E] each.
        held_out: of `PublicPairs.held_out_images`, [H, E] each.
    """

    public: Directions
    held_out: Directions

    @property
    def networks(self) -> tuple[str, ...]:
        """Names of the networks."""
        return tuple(self.public)


@dataclasses.dataclass(frozen=True)
class IdentityResult:
    """The embeddings that an attack predicts from codes.

    Attributes:
        name: of the attack.
        knowledge: BLACK_BOX or WHITE_BOX.
        settings: JSON-able; "words" says what the attack is.
        seconds: wall time.
        held_out: predicted directions of the held-out public codes, [H, E] each.
        target: of the codes under attack, [M, E] each.
    """

    name: str
    knowledge: str
    settings: Mapping[str, Any]
    seconds: float
    held_out: Directions
    target: Directions


def knowledge_of(evidence: Evidence) -> str:
    """WHITE_BOX where the noise is known from the encoder's inside; else codes alone are used."""
    return BLACK_BOX if evidence.known_noise is None else WHITE_BOX


def known(evidence: Evidence) -> dict[str, str]:
    """What an attack on identity knew, as `knowledge.described` says it of others."""
    parts = [public_words(evidence.pairs.images), noise_words(evidence)]
    return {"noise": noise_state(evidence), "words": "; ".join(filter(None, parts))}


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows [n, E] scaled to length 1, float32; a row of zeros stays one."""
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    return (rows / np.maximum(lengths, 1e-12)).astype(np.float32)


def mean_cosine(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Mean cosine of predictions [n, E] of any length to directions [n, E]."""
    return float((unit(predicted) * truth).sum(axis=1).mean())
