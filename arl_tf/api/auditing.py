"""arl_tf.audit: attacks any function from images to codes, and says what the attackers got."""

import dataclasses
import hashlib
import html
import pathlib
import shutil
import tempfile
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from arl_tf.attacks.evidence import AttackerOptions
from arl_tf.auditing import audit as audits
from arl_tf.auditing import leakage
from arl_tf.auditing.audit import AuditReport
from arl_tf.auditing.channel import Channel
from arl_tf.auditing.encoders.audited import AuditedEncoder
from arl_tf.auditing.settings import AuditContext, AuditSettings, steps_at
from arl_tf.config.choices import AUDIT_LEVELS
from arl_tf.config.settings import Config
from arl_tf.data.image_sets import ImageSet
from arl_tf.data.splits import Splits
from arl_tf.data.task_kinds import MULTI_LABEL, REGRESSION, SINGLE_LABEL, TASK_KINDS
from arl_tf.models.architectures import check_decodable
from arl_tf.models.pretrained.perceptual import perceptual_features
from arl_tf.report import report_files, terminal, verdict, wording

Encode = Callable[[np.ndarray], np.ndarray]
LABEL_WORDS = {
    MULTI_LABEL: "0 or 1",
    SINGLE_LABEL: "0 or 1, with one 1 a row,",
    REGRESSION: "finite numbers",
}
# Of the public people, whose images stop and choose attackers.
HELD_OUT_SHARE = 0.1
FEWEST_PUBLIC, FEWEST_TARGET = 40, 8
NOT_DIFFERENTIABLE = "no differentiable function was given"


@dataclasses.dataclass(frozen=True)
class AuditResult:
    """What an audit found.

    Attributes:
        content: report.json as a dictionary.
    """

    content: dict[str, Any]
    _report: AuditReport = dataclasses.field(repr=False)
    _drawn: bool = dataclasses.field(repr=False)

    @property
    def measures(self) -> dict[str, dict[str, Any]]:
        """Measure -> {"attack", "value", "ci95"} of the worst attack.

        On the code or on the task output computed from it ("task_output/NAME").
        """
        return self.content["worst"]

    def summary(self) -> str:
        """Every attack beside the floors, the warnings and the verdict, as text."""
        return terminal.headline(self.content)

    def save(self, folder: str | pathlib.Path, *, originals: bool = False) -> pathlib.Path:
        """Writes report.json, report.html and pictures.

        Args:
            folder: made where it is missing.
            originals: whether report.html embeds the images under attack. Drawn faces are embedded
                in any case.

        Returns:
            The path of report.html.
        """
        folder = pathlib.Path(folder).expanduser()
        report_files.write_report(self._report, folder, embed_originals=originals or self._drawn)
        return folder / report_files.REPORT_HTML

    def _repr_html_(self) -> str:
        """The verdict and a table, for notebooks."""
        shown = wording.shown_measures(self.content)
        head = "".join(f"<th>{html.escape(name)}</th>" for name in ("", *shown))
        rows = "".join(
            f"<tr><td>{html.escape(label)}</td>"
            + "".join(f"<td>{number(measures[name]['value'])}</td>" for name in shown)
            + "</tr>"
            for label, measures in terminal.table_rows(self.content)
        )
        said = html.escape(verdict.verdict(self.content))
        return f"<p>{said}</p><table><tr>{head}</tr>{rows}</table>"


def number(value: float | None) -> str:
    """A figure of a table; a dash where it is not defined."""
    return "-" if value is None else f"{value:.3f}"


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
    noise: Any = None,
    level: str = "quick",
    reference: AuditResult | None = None,
    seed: int = 0,
    drawn_faces: bool = False,
    faces: bool = True,
    task_kind: str = MULTI_LABEL,
    **attackers: Any,
) -> AuditResult:
    """Lets fresh attackers at the codes of an encoder, whatever made it.

    Attackers see the public images and their codes, may ask the encoder about other images, and
    get the codes of the target images. They never get a target image.

    Args:
        encode: uint8 [N, S, S, 3] -> codes [N, ...]: a Keras model, a SavedModel, a PyTorch or ONNX
            model behind a function.
        public: uint8 [P, S, S, 3], images that an attacker could have; S a multiple of 32.
        target: uint8 [T, S, S, 3], the images under attack, of other people.
        public_identities: int [P], who is on each image; None: every image is another person.
        target_identities: int [T], likewise; the same number is the same person in both.
        public_labels: {0, 1} [P, A], or as `task_kind` says; they fit a task head where
            `task_output` is None.
        target_labels: likewise [T, A], what utility is measured on.
        task_output: codes [n, ...] -> logits [n, A], or the values of a regression, what the code
            is for: the floor.
        differentiable: float32 tensor [B, S, S, 3] in [0, 1] -> code tensor: lets white-box
            attackers in. Loops and conditions on tensors are `tf.while_loop` and `tf.cond` in it,
            for Python's own `for` and `if` are not rewritten.
        noise: not taken: the audit measures an encoder's noise itself. It asks `encode` again
            (`attacker_queries` times) and compares codes with those of `differentiable`, which
            gives mean codes where there is noise.
        level: "quick", "standard" or "full".
        reference: the audit of an unprotected encoder on the same images; fills the leakage.
        seed: of attackers and intervals.
        drawn_faces: whether the faces are procedural: another network judges identity then.
        faces: whether the images are of faces; False: nobody judges identity, and the verdict goes
            by feature similarity.
        task_kind: what labels are: "multi_label" ({0, 1}), "single_label" (one-hot, a column a
            class) or "regression" (floats).
        **attackers: settings of attackers and intervals by the names of the command's flags:
            attacker_steps, attacker_width, attacker_depth, attacker_batch_size,
            attacker_learning_rate, bootstrap_samples, attackers. At the level quick decoders train
            a sixth of attacker_steps.

    Returns:
        The result; `save` writes the report.

    Raises:
        ValueError: images, labels or identities that do not fit together, or codes that are no
            finite numbers.
    """
    if noise is not None:
        raise ValueError(
            "noise: the audit measures an encoder's noise by asking it again; leave it out."
        )
    if level not in AUDIT_LEVELS:
        raise ValueError(f"level must be one of {', '.join(AUDIT_LEVELS)}; got {level!r}.")
    labels = joined_labels(public_labels, target_labels, len(public), len(target), task_kind)
    images, parts = image_set(public, target, public_identities, target_identities, labels, seed)
    images = dataclasses.replace(images, has_faces=faces, task_kind=task_kind)
    subject = subject_of(encode, images, task_output, differentiable)
    settings = settings_of(level, seed, drawn_faces, attackers)
    unprotected = None if reference is None else reference_of(reference, target)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="arl_tf_audit_"))
    try:
        found = audits.audit(
            settings,
            images,
            parts,
            context_of(subject, folder, public.shape[1], seed, photographs=not drawn_faces),
            unprotected,
        )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    result = AuditResult(found.content, found, drawn_faces)
    # Reconstructions are read from the folder as long as somebody has the result.
    weakref.finalize(result, shutil.rmtree, folder, ignore_errors=True)
    return result


def context_of(
    subject: AuditedEncoder, folder: pathlib.Path, image_size: int, seed: int, *, photographs: bool
) -> AuditContext:
    """What surrounds the audit of a function: scratch folders, the default perceptual network."""
    return AuditContext(
        subject=subject,
        perceptual_features=perceptual_features("efficientnet_lite0", image_size),
        photographs=photographs,
        cache_dir=folder / "codes",
        store_dir=folder / "attacks",
        other_images=None,
        provenance={"audited": subject.words, "encoder_sha256": subject.sha256, "seed": seed},
    )


def settings_of(
    level: str, seed: int, drawn_faces: bool, attackers: dict[str, Any]
) -> AuditSettings:
    """The audit's settings: the defaults of the command's flags but for those given."""
    known = {
        field.name
        for field in dataclasses.fields(Config)
        if field.name.startswith("attacker_") or field.name in ("bootstrap_samples", "attackers")
    }
    unknown = sorted(set(attackers) - known)
    if unknown:
        raise TypeError(
            f"audit() takes no {', '.join(unknown)}; it takes {', '.join(sorted(known))}."
        )
    config = Config(stages="audit", audit=level, seed=seed, **attackers)
    return AuditSettings(
        audit=level,
        attacker_names=config.attacker_names,
        audit_seeds=1,
        audit_split="test",
        target_images=0,
        codes_per_photo=1,
        attacker_queries=config.attacker_queries,
        bootstrap_samples=config.bootstrap_samples,
        seed=seed,
        attacker=AttackerOptions(
            width=config.attacker_width,
            depth=config.attacker_depth,
            steps=steps_at(level, config.attacker_steps),
            batch_size=config.attacker_batch_size,
            learning_rate=config.attacker_learning_rate,
            mu=config.mu,
            seed=seed,
        ),
        drawn_faces=False,
        recorded=False,
        attack_identity={},
        protected_attributes=(),
    )


def image_set(
    public: np.ndarray,
    target: np.ndarray,
    public_identities: np.ndarray | None,
    target_identities: np.ndarray | None,
    labels: np.ndarray,
    seed: int,
) -> tuple[ImageSet, Splits]:
    """Both sets of images as one, with their parts: X2 public, T target."""
    check_pictures(public, target)
    identities, known = joined_identities(
        public_identities, target_identities, len(public), len(target)
    )
    numbers = range(labels.shape[1])
    images = ImageSet(
        images=np.concatenate([public, target]),
        attributes=labels,
        identities=identities,
        attribute_names=tuple(f"attribute_{number}" for number in numbers),
        names=tuple(
            [f"public_{row:06d}" for row in range(len(public))]
            + [f"target_{row:06d}" for row in range(len(target))]
        ),
        bad_images=(),
        identities_known=known,
    )
    return images, parts_of(identities, len(public), seed)


def check_pictures(public: np.ndarray, target: np.ndarray) -> None:
    """Raises ValueError for images that an audit can't take."""
    for name, given, fewest in (
        ("public", public, FEWEST_PUBLIC),
        ("target", target, FEWEST_TARGET),
    ):
        shape, dtype = np.shape(given), getattr(given, "dtype", type(given).__name__)
        if dtype != np.uint8 or len(shape) != 4 or shape[3] != 3 or shape[1] != shape[2]:
            raise ValueError(
                f"{name} must be square images uint8 [N, S, S, 3], got {dtype} {list(shape)}."
            )
        if shape[1] % 32:
            raise ValueError(
                f"{name} images must have a side that is a multiple of 32, got {shape[1]} pixels:"
                f" give them at {max(32, round(shape[1] / 32) * 32)} and resize them inside"
                " `encode`."
            )
        if shape[0] < fewest:
            raise ValueError(f"{name} has {shape[0]} images; an audit needs at least {fewest}.")
    if public.shape[1:] != target.shape[1:]:
        raise ValueError(
            f"public and target differ in size: {list(public.shape[1:])} and"
            f" {list(target.shape[1:])}."
        )


def joined_identities(
    public: np.ndarray | None, target: np.ndarray | None, num_public: int, num_target: int
) -> tuple[np.ndarray, bool]:
    """Identities int64 [P + T] and whether they are known; unknown images are people of their own.

    Raises:
        ValueError: a wrong length, or people who are in both sets.
    """
    for name, given, count in (("public", public, num_public), ("target", target, num_target)):
        if given is not None and np.shape(given) != (count,):
            raise ValueError(
                f"{name}_identities must be [{count}], one for each image; got"
                f" {list(np.shape(given))}."
            )
    if public is not None and target is not None:
        both = np.intersect1d(public, target)
        if both.size:
            raise ValueError(
                f"{both.size} people are both public and target, such as {both[0]!r}: attackers"
                " would have trained on people under attack."
            )
        numbers = np.unique(np.concatenate([public, target]), return_inverse=True)[1]
        return numbers.astype(np.int64), True
    people = [
        np.arange(count) if given is None else np.unique(given, return_inverse=True)[1]
        for given, count in ((public, num_public), (target, num_target))
    ]
    return np.concatenate([people[0], people[1] + people[0].max() + 1]).astype(np.int64), (
        public is not None or target is not None
    )


def joined_labels(
    public: np.ndarray | None,
    target: np.ndarray | None,
    num_public: int,
    num_target: int,
    task_kind: str = MULTI_LABEL,
) -> np.ndarray:
    """Labels [P + T, A], uint8 or of a regression float32; A is 0 without labels.

    Raises:
        ValueError: labels of one set alone, of a wrong shape, or not of their kind.
    """
    if task_kind not in TASK_KINDS:
        raise ValueError(f"task_kind must be one of {', '.join(TASK_KINDS)}; got {task_kind!r}.")
    if public is None and target is None:
        return np.zeros((num_public + num_target, 0), np.uint8)
    if public is None or target is None:
        raise ValueError("Give both public_labels and target_labels, or none of them.")
    for name, given, count in (("public", public, num_public), ("target", target, num_target)):
        given = np.asarray(given)
        if given.ndim != 2 or len(given) != count or not is_of_kind(given, task_kind):
            raise ValueError(
                f"{name}_labels must be {LABEL_WORDS[task_kind]} [{count}, A], got {given.dtype}"
                f" {list(given.shape)}"
                f"{'; for one attribute use labels[:, None]' if given.ndim == 1 else ''}."
            )
    dtype = np.float32 if task_kind == REGRESSION else np.uint8
    return np.concatenate([public, target]).astype(dtype)


def is_of_kind(labels: np.ndarray, task_kind: str) -> bool:
    """Whether labels [N, A] are of this kind of task."""
    if task_kind == REGRESSION:
        return labels.dtype.kind in "fiu" and bool(np.isfinite(labels).all())
    is_binary = bool(np.isin(labels, (0, 1)).all())
    return is_binary and (task_kind == MULTI_LABEL or bool((labels.sum(axis=1) == 1).all()))


def parts_of(identities: np.ndarray, num_public: int, seed: int) -> Splits:
    """X2 with a held-out part by people, and T; X1 is X2, since a task head is fitted on it."""
    people = np.unique(identities[:num_public])
    order = np.random.default_rng(seed).permutation(people)
    held = np.isin(identities[:num_public], order[: max(1, round(HELD_OUT_SHARE * len(people)))])
    train, validation = np.flatnonzero(~held), np.flatnonzero(held)
    if not train.size:
        raise ValueError(
            f"public shows {len(people)} people; attackers need at least 2, to learn from some and"
            " to be checked on others."
        )
    target = np.arange(num_public, len(identities))
    return Splits(train, validation, train, validation, target)


def subject_of(
    encode: Encode,
    images: ImageSet,
    task_output: Encode | None,
    differentiable: Callable[[tf.Tensor], tf.Tensor] | None,
) -> AuditedEncoder:
    """The function as an audited encoder; codes are flattened where no decoder takes their grid."""
    sample = images.images[:4]
    shape = checked_codes(encode(sample), len(sample)).shape[1:]
    flat = not decodable(shape, images.images.shape[1])

    def codes(pictures: np.ndarray) -> np.ndarray:
        found = checked_codes(encode(pictures), len(pictures))
        return found.reshape(len(found), -1) if flat else found

    # A function has no weights to name it by: its codes do.
    digest = hashlib.sha256(np.ascontiguousarray(codes(images.images[:32])).tobytes())
    return AuditedEncoder(
        words=f"the function {getattr(encode, '__name__', type(encode).__name__)}",
        sha256=digest.hexdigest(),
        code_shape=shape,
        channel=Channel(),
        encoder=codes,
        differentiable=differentiable and flattened_code(differentiable, shape, flat),
        not_white_box="" if differentiable else NOT_DIFFERENTIABLE,
        task_output=task_output and head_of(task_output, shape),
    )


def head_of(task_output: Encode, shape: tuple[int, ...]) -> Encode:
    """A task head that takes codes of the encoder's own shape, for codes that may be flattened."""
    return lambda codes: np.asarray(task_output(codes.reshape(len(codes), *shape)), np.float32)


def flattened_code(
    differentiable: Callable[[tf.Tensor], tf.Tensor], shape: tuple[int, ...], flat: bool
) -> Callable[[tf.Tensor], tf.Tensor]:
    """The differentiable function with codes as attackers see them."""

    def encode(pictures: tf.Tensor) -> tf.Tensor:
        code = tf.cast(tf.convert_to_tensor(differentiable(pictures)), tf.float32)
        return tf.reshape(code, (tf.shape(code)[0], int(np.prod(shape)))) if flat else code

    return encode


def checked_codes(codes: Any, count: int) -> np.ndarray:
    """Codes float32 [count, ...]; ValueError for others, or for numbers that are not finite."""
    found = np.asarray(codes)
    if found.ndim < 2 or len(found) != count or found.dtype.kind not in "fiub":
        raise ValueError(
            f"encode must give codes [N, ...], got {found.dtype} {list(found.shape)} for {count}"
            " images."
        )
    found = found.astype(np.float32)
    if not np.isfinite(found).all():
        raise ValueError("encode gave codes that are not finite (NaN or infinite).")
    return found


def decodable(shape: tuple[int, ...], image_size: int) -> bool:
    """Whether a decoder takes codes of this shape as they are."""
    try:
        check_decodable(shape, image_size)
    except ValueError:
        return False
    return True


def reference_of(reference: AuditResult, target: np.ndarray) -> leakage.Reference:
    """An audit of an unprotected encoder as the reference of another.

    Raises:
        ValueError: it is of other images.
    """
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
