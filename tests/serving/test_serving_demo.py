"""What the demo page is told of a photo, its headers, and folders of attackers that are none."""

import base64
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
    picture_file,
    pictures,
    rest,
    save_models,
    serving,
)
from waiting import LONG

from serving.server.errors import ServingError
from serving.web import demo


@pytest.fixture(scope="module")
def attackers(tmp_path_factory):
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
    other = save_models(folder / "run", seed=9)
    (other / "encoder" / "1").rename(folder / "unprotected_encoder")
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


def test_answer_has_the_code_the_task_heads_attributes_and_both_attackers_pictures(
    server, exported_models, attackers
):
    (image,) = pictures()
    status, answer = explain(server, picture_file(image))
    assert status == 200
    assert answer["code"]["shape"] == list(CODE_SHAPE)
    assert answer["code"]["bytes"] == 4 * np.prod(CODE_SHAPE)
    code = encode(exported_models / "encoder" / "1", image)
    head = tf.saved_model.load(str(exported_models / "task_head" / "1"))
    expected = head.signatures["serving_default"](code=tf.constant(code))["probability"][0]
    assert [entry["name"] for entry in answer["attributes"]] == list(NAMES)
    found = [entry["probability"] for entry in answer["attributes"]]
    np.testing.assert_allclose(found, expected, atol=1e-4)
    made = answer["reconstructions"]
    of_code = tf.sigmoid(code[0]).numpy()
    np.testing.assert_allclose(picture_in(made["protected"]), 255 * of_code, atol=1)
    other = tf.sigmoid(encode(attackers / "unprotected_encoder", image)[0]).numpy()
    np.testing.assert_allclose(picture_in(made["unprotected"]), 127 * other, atol=1)


def test_without_attackers_the_answer_says_none(exported_models):
    with serving(exported_models) as running:
        answer = explain(running, picture_file(pictures()[0]))[1]
    assert answer["reconstructions"] == {"protected": None, "unprotected": None}


@pytest.mark.parametrize("body", [b"", b"no picture", picture_file(pictures()[0])[:60]])
def test_what_is_no_picture_is_refused(server, body):
    status, answer = explain(server, body)
    assert status == 400
    assert answer["error"]


def test_code_is_read_by_the_task_head_of_its_own_version(tmp_path):
    folder = save_models(tmp_path / "models", version=1)
    with serving(folder) as running:
        save_models(folder, version=2)
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
        ("/demo/demo.js", "text/javascript"),
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
    assert "unsafe" not in policy
    assert "http" not in policy
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cache-Control"] == "no-store"
    assert b"http" not in content or kind == "image/png"


def test_only_listed_files_are_given_away(server):
    assert rest(server, "GET", "/demo/index.html")[0] == 404
    assert rest(server, "GET", "/demo/..%2Fdemo.py")[0] == 404


def test_code_picture_tiles_channels_and_centres_grey():
    code = np.zeros((8, 8, 32), np.float32)
    code[0, 0, 9] = 1
    picture = demo.code_picture(code)
    assert picture.shape == (4 * 8, 8 * 8)
    assert picture.dtype == np.uint8
    # Channel 9 is the second tile of the second row.
    assert np.argwhere(picture == 255).tolist() == [[8, 8]]
    assert demo.code_picture(np.zeros((1, 1, 1), np.float32)).tolist() == [[128]]
    assert demo.code_picture(np.arange(6, dtype=np.float32)).shape == (2, 3)


def test_attackers_must_be_there_and_in_pairs(tmp_path, attackers):
    with pytest.raises(ValueError, match="holds none of protected"):
        demo.load_attacker(tmp_path)
    (tmp_path / "unprotected").symlink_to(attackers / "unprotected")
    with pytest.raises(ValueError, match="go together"):
        demo.load_attacker(tmp_path)


def write_findings(folder, **changes):
    figure = {"value": 0.5, "ci95": [0.4, 0.6]}
    content = {
        "attackers": {
            "protected": {"words": "a linear map", "face_similarity": figure, "rank": 256},
            "unprotected": {"words": "a decoder", "face_similarity": None},
        },
        "leakage": {"value": 0.75, "ci95": None},
    }
    (folder / "attackers.json").write_text(json.dumps(content | changes))


def test_answer_says_what_the_audit_found_of_the_attackers(exported_models, attackers, tmp_path):
    shutil.copytree(attackers / "protected", tmp_path / "protected")
    write_findings(tmp_path)
    with serving(exported_models, demo_attacker=tmp_path) as running:
        answer = explain(running, picture_file(pictures()[0]))[1]
    assert answer["findings"] == {
        "attackers": {
            "protected": {"words": "a linear map", "face_similarity": 0.5},
            "unprotected": {"words": "a decoder", "face_similarity": None},
        },
        "leakage": 0.75,
    }


@pytest.mark.parametrize("leakage", [None, {"value": None, "ci95": None}])
def test_unknown_leakage_is_none(tmp_path, leakage):
    write_findings(tmp_path, leakage=leakage)
    assert demo.read_findings(tmp_path / "attackers.json")["leakage"] is None


@pytest.mark.parametrize("text", ["", "[]", '{"attackers": {"protected": {}}}'])
def test_damaged_findings_are_refused_by_name(tmp_path, attackers, text):
    (tmp_path / "protected").symlink_to(attackers / "protected")
    (tmp_path / "attackers.json").write_text(text)
    with pytest.raises(ValueError, match=r"attackers\.json can't be read"):
        demo.load_attacker(tmp_path)


def test_attacker_of_the_latest_version_is_loaded(tmp_path, attackers):
    for version in ("9", "10"):
        shutil.copytree(attackers / "protected", tmp_path / "protected" / version)
    assert demo.load_attacker(tmp_path).protected.path == tmp_path / "protected" / "10"


def test_attacker_of_other_codes_is_an_error_with_the_shapes(attackers, exported_models):
    loaded = demo.load_attacker(attackers)
    with pytest.raises(ServingError, match=r"shape \[1, 2, 2, 3\], expected \[\?, 4, 4, 3\]"):
        demo.attack(loaded.protected, np.zeros((1, 2, 2, 3), np.float32), demo.Limits())


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
