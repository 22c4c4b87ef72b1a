"""arl_tf.audit: attacks any function from images to codes, and says what the attackers got."""

import dataclasses
import numbers
import pathlib
import shutil
import tempfile
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from arl_tf.api.audit_inputs import image_set, joined_labels
from arl_tf.api.audit_result import AuditResult
from arl_tf.api.audited_function import Encode, audited_encoder_of
from arl_tf.auditing import audit as audits
from arl_tf.auditing import leakage
from arl_tf.auditing.encoders.audited import AuditedEncoder
from arl_tf.auditing.settings import AuditContext, AuditSettings
from arl_tf.config.choices import AUDIT_LEVELS
from arl_tf.config.settings import Config
from arl_tf.data.image_sets import ImageSet
from arl_tf.data.splits import Splits
from arl_tf.data.task_kinds import MULTI_LABEL
from arl_tf.experiments.audits import audit_settings
from arl_tf.models.pretrained.perceptual import perceptual_features
from arl_tf.report import report_files


def audit(
    encode: Encode,
    public: np.ndarray,
    target: np.ndarray,
    *,
    public_identities: np.ndarray | None = None,
    target_identities: np.ndarray | None = None,
    public_labels: np.ndarray | None = None,
    target_labels: np.ndarray | None = None,
    task_output: Encode | None = None,
    differentiable: Callable[[tf.Tensor], tf.Tensor] | None = None,
    noise: float | np.ndarray | None = None,
    level: str = "quick",
    reference: AuditResult | None = None,
    seed: int = 0,
    drawn_faces: bool = False,
    faces: bool = True,
    task_kind: str = MULTI_LABEL,
    **attackers: Any,
) -> AuditResult:
    """Attacks the codes of an encoder of any framework with new attackers.

    Attackers see the public images and their codes, may ask the encoder about other images, and
    get the codes of the target images. They never get a target image.

    Args:
        encode: uint8 [N, S, S, 3] -> codes [N, ...]: any model behind a function.
        public: uint8 [P, S, S, 3], images that an attacker could have; S a multiple of 32.
        target: uint8 [T, S, S, 3], the images under attack, of other people.
        public_identities: int [P], who is on each image; None: every image is another person.
        target_identities: int [T], likewise; the same number is the same person in both.
        public_labels: [P, A], as `task_kind` says; they fit a task head without `task_output`.
        target_labels: likewise [T, A], what utility is measured on.
        task_output: codes [n, ...] -> logits [n, A], or a regression's values: the floor.
        differentiable: float32 tensor [B, S, S, 3] in [0, 1] -> code tensor, of mean codes where
            there is noise; white-box attackers need it. Use `tf.while_loop` and `tf.cond` for loops
            and conditions on tensors: Python's own do not work here.
        noise: the deviation of the Gaussian noise that `encode` adds to its codes, a number or an
            array in a code's shape: attackers are told it. None: the audit measures what noise
            there is, by asking `encode` again (`attacker_queries`).
        level: "quick", "standard" or "full".
        reference: the audit of an unprotected encoder on the same images; fills the leakage.
        seed: of attackers and intervals.
        drawn_faces: whether the faces are drawn by arl_tf: another network judges identity then.
        faces: whether images show faces; if not, no network judges identity, and the verdict goes
            by feature similarity.
        task_kind: "multi_label" ({0, 1}), "single_label" (one-hot) or "regression" (floats).
        **attackers: `attackers` (names, in a list or with commas between them),
            `bootstrap_samples` and `attacker_steps`, `attacker_width` and the like, by the names of
            the command's flags.

    Returns:
        The result; `save` writes the report.

    Raises:
        TypeError: an unknown argument, or a model where a function is expected.
        ValueError: arrays that do not fit together, codes that are no finite numbers, or a number
            out of its range.
    """
    check_choices(level, seed)
    seed = int(seed)
    check_functions(encode=encode, task_output=task_output, differentiable=differentiable)
    settings = settings_of(level, seed, attackers)
    labels = joined_labels(public_labels, target_labels, len(public), len(target), task_kind)
    images, parts = image_set(public, target, public_identities, target_identities, labels, seed)
    images = dataclasses.replace(images, has_faces=faces, task_kind=task_kind)
    audited_encoder = audited_encoder_of(encode, images, task_output, differentiable, noise)
    unprotected = None if reference is None else reference_of(reference, target)
    return audited(settings, images, parts, audited_encoder, unprotected, drawn_faces)


def check_choices(level: str, seed: int) -> None:
    """Raises ValueError for an unknown level, or a seed that is no whole number >= 0."""
    if not isinstance(seed, numbers.Integral) or seed < 0:
        raise ValueError(f"seed must be a whole number >= 0; got {seed!r}.")
    if level not in AUDIT_LEVELS:
        raise ValueError(f"level must be one of {', '.join(AUDIT_LEVELS)}; got {level!r}.")


def check_functions(**functions: Any) -> None:
    """Raises TypeError for what can't be called; only `encode` must be there."""
    for name, function in functions.items():
        if not callable(function) and (function is not None or name == "encode"):
            raise TypeError(
                f"{name} must be a function of an array, such as a Keras model or"
                " lambda images: model.serve(images).numpy() around a SavedModel; got"
                f" {type(function).__name__}."
            )


def audited(
    settings: AuditSettings,
    images: ImageSet,
    parts: Splits,
    audited_encoder: AuditedEncoder,
    unprotected: leakage.Reference | None,
    drawn_faces: bool,
) -> AuditResult:
    """Runs the audit in a folder that lives as long as its result."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="arl_tf_audit_"))
    size = images.images.shape[1]
    try:
        context = context_of(
            audited_encoder, folder, size, settings.seed, photographs=not drawn_faces
        )
        found = audits.audit(settings, images, parts, context, unprotected)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    result = AuditResult(report_files.content_of(found), found, drawn_faces)
    # Reconstructions are read from the folder as long as somebody has the result.
    weakref.finalize(result, shutil.rmtree, folder, ignore_errors=True)
    return result


def context_of(
    audited_encoder: AuditedEncoder,
    folder: pathlib.Path,
    image_size: int,
    seed: int,
    *,
    photographs: bool,
) -> AuditContext:
    """What surrounds the audit of a function: scratch folders, the default perceptual network."""
    return AuditContext(
        audited_encoder=audited_encoder,
        perceptual_features=perceptual_features("efficientnet_lite0", image_size),
        photographs=photographs,
        cache_dir=folder / "codes",
        store_dir=folder / "attacks",
        other_images=None,
        provenance={
            "audited": audited_encoder.words,
            "encoder_sha256": audited_encoder.sha256,
            "seed": seed,
        },
    )


# Flags of the command that name other data for attackers: this audit is given images, no data sets.
OF_OTHER_DATA = {"attacker_dataset", "attacker_data_dir"}


def settings_of(level: str, seed: int, attackers: dict[str, Any]) -> AuditSettings:
    """The audit's settings: the defaults of the command's flags but for those given.

    Args:
        level: of the audit; at "quick" decoders train a sixth of attacker_steps.
        seed: of attackers and intervals.
        attackers: attackers, bootstrap_samples, and attacker_NAME, such as attacker_steps,
            attacker_width, attacker_depth, attacker_batch_size, attacker_learning_rate.

    Raises:
        TypeError: another name.
        ValueError: a value that is out of its range.
    """
    known = {
        field.name
        for field in dataclasses.fields(Config)
        if field.name.startswith("attacker_") or field.name in ("bootstrap_samples", "attackers")
    } - OF_OTHER_DATA
    unknown = sorted(set(attackers) - known)
    if unknown:
        raise TypeError(
            f"audit() takes no {', '.join(unknown)}; it takes {', '.join(sorted(known))}."
        )
    if isinstance(attackers.get("attackers"), (list, tuple)):
        attackers = {**attackers, "attackers": ",".join(attackers["attackers"])}
    try:
        config = Config(stages="audit", audit=level, seed=seed, **attackers)
    except ValueError as error:
        # The message names flags, which are arguments here.
        raise ValueError(str(error).replace("--", "")) from None
    # These images are all attacked, none can be drawn anew, and nothing is stored.
    return dataclasses.replace(
        audit_settings(config), target_images=0, drawn_faces=False, attack_identity={}
    )


def reference_of(reference: AuditResult, target: np.ndarray) -> leakage.Reference:
    """An audit of an unprotected encoder as the reference of another.

    Args:
        reference: that audit's result.
        target: uint8 [T, S, S, 3], the images under attack.

    Raises:
        TypeError: it is no result of an audit.
        ValueError: it is of other images.
    """
    if not isinstance(reference, AuditResult):
        raise TypeError(
            f"reference must be what arl_tf.audit returned; got {type(reference).__name__}."
        )
    if not np.array_equal(reference._report.originals, target):
        raise ValueError("reference is an audit of other target images; audit both on the same.")
    content = reference.content
    names = [attack["name"] for attack in content["attacks"] + content["floor_attacks"]]
    return leakage.Reference(
        "the reference given",
        {name: reference._report.per_image[name] for name in names},
        tuple(content["codes"]["shape"]),
        reference._report.identity,
        reference._report.candidate_hits,
        reference._report.later_tasks,
    )
