"""The demo page's attackers, of the folder that `--stages=attackers` writes, and what is known."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from serving.common import files
from serving.server import servable, validation
from serving.server.errors import invalid
from serving.server.servable import Servable
from serving.server.validation import Limits
from serving.web.pictures import data_url

ATTACKERS = ("protected", "unprotected_encoder", "unprotected", "task_output")
# Image -> the attacker's picture from the unprotected code, for browsers: neither leaves them.
UNPROTECTED_FILE = "unprotected.tflite"
FINDINGS = "attackers.json"
REMEDY = "--stages=attackers writes the folder of --demo_attacker anew."


@dataclasses.dataclass(frozen=True)
class DemoAttacker:
    """Attackers for the page, each a SavedModel; None where the folder has none.

    Attributes:
        protected: the served encoder's code -> picture.
        unprotected_encoder: an unprotected encoder, exported as the served one.
        unprotected: the unprotected encoder's code -> picture.
        task_output: the served task head's logits -> picture.
        unprotected_file: both of the unprotected in one TFLite file, for browsers.
        findings: what an audit says of them, from `read_findings`.
    """

    protected: Servable | None = None
    unprotected_encoder: Servable | None = None
    unprotected: Servable | None = None
    task_output: Servable | None = None
    unprotected_file: pathlib.Path | None = None
    findings: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if (self.unprotected is None) != (self.unprotected_encoder is None):
            raise ValueError(
                "--demo_attacker: unprotected and unprotected_encoder go together; the folder has"
                " only one of them."
            )

    @property
    def attacked(self) -> list[str]:
        """What the page can show attacks on, of protected, unprotected and task_output."""
        names = ("protected", "unprotected", "task_output")
        return [name for name in names if getattr(self, name) is not None]


def load_attacker(folder: pathlib.Path) -> DemoAttacker:
    """Loads the SavedModels of a folder: as DemoAttacker's fields are named, or versions in them.

    serving_default of protected and unprotected takes one input, codes float32 [N, ...], that of
    task_output logits float32 [N, A]; each returns one output, pictures [N, h, w, 3]: uint8, or
    float32 in [0, 1].

    Raises:
        ValueError: the folder has none of them, they can't be loaded, or attackers.json is damaged.
    """
    found = {name: folder / name for name in ATTACKERS if (folder / name).is_dir()}
    if not found:
        raise ValueError(f"--demo_attacker={folder} holds none of {', '.join(ATTACKERS)}.")
    models = {name: servable.load(name, 1, latest_version(path)) for name, path in found.items()}
    file = folder / UNPROTECTED_FILE
    return DemoAttacker(
        **models,
        unprotected_file=file if file.is_file() else None,
        findings=read_findings(folder / FINDINGS),
    )


def latest_version(folder: pathlib.Path) -> pathlib.Path:
    """The subfolder of the greatest number; the folder itself where it has none."""
    versions = [path for path in folder.iterdir() if path.name.isdecimal() and path.is_dir()]
    return max(versions, key=lambda path: int(path.name), default=folder)


def read_findings(path: pathlib.Path) -> dict[str, Any]:
    """What attackers.json says for the page; empty where there is none.

    Returns:
        attackers: name -> words, attack (its name, or None), face_similarity (a float; None where
            it was not measured);
        encoder_sha256: of the encoder whose codes are attacked; None likewise;
        floor: the better floor's face similarity, its name, and the attack that reaches it (or
            None); None where it is not known;
        worst: attack, value and number of the audit's attackers; None likewise;
        images: how many test faces the figures are means of; None likewise;
        leakage: a share, or None; leakage_ci95: its interval, or None; why_no_leakage: a reason, or
            None;
        rank1: pictures, embeddings -> code, task_output, unprotected -> a share, or None;
        warnings: the audit's, sentences;
        trained_on: as in the manifest, or None.

    Raises:
        ValueError: it can't be read.
    """
    if not path.exists():
        return {}
    content = files.read_object(path, REMEDY)
    try:
        attackers = {
            name: {
                "words": str(each["words"]),
                "attack": each.get("attack"),
                "face_similarity": value_of(each["face_similarity"]),
            }
            for name, each in content["attackers"].items()
        }
        worst = content.get("worst")
        protected = content["attackers"].get("protected", {})
        return {
            "attackers": attackers,
            "encoder_sha256": protected.get("encoder_sha256"),
            "floor": better_floor(content.get("floors") or {}),
            "worst": worst and {name: worst[name] for name in ("attack", "value", "attackers")},
            "images": (content.get("measured_on") or {}).get("images"),
            "leakage": value_of(content["leakage"]),
            "leakage_ci95": (content["leakage"] or {}).get("ci95"),
            "why_no_leakage": content.get("why_no_leakage"),
            "rank1": {
                way: {source: value_of(figure) for source, figure in found.items()}
                for way, found in (content.get("rank1") or {}).items()
            },
            "warnings": [str(each) for each in content.get("warnings") or ()],
            "trained_on": content.get("trained_on"),
        }
    except (ArithmeticError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} can't be read ({error!r}). {REMEDY}") from error


def better_floor(floors: Mapping[str, Mapping[str, Any]]) -> dict[str, Any] | None:
    """The floor with the higher face similarity: what is reached without the code."""
    known = {name: value_of(each) for name, each in floors.items() if value_of(each) is not None}
    if not known:
        return None
    best = max(known, key=known.get)
    attack = floors[best].get("attack")
    return {
        "name": best,
        "value": known[best],
        "attack": attack and attack.removeprefix("task_output/"),
    }


def value_of(figure: Mapping[str, Any] | None) -> float | None:
    """A report's figure, {"value", "ci95"} or null, as a number."""
    return None if figure is None or figure["value"] is None else float(figure["value"])


def attack(attacker: Servable, code: np.ndarray, limits: Limits) -> str:
    """An attacker's picture of the first of codes float32 [N, ...], as a data URL.

    Raises:
        ServingError: the attacker does not take such codes, or returns no picture.
    """
    signature = attacker.signature("")
    if len(signature.inputs) != 1 or len(signature.outputs) != 1:
        raise invalid(f"--demo_attacker: {attacker.name} must have one input and one output.")
    inputs = dict.fromkeys(signature.inputs, code)
    validation.check_inputs(signature, inputs, limits)
    (picture,) = signature.run(inputs).values()
    if picture.ndim != 4 or picture.shape[3] != 3:
        raise invalid(f"--demo_attacker: {attacker.name} returns {picture.shape}, no picture.")
    if picture.dtype != np.uint8:
        picture = np.round(255 * np.clip(picture, 0, 1)).astype(np.uint8)
    return data_url(picture[0])
