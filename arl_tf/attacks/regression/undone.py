"""Codes as whoever knows their noise sees them: what can be undone of it is undone."""

from arl_tf.attacks.evidence import AttackerOptions, Evidence
from arl_tf.attacks.regression import completion, laplace


def undone(evidence: Evidence, settings: AttackerOptions) -> Evidence:
    """The evidence with dropped values filled in, and with less of Laplace noise; else the same."""
    if completion.can_complete(evidence):
        return completion.completed(evidence, settings)
    if evidence.has_laplace_noise:
        return laplace.with_less_noise(evidence, settings)
    return evidence
