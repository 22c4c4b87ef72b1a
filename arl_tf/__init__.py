"""Adversarial representation learning: face codes that keep the task and resist inversion.

    import arl_tf

    result = arl_tf.audit(encode, public_images, target_images)
    print(result.summary())

Names are imported when they are first used, so that `import arl_tf` and the command's `--help`
start without TensorFlow.
"""

import importlib
from typing import TYPE_CHECKING, Any

from arl_tf.utils import environment

# Before any module of the package can import Keras, which reads its settings once.
environment.prepare()

if TYPE_CHECKING:
    from arl_tf.api import datasets
    from arl_tf.api.audit_result import AuditResult
    from arl_tf.api.auditing import audit
    from arl_tf.api.learning import adversarial_dataset
    from arl_tf.api.registration import register_attacker, register_defence
    from arl_tf.api.runs import Run, export, load_run, train
    from arl_tf.models.losses import PrivacyObjective
    from arl_tf.training.learner import AdversarialRepresentationLearner

__all__ = [
    "AdversarialRepresentationLearner",
    "AuditResult",
    "PrivacyObjective",
    "Run",
    "adversarial_dataset",
    "audit",
    "datasets",
    "export",
    "load_run",
    "register_attacker",
    "register_defence",
    "train",
]
_HOMES = {
    "AdversarialRepresentationLearner": "arl_tf.training.learner",
    "AuditResult": "arl_tf.api.audit_result",
    "PrivacyObjective": "arl_tf.models.losses",
    "Run": "arl_tf.api.runs",
    "adversarial_dataset": "arl_tf.api.learning",
    "audit": "arl_tf.api.auditing",
    "export": "arl_tf.api.runs",
    "load_run": "arl_tf.api.runs",
    "register_attacker": "arl_tf.api.registration",
    "register_defence": "arl_tf.api.registration",
    "train": "arl_tf.api.runs",
}


def __getattr__(name: str) -> Any:
    """Imports a name of the API when it is first used."""
    if name == "datasets":
        return importlib.import_module("arl_tf.api.datasets")
    if name == "__version__":
        return importlib.import_module("arl_tf.utils.revision").version("arl_tf")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'arl_tf' has no attribute {name!r}; it has {', '.join(__all__)}.")


def __dir__() -> list[str]:
    """The names of the API."""
    return sorted(__all__)
