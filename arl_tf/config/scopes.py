"""What a setting decides beside its own stage: said once, at the setting; every list is derived.

A reference, a stored attack, a trial and a study each share some settings and differ in others. A
forgotten name would corrupt leakage in silence, so no list of names is kept by hand.
"""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Scope:
    """Marks of one setting.

    Attributes:
        defence: makes no difference to an encoder trained without a defence: the unprotected
            reference has the default, and runs that differ in it share one reference.
        unprotected: the value at which the setting protects nothing; None where it never protects.
        ingredient: a part of a defence that studies add one by one; its default adds nothing.
        audited_encoder: says what is audited and how its codes are sent; not the reference's.
        attack_identity: decides what an attack finds, beside codes and images.
        shared: the reference must agree in it: "audit" always, "model" where arl_tf trained both;
            "" where it may differ.
        one_audit: said anew for every audit, never inherited from another one's.
        compared: whether a finished stage refuses another value.
    """

    defence: bool = False
    unprotected: Any = None
    ingredient: bool = False
    audited_encoder: bool = False
    attack_identity: bool = False
    shared: str = ""
    one_audit: bool = False
    compared: bool = True


def marked(settings: Any, mark: str, *, value: Any = True) -> tuple[str, ...]:
    """Names of the settings whose mark has a value, sorted.

    Args:
        settings: Config or a Config.
        mark: an attribute of `Scope`.
        value: of the mark.
    """
    found = (f.name for f in dataclasses.fields(settings) if value_of(f, mark) == value)
    return tuple(sorted(found))


def unprotected_values(
    settings: Any, *, groups: tuple[str, ...] = ("model", "train", "audit")
) -> dict[str, Any]:
    """Setting -> the value at which it protects nothing, of the settings that can protect."""
    return {
        field.name: value
        for field in dataclasses.fields(settings)
        if (value := value_of(field, "unprotected")) is not None
        and field.metadata["group"] in groups
    }


def reference_values(settings: Any) -> dict[str, Any]:
    """Setting -> its value for the unprotected reference of any encoder."""
    reset = {*marked(settings, "defence"), *marked(settings, "audited_encoder")}
    return defaults(settings, reset) | unprotected_values(settings)


def shared_encoder_values(settings: Any) -> dict[str, Any]:
    """Setting -> its value for the unprotected encoder that trials start from."""
    return defaults(settings, marked(settings, "defence")) | unprotected_values(settings)


def no_defence_values(settings: Any) -> dict[str, Any]:
    """Setting -> its value where no ingredient of a defence is added."""
    ingredients = defaults(settings, marked(settings, "ingredient"))
    return ingredients | unprotected_values(settings, groups=("model", "train"))


def defaults(settings: Any, names: Any) -> dict[str, Any]:
    """Setting -> default, of some settings."""
    return {
        field.name: field.default for field in dataclasses.fields(settings) if field.name in names
    }


def value_of(field: dataclasses.Field, mark: str) -> Any:
    """The value of one mark of a setting."""
    return getattr(field.metadata["scope"], mark)
