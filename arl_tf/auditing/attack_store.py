"""Finished attacks and their measures on disk: an audit that is killed goes on where it was."""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging

from arl_tf.attacks.evidence import AttackResult
from arl_tf.auditing.sealed_images import Rows, SealedImages
from arl_tf.auditing.settings import AuditContext, AuditSettings
from arl_tf.data.image_sets import ImageSet
from arl_tf.data.splits import label_hashes, names_hash
from arl_tf.metrics import reconstruction
from arl_tf.utils import files, progress, run_files

# Raise it when attacks or measures change what they would find for the same settings.
STORE_VERSION = 11


@dataclasses.dataclass(frozen=True)
class AttackStore:
    """A folder of attacks; every file carries the key of what it was made for.

    Attributes:
        folder: made on first use.
        key: of everything that decides what attacks find: codes, images, settings.
    """

    folder: pathlib.Path
    key: str

    def result_path(self, name: str) -> pathlib.Path:
        """Where an attack's pictures lie; a name may have a folder, as task_output/decoder."""
        return self.folder / f"{name}.npz"

    def measures_path(self, name: str) -> pathlib.Path:
        """Where an attack's measures per image lie."""
        return self.folder / f"{name}.measures.npz"

    def save(self, result: AttackResult) -> None:
        """Keeps a result, its pictures as 8-bit ones; measures of an earlier one are forgotten."""
        self.measures_path(result.name).unlink(missing_ok=True)
        facts = {
            "name": result.name,
            "knowledge": result.knowledge,
            "settings": dict(result.settings),
            "seconds": result.seconds,
            "held_out_loss": list(result.held_out_loss),
        }
        save_arrays(
            self.result_path(result.name),
            key=np.array(self.key),
            facts=np.array(json.dumps(facts)),
            reconstructions=to_bytes(result.reconstructions),
            held_out_reconstructions=to_bytes(result.held_out_reconstructions),
        )

    def facts(self, name: str) -> dict[str, Any] | None:
        """What is known of a finished attack; None where it is not finished under this key."""
        return self._found(self.result_path(name), lambda saved: json.loads(str(saved["facts"])))

    def pictures(self, name: str) -> np.ndarray:
        """A finished attack's reconstructions, uint8 [M, S, S, 3]."""
        return self._read(self.result_path(name), lambda saved: saved["reconstructions"])

    def held_out_pictures(self, name: str) -> np.ndarray:
        """A finished attack's reconstructions of the held-out images, uint8 [H, S, S, 3]."""
        return self._read(self.result_path(name), lambda saved: saved["held_out_reconstructions"])

    def load(self, name: str) -> AttackResult | None:
        """A finished attack as it was, but for its pictures' rounding to 8 bits; or None."""
        facts = self.facts(name)
        if facts is None:
            return None
        return AttackResult(
            **{**facts, "held_out_loss": tuple(facts["held_out_loss"])},
            reconstructions=to_unit(self.pictures(name)),
            held_out_reconstructions=to_unit(self.held_out_pictures(name)),
        )

    def save_measures(self, name: str, measures: Mapping[str, np.ndarray]) -> None:
        """Keeps an attack's measures, float64 [M] each."""
        save_arrays(self.measures_path(name), key=np.array(self.key), **measures)

    def measures(self, name: str) -> dict[str, np.ndarray] | None:
        """Measures kept under this key, float64 [M] each; None where there are none."""
        return self._found(
            self.measures_path(name),
            lambda saved: {key: saved[key] for key in saved.files if key != "key"},
        )

    def _found(self, path: pathlib.Path, read):
        """As `_read`; what is damaged counts as not there, and is made again."""
        try:
            return self._read(path, read)
        except run_files.UnreadableFileError as error:
            logging.warning("%s", error)
            return None

    def _read(self, path: pathlib.Path, read):
        if not path.exists():
            return None
        with run_files.open_arrays(path, remedy="It is made again.") as saved:
            return read(saved) if str(saved["key"]) == self.key else None


class StoredPictures(Mapping):
    """Attack -> reconstructions uint8 [M, S, S, 3], read from disk when asked for."""

    def __init__(self, store: AttackStore, paths: Mapping[str, str], extra: Mapping[str, Any]):
        """Takes the store, name -> name in the store, and pictures that are not in it."""
        self._store, self._paths, self._extra = store, dict(paths), dict(extra)

    def __getitem__(self, name: str) -> np.ndarray:
        """The reconstructions of one attack, uint8 [M, S, S, 3]."""
        return self._extra[name] if name in self._extra else self._store.pictures(self._paths[name])

    def __iter__(self) -> Iterator[str]:
        """Names of attacks and floors."""
        return iter([*self._paths, *self._extra])

    def __len__(self) -> int:
        """How many there are."""
        return len(self._paths) + len(self._extra)


def store_key(*parts: Any) -> str:
    """A hash of JSON-able facts."""
    text = json.dumps([STORE_VERSION, *parts], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def save_arrays(path: pathlib.Path, **arrays: np.ndarray) -> None:
    """Writes arrays of any shape to an npz file, by rename; its folder is made if missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(path) as unfinished:
        np.savez_compressed(unfinished, **arrays)


def to_bytes(images: np.ndarray) -> np.ndarray:
    """Float images in [0, 1] as uint8; any shape."""
    return np.clip(np.round(images * 255.0), 0, 255).astype(np.uint8)


def to_unit(images: np.ndarray) -> np.ndarray:
    """uint8 images as float32 in [0, 1]; any shape."""
    return images.astype(np.float32) / np.float32(255)


def open_store(
    settings: AuditSettings,
    images: ImageSet,
    rows: Rows,
    sealed: SealedImages,
    context: AuditContext,
) -> AttackStore:
    """The store of this encoder's attacks: others' there count as not there."""
    identity = dict(settings.attack_identity)
    # Single codes' attacks keep the key they had before there was a choice.
    if settings.codes_per_photo > 1:
        identity["codes_per_photo"] = settings.codes_per_photo
    encoder = context.audited_encoder
    if encoder.task_output is None and encoder.recorded_logits is None:
        # Its task head is fitted to the labels: the attacks on the task output are of these.
        identity["labels_sha256"] = label_hashes(images)
    key = store_key(
        encoder.sha256,
        dataclasses.asdict(encoder.channel),
        identity,
        sealed.fingerprint,
        *(names_hash([images.names[row] for row in part]) for part in dataclasses.astuple(rows)),
    )
    return AttackStore(context.store_dir, key)


def yardstick_store(
    seed: int, images: ImageSet, rows: Rows, sealed: SealedImages, context: AuditContext
) -> AttackStore:
    """Where the yardsticks are kept; all encoders share those of the same images."""
    key = store_key(
        "yardsticks",
        sealed.fingerprint,
        names_hash([images.names[row] for row in rows.target]),
        context.photographs,
        seed,
    )
    return AttackStore(context.cache_dir / f"yardsticks_{key[:16]}", key)


def measure_all(
    judges: reconstruction.MetricNetworks,
    originals: reconstruction.Originals,
    names: Sequence[str],
    others: Mapping[str, np.ndarray],
    store: AttackStore,
) -> dict[str, dict[str, np.ndarray]]:
    """Measures of the pictures of stored attacks and of others; name -> measure -> float64 [N].

    What was measured before is read from the store.
    """
    measured, everything = {}, [*names, *others]
    with progress.bar("Attacks measured", len(everything)) as advance:
        for name in everything:
            measured[name] = store.measures(name)
            if not reconstruction.is_complete(measured[name], originals):
                logging.info("Measuring the reconstructions of '%s'", name)
                pictures = others[name] if name in others else store.pictures(name)
                measured[name] = reconstruction.measure(judges, to_unit(pictures), originals)
                store.save_measures(name, measured[name])
            advance()
    return measured
