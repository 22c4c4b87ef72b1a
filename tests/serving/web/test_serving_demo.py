"""What the demo page is told of a photo, its headers, and folders of attackers that are none."""

import base64
import contextlib
import hashlib
import http.client
import io
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from saved_models import save_function
from serving_models import (
    CODE_SHAPE,
    NAMES,
    SIZE,
    add_version,
    picture_file,
    pictures,
    rest,
    serving,
)
from waiting import LONG

from serving.server.endpoints import LocalServer, Settings
from serving.server.errors import ServingError
from serving.server.validation import Limits
from serving.web import attackers as demo_attackers
from serving.web import browser_files, demo, facts
from serving.web import pictures as demo_pictures


@pytest.fixture(scope="module")
def attackers(other_models, tmp_path_factory):
    """Attackers that return the code's channels as a picture: float, and uint8 halved."""
    folder = tmp_path_factory.mktemp("attackers")
    shape = (None, *CODE_SHAPE)
    save_function(
        folder / "protected",
        shape,
        lambda code, scale: {"picture": tf.sigmoid(code)},
        name="code",
        dtype=tf.float32,
    )
    save_function(
        folder / "unprotected",
        shape,
        lambda code, scale: {"picture": tf.cast(127 * tf.sigmoid(code), tf.uint8)},
        name="code",
        dtype=tf.float32,
    )
    save_function(
        folder / "task_output",
        (None, len(NAMES)),
        lambda logits, scale: {"picture": tf.sigmoid(logits[:, None, None, :1]) * tf.ones(3)},
        name="logits",
        dtype=tf.float32,
    )
    shutil.copytree(other_models / "encoder" / "1", folder / "unprotected_encoder")
    return folder


@pytest.fixture(scope="module")
def server(exported_models, attackers):
    with serving(exported_models, demo_attacker=attackers) as running:
        yield running


def picture_in(url):
    assert url.startswith("data:image/png;base64,")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))))


def encode(path, image):
    signatures = tf.saved_model.load(str(path)).signatures
    return signatures["encode"](image=tf.constant(image[None]))["code"].numpy()


def explain(server, body):
    return rest(server, "POST", "/demo/explain", body)


def test_answer_has_the_code_the_task_heads_attributes_and_all_attackers_pictures(
    server, exported_models, attackers
):
    (image,) = pictures()
    status, answer = explain(server, picture_file(image))
    assert status == 200
    assert answer["code"]["shape"] == list(CODE_SHAPE)
    assert answer["code"]["bytes"] == 4 * np.prod(CODE_SHAPE)
    code = encode(exported_models / "encoder" / "1", image)
    head = tf.saved_model.load(str(exported_models / "task_head" / "1"))
    read = head.signatures["serving_default"](code=tf.constant(code))
    expected = read["probability"][0]
    assert [entry["name"] for entry in answer["attributes"]] == list(NAMES)
    found = [entry["probability"] for entry in answer["attributes"]]
    np.testing.assert_allclose(found, expected, atol=1e-4)
    made = answer["reconstructions"]
    of_code = tf.sigmoid(code[0]).numpy()
    np.testing.assert_allclose(picture_in(made["protected"]), 255 * of_code, atol=1)
    other = tf.sigmoid(encode(attackers / "unprotected_encoder", image)[0]).numpy()
    np.testing.assert_allclose(picture_in(made["unprotected"]), 127 * other, atol=1)
    of_output = 255 * tf.sigmoid(read["logits"][0, 0]).numpy()
    np.testing.assert_allclose(picture_in(made["task_output"]), [[[of_output] * 3]], atol=1)


def read_code(server, body, version="1"):
    return rest(server, "POST", f"/demo/read?version={version}", body)


def test_code_alone_gets_the_same_answer_but_for_the_unprotected_codes_attack(
    server, exported_models
):
    (image,) = pictures()
    code = encode(exported_models / "encoder" / "1", image)
    status, answer = read_code(server, code.astype("<f4").tobytes())
    assert status == 200
    of_photo = explain(server, picture_file(image))[1]
    assert of_photo["reconstructions"].pop("unprotected")
    assert answer["reconstructions"].pop("unprotected") is None
    assert answer == of_photo


@pytest.mark.parametrize(
    ("body", "version", "message"),
    [
        (b"", "1", "0 bytes; expected float32 [4, 4, 3], 192 bytes"),
        (bytes(191), "1", "191 bytes"),
        (np.full(48, np.nan, np.float32).tobytes(), "1", "NaN"),
        (bytes(192), "", "version is ''"),
        (bytes(192), "-1", "version is '-1'"),
        (bytes(192), "7", "Specific(task_head, 7)"),
        (bytes(192), "9" * 5000, "Failed to convert version"),
    ],
)
def test_what_is_no_code_is_refused(server, body, version, message):
    status, answer = read_code(server, body, version)
    assert status in (400, 404)
    assert message in answer["error"]


def test_without_attackers_the_answer_says_none(exported_models):
    with serving(exported_models) as running:
        answer = explain(running, picture_file(pictures()[0]))[1]
    assert set(answer["reconstructions"].values()) == {None}


@pytest.mark.parametrize("body", [b"", b"no picture", picture_file(pictures()[0])[:60]])
def test_what_is_no_picture_is_refused(server, body):
    status, answer = explain(server, body)
    assert status == 400
    assert answer["error"]


@pytest.mark.slow
def test_code_is_read_by_the_task_head_of_its_own_version(tmp_path, exported_models):
    folder = shutil.copytree(exported_models, tmp_path / "models")
    with serving(folder) as running:
        add_version(folder, exported_models, 2)
        (folder / "task_head" / "2").rename(tmp_path / "away")
        running.store.poll(settled=True)
        status, answer = explain(running, picture_file(pictures()[0]))
    assert status == 404
    assert "Specific(task_head, 2)" in answer["error"]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html"),
        ("/demo/demo.css", "text/css"),
        ("/demo/audit.js", "text/javascript"),
        ("/demo/demo.js", "text/javascript"),
        ("/demo/encoder.js", "text/javascript"),
        ("/demo/noise.js", "text/javascript"),
        ("/demo/picture.js", "text/javascript"),
        ("/demo/face.png", "image/png"),
    ],
)
def test_page_and_files_let_nothing_in_from_elsewhere(server, path, kind):
    connection = http.client.HTTPConnection("127.0.0.1", server.rest_api_port, timeout=LONG)
    connection.request("GET", path)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    assert response.status == 200
    assert response.headers.get_content_type() == kind
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    # WASM may be compiled; neither inline scripts nor eval may run.
    assert "unsafe" not in policy.replace("'wasm-unsafe-eval'", "")
    assert "http" not in policy
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cache-Control"] == "no-store"
    assert b"http" not in content or kind == "image/png"


def test_only_listed_files_are_given_away(server):
    assert rest(server, "GET", "/demo/index.html")[0] == 404
    assert rest(server, "GET", "/demo/..%2Fdemo.py")[0] == 404
    assert rest(server, "GET", "/demo/litert/2.5.3/core/package.json")[0] == 404
    assert rest(server, "GET", "/demo/litert/2.5.3/..%2f..%2f..%2fdemo.py")[0] == 404
    assert rest(server, "GET", "/demo/litert/0.0.0/core/dist/index.js")[0] == 404


def test_code_picture_tiles_channels_and_centres_grey():
    code = np.zeros((8, 8, 32), np.float32)
    code[0, 0, 9] = 1
    picture = demo_pictures.code_picture(code)
    assert picture.shape == (4 * 8, 8 * 8)
    assert picture.dtype == np.uint8
    # Channel 9 is the second tile of the second row.
    assert np.argwhere(picture == 255).tolist() == [[8, 8]]
    assert demo_pictures.code_picture(np.zeros((1, 1, 1), np.float32)).tolist() == [[128]]
    assert demo_pictures.code_picture(np.arange(6, dtype=np.float32)).shape == (2, 3)


def test_attackers_must_be_there_and_in_pairs(tmp_path, attackers):
    with pytest.raises(ValueError, match="holds none of protected"):
        demo_attackers.load_attacker(tmp_path)
    (tmp_path / "unprotected").symlink_to(attackers / "unprotected")
    with pytest.raises(ValueError, match="go together"):
        demo_attackers.load_attacker(tmp_path)


def write_findings(folder, **changes):
    figure = {"value": 0.5, "ci95": [0.4, 0.6]}
    content = {
        "attackers": {
            "protected": {"attack": "linear", "words": "a linear map", "face_similarity": figure},
            "unprotected": {"words": "a decoder", "face_similarity": None},
        },
        "floors": {
            "mean_image": {"value": 0.1},
            "task_output": {"attack": "task_output/fused", "value": 0.2},
        },
        "worst": {"attack": "map", "value": 0.6, "ci95": [0.5, 0.7], "attackers": 7},
        "measured_on": {"images": 540},
        "leakage": {"value": 0.75, "ci95": [0.5, 0.9]},
        "why_no_leakage": None,
        "rank1": {"pictures": {"code": figure, "task_output": {"value": 0.1}}},
        "warnings": ["the attackers are too weak"],
        "trained_on": {"words": "drawn faces", "photographs": False},
    }
    (folder / "attackers.json").write_text(json.dumps(content | changes))


def told(server):
    status, answer = rest(server, "GET", "/demo/facts")
    assert status == 200
    return answer


def test_page_is_told_what_the_audit_found_of_the_attackers(exported_models, attackers, tmp_path):
    shutil.copytree(attackers / "protected", tmp_path / "protected")
    write_findings(tmp_path)
    with serving(exported_models, demo_attacker=tmp_path) as running:
        answer = told(running)
    assert answer["attacked"] == ["protected"]
    assert answer["trained_on"] == {"words": "drawn faces", "photographs": False}
    assert answer["findings"] == {
        "attackers": {
            "protected": {"words": "a linear map", "attack": "linear", "face_similarity": 0.5},
            "unprotected": {"words": "a decoder", "attack": None, "face_similarity": None},
        },
        "encoder_sha256": None,
        "floor": {"name": "task_output", "value": 0.2, "attack": "fused"},
        "worst": {"attack": "map", "value": 0.6, "attackers": 7},
        "images": 540,
        "leakage": 0.75,
        "leakage_ci95": [0.5, 0.9],
        "why_no_leakage": None,
        "rank1": {"pictures": {"code": 0.5, "task_output": 0.1}},
        "warnings": ["the attackers are too weak"],
        "trained_on": {"words": "drawn faces", "photographs": False},
    }


@pytest.mark.parametrize(("served", "is_shown"), [("ab" * 32, True), ("cd" * 32, False)])
def test_attackers_of_another_encoder_are_left_out_and_told(
    exported_models, attackers, tmp_path, served, is_shown
):
    models = write_export(tmp_path, exported_models, encoder_sha256=served)
    shutil.copytree(attackers / "protected", tmp_path / "attackers" / "protected")
    described = {"words": "a linear map", "face_similarity": None, "encoder_sha256": "ab" * 32}
    write_findings(tmp_path / "attackers", attackers={"protected": described})
    with serving(models, demo_attacker=tmp_path / "attackers") as running:
        answer = told(running)
        status, found = explain(running, picture_file(pictures()[0]))
    assert status == 200
    assert answer["attacked"] == (["protected"] if is_shown else [])
    assert (found["reconstructions"]["protected"] is not None) == is_shown
    assert bool(answer["findings"]) == is_shown
    assert ("codes of another encoder" in (answer["why_no_attackers"] or "")) != is_shown


def test_findings_of_an_older_stage_are_read(tmp_path):
    write_findings(tmp_path)
    content = json.loads((tmp_path / "attackers.json").read_text())
    old = {name: content[name] for name in ("attackers", "leakage")}
    (tmp_path / "attackers.json").write_text(json.dumps(old))
    found = demo_attackers.read_findings(tmp_path / "attackers.json")
    assert found["leakage"] == 0.75
    assert found["floor"] is found["worst"] is found["images"] is None
    assert (found["rank1"], found["warnings"]) == ({}, [])


def fake_packages(folder):
    """What npm ci leaves, as far as it is looked at."""
    for path in ("core/dist/index.js", "core/wasm/litert.wasm", "wasm-utils/dist/index.js"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path)
    (folder / "core" / "package.json").write_text('{"version": "9.8.7"}')
    return folder


def write_export(folder, exported, **changes):
    """An export of both models with a TFLite file and a manifest."""
    shutil.copytree(exported, folder / "export" / "saved_model")
    (folder / "export" / "tflite").mkdir()
    (folder / "export" / "tflite" / "encoder_float32.tflite").write_bytes(b"....TFL3")
    manifest = {
        "version": 1,
        "image_size": SIZE,
        "trained_on": {"words": "7 photographs", "photographs": True},
        "code": {"shape": list(CODE_SHAPE), "bytes": 192, "noise": "Every code ..."},
        "tflite": {"float32": {"delegates": ["cpu", "gpu"]}},
    }
    (folder / "export" / "manifest.json").write_text(json.dumps(manifest | changes))
    return folder / "export" / "saved_model"


def test_page_encodes_itself_where_package_file_and_manifest_are_there(exported_models, tmp_path):
    models = write_export(tmp_path / "my run", exported_models)
    packages = fake_packages(tmp_path / "packages")
    with serving(models, packages=packages) as running:
        answer = told(running)
        connection = http.client.HTTPConnection("127.0.0.1", running.rest_api_port, timeout=LONG)
        connection.request("GET", answer["encoder"]["url"])
        assert connection.getresponse().read() == b"....TFL3"
        connection.request("GET", "/demo/litert/9.8.7/core/wasm/litert.wasm")
        response = connection.getresponse()
        assert response.read() == b"core/wasm/litert.wasm"
        assert response.headers["Content-Type"] == "application/wasm"
        connection.request("GET", "/")
        page = connection.getresponse()
        content = page.read().decode()
        connection.close()
    assert answer["why_server"] is None
    assert (answer["encoder"]["version"], answer["encoder"]["gpu"]) == (1, True)
    assert (answer["image_size"], answer["noise"]) == (SIZE, True)
    assert answer["trained_on"]["photographs"] is True
    script = content.partition('<script type="importmap">')[2].partition("</script>")[0]
    assert (
        json.loads(script)["imports"]["@litertjs/core"] == "/demo/litert/9.8.7/core/dist/index.js"
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in page.headers["Content-Security-Policy"]
    # Commands can be pasted into a shell.
    assert f"'--workdir={tmp_path}/my run'" in answer["commands"][0]


def get(running, path):
    """(HTTP status, body) of a path of the page."""
    connection = http.client.HTTPConnection("127.0.0.1", running.rest_api_port, timeout=LONG)
    with contextlib.closing(connection):
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()


@pytest.mark.parametrize("is_named", [False, True])
def test_an_encoder_of_another_version_than_the_page_knows_is_not_given_out(
    exported_models, tmp_path, is_named
):
    models = write_export(tmp_path / "run", exported_models)
    export = models.parent
    file = export / "tflite" / "encoder_float32.tflite" if is_named else None
    pages = demo.pages(None, file, packages=fake_packages(tmp_path / "packages"))
    running = LocalServer(Settings(models, port=0, rest_api_port=0), pages)
    running.start()
    try:
        url = told(running)["encoder"]["url"]
        assert get(running, url) == (200, b"....TFL3")
        # A second export, in the place of the first.
        add_version(models, exported_models, 2)
        running.store.poll(settled=True)
        (export / "tflite" / "encoder_float32.tflite").write_bytes(b"2...TFL3")
        manifest = json.loads((export / "manifest.json").read_text())
        (export / "manifest.json").write_text(json.dumps(manifest | {"version": 2}))
        status, body = get(running, url)
        assert status == 409
        assert "of version 2 by now; version '1' was asked for" in json.loads(body)["error"]
        assert get(running, told(running)["encoder"]["url"]) == (200, b"2...TFL3")
    finally:
        running.stop(grace=5)


@pytest.mark.parametrize(
    ("manifest", "with_package", "why"),
    [
        ({}, False, "npm ci --prefix serving/web"),
        ({"version": 2}, True, "of version 2, whose task head is not being served"),
        ({"version": None}, True, "no .tflite file with its manifest"),
        (
            {"files": {"tflite/encoder_float32.tflite": {"sha256": "another's"}}},
            True,
            "is not the file that its manifest describes",
        ),
    ],
)
def test_page_is_told_why_the_server_encodes(
    exported_models, tmp_path, manifest, with_package, why
):
    models = write_export(tmp_path / "run", exported_models, **manifest)
    packages = fake_packages(tmp_path / "packages") if with_package else tmp_path / "none"
    with serving(models, packages=packages) as running:
        answer = told(running)
    assert why in answer["why_server"]
    assert answer["encoder"] is answer["litert"] is None
    # It sends what the encoder would see.
    assert answer["image_size"] == SIZE


def test_named_file_without_a_manifest_is_refused(exported_models, tmp_path):
    (tmp_path / "encoder.tflite").write_bytes(b"....TFL3")
    pages = demo.pages(None, tmp_path / "encoder.tflite")
    with pytest.raises(ValueError, match=r"--demo_encoder=.*with its manifest\.json"):
        LocalServer(Settings(exported_models, port=0, rest_api_port=0), pages)


def test_commands_name_no_run_where_there_is_none():
    assert "--workdir=RUN" in facts.attackers_commands(None)[0]


def test_lock_file_pins_litert_and_names_no_registry():
    lock = json.loads((browser_files.WEB / "package-lock.json").read_text())
    packages = {name: each for name, each in lock["packages"].items() if name}
    assert packages["node_modules/@litertjs/core"]["version"] == "2.5.3"
    assert all(each["integrity"].startswith("sha512-") for each in packages.values())
    assert "resolved" not in str(lock)
    assert "http" not in str(lock)


@pytest.mark.parametrize("leakage", [None, {"value": None, "ci95": None}])
def test_unknown_leakage_is_none(tmp_path, leakage):
    write_findings(tmp_path, leakage=leakage)
    assert demo_attackers.read_findings(tmp_path / "attackers.json")["leakage"] is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"attackers": {"protected": {}}}',
        '{"attackers": {}, "leakage": {"value": NaN}}',
    ],
)
def test_damaged_findings_are_refused_by_name(tmp_path, attackers, text):
    (tmp_path / "protected").symlink_to(attackers / "protected")
    (tmp_path / "attackers.json").write_text(text)
    with pytest.raises(ValueError, match=r"attackers\.json .*--stages=attackers writes the folder"):
        demo_attackers.load_attacker(tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"version": True},
        {"files": None},
        {"files": {"a": {}}},
        {"tflite": []},
        {"tflite": {"a": 1}},
    ],
)
def test_manifest_of_another_form_is_none_for_browsers(tmp_path, wrong):
    good = {"version": 1, "files": {"a": {"sha256": ""}}, "tflite": {"float32": {}}}
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(good), encoding="utf-8-sig")
    assert browser_files.read_manifest(path) == good
    path.write_text(json.dumps(good | wrong))
    assert browser_files.read_manifest(path) is None


def test_attacker_of_the_latest_version_is_loaded(tmp_path, attackers):
    for version in ("9", "10"):
        shutil.copytree(attackers / "protected", tmp_path / "protected" / version)
    assert demo_attackers.load_attacker(tmp_path).protected.path == tmp_path / "protected" / "10"


def test_attacker_of_other_codes_is_an_error_with_the_shapes(attackers, exported_models):
    loaded = demo_attackers.load_attacker(attackers)
    with pytest.raises(ServingError, match=r"shape \[1, 2, 2, 3\], expected \[\?, 4, 4, 3\]"):
        demo_attackers.attack(loaded.protected, np.zeros((1, 2, 2, 3), np.float32), Limits())


def test_nothing_of_a_photo_is_kept_on_disk_or_cached(server, tmp_path, monkeypatch):
    for name in ("HOME", "TMPDIR"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert explain(server, picture_file(pictures(seed=77)[0]))[0] == 200
    assert list(tmp_path.iterdir()) == []


def test_sizes_of_photos_do_not_matter(server):
    for shape in ((SIZE * 3, SIZE), (1, 1), (5, 200)):
        photo = picture_file(np.zeros((*shape, 3), np.uint8), "JPEG")
        assert explain(server, photo)[0] == 200
