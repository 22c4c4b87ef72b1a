"""What an audit works with: how hard it attacks, what it measures on, and what surrounds it."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from arl_tf.attacks.evidence import AttackerOptions
from arl_tf.auditing.encoders.audited import AuditedEncoder
from arl_tf.metrics.tasks.definition import TaskDecisions

# An audit of the level quick is to take minutes: about so many images of a run are attacked, and
# decoders train this share of the steps of other levels.
QUICK, QUICK_IMAGES, QUICK_STEPS = "quick", 200, 1 / 6


def target_images_at(level: str) -> int:
    """How many images of a run's test part are attacked at an audit's level; 0: all."""
    return QUICK_IMAGES if level == QUICK else 0


def steps_at(level: str, steps: int) -> int:
    """How many of the attackers' steps a decoder trains at most at an audit's level."""
    return max(1, round(steps * QUICK_STEPS)) if level == QUICK else steps


@dataclasses.dataclass(frozen=True)
class AuditSettings:
    """How an encoder is audited; settings of `Config` by name where it has them.

    Attributes:
        audit: the level, which decides the attackers.
        attacker_names: attackers instead of the level's; empty: those of the level.
        audit_seeds: how often each trained attacker is repeated.
        audit_split: "test" or "validation".
        target_images: about how many images of that part are attacked, all of each person; 0: all.
        codes_per_photo: codes of every photo that attackers get and average.
        attacker_queries: answers of a noisy encoder for each public image, from which attackers
            without its inside learn the noise; 1: they learn nothing of it.
        bootstrap_samples: resamples behind each interval.
        seed: of attackers and resamples.
        attacker: the attackers' sizes and steps.
        drawn_faces: whether more of the images can be drawn.
        recorded: whether the codes were recorded, so that no encoder can be asked.
        attack_identity: what decides an attack's result beside codes and images; names stored ones.
        protected_attributes: what a code must not tell beyond the task output.
        near_duplicates: shots of each photo whose codes are attacked together; 0: none.
    """

    audit: str
    attacker_names: tuple[str, ...]
    audit_seeds: int
    audit_split: str
    target_images: int
    codes_per_photo: int
    attacker_queries: int
    bootstrap_samples: int
    seed: int
    attacker: AttackerOptions
    drawn_faces: bool
    recorded: bool
    attack_identity: Mapping[str, Any]
    protected_attributes: tuple[str, ...]
    near_duplicates: int = 0


@dataclasses.dataclass(frozen=True)
class AuditContext:
    """What is audited, and what surrounds it.

    Attributes:
        audited_encoder: what is audited.
        perceptual_features: g, for the attackers' loss; [B, S, S, 3] -> maps [B, h, w, c].
        photographs: whether dlib's network judges identity; else the one for drawn faces.
        cache_dir: of codes.
        store_dir: of finished attacks.
        other_images: uint8 [N, S, S, 3] of another data set, for some attackers; None without.
        provenance: facts for the report.
        decisions: of the audited encoder's task head, such as thresholds and a temperature; None:
            the audit chooses them on X1's validation part.
    """

    audited_encoder: AuditedEncoder
    perceptual_features: Callable[[tf.Tensor], Sequence[tf.Tensor]]
    photographs: bool
    cache_dir: pathlib.Path
    store_dir: pathlib.Path
    other_images: np.ndarray | None
    provenance: Mapping[str, Any]
    decisions: TaskDecisions | None = None
