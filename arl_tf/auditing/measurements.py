"""What an audit has found, before it is put into words and figures."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from arl_tf.attacks.evidence import Evidence
from arl_tf.attacks.identity.faces import Directions
from arl_tf.auditing.attack_runs import FLOOR_PREFIX
from arl_tf.auditing.attack_runs import Task as AttackTask
from arl_tf.auditing.candidates.match import CandidateMatch
from arl_tf.auditing.encoders.audited import AuditedEncoder
from arl_tf.auditing.identity.measurements import MeasuredIdentity
from arl_tf.auditing.judging import JudgedPairs
from arl_tf.auditing.later_tasks import learning
from arl_tf.auditing.later_tasks import section as later_section
from arl_tf.auditing.leakage import Reference
from arl_tf.auditing.learning_curve import CurvePoint
from arl_tf.auditing.near_duplicates.section import MeasuredShots
from arl_tf.auditing.sealed_images import Rows
from arl_tf.auditing.settings import AuditSettings
from arl_tf.data.image_sets import ImageSet
from arl_tf.metrics import measures
from arl_tf.metrics.reconstruction import Originals
from arl_tf.metrics.tasks.definition import Measured, Task, TaskDecisions
from arl_tf.metrics.tasks.registry import task_of


@dataclasses.dataclass(frozen=True)
class Measurements:
    """What an audit has found before it is put into words.

    Attributes:
        settings: of the audit.
        images: the data set.
        rows: who was who.
        audited_encoder: what was audited.
        evidence: what the attackers had.
        originals: the images under attack.
        tasks: the attacks that were run.
        facts: task name -> what is known of it (settings, seconds, held_out_loss, ...).
        measured: task name, "mean_image", "training_adversary" -> measure -> float64 [N].
        curve: the attacks of the learning curve, which are in `measured`, too.
        yardsticks: yardstick -> measure -> float64 [N], NaN where an image has no pair.
        judged: what the identity networks say of pairs of known answer.
        photographs: whether the faces are photographed; else they are drawn.
        reference: the unprotected encoder's audit; None without.
        utility_codes: float32 [N, ...] of `rows.utility`.
        labelled_codes: float32 [n, ...], single ones of `rows.attacker`, then of `rows.held_out`.
        public_embeddings: float32 [n, D] of the images of `rows.attacker`, by the judge of
            identity; None without one.
        identity: the attacks on identity.
        predicted_alone: source ("code", "task_output") -> identity network -> directions float32
            [N, E] that were predicted from this source alone; empty without faces.
        fitted_head: whether the audit had to fit the task head.
        candidates: how often the right candidate photo was found.
        provenance: facts for the report.
        decisions: of the task head, such as thresholds and a temperature; None without one.
        near_duplicates: what several shots of a photo gave away.
    """

    settings: AuditSettings
    images: ImageSet
    rows: Rows
    audited_encoder: AuditedEncoder
    evidence: Evidence
    originals: Originals
    tasks: tuple[AttackTask, ...]
    facts: Mapping[str, Mapping[str, Any]]
    measured: Mapping[str, Mapping[str, np.ndarray]]
    curve: tuple[CurvePoint, ...]
    yardsticks: Mapping[str, Mapping[str, np.ndarray]]
    judged: tuple[JudgedPairs, ...]
    photographs: bool
    reference: Reference | None
    utility_codes: np.ndarray
    labelled_codes: np.ndarray
    public_embeddings: np.ndarray | None
    identity: MeasuredIdentity
    fitted_head: bool
    candidates: CandidateMatch
    provenance: Mapping[str, Any]
    decisions: TaskDecisions | None = None
    predicted_alone: Mapping[str, Directions] = dataclasses.field(default_factory=dict)
    near_duplicates: MeasuredShots = dataclasses.field(default_factory=MeasuredShots)

    def weights(self, rows: np.ndarray) -> np.ndarray:
        """Bootstrap resamples of the people on some rows; float64 [R, n]."""
        return measures.identity_weights(
            self.images.identities[rows], self.settings.bootstrap_samples, self.settings.seed
        )

    @functools.cached_property
    def utility_logits(self) -> np.ndarray | None:
        """The task output for `rows.utility`, float32 [n, A]; None without a task head."""
        if self.audited_encoder.recorded_logits is not None:
            return self.audited_encoder.recorded_logits[self.rows.utility]
        if self.audited_encoder.task_output is None:
            return None
        return self.audited_encoder.task_output(self.utility_codes)

    @property
    def task(self) -> Task:
        """The kind of task that the codes are for."""
        return task_of(self.images.task_kind)

    @functools.cached_property
    def utility(self) -> Measured | None:
        """The task output beside the labels, with what decides; None without either.

        On the images that thresholds are chosen on, those of a person are chosen on others.
        """
        if self.utility_logits is None or not self.images.attribute_names:
            return None
        rows, outputs = self.rows.utility, self.utility_logits
        labels, labelled = self.images.attributes[rows], None
        if self.settings.audit_split != "test":
            labelled = (outputs, labels, self.images.identities[rows])
        return Measured(
            outputs=outputs,
            labels=labels,
            names=self.images.attribute_names,
            weights=self.weights(rows),
            thresholds=self.task.thresholds(self.decisions, labelled),
            decisions=self.decisions,
        )

    @functools.cached_property
    def later_tasks(self) -> learning.LaterTasks | None:
        """What is learned later of attributes outside the task; None where there are none."""
        return learning.learn(
            self.settings,
            self.images,
            self.rows,
            self.evidence,
            self.labelled_codes,
            self.utility_codes,
            self.utility_logits,
        )

    @functools.cached_property
    def later_mcc(self) -> later_section.MccBySize:
        """The MCC of `later_tasks`, as `later_tasks.section.mcc_by_size` gives it."""
        reference = self.reference.later_tasks if self.reference else {}
        weights = self.weights(self.rows.utility)
        return later_section.mcc_by_size(self.later_tasks, reference, weights)

    def attacks_on(self, *, floor: bool) -> dict[str, Mapping[str, np.ndarray]]:
        """Attack -> measure -> float64 [N], of those on the code or on the task output alone."""
        chosen = chosen_tasks(self)
        return {
            name: self.measured[task] for name, task in chosen.items() if is_floor(name) is floor
        }

    @property
    def attacks(self) -> dict[str, Mapping[str, np.ndarray]]:
        """Attack -> measure -> float64 [N], of all that start from the code.

        Those on the task output, too: whoever has the code can compute it.
        """
        return {**self.attacks_on(floor=False), **self.attacks_on(floor=True)}

    @property
    def floors(self) -> dict[str, Mapping[str, np.ndarray]]:
        """Floor -> measure -> float64 [N]: the mean image, the attacks on the task output alone."""
        return {"mean_image": self.measured["mean_image"], **self.attacks_on(floor=True)}


def is_floor(name: str) -> bool:
    """Whether an attack was on the task output alone."""
    return name.startswith(FLOOR_PREFIX)


def chosen_tasks(found: Measurements) -> dict[str, str]:
    """Attack -> the task, of all its seeds, that counts: the one with the best held-out loss."""
    groups: dict[str, list[str]] = {}
    for task in found.tasks:
        groups.setdefault(task.name.partition("@")[0], []).append(task.name)
    return {
        name: min(tasks, key=lambda task: min(found.facts[task]["held_out_loss"]))
        for name, tasks in groups.items()
    }
