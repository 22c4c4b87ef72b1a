"""Predicted embeddings on disk: an audit that is begun again does not predict them again."""

import json
import pathlib
from collections.abc import Mapping

import numpy as np
from absl import logging

from arl_tf.attacks.identity.faces import IdentityResult
from arl_tf.auditing.attack_store import AttackStore, save_arrays
from arl_tf.utils import run_files

FACTS = ("name", "knowledge", "settings", "seconds")


def path_of(store: AttackStore, source: str, name: str) -> pathlib.Path:
    """Where an attack's predictions lie."""
    return store.folder / "identity" / source / f"{name}.npz"


def save(store: AttackStore, source: str, result: IdentityResult) -> None:
    """Keeps a result under the store's key."""
    facts = {name: getattr(result, name) for name in FACTS}
    parts = {"held_out": result.held_out, "target": result.target}
    save_arrays(
        path_of(store, source, result.name),
        key=np.array(store.key),
        facts=np.array(json.dumps(facts)),
        networks=np.array(sorted(result.target)),
        **{f"{part}/{net}": rows for part, found in parts.items() for net, rows in found.items()},
    )


def load(
    store: AttackStore, source: str, name: str, networks: tuple[str, ...]
) -> IdentityResult | None:
    """A result that was kept under this key for these networks; None where there is none."""
    path = path_of(store, source, name)
    if not path.exists():
        return None
    try:
        with run_files.open_arrays(path, remedy="It is made again.") as saved:
            if str(saved["key"]) != store.key or saved["networks"].tolist() != sorted(networks):
                return None
            return IdentityResult(
                **json.loads(str(saved["facts"])),
                held_out=of_part(saved, "held_out", networks),
                target=of_part(saved, "target", networks),
            )
    except run_files.UnreadableFileError as error:
        logging.warning("%s", error)
        return None


def of_part(saved: Mapping[str, np.ndarray], part: str, networks: tuple[str, ...]):
    """Network -> directions float32 [n, E] of one part."""
    return {network: saved[f"{part}/{network}"] for network in networks}
