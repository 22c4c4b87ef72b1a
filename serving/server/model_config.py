"""Which models are served, from where, which of their versions, and under which labels."""

import dataclasses
import pathlib
from collections.abc import Iterable, Mapping

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from serving.common import files
from serving.server import layout
from serving.utils.path_values import SCHEME

DEFAULT_PLATFORM = "tensorflow"

REMEDY = "serving/models.config is an example of --model_config_file."


@dataclasses.dataclass(frozen=True)
class VersionPolicy:
    """Which of the versions on disk are served.

    Attributes:
        latest: this many of the greatest, >= 1; None: all, or those of `specific`.
        specific: just these; empty: see `latest`.
    """

    latest: int | None = 1
    specific: tuple[int, ...] = ()

    def choose(self, found: Iterable[int]) -> tuple[int, ...]:
        """The versions to serve out of those that were found, ascending."""
        found = sorted(found)
        if self.specific:
            return tuple(version for version in found if version in self.specific)
        return tuple(found if self.latest is None else found[-self.latest :])


@dataclasses.dataclass(frozen=True)
class ModelSource:
    """A model on disk.

    Attributes:
        name: what requests call it.
        base_path: the folder that holds its version folders.
        policy: which versions are served.
        labels: label -> version.
    """

    name: str
    base_path: pathlib.Path
    policy: VersionPolicy = VersionPolicy()
    labels: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def versions(self) -> dict[int, pathlib.Path]:
        """Version -> folder, of every version on disk that the policy wants served.

        Raises:
            OSError: base_path can't be read.
        """
        found = layout.version_folders(self.base_path)
        return {version: found[version] for version in self.policy.choose(found)}


def sources_in_folder(
    model_base_path: pathlib.Path, policy: VersionPolicy = VersionPolicy()
) -> dict[str, ModelSource]:
    """A model for each folder of model_base_path that holds a version folder; others are ignored.

    Raises:
        OSError: model_base_path is not there, or can't be read.
        ValueError: it is a model's own folder, or a version's.
    """
    if not model_base_path.is_dir():
        raise FileNotFoundError(layout.no_models(model_base_path))
    if (model_base_path / layout.SAVED_MODEL).is_file():
        raise ValueError(layout.no_models(model_base_path))
    if layout.version_folders(model_base_path):
        raise ValueError(
            f"--model_base_path={model_base_path} holds version folders itself; give the folder"
            " above it, which holds a folder a model, or name the model with --model_name."
        )
    return {
        path.name: ModelSource(path.name, path, policy)
        for path in sorted(pathlib.Path(model_base_path).iterdir())
        if path.is_dir() and not path.name.startswith(".") and layout.version_folders(path)
    }


def source_of_model(name: str, base_path: pathlib.Path) -> dict[str, ModelSource]:
    """One model of that name, whose version folders lie in base_path, as TF Serving takes it.

    Raises:
        OSError: base_path is not there, or can't be read.
        ValueError: it holds no version folder, but models, or a SavedModel itself.
    """
    if not base_path.is_dir():
        raise FileNotFoundError(f"--model_name={name}: {layout.no_versions(name, base_path)}")
    below = [path for path in base_path.iterdir() if path.is_dir()]
    is_version = (base_path / layout.SAVED_MODEL).is_file()
    holds_models = not layout.version_folders(base_path) and any(map(layout.version_folders, below))
    if is_version or holds_models:
        raise ValueError(f"--model_name={name}: {layout.no_versions(name, base_path)}")
    return {name: ModelSource(name, base_path)}


def sources_in_file(path: pathlib.Path) -> dict[str, ModelSource]:
    """Reads a file in TF Serving's text format of a ModelServerConfig.

    Raises:
        ValueError: the file can't be read, or is no such config.
    """
    try:
        config = text_format.Parse(
            files.read_text(path, REMEDY), model_server_config_pb2.ModelServerConfig()
        )
    except text_format.ParseError as error:
        raise ValueError(
            f"--model_config_file={path} is no ModelServerConfig in text format:"
            f" {files.one_line(error)}. {REMEDY}"
        ) from error
    return sources_of(config)


def sources_of(config: model_server_config_pb2.ModelServerConfig) -> dict[str, ModelSource]:
    """The models of a ModelServerConfig, by name.

    Raises:
        ValueError: it has no model_config_list, or an entry that can't be served.
    """
    if config.WhichOneof("config") != "model_config_list":
        raise ValueError("The model config needs a model_config_list; a custom one is not served.")
    sources: dict[str, ModelSource] = {}
    for entry in config.model_config_list.config:
        source = _source_of(entry)
        if source.name in sources:
            raise ValueError(f"Illegal to list model {source.name} multiple times in config list")
        sources[source.name] = source
    return sources


def _source_of(entry: model_server_config_pb2.ModelConfig) -> ModelSource:
    if not entry.name or not entry.base_path:
        raise ValueError(
            f"A model needs name and base_path, got {entry.name!r} and {entry.base_path!r}."
        )
    # From here on in TF Serving's words (server_core.cc).
    if not entry.model_platform:
        raise ValueError(
            f"Model {entry.name!r}: Illegal setting neither ModelServerConfig::model_type"
            f" (deprecated) nor ModelServerConfig::model_platform; expected {DEFAULT_PLATFORM!r}."
        )
    if entry.model_platform != DEFAULT_PLATFORM:
        raise ValueError(
            f"Model {entry.name} requests unsupported platform {entry.model_platform}; expected"
            f" {DEFAULT_PLATFORM!r}."
        )
    scheme = SCHEME.match(entry.base_path)
    if scheme:
        raise ValueError(
            f"Model {entry.name!r}: base_path {entry.base_path}: {scheme[1]}:// is not supported"
            " here, only folders of this machine; name one, such as a folder where the storage is"
            " mounted."
        )
    if not pathlib.Path(entry.base_path).is_absolute():
        raise ValueError(
            f"Expected model {entry.name} to have an absolute path or URI; got"
            f" base_path()={entry.base_path}. Write the whole path: neither ~ nor a variable is"
            " replaced here."
        )
    labels = dict(entry.version_labels)
    return ModelSource(entry.name, pathlib.Path(entry.base_path), _policy_of(entry), labels)


def _policy_of(entry: model_server_config_pb2.ModelConfig) -> VersionPolicy:
    policy = entry.model_version_policy
    chosen = policy.WhichOneof("policy_choice")
    if chosen == "all":
        return VersionPolicy(latest=None)
    if chosen == "specific":
        if not policy.specific.versions:
            raise ValueError(f"Model {entry.name!r}: a specific version policy names no version.")
        return VersionPolicy(latest=None, specific=tuple(policy.specific.versions))
    return VersionPolicy(latest=max(1, policy.latest.num_versions))
