"""Every hyper-parameter of arl_tf as one object, `Config`. The settings stand in `groups`."""

import dataclasses
import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from arl_tf.config.checks import check_combinations, check_value, comma_separated
from arl_tf.config.choices import STAGE_GROUPS, STAGES, TFLITE_PRECISIONS
from arl_tf.config.groups.audit import AuditGroup
from arl_tf.config.groups.bench import BenchGroup
from arl_tf.config.groups.data import DataGroup
from arl_tf.config.groups.encode import EncodeGroup
from arl_tf.config.groups.export import ExportGroup
from arl_tf.config.groups.models import ModelGroup
from arl_tf.config.groups.run import RunGroup
from arl_tf.config.groups.sweep import SweepGroup
from arl_tf.config.groups.training import TrainingGroup
from arl_tf.config.path_values import clean_path
from arl_tf.config.scopes import marked, unprotected_values

Values = TypeVar("Values")


# A dataclass has the fields of its last base first: read from below, this is the order of the work.
@dataclasses.dataclass(frozen=True)
class Config(
    EncodeGroup,
    BenchGroup,
    SweepGroup,
    ExportGroup,
    AuditGroup,
    TrainingGroup,
    ModelGroup,
    DataGroup,
    RunGroup,
):
    """All settings of one run; impossible ones raise ValueError when it is built.

    Symbols in the help texts are those of the method (arXiv 1911.10143): X1 private, X2 public, T
    test.
    """

    def __post_init__(self) -> None:
        """Raises ValueError for the first setting, or pair of settings, that is impossible."""
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, plain(getattr(self, field.name)))
            check_value(field, getattr(self, field.name))
        for name in path_names():
            object.__setattr__(self, name, cleaned(name, getattr(self, name)))
        check_combinations(self, STAGES, TFLITE_PRECISIONS)

    @property
    def stage_names(self) -> tuple[str, ...]:
        """The stages asked for, in the order they run."""
        asked = comma_separated(self.stages)
        return tuple(name for name in STAGES if name in asked)

    @property
    def audit_name(self) -> str:
        """What tells an audit from others of the same encoder: see `audit_name`."""
        return audit_name(self.audit_split, self.codes_per_photo, self.audit_share)

    @property
    def attacker_names(self) -> tuple[str, ...]:
        """The attackers asked for by name; empty: those of the level."""
        return comma_separated(self.attackers)

    @property
    def private_names(self) -> tuple[str, ...]:
        """The attributes of --private_attributes."""
        return comma_separated(self.private_attributes)

    @property
    def protected_names(self) -> tuple[str, ...]:
        """The attributes of --protected_attributes."""
        return comma_separated(self.protected_attributes)

    @property
    def teachers(self) -> tuple[str, ...]:
        """The run directories of --distil_from."""
        return comma_separated(self.distil_from)

    @property
    def is_external(self) -> bool:
        """Whether the audit is of an encoder that arl_tf did not train."""
        return bool(self.codes or self.encoder_saved_model or self.encoder_tflite)

    @property
    def is_unprotected(self) -> bool:
        """Whether nothing at all protects the code: what leakage is measured against."""
        return all(
            getattr(self, name) == value
            for name, value in unprotected_values(self, groups=("model", "train")).items()
        )

    @property
    def perceptual_layer_names(self) -> tuple[str, ...] | None:
        """Layers of g, or None for the network's default layers."""
        return comma_separated(self.perceptual_layers) or None

    @property
    def privacy_weights(self) -> tuple[float, float]:
        """(lambda_pixel, lambda_perceptual) as --defence leaves them: an inactive term weighs 0."""
        pixel = self.lambda_pixel if self.defence in ("pixel", "both") else 0.0
        perceptual = self.lambda_perceptual if self.defence in ("perceptual", "both") else 0.0
        return pixel, perceptual

    def stage_settings(self, stage: str) -> dict[str, Any]:
        """The settings that decide what `stage`, one of STAGES, produces."""
        groups, uncompared = STAGE_GROUPS[stage], marked(self, "compared", value=False)
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.metadata["group"] in groups and field.name not in uncompared
        }


def audit_name(audit_split: str, codes_per_photo: int, audit_share: int = 0) -> str:
    """What tells an audit from others of the same encoder.

    For example "test", "validation", "16_codes", "share1", "validation_share1".
    """
    parts = [
        f"share{audit_share}" if audit_share else "",
        f"{codes_per_photo}_codes" if codes_per_photo > 1 else "",
    ]
    parts = [part for part in parts if part]
    return "_".join(parts if parts and audit_split == "test" else [audit_split, *parts])


def path_names() -> tuple[str, ...]:
    """The settings that name files and folders."""
    return tuple(field.name for field in dataclasses.fields(Config) if field.metadata["path"])


def plain(value: Any) -> Any:
    """A value as files hold it: the text of a pathlib path, Python's number of a NumPy scalar."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    # Without NumPy: this module is imported before anything large is.
    return value.item() if getattr(value, "shape", None) == () and hasattr(value, "item") else value


def same_place(name: str, one: Any, other: Any) -> bool:
    """Whether two values of a setting are the same paths, written differently."""
    if name not in path_names() or not (one and other):
        return False
    several = Config.__dataclass_fields__[name].metadata["several"]
    listed = [comma_separated(each) if several else (each,) for each in (one, other)]
    first, second = (tuple(map(os.path.realpath, paths)) for paths in listed)
    return first == second


def cleaned(name: str, value: str) -> str:
    """A setting's path, or each of its comma-separated paths, as `clean_path` gives it."""
    if not Config.__dataclass_fields__[name].metadata["several"]:
        return clean_path(name, value)
    return ",".join(clean_path(name, path) for path in comma_separated(value))


def from_mapping(values: Mapping[str, Any]) -> Config:
    """A Config from a mapping such as a run's config.json; unknown keys raise ValueError."""
    known = {field.name for field in dataclasses.fields(Config)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ValueError(
            f"Unknown settings {', '.join(unknown)}: written by another version of arl_tf?"
            " Use that version, or another --workdir."
        )
    return Config(**values)


def subset(config: Config, kind: Callable[..., Values], **others: Any) -> Values:
    """The values that a part of arl_tf takes: a dataclass whose fields are settings by name.

    Args:
        config: all settings.
        kind: the dataclass.
        **others: its fields that are no settings.
    """
    fields = dataclasses.fields(kind)  # type: ignore[arg-type]
    names = [field.name for field in fields if field.name not in others]
    return kind(**{name: getattr(config, name) for name in names}, **others)


def as_dict(config: Config) -> dict[str, Any]:
    """All settings, in order of definition."""
    return dataclasses.asdict(config)
