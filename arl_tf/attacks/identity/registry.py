"""The attacks on identity by name: codes in, predicted embeddings out."""

import dataclasses
from collections.abc import Callable

from arl_tf.attacks.evidence import AttackerOptions, Evidence
from arl_tf.attacks.identity.faces import IdentityResult, PublicFaces
from arl_tf.attacks.identity.kernel import kernel
from arl_tf.attacks.identity.perceptron import perceptron
from arl_tf.attacks.identity.ridge import ridge
from arl_tf.attacks.registry import LEVELS
from arl_tf.attacks.regression.code_view import CodeView, code_view
from arl_tf.attacks.regression.undone import undone


@dataclasses.dataclass(frozen=True)
class IdentityAttacker:
    """One way to predict embeddings from codes.

    Attributes:
        run: what predicts.
        level: the first of LEVELS that runs it.
    """

    run: Callable[[CodeView, Evidence, PublicFaces, AttackerOptions], IdentityResult]
    level: str


IDENTITY_ATTACKERS = {
    "ridge": IdentityAttacker(ridge, "quick"),
    "kernel": IdentityAttacker(kernel, "standard"),
    # It kept nothing of its training in any audit of photographs.
    "mlp": IdentityAttacker(perceptron, "full"),
}


def identity_attackers(level: str) -> dict[str, IdentityAttacker]:
    """The attackers of a level and of the levels before it."""
    reach = LEVELS.index(level)
    return {n: a for n, a in IDENTITY_ATTACKERS.items() if LEVELS.index(a.level) <= reach}


def view_of(evidence: Evidence, settings: AttackerOptions) -> CodeView:
    """The codes as attackers of identity see them: of their noise, what can be undone is."""
    return code_view(undone(evidence, settings), settings.seed)
