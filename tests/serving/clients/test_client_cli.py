"""The split set-up: what leaves the device, and that it needs neither tensorflow nor arl_tf."""

import ast
import base64
import hashlib
import importlib.metadata
import json
import os
import pathlib
import subprocess
import sys
import textwrap
import venv

import keras
import numpy as np
import packaging.requirements
import packaging.utils
import pytest
import serving_stub
from conftest import ROOT
from keras import layers
from PIL import Image
from serving_stub import CODE_SHAPE, NAMES, SIZE, rest_stub, sigmoid, stub_logits
from tiny_models import proof
from waiting import LONG, OF_A_PROCESS

from arl_tf.data.faces import generation
from arl_tf.exporting import tflite
from serving import client_cli
from serving.clients.contract import ENCODER_MARK, Attributes
from serving.device import packing
from serving.device.encoder import DeviceEncoder, load_image

COMMENT = b"a comment that a photo carries"
ON_THE_DEVICE = (
    "client",
    "client_cli",
    "client_flags",
    "common.files",
    "clients.base",
    "clients.contract",
    "clients.errors",
    "clients.file_batches",
    "clients.rest_client",
    "device.encoder",
    "device.manifest",
    "device.noise_key",
    "device.packing",
    "device.picture_files",
    "device.similar",
    "pictures.folders",
    "pictures.formats",
    "pictures.headers",
    "pictures.orientation",
    "pictures.pixels",
    "utils.interruption",
    "utils.streams",
    "utils.path_argument",
    "utils.path_values",
)


def build_encoder():
    image = keras.Input((SIZE, SIZE, 3), name="picture")
    kernel = keras.initializers.RandomNormal(0, 0.5, seed=0)
    code = layers.Conv2D(CODE_SHAPE[-1], 4, 4, kernel_initializer=kernel, name="stem")(image)
    return keras.Model(image, code, name="encoder")


@pytest.fixture(scope="module")
def export_dir(tmp_path_factory):
    """TFLite file and manifest, laid out as by the export."""
    folder = tmp_path_factory.mktemp("export")
    (folder / "tflite").mkdir()
    content = tflite.convert(build_encoder(), "float32", proof())
    (folder / "tflite" / "encoder_float32.tflite").write_bytes(content)
    facts = {
        "attribute_names": list(NAMES),
        "image_size": SIZE,
        "code": {"shape": list(CODE_SHAPE)},
    }
    (folder / "manifest.json").write_text(json.dumps(facts))
    return folder


@pytest.fixture
def tflite_file(export_dir):
    return export_dir / "tflite" / "encoder_float32.tflite"


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "anna_at_home.jpg"
    face = generation.generate_faces(1, 96, seed=5).images[0]
    Image.fromarray(face).save(path, comment=COMMENT, quality=95)
    return path


@pytest.fixture
def stub():
    with rest_stub() as server:
        yield server


def code_of(tflite_file, photo):
    return DeviceEncoder(tflite_file).encode(load_image(photo, SIZE)[None])


def run(capfd, *arguments):
    """Runs the command line in this process: (exit code, standard output, standard error)."""
    status = 0
    arguments = list(map(str, arguments))
    if any(argument.startswith("--head") for argument in arguments):
        arguments.insert(0, f"--timeout={LONG}")
    try:
        client_cli.main(["encode", *arguments])
    except SystemExit as end:
        status = end.code
    captured = capfd.readouterr()
    return status, captured.out, captured.err


def windows(content, size=12):
    """Every stretch of `size` bytes."""
    return {content[at : at + size] for at in range(len(content) - size + 1)}


@pytest.fixture(params=[False, True], ids=["numbers", "bytes"])
def takes_bytes(request, monkeypatch):
    """Whether the task head has a signature for codes as bytes."""
    if request.param:
        both = serving_stub.SIGNATURES["task_head"] | serving_stub.BYTES_SIGNATURES["task_head"]
        monkeypatch.setitem(serving_stub.SIGNATURES, "task_head", both)
    return request.param


def test_only_the_code_leaves_the_device(capfd, stub, tflite_file, photo, takes_bytes):
    status, _, _ = run(capfd, photo, f"--tflite={tflite_file}", f"--head={stub.address}")
    assert status == 0
    (method, path, nothing), (_, predict_path, body) = stub.requests
    assert (method, path, nothing) == ("GET", "/v1/models/task_head/metadata", None)
    assert predict_path == "/v1/models/task_head:predict"
    sent = json.loads(body)
    assert set(sent) == {"signature_name", "inputs"}
    expected = code_of(tflite_file, photo)
    if takes_bytes:
        encoded = base64.b64encode(expected.astype("<f4").tobytes()).decode()
        assert sent == {
            "signature_name": "read_bytes",
            "inputs": {"code_bytes": [{"b64": encoded}]},
        }
    else:
        assert (sent["signature_name"], list(sent["inputs"])) == ("serving_default", ["code"])
        np.testing.assert_array_equal(np.float32(sent["inputs"]["code"]), expected)
    # All that came over the wire is these two calls: this body, and headers of two short kinds.
    assert stub.recorded.endswith(body)
    head = bytes(stub.recorded[: -len(body)])
    assert head.count(b"\r\n\r\n") == 2
    names = {line.split(b":")[0].lower() for line in head.split(b"\r\n") if b": " in line}
    assert names == {b"host", b"accept-encoding", b"user-agent", b"content-length", b"content-type"}
    assert len(body) < expected.size * 18 + 80


def test_key_for_an_encoder_without_noise_is_refused_before_anything_is_sent(
    capfd, stub, tflite_file, photo, tmp_path
):
    key = f"--noise_key={tmp_path / 'key'}"
    status, _, said = run(capfd, photo, f"--tflite={tflite_file}", f"--head={stub.address}", key)
    assert status == 2
    assert "adds no noise that a key could decide" in said
    assert not stub.requests


def test_similar_photos_need_the_key_that_they_share_noise_by(capfd, tflite_file, photo, tmp_path):
    save = f"--save_code={tmp_path / 'code'}"
    status, _, said = run(capfd, photo, f"--tflite={tflite_file}", save, "--noise_key_by=similar")
    assert status == 2
    assert "--noise_key_by=similar needs --noise_key=FILE" in said


@pytest.mark.usefixtures("takes_bytes")
def test_no_byte_of_the_photo_is_on_the_wire(capfd, stub, tflite_file, photo):
    run(capfd, photo, f"--tflite={tflite_file}", f"--head={stub.address}", "--json")
    recorded = bytes(stub.recorded)
    content = photo.read_bytes()
    pixels = load_image(photo, SIZE)
    with Image.open(photo) as opened:
        full_size = np.asarray(opened)
    assert COMMENT in content
    assert len(recorded) > 200
    for what, secret in {
        "the file": content,
        "the prepared pixels": pixels.tobytes(),
        "the prepared pixels as floats": (pixels.astype(np.float32) / 255).tobytes(),
        "the pixels": full_size.tobytes(),
    }.items():
        assert not windows(recorded) & windows(secret), what
        for shift in range(3):
            encoded = base64.b64encode(secret[shift:])
            assert not windows(recorded) & windows(encoded), f"{what} in base64"
    row = json.dumps(pixels[0, :2].tolist(), separators=(",", ":")).encode()
    for marker in (b"\xff\xd8\xff", b"\x89PNG", b"JFIF", b"/9j/", b"iVBOR", b"anna", row, COMMENT):
        assert marker not in recorded, marker


def test_wire_check_finds_an_image_that_is_sent(stub, photo):
    """The recording above would have shown a photo: here one is sent on purpose."""
    from serving.clients.rest_client import EncoderClient

    with EncoderClient(stub.address) as client:
        list(client.encode_files([photo]))
    encoded = base64.b64encode(photo.read_bytes())
    assert windows(bytes(stub.recorded)) & windows(encoded)
    assert b"/9j/" in stub.recorded


def test_attributes_and_bytes_are_printed(capfd, stub, tflite_file, photo):
    status, out, _ = run(capfd, photo, f"--tflite={tflite_file}", f"--head={stub.address}")
    probability = sigmoid(stub_logits(code_of(tflite_file, photo)))[0]
    ranked = sorted(zip(probability, NAMES, strict=True), reverse=True)
    words = [f"  {'yes' if p > 0.5 else 'no':3}  {100 * p:5.1f} %  {name}" for p, name in ranked]
    lines = out.splitlines()
    assert status == 0
    assert lines[:3] == [str(photo), *words]
    body = stub.requests[-1][2]
    assert lines[3] == f"sent {len(body)} bytes, 1 code and no image, to {stub.address}"
    assert len(lines) == 4


def test_json_holds_the_same(capfd, stub, tflite_file, photo):
    arguments = (f"--tflite={tflite_file}", f"--head={stub.address}", "--json", "--model=task_head")
    status, out, _ = run(capfd, photo, photo, *arguments)
    report = json.loads(out)
    probability = sigmoid(stub_logits(code_of(tflite_file, photo)))[0]
    assert status == 0
    assert [found["photo"] for found in report["photos"]] == [str(photo)] * 2
    for found in report["photos"]:
        np.testing.assert_allclose(list(found["attributes"].values()), probability, rtol=1e-5)
        assert found["decisions"] == dict(zip(NAMES, (probability > 0.5).tolist(), strict=True))
    assert report["sent_bytes"] == len(stub.requests[-1][2])
    assert (report["unreadable"], report["saved_bytes"]) == ({}, 0)


def test_unreadable_photo_is_named_and_the_others_go_on(capfd, stub, tflite_file, photo, tmp_path):
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(photo.read_bytes()[:700])
    arguments = (f"--tflite={tflite_file}", f"--head={stub.address}", "--json")
    status, out, err = run(capfd, cut, photo, *arguments)
    report = json.loads(out)
    assert status == 1
    assert [found["photo"] for found in report["photos"]] == [str(photo)]
    assert list(report["unreadable"]) == [str(cut)]
    assert f"{cut}: no complete picture" in err


def test_nothing_is_sent_where_no_photo_can_be_read(capfd, stub, tflite_file, tmp_path):
    gone = tmp_path / "gone.jpg"
    status, out, err = run(capfd, gone, f"--tflite={tflite_file}", f"--head={stub.address}")
    assert (status, out, stub.requests) == (1, "", [])
    assert "error: none of the photos could be read; nothing was sent or written." in err


def test_servers_error_reaches_the_user(capfd, stub, tflite_file, photo):
    arguments = (f"--tflite={tflite_file}", f"--head={stub.address}", "--model=none")
    status, out, err = run(capfd, photo, *arguments)
    assert (status, out) == (1, "")
    assert "answers 404: Servable not found for request: Latest(none)" in err


def test_saved_code_is_float32_where_there_are_no_levels(capfd, tflite_file, photo, tmp_path):
    saved = tmp_path / "code.bin"
    status, out, _ = run(capfd, photo, f"--tflite={tflite_file}", f"--save_code={saved}")
    found = np.frombuffer(saved.read_bytes(), "<f4").reshape(1, *CODE_SHAPE)
    assert (status, out) == (0, f"wrote 48 bytes, 1 code, to {saved}\n")
    np.testing.assert_array_equal(found, code_of(tflite_file, photo))


def test_saved_code_is_packed_where_there_are_levels():
    manifest = client_cli.Manifest(NAMES, SIZE, CODE_SHAPE, levels=2, outer=1.0)
    codes = np.sign(np.random.default_rng(0).normal(size=(3, *CODE_SHAPE))).astype(np.float32)
    content = client_cli.code_bytes(codes, manifest)
    assert len(content) == 3 * 2
    np.testing.assert_array_equal(packing.unpack(content, CODE_SHAPE, 2, 1.0), codes)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ({}, (0, 0.0)),
        ({"levels": None}, (0, 0.0)),
        ({"levels": 4}, (4, 1.5)),
        ({"levels": 4, "outer": 3.0}, (4, 3.0)),
    ],
)
def test_levels_come_from_the_manifest(tmp_path, code, expected):
    facts = {"attribute_names": ["A"], "image_size": 64, "code": {"shape": [2], **code}}
    (tmp_path / "manifest.json").write_text(json.dumps(facts))
    manifest = client_cli.read_manifest(tmp_path / "manifest.json")
    assert (manifest.levels, manifest.outer) == expected


@pytest.mark.parametrize(
    "wrong",
    [
        {"attribute_names": "abc"},
        {"image_size": 0},
        {"image_size": "64"},
        {"image_size": 1e999},
        {"code": {"shape": "88"}},
        {"code": {"shape": [2, -1]}},
        {"code": {"shape": [2], "levels": 1e999}},
    ],
)
def test_manifest_of_another_form_is_refused(tmp_path, wrong):
    facts = {"attribute_names": ["A"], "image_size": 64, "code": {"shape": [2]}}
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(facts | wrong))
    with pytest.raises(ValueError, match=r"manifest\.json is no.*take it along"):
        client_cli.read_manifest(path)


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    saved = tmp_path / "code.bin"
    saved.write_bytes(b"old")

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(OSError, match="No space left"):
        client_cli.write_aside(saved, b"new")
    assert saved.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [saved]


@pytest.mark.parametrize(("mask", "new"), [(0o022, 0o644), (0o077, 0o600)])
def test_files_of_codes_keep_their_permissions_and_new_ones_have_the_usual(tmp_path, mask, new):
    saved, kept = tmp_path / "new.bin", tmp_path / "kept.bin"
    kept.touch()
    kept.chmod(0o640)
    before = os.umask(mask)
    try:
        for path in (saved, kept):
            client_cli.write_aside(path, b"codes")
    finally:
        os.umask(before)
    assert [path.stat().st_mode & 0o777 for path in (saved, kept)] == [new, 0o640]


def test_link_to_a_file_of_codes_stays_a_link(tmp_path):
    target, link = tmp_path / "codes.bin", tmp_path / "link"
    link.symlink_to(target)
    for content in (b"first", b"second"):
        client_cli.write_aside(link, content)
        assert link.is_symlink() and target.read_bytes() == content


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["p.jpg", "--tflite=f"], "give --head=HOST:PORT to send codes to, --save_code=FILE, or"),
        (
            ["p.jpg", "--tflite=f", "--save_code=c", "--label=canary", "--timeout=5"],
            "got --label, --timeout without --head: expected --head=HOST:PORT",
        ),
        (["p.jpg", "--tflite=f", "--save_code=c", "--version=0"], "got --version without --head"),
        (["p.jpg", "--tflite=f", "--save_code=c", "--model=m"], "got --model without --head"),
        (["p.jpg", "--head=h:1"], "the following arguments are required: --tflite"),
        (["--tflite=f", "--head=h:1"], "the following arguments are required: PHOTO"),
        (["p.jpg", "--tflite=f", "--head=h:1", "--timeout=0"], "--timeout must be > 0"),
        (["p.jpg", "--tflite=f", "--head=h:1", "--timeout=inf"], "<= 86400, got inf"),
    ],
)
def test_wrong_usage_exits_with_2(capfd, arguments, message):
    status, _, err = run(capfd, *arguments)
    assert status == 2
    assert message in err


def test_manifest_of_another_export_is_refused(capfd, tflite_file, photo, tmp_path):
    other = tmp_path / "manifest.json"
    facts = {"attribute_names": ["A"], "image_size": 64, "code": {"shape": [2, 2, 3]}}
    other.write_text(json.dumps(facts))
    arguments = (f"--tflite={tflite_file}", "--head=localhost:1", f"--manifest={other}")
    status, _, err = run(capfd, photo, *arguments)
    assert status == 2
    assert "they are of different exports" in err


@pytest.mark.parametrize("content", ["[]", "{", '{"code": {}}', '{"attribute_names": 1}'])
def test_manifest_that_is_none_is_refused(capfd, tflite_file, photo, tmp_path, content):
    (tmp_path / "m.json").write_text(content)
    arguments = (f"--tflite={tflite_file}", "--head=h:1", f"--manifest={tmp_path / 'm.json'}")
    status, _, err = run(capfd, photo, *arguments)
    assert status == 2
    assert "m.json " in err and "export/manifest.json; take it along" in err
    assert err.count("\n") == 1
    assert "expected a" in err or "is not JSON" in err


def test_missing_manifest_is_named(capfd, tflite_file, photo, tmp_path):
    copy = tmp_path / "encoder.tflite"
    copy.write_bytes(tflite_file.read_bytes())
    status, _, err = run(capfd, photo, f"--tflite={copy}", "--head=localhost:1")
    assert status == 2
    assert "manifest.json is not there. The export writes it" in err


def versioned_manifest(tflite_file, folder, **facts):
    """The manifest of the fixture with more facts, as a flag."""
    content = json.loads((tflite_file.parent.parent / "manifest.json").read_text())
    (folder / "versioned.json").write_text(json.dumps(content | facts))
    return f"--manifest={folder / 'versioned.json'}"


def named(monkeypatch, sha256):
    """Has the stub's task head name an encoder."""
    signatures = serving_stub.SIGNATURES["task_head"]
    mark = {ENCODER_MARK + sha256: signatures["serving_default"]}
    monkeypatch.setitem(serving_stub.SIGNATURES, "task_head", signatures | mark)
    monkeypatch.setitem(serving_stub.ANSWERS, ENCODER_MARK + sha256, serving_stub.read)


@pytest.mark.parametrize(
    ("flags", "place"),
    [
        ([], "/versions/7"),
        (["--version=9"], "/versions/9"),
        (["--label=canary"], "/labels/canary"),
    ],
)
def test_task_head_is_the_manifests_version_unless_another_is_named(
    capfd, stub, tflite_file, photo, tmp_path, monkeypatch, flags, place
):
    named(monkeypatch, "ab" * 32)
    manifest = versioned_manifest(tflite_file, tmp_path, version=7, encoder_sha256="ab" * 32)
    given = (photo, f"--tflite={tflite_file}", f"--head={stub.address}", manifest, *flags)
    status, _, err = run(capfd, *given)
    assert (status, err) == (0, "")
    paths = [path for _, path, _ in stub.requests]
    assert paths == [
        f"/v1/models/task_head{place}/metadata",
        f"/v1/models/task_head{place}:predict",
    ]


@pytest.mark.parametrize("flags", [[], ["--version=9"], ["--label=canary"]])
def test_task_head_of_another_encoder_gets_no_code(
    capfd, stub, tflite_file, photo, tmp_path, monkeypatch, flags
):
    named(monkeypatch, "cd" * 32)
    manifest = versioned_manifest(tflite_file, tmp_path, version=7, encoder_sha256="ab" * 32)
    given = (photo, f"--tflite={tflite_file}", f"--head={stub.address}", manifest, *flags)
    status, out, err = run(capfd, *given)
    assert (status, out) == (1, "")
    assert "reads codes of the encoder cdcdcdcdcdcd, these are of abababababab" in err
    assert {method for method, _, _ in stub.requests} == {"GET"}


def test_other_version_of_a_task_head_that_names_no_encoder_is_warned_of(
    capfd, stub, tflite_file, photo, tmp_path
):
    manifest = versioned_manifest(tflite_file, tmp_path, version=7, encoder_sha256="ab" * 32)
    given = (photo, f"--tflite={tflite_file}", f"--head={stub.address}", manifest)
    assert run(capfd, *given)[2] == ""
    status, _, err = run(capfd, *given, "--version=8")
    assert status == 0
    assert "nothing tells which encoder's codes it reads" in err


def test_version_that_the_server_has_not_is_explained(capfd, stub, tflite_file, photo, tmp_path):
    manifest = versioned_manifest(tflite_file, tmp_path, version=7)
    flags = (f"--tflite={tflite_file}", f"--head={stub.address}", manifest, "--model=gone")
    status, _, err = run(capfd, photo, *flags)
    assert status == 1
    assert "answers 404" in err and "The manifest is of version 7: take the .tflite file" in err
    assert "--version=N or --label=NAME" in err


def test_tflite_file_that_the_manifest_does_not_list_is_refused(
    capfd, stub, tflite_file, photo, tmp_path
):
    listed = {"tflite/encoder_float32.tflite": {"sha256": "0" * 64, "bytes": 1}}
    manifest = versioned_manifest(tflite_file, tmp_path, files=listed)
    flags = (f"--tflite={tflite_file}", f"--head={stub.address}", manifest)
    status, _, err = run(capfd, photo, *flags)
    assert status == 2 and not stub.requests
    assert "is none of those that the manifest lists: they are of different exports" in err
    own = hashlib.sha256(tflite_file.read_bytes()).hexdigest()
    listed["tflite/encoder_float32.tflite"]["sha256"] = own
    manifest = versioned_manifest(tflite_file, tmp_path, files=listed)
    flags = (f"--tflite={tflite_file}", f"--head={stub.address}", manifest)
    assert run(capfd, photo, *flags)[0] == 0


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid", "is a Git LFS pointer"),
        (b"", "is empty"),
        (b"\xff\xfe{}", "is not text in UTF-8"),
        (b"[" * 100_000, "is not JSON"),
        (b"[1]", "holds a list; expected an object"),
    ],
)
@pytest.mark.parametrize("damaged", ["--manifest", "--tflite"])
def test_damaged_files_of_the_export_are_named_in_one_line(
    capfd, tflite_file, photo, tmp_path, damaged, content, words
):
    path = tmp_path / "damaged"
    path.write_bytes(content)
    flags = {"--tflite": tflite_file, "--manifest": tflite_file.parent.parent / "manifest.json"}
    flags[damaged] = path
    given = [f"{name}={value}" for name, value in flags.items()]
    status, _, err = run(capfd, photo, *given, "--head=localhost:1")
    assert status == 2 and err.count("\n") == 1
    assert str(path) in err and "export" in err
    if damaged == "--manifest" or "LFS" in words or "empty" in words:
        assert words in err


def test_folders_and_patterns_stand_for_their_pictures(
    capfd, stub, tflite_file, photo, tmp_path, monkeypatch
):
    album = tmp_path / "album [2026]"
    (album / "more").mkdir(parents=True)
    for name in ("b.JPG", "a.jpg", "more/c.jpeg", ".hidden.jpg"):
        (album / name).write_bytes(photo.read_bytes())
    (album / "notes.txt").write_text("none")
    monkeypatch.chdir(tmp_path)
    given = (f"--tflite={tflite_file}", f"--head={stub.address}", "--json")
    expected = ["album [2026]/a.jpg", "album [2026]/b.JPG", "album [2026]/more/c.jpeg"]
    for named, found in (
        (["album [2026]"], expected),
        (["album*"], expected),
        (["album*/*.jp*g"], expected[:1]),
        (["*/**/*.jpeg", "album [2026]"], [expected[2], *expected[:2]]),
        (["album [2026]/a.jpg"], expected[:1]),
    ):
        status, out, _ = run(capfd, *named, *given)
        assert status == 0
        assert [each["photo"] for each in json.loads(out)["photos"]] == found


def test_photos_in_a_folder_that_are_not_read_are_named(capfd, stub, tflite_file, photo, tmp_path):
    album = tmp_path / "album"
    album.mkdir()
    (album / "a.jpg").write_bytes(photo.read_bytes())
    (album / "b.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(20))
    (album / "c.tif").write_bytes(b"II*\0" + bytes(20))
    given = (f"--tflite={tflite_file}", f"--head={stub.address}", "--json")
    status, out, err = run(capfd, str(album), *given)
    assert status == 1
    assert [each["photo"] for each in json.loads(out)["photos"]] == [str(album / "a.jpg")]
    assert "b.HEIC" in err and "HEIC" in err.split("b.HEIC", 1)[1]
    assert "c.tif" in err and "TIFF" in err


@pytest.mark.parametrize(
    ("named", "words"), [("empty", "empty holds no picture"), ("*.tif", "matches no file")]
)
def test_folder_or_pattern_without_pictures_is_refused(
    capfd, tflite_file, tmp_path, monkeypatch, named, words
):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    status, _, err = run(capfd, named, f"--tflite={tflite_file}", "--head=localhost:1")
    assert status == 1 and words in err


def test_manifest_beside_the_file_goes_before_the_folder_aboves(tmp_path, tflite_file):
    assert client_cli.manifest_of(tflite_file) == tflite_file.parent.parent / "manifest.json"
    (tmp_path / "manifest.json").write_text("{}")
    assert client_cli.manifest_of(tmp_path / "encoder.tflite") == tmp_path / "manifest.json"


def source_of(module):
    """The file of a module of serving."""
    return ROOT / "serving" / f"{module.replace('.', '/')}.py"


def imported_packages(path):
    """Top-level packages that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names)


@pytest.mark.parametrize("module", ON_THE_DEVICE)
def test_device_side_imports_five_packages_at_most(module):
    found = imported_packages(source_of(module))
    assert found <= {"serving", "numpy", "PIL", "urllib3", "ai_edge_litert"}
    assert "ai_edge_litert" not in found or module == "device.encoder"


def test_no_client_module_was_forgotten_above():
    reached, waiting = set(), {"client"}
    while waiting:
        module = waiting.pop()
        reached.add(module)
        for node in ast.walk(ast.parse(source_of(module).read_text())):
            if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "serving":
                names = {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
                names = {name.removeprefix("serving.") for name in names}
                waiting |= {name for name in names if source_of(name).is_file()} - reached
    assert reached == set(ON_THE_DEVICE)


REFUSING = """
    import runpy, sys

    class Refuser:
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] in {"tensorflow", "keras", "arl_tf", "tensorflow_serving"}:
                raise AssertionError(f"{name} was imported")

    sys.meta_path.insert(0, Refuser())
    sys.argv[0] = "client"
    runpy.run_module("serving.client", run_name="__main__")
"""


def test_encode_runs_where_importing_tensorflow_or_arl_tf_fails(stub, tflite_file, photo):
    finished = subprocess.run(
        [
            *(sys.executable, "-W", "error", "-c", textwrap.dedent(REFUSING), "encode", photo),
            *(f"--tflite={tflite_file}", f"--head={stub.address}", "--json"),
            f"--timeout={LONG}",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=OF_A_PROCESS,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert list(json.loads(finished.stdout)["photos"][0]["attributes"]) == list(NAMES)


def distributions_of(*names):
    """These installed distributions and all that they require."""
    found, waiting = {}, list(names)
    while waiting:
        name = packaging.utils.canonicalize_name(waiting.pop())
        if name in found:
            continue
        found[name] = importlib.metadata.distribution(name)
        requirements = map(packaging.requirements.Requirement, found[name].requires or [])
        waiting += [
            each.name
            for each in requirements
            if each.marker is None or each.marker.evaluate({"extra": ""})
        ]
    return found


def link_into(site_packages, distribution):
    """Puts a distribution's files into a virtual environment as links."""
    for file in distribution.files:
        if ".." in file.parts or "__pycache__" in file.parts:
            continue
        link = site_packages / file
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(pathlib.Path(distribution.locate_file(file)).resolve())


def test_encode_runs_in_a_virtual_environment_without_tensorflow(
    stub, tflite_file, photo, tmp_path
):
    if sys.platform == "win32":
        pytest.skip("links of files need rights on Windows")
    home = tmp_path / "environment"
    venv.create(home, with_pip=False, symlinks=True)
    (site_packages,) = home.glob("lib/python*/site-packages")
    distributions = distributions_of("numpy", "pillow", "urllib3", "ai-edge-litert")
    assert not {"tensorflow", "keras", "arl-tf"} & set(distributions)
    for distribution in distributions.values():
        link_into(site_packages, distribution)
    # A copy of the client's files alone, as on a device: arl_tf isn't beside them.
    packages = ("__init__", "clients.__init__", "device.__init__", "pictures.__init__")
    for module in (*packages, *ON_THE_DEVICE):
        copy = tmp_path / source_of(module).relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(source_of(module).read_text())

    def python(*arguments):
        return subprocess.run(
            [home / "bin" / "python", *arguments],
            cwd=tmp_path,
            env={},
            capture_output=True,
            text=True,
            timeout=OF_A_PROCESS,
            check=False,
        )

    for absent in ("tensorflow", "keras", "arl_tf"):
        assert "ModuleNotFoundError" in python("-c", f"import {absent}").stderr
    arguments = (photo, f"--tflite={tflite_file}", f"--head={stub.address}", "--json")
    finished = python("-m", "serving.client", "encode", *arguments, f"--timeout={LONG}")
    assert finished.returncode == 0, finished.stderr
    attributes = json.loads(finished.stdout)["photos"][0]["attributes"]
    expected = sigmoid(stub_logits(code_of(tflite_file, photo)))[0]
    np.testing.assert_allclose(list(attributes.values()), expected, rtol=1e-5)


def outcome(attributes, kind):
    return client_cli.Outcome([pathlib.Path("a.jpg")], {}, attributes, task_kind=kind)


def test_of_many_classes_the_likeliest_are_printed_the_answer_first():
    probability = np.float32([[0.02, 0.5, 0.1, 0.3, 0.05, 0.03]])
    decision = np.arange(6) == [[1]]
    names = tuple("abcdef")
    found = Attributes(names, probability, probability, decision)
    (lines,) = client_cli.answer_lines(outcome(found, "single_label"))
    assert lines[:2] == ["  yes   50.0 %  b", "  no    30.0 %  d"]
    assert len(lines) == client_cli.MOST_CLASSES
    assert len(client_cli.answer_lines(outcome(found, "multi_label"))[0]) == 6


def test_values_are_printed_and_given_as_values(capfd):
    value = np.float32([[31.25, 1.5]])
    found = outcome(Attributes(("age", "height"), None, None, None, value), "regression")
    assert [line.split() for line in client_cli.answer_lines(found)[0]] == [
        ["31.250", "age"],
        ["1.500", "height"],
    ]
    client_cli.print_json(found)
    (photo,) = json.loads(capfd.readouterr().out)["photos"]
    assert photo["values"] == {"age": 31.25, "height": 1.5}
    assert photo["attributes"] is photo["decisions"] is None
