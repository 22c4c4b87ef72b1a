"""Codes as attacks in closed form read them: principal directions, in units of their noise."""

import dataclasses

import numpy as np

from arl_tf.attacks.closed_form import Directions, directions, sample_rows
from arl_tf.attacks.evidence import Evidence
from arl_tf.models.standardisation import flattened, standardisation

MOST_PAIRS = 6000


@dataclasses.dataclass(frozen=True)
class CodeView:
    """Codes along the principal directions of the public ones, R of them.

    Attributes:
        rows: int64 [N], the public pairs taken.
        public: float32 [N, R]. Mean codes where the noise is known.
        held_out: float32 [H, R], codes as they leave.
        target: float32 [M, R], likewise.
        variances: float64 [R], of `public` along each direction, without the noise in mean codes.
        noise: variance of the noise in `held_out` and `target` along each direction: 1 where it is
            known, else 0.
        lacking: the part of that variance that `public` lacks.
    """

    rows: np.ndarray
    public: np.ndarray
    held_out: np.ndarray
    target: np.ndarray
    variances: np.ndarray
    noise: float
    lacking: float

    @property
    def level(self) -> float:
        """The unit of a ridge penalty: the noise's variance, or the codes' mean variance."""
        return self.noise or max(float(self.variances.mean()), 1e-12)


def code_view(evidence: Evidence, seed: int) -> CodeView:
    """The evidence's codes along their principal directions.

    Where the noise is known, every value of a code counts in units of its deviation, and the public
    codes are mean codes (Wiener 1949; see `code_maps.wiener_map`). Else channels are standardised.

    Args:
        evidence: public pairs and codes under attack.
        seed: chooses public pairs where there are more than MOST_PAIRS.
    """
    pairs, noise = evidence.pairs, evidence.noise
    rows = sample_rows(len(pairs.codes), MOST_PAIRS, seed)
    if noise is None:
        scale, learned = standardisation(pairs.codes), pairs.codes[rows]
    else:
        scale, learned = noise.in_units, noise.public_means[rows]
    found = directions(flattened(scale(learned)))
    held_out, target = (
        along(found, flattened(scale(codes)))
        for codes in (pairs.held_out_codes, evidence.target_codes)
    )
    return CodeView(
        rows=rows,
        public=found.along.astype(np.float32),
        held_out=held_out,
        target=target,
        variances=np.maximum(found.values / len(rows) - (noise.remaining if noise else 0.0), 0.0),
        noise=1.0 if noise else 0.0,
        lacking=1.0 - noise.remaining if noise else 0.0,
    )


def along(found: Directions, codes: np.ndarray) -> np.ndarray:
    """Codes float [n, D] along principal directions, float32 [n, R]."""
    return ((codes - found.centre) @ found.rotation).astype(np.float32)
