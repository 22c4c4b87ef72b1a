"""What the attacks on identity found: how near predicted embeddings come, and whom they find."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from arl_tf.attacks.identity.faces import Directions, IdentityResult
from arl_tf.metrics import measures

COSINE = "cosine"
RANKS = {"reid_rank1": 1, "reid_rank5": 5}
IDENTITY_MEASURES = (COSINE, *RANKS)

# Attack -> measure -> values of each image under attack, float64 [N].
PerAttack = Mapping[str, Mapping[str, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class IdentityFindings:
    """The attacks on identity of an audit.

    Attributes:
        results: source ("code", "task_output") -> the attacks' results.
        measured: network -> source -> attack -> measure -> float64 [N].
    """

    results: Mapping[str, Sequence[IdentityResult]]
    measured: Mapping[str, Mapping[str, PerAttack]]

    def on(self, source: str) -> dict[str, PerAttack]:
        """Network -> attack -> measure -> float64 [N], of one source."""
        return {net: sources[source] for net, sources in self.measured.items() if source in sources}


def measure(
    results: Mapping[str, Sequence[IdentityResult]], truth: Directions, identities: np.ndarray
) -> IdentityFindings:
    """Compares predictions with the images under attack.

    Args:
        results: source -> results.
        truth: network -> directions float32 [N, E] of the images under attack.
        identities: int [N], who is on them.
    """
    measured = {
        network: {
            source: {
                result.name: measures_of(result.target[network], directions, identities)
                for result in found
            }
            for source, found in results.items()
        }
        for network, directions in truth.items()
    }
    return IdentityFindings(results, measured)


def measures_of(
    predicted: np.ndarray, truth: np.ndarray, identities: np.ndarray
) -> dict[str, np.ndarray]:
    """Cosine, and re-identification among all images under attack; measure -> float64 [N].

    Args:
        predicted: float32 [N, E] of length 1.
        truth: likewise, of the images under attack.
        identities: int [N].
    """
    found = {COSINE: (predicted.astype(np.float64) * truth).sum(axis=1)}
    for name, rank in RANKS.items():
        # Both are centred already.
        found[name] = measures.reidentified(predicted, truth, identities, 0.0, rank)
    return found
