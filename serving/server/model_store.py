"""Versions of models in memory: found on disk, loaded aside, swapped, dropped after their last use.

`poll` is one look at the disk; a thread repeats it. A new version is loaded while the old ones go
on serving, and an old one goes only when a wanted one is there.
"""

import contextlib
import dataclasses
import gc
import pathlib
import threading
from collections.abc import Callable, Iterator, Mapping

from absl import logging

from serving.server import layout
from serving.server.errors import failed_precondition, not_found
from serving.server.labels import Labels
from serving.server.model_config import ModelSource
from serving.server.servable import Servable

LOADING, AVAILABLE, UNLOADING, END = "LOADING", "AVAILABLE", "UNLOADING", "END"
Sources = Mapping[str, ModelSource]


@dataclasses.dataclass(frozen=True)
class VersionStatus:
    """What is told about a version: its state, and why it could not be loaded (or "")."""

    version: int
    state: str
    error: str


@dataclasses.dataclass
class _Entry:
    """A version as the store keeps it."""

    state: str = LOADING
    error: str = ""
    servable: Servable | None = None
    leases: int = 0
    attempts: int = 0
    listing: tuple = ()


class ModelStore:
    """Loads, swaps and lends versions of models. Every method may be called from any thread."""

    def __init__(
        self,
        read_sources: Callable[[], Sources],
        load: Callable[[str, int, pathlib.Path], Servable],
        *,
        max_load_retries: int = 5,
        labels_for_unavailable: bool = False,
    ):
        """Loads nothing yet.

        Args:
            read_sources: the models as they are wanted now; called at every poll.
            load: (name, version, folder) -> Servable; raises ValueError.
            max_load_retries: how often a folder that could not be loaded is tried again before it
                changes.
            labels_for_unavailable: a label that is new, or stays where it is, may name a version
                that is not served yet.
        """
        self._read_sources = read_sources
        self._load = load
        self._max_load_retries = max_load_retries
        self._sources: Sources | None = None
        # The last complaint by what it is about: each is logged once, not at every poll.
        self._complaints: dict[str, str] = {}
        self._entries: dict[str, dict[int, _Entry]] = {}
        self._labels = Labels(for_unavailable=labels_for_unavailable)
        self._lock = threading.Lock()
        self._polling = threading.Lock()
        self._closed = threading.Event()
        self._watcher: threading.Thread | None = None

    def watch(self, seconds: float) -> None:
        """Polls every so many seconds in a thread, until `close`."""
        self._watcher = threading.Thread(
            target=self._watch, args=(seconds,), name="model-watcher", daemon=True
        )
        self._watcher.start()

    def close(self) -> None:
        """Ends the watching; what is loaded stays."""
        self._closed.set()
        if self._watcher is not None:
            self._watcher.join()

    def _watch(self, seconds: float) -> None:
        while not self._closed.wait(seconds):
            try:
                self.poll()
                fault = ""
            except (OSError, ValueError) as error:
                fault = f"Models stay as they are; they can't be looked for: {error}"
            self._complain("poll", fault)

    def poll(self, *, settled: bool = False) -> None:
        """Looks at the disk once: loads what is new, then drops what is no longer wanted.

        A config whose labels are refused leaves the one before it in force.

        Args:
            settled: load what is found at once. Else a folder has to look the same in two polls,
                since it may still be being copied.

        Raises:
            OSError, ValueError: the models can't be read from disk or config; nothing changed.
            ServingError: FAILED_PRECONDITION: the first config's labels are refused.
        """
        with self._polling:
            sources = self._read_sources()
            fault = self._label_fault(sources)
            if fault and self._sources is None:
                raise failed_precondition(fault)
            self._complain("labels", fault and f"The config stays as it was: {fault}")
            self._serve(self._sources if fault else sources, settled=settled)

    def _serve(self, sources: Sources, *, settled: bool) -> None:
        """Loads what these models lack, and drops what they don't name."""
        self._sources = sources
        with self._lock:
            self._labels.assign(sources)
        for name, source in sources.items():
            wanted = self._wanted(name, source)
            if wanted is None:
                continue
            for version, path in wanted.items():
                self._bring_up(name, version, path, settled)
            self._unload(name, keep=set(wanted))
        for name in set(self._entries) - set(sources):
            self._unload(name, keep=set())
            with self._lock:
                del self._entries[name]

    def _wanted(self, name: str, source: ModelSource) -> dict[int, pathlib.Path] | None:
        """Versions of a model that are to be served; None where it stays as it is."""
        try:
            wanted, found = source.versions(), layout.version_folders(source.base_path)
        except OSError as error:
            is_gone = isinstance(error, FileNotFoundError | NotADirectoryError)
            words = layout.no_versions(name, source.base_path) if is_gone else error
            self._complain(name, f"Model {name} stays as it is: {words}")
            return None
        self._complain(name, _what_lacks(name, source, wanted, found))
        return wanted

    def _complain(self, about: str, words: str) -> None:
        """Logs what is wrong with something, unless it was said last time; "" where nothing is."""
        if words and self._complaints.get(about) != words:
            logging.error("%s", words)
        self._complaints[about] = words

    def _label_fault(self, sources: Sources) -> str:
        with self._lock:
            return self._labels.fault(sources, self._is_served)

    def _is_served(self, name: str, version: int) -> bool:
        entry = self._entries.get(name, {}).get(version)
        return entry is not None and entry.state == AVAILABLE

    def replace_sources(self, sources: Sources) -> None:
        """Serves these models from now on, and loads them at once.

        As TF Serving, which logs a version that is not on disk and serves the others: for a model
        that it knows already, none may be left.

        Raises:
            ServingError: FAILED_PRECONDITION: a label can't be had, or a new model has no version
                on disk, and everything stays as it was; or a version can't be loaded, and the
                others are served.
        """
        fault = self._label_fault(sources)
        if fault:
            raise failed_precondition(fault)
        known = self._sources or {}
        _refuse_missing({name: source for name, source in sources.items() if name not in known})
        self._read_sources = lambda: sources
        self.poll(settled=True)
        failed = [
            f"{name} version {status.version}: {status.error}"
            for name in sources
            for status in self.status(name)
            if status.error
        ]
        if failed:
            raise failed_precondition("; ".join(failed))

    @contextlib.contextmanager
    def lease(
        self, name: str, version: int | None = None, label: str | None = None
    ) -> Iterator[Servable]:
        """Lends a version: it stays in memory until the block ends.

        Args:
            name: of the model.
            version: number, or None for the label's, or else for the greatest one served.
            label: of the version, or None.

        Raises:
            ServingError: no such model, version or label is being served.
        """
        with self._lock:
            entry = self._find(name, version, label)
            entry.leases += 1
        try:
            yield entry.servable
        finally:
            with self._lock:
                entry.leases -= 1
                if entry.state == UNLOADING and not entry.leases:
                    entry.state, entry.servable = END, None

    def status(
        self, name: str, version: int | None = None, label: str | None = None
    ) -> tuple[VersionStatus, ...]:
        """States of a model's versions, the greatest first.

        Raises:
            ServingError: NOT_FOUND; INVALID_ARGUMENT for an unknown label.
        """
        with self._lock:
            if label is not None:
                version = self._labels.version(name, label)
            entries = self._entries.get(name, {})
            if not entries:
                raise not_found(f"Could not find any versions of model {name}")
            if version is not None and version not in entries:
                raise not_found(f"Could not find version {version} of model {name}")
            return tuple(
                VersionStatus(number, entry.state, entry.error)
                for number, entry in sorted(entries.items(), reverse=True)
                if version in (None, number)
            )

    def names(self) -> tuple[str, ...]:
        """Models of which a version is being served."""
        with self._lock:
            return tuple(
                name
                for name, entries in self._entries.items()
                if any(entry.state == AVAILABLE for entry in entries.values())
            )

    def _find(self, name: str, version: int | None, label: str | None) -> _Entry:
        if label is not None:
            version = self._labels.version(name, label)
        available = {
            number: entry
            for number, entry in self._entries.get(name, {}).items()
            if entry.state == AVAILABLE
        }
        wanted = max(available, default=None) if version is None else version
        if wanted not in available:
            asked = f"Latest({name})" if version is None else f"Specific({name}, {version})"
            raise not_found(f"Servable not found for request: {asked}")
        return available[wanted]

    def _bring_up(self, name: str, version: int, path: pathlib.Path, settled: bool) -> None:
        with self._lock:
            entry = self._entries.setdefault(name, {}).setdefault(version, _Entry())
        if entry.state in (AVAILABLE, UNLOADING):
            return
        listing = _listing(path)
        if not listing:
            return
        if listing != entry.listing:
            entry.listing, entry.attempts = listing, 0
            if not settled:
                return
        if entry.attempts > self._max_load_retries:
            return
        entry.attempts += 1
        entry.state = LOADING
        logging.info("Model %s version %d is being loaded.", name, version)
        try:
            servable = self._load(name, version, path)
        # Whatever is wrong with a folder, the others are served.
        except Exception as error:
            logging.error("Model %s version %d was not loaded: %s", name, version, error)
            with self._lock:
                entry.state, entry.error = END, str(error)
            return
        with self._lock:
            entry.state, entry.error, entry.servable = AVAILABLE, "", servable
        logging.info("Model %s version %d is being served.", name, version)

    def _unload(self, name: str, *, keep: set[int]) -> None:
        with self._lock:
            entries = self._entries.get(name, {})
            if keep and not any(entries[version].state == AVAILABLE for version in keep):
                return
            gone = {version: entry for version, entry in entries.items() if version not in keep}
            dropped = [version for version, entry in gone.items() if entry.state == AVAILABLE]
            for entry in gone.values():
                entry.state = UNLOADING if entry.leases else END
                entry.error, entry.listing, entry.attempts = "", (), 0
                if not entry.leases:
                    entry.servable = None
        if dropped:
            logging.info("Model %s: no longer served: versions %s.", name, dropped)
            # A SavedModel is a web of cycles; without this its weights may stay for long.
            gc.collect()


def _what_lacks(
    name: str,
    source: ModelSource,
    wanted: Mapping[int, pathlib.Path],
    found: Mapping[int, pathlib.Path],
) -> str:
    """Words for the versions that a model is to have and that are not on disk; "" for none."""
    if not found:
        return layout.no_versions(name, source.base_path)
    missing = sorted(set(source.policy.specific) - set(wanted))
    if not missing:
        return ""
    return (
        f"Versions {missing} of model {name} are wanted and not in {source.base_path}, which has"
        f" {sorted(found)}. {'The others are served.' if wanted else 'None is served.'}"
    )


def _refuse_missing(sources: Sources) -> None:
    """Raises ServingError where a model has no version on disk; TF Serving would wait for one."""
    missing = []
    for name, source in sources.items():
        try:
            if not source.versions():
                missing.append(f"model {name}: none of its versions is in {source.base_path}")
        except OSError as error:
            missing.append(f"model {name}: {error}")
    if missing:
        raise failed_precondition("; ".join(missing))


def _listing(path: pathlib.Path) -> tuple:
    """What a folder holds: names, sizes and times; () if it goes away while being read."""
    try:
        return tuple(
            (str(file.relative_to(path)), file.stat().st_size, file.stat().st_mtime_ns)
            for file in sorted(path.rglob("*"))
        )
    except OSError:
        return ()
