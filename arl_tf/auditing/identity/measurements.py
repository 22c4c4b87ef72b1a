"""What the attacks on identity found: how near predicted embeddings come, and whom they find."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from arl_tf.attacks.identity.comparison import Comparison, chosen_comparison
from arl_tf.attacks.identity.faces import Directions, IdentityResult, PublicFaces
from arl_tf.metrics import measures
from arl_tf.metrics.reconstruction import OTHER_PHOTO, RANKS

COSINE = "cosine"
IDENTITY_MEASURES = (COSINE, *RANKS, OTHER_PHOTO)

# Attack -> measure -> values of each image under attack, float64 [N].
PerAttack = Mapping[str, Mapping[str, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class MeasuredIdentity:
    """The attacks on identity of an audit.

    Attributes:
        results: source ("code", "task_output") -> the attacks' results.
        measured: network -> source -> attack -> measure -> float64 [N].
        comparisons: network -> source -> attack -> name of the comparison that ranks candidates.
    """

    results: Mapping[str, Sequence[IdentityResult]]
    measured: Mapping[str, Mapping[str, PerAttack]]
    comparisons: Mapping[str, Mapping[str, Mapping[str, str]]]

    def on(self, source: str) -> dict[str, PerAttack]:
        """Network -> attack -> measure -> float64 [N], of one source."""
        return {net: sources[source] for net, sources in self.measured.items() if source in sources}


def measure(
    results: Mapping[str, Sequence[IdentityResult]],
    truth: Directions,
    identities: np.ndarray,
    faces: PublicFaces,
) -> MeasuredIdentity:
    """Compares predictions with the images under attack.

    Args:
        results: source -> results.
        truth: network -> directions float32 [N, E] of the images under attack.
        identities: int [N], who is on them.
        faces: the public images, by which each attack chooses how to compare.
    """
    measured: dict[str, dict[str, dict[str, dict[str, np.ndarray]]]] = {}
    comparisons: dict[str, dict[str, dict[str, str]]] = {}
    for network, directions in truth.items():
        measured[network], comparisons[network] = {}, {}
        for source, found in results.items():
            chosen = {result.name: comparison_of(result, network, faces) for result in found}
            comparisons[network][source] = {
                name: comparison.name for name, comparison in chosen.items()
            }
            measured[network][source] = {
                result.name: measures_of(
                    result.target[network], directions, identities, chosen[result.name]
                )
                for result in found
            }
    return MeasuredIdentity(results, measured, comparisons)


def comparison_of(result: IdentityResult, network: str, faces: PublicFaces) -> Comparison:
    """How an attack compares its predictions with candidates, chosen on held-out public faces."""
    return chosen_comparison(
        result.held_out[network], faces.held_out[network], faces.public[network]
    )


def measures_of(
    predicted: np.ndarray, truth: np.ndarray, identities: np.ndarray, comparison: Comparison
) -> dict[str, np.ndarray]:
    """Cosine, and re-identification among all images under attack; measure -> float64 [N].

    The photo itself is among these images, but for OTHER_PHOTO, which finds another photo of the
    person; NaN where there is none.

    Args:
        predicted: float32 [N, E] of length 1.
        truth: likewise, of the images under attack.
        identities: int [N].
        comparison: that ranks the images under attack as candidates.
    """
    scores = comparison.scores(predicted, truth)
    elsewhere = scores.copy()
    np.fill_diagonal(elsewhere, -np.inf)
    by_other_photo = measures.found_by_score(elsewhere, identities, 1)
    return {
        COSINE: (predicted.astype(np.float64) * truth).sum(axis=1),
        **{name: measures.found_by_score(scores, identities, rank) for name, rank in RANKS.items()},
        OTHER_PHOTO: np.where(measures.other_photos(identities) > 0, by_other_photo, np.nan),
    }


def with_all_measures(attacks: PerAttack) -> dict[str, dict[str, np.ndarray]]:
    """Attacks with every one of IDENTITY_MEASURES: those that an older audit lacks are not known.

    These are NaN, float64 [N], as of people with one photo.
    """
    return {
        name: {m: found.get(m, np.full_like(found[COSINE], np.nan)) for m in IDENTITY_MEASURES}
        for name, found in attacks.items()
    }
