"""The demo page in a real browser: what is seen, clicked, dropped and filmed."""

import io
import json
import pathlib
import shutil

import demo_browser
import numpy as np
import picture_files
import pytest
import tensorflow as tf
from conftest import ROOT
from demo_browser import address, drop, set_width, settle, visit
from PIL import Image
from saved_models import save_function
from serving_models import CODE_SHAPE, NAMES, SIZE, serving
from waiting import LONG

from arl_tf.data import preprocessing
from arl_tf.exporting import manifest
from serving.web import facts

webdriver = pytest.importorskip("selenium.webdriver")
wait = pytest.importorskip("selenium.webdriver.support.wait")
pytestmark = [pytest.mark.slow, demo_browser.needs_browser]
# Here the server encodes; test_serving_demo_local.py has the page that does it itself.
NOT_INSTALLED = pathlib.Path("no packages here")


@pytest.fixture(scope="module")
def browser():
    with demo_browser.start(webdriver) as driver:
        yield driver


@pytest.fixture(scope="module")
def server(exported_models, tmp_path_factory):
    folder = tmp_path_factory.mktemp("attackers")
    for name in ("protected", "unprotected"):
        save_function(
            folder / name,
            (None, *CODE_SHAPE),
            lambda code, scale: {"picture": tf.sigmoid(code)},
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
    shutil.copytree(exported_models / "encoder" / "1", folder / "unprotected_encoder")
    findings = {
        "attackers": {
            "protected": {
                "attack": "linear",
                "words": "a linear map",
                "face_similarity": {"value": 0.512},
            },
            "unprotected": {"words": "a linear map", "face_similarity": {"value": 0.8}},
            "task_output": {"words": "a linear map", "face_similarity": {"value": 0.3}},
        },
        "floors": {
            "mean_image": {"value": 0.1},
            "task_output": {"attack": "task_output/fused", "value": 0.52},
        },
        "worst": {"attack": "task_output/fused", "value": 0.52, "attackers": 7},
        "measured_on": {"images": 540},
        "leakage": {"value": 0.0, "ci95": [0.0, 0.123]},
        "rank1": {
            "embeddings": {
                "code": {"value": 0.28},
                "task_output": {"value": 0.15},
                "unprotected": {"value": None},
            }
        },
        "warnings": ["The attackers of the code are too weak."],
        "trained_on": {"words": "6,000 drawn faces, no photographs", "photographs": False},
    }
    (folder / "attackers.json").write_text(json.dumps(findings))
    with serving(exported_models, demo_attacker=folder, packages=NOT_INSTALLED) as running:
        yield running


@pytest.fixture(scope="module")
def plain_server(exported_models):
    with serving(exported_models, packages=NOT_INSTALLED) as running:
        yield running


@pytest.fixture
def page(browser, server):
    return visit(browser, server)


def shown(browser):
    """Every picture on the page as its source, the photo as its pixels."""
    return browser.execute_script(
        "return [document.getElementById('photo').toDataURL(),"
        " ...[...document.querySelectorAll('img')].map(i => i.src)]"
    )


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "holiday.jpg"
    pixels = np.random.default_rng(1).integers(0, 256, (90, 120, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_drawn_face_is_explained_from_the_start(page):
    pictures = page.execute_script(
        "return [...document.querySelectorAll('img')].map("
        "i => [i.complete && i.naturalWidth > 0 && i.offsetParent !== null, i.alt])"
    )
    assert len(pictures) == 4
    assert all(visible and text for visible, text in pictures)
    rows = [row.text.split("\n")[0] for row in page.find_elements("css selector", "#attributes li")]
    # Each attribute with its decision.
    assert {row.partition(": ")[0] for row in rows} == set(NAMES)
    assert {row.partition(": ")[2] for row in rows} <= {"yes", "no"}
    assert "4 × 4 × 3 numbers, 192 bytes" in page.find_element("id", "code_size").text
    original = page.find_element("id", "original")
    assert original.is_displayed()
    assert page.execute_script("return document.getElementById('original').width") == SIZE


def test_what_the_audit_found_stands_below_each_picture_beside_the_same_attackers_floor(page):
    names = ("original", "protected", "unprotected", "task_output")
    words = [page.find_element("id", f"{name}_finding").text for name in names]
    assert words == [
        "Face similarity 1.00: the same face.",
        "Face similarity 0.51 (from the task output 0.30).",
        "Face similarity 0.80 (from the task output 0.30).",
        "Face similarity 0.30.",
    ]
    assert "the same in every picture: a linear map" in page.find_element("id", "attacker").text
    ruler = page.find_element("id", "ruler").text
    assert "measured the attackers on 540 test faces" in ruler
    floor = "an attack from the task output (fused, another attacker than the pictures’) reaches"
    assert f"The audit’s floor, 0.52, is what {floor}" in ruler
    worst = "on this code (from the task output: fused) reaches 0.52"
    assert f"The worst of the audit’s 7 attackers {worst}" in ruler


def test_leakage_of_nothing_stands_with_its_interval_ranks_and_the_audits_warning(page):
    leakage, ranks, warned = (
        page.find_element("id", name).text.replace("\u00a0", " ")
        for name in ("leakage", "ranks", "warned")
    )
    assert "face similarity: 0 % (95 % interval: 0 % to 12 %)" in leakage
    assert "found first in 28 % of the cases (from the task output alone: 15 %)." in ranks
    assert warned == "The audit warns:\nThe attackers of the code are too weak."
    assert "no more" not in page.find_element("tag name", "main").text


def test_page_says_that_each_attribute_has_its_own_threshold(page):
    assert "Each attribute has its own threshold" in page.find_element("id", "order").text


@pytest.mark.parametrize("width", [390, 1100, 1280])
def test_original_and_attacks_stand_in_one_row(page, width):
    set_width(page, width)
    tops = page.execute_script(
        "return [...document.querySelectorAll('#attacks .frame')].map("
        "(frame) => frame.getBoundingClientRect().top)"
    )
    assert len(tops) == 4
    assert len(set(tops)) == 1
    set_width(page, 1280)


def test_page_says_that_the_photo_goes_to_the_server_and_why(page):
    beforehand = page.find_element("id", "where").text
    assert "Photos are sent to the server of this page" in beforehand
    assert "npm ci --prefix serving/web" in beforehand
    at_the_photo = page.find_element("id", "stays").text
    assert f"sent to this page’s server, {SIZE} × {SIZE} pixels of it" in at_the_photo


def test_of_a_photo_no_more_is_sent_than_the_encoder_sees(page, photo):
    demo_browser.requests(page)
    page.find_element("id", "file").send_keys(str(photo))
    settle(page, "Shown: holiday.jpg")
    ((method, url, body),) = [each for each in demo_browser.requests(page) if "/demo/" in each[1]]
    assert (method, url.rpartition("/")[2]) == ("POST", "explain")
    sent = np.asarray(Image.open(io.BytesIO(body)).convert("RGB"))
    expected = preprocessing.preprocess(tf.constant(np.asarray(Image.open(photo))), SIZE).numpy()
    assert sent.shape == (SIZE, SIZE, 3)
    np.testing.assert_allclose(sent.astype(int), expected, atol=4)


def test_page_names_the_product_and_explains_a_code(page):
    text = page.find_element("tag name", "main").text
    assert text.startswith("arl_tf")
    assert "a code: a list of numbers" in text
    assert "trained on 6,000 drawn faces, no photographs" in text


def test_own_photo_gets_a_warning_where_the_encoder_knows_drawn_faces_only(page, photo):
    warning = page.find_element("id", "warning")
    assert not warning.is_displayed()
    page.find_element("id", "file").send_keys(str(photo))
    settle(page, "Shown: holiday.jpg")
    assert "On a photograph the attributes, the attackers’ pictures" in warning.text
    style = "const s = getComputedStyle(document.getElementById('protected_finding'));"
    assert page.execute_script(f"{style} return s.textDecorationLine") == "none"
    muted = "getComputedStyle(document.getElementById('where')).color"
    assert page.execute_script(f"{style} return s.color === {muted}")
    page.find_element("id", "face").click()
    settle(page, "Shown: a drawn face")
    assert not warning.is_displayed()


def test_page_asks_only_its_own_server_and_logs_no_error(browser, page):
    browser.get_log("browser")
    demo_browser.requests(browser)
    browser.refresh()
    settle(browser, "Shown")
    assert browser.get_log("browser") == []
    urls = {url for _, url, _ in demo_browser.requests(browser)}
    assert any(url.endswith("/demo/explain") for url in urls)
    own = (browser.current_url, "data:", f"blob:{browser.current_url}")
    assert all(url.startswith(own) for url in urls), urls


def test_chosen_photo_replaces_everything_that_is_shown(page, photo):
    before = shown(page)
    page.find_element("id", "file").send_keys(str(photo))
    settle(page, "Shown: holiday.jpg")
    assert not set(before) & set(shown(page))
    page.find_element("id", "face").click()
    settle(page, "Shown: a drawn face")
    assert shown(page) == before


def test_photo_is_cut_to_its_centred_square(page, tmp_path):
    wide = np.zeros((60, 100, 3), np.uint8)
    wide[:, :20], wide[:, 80:] = 255, 255
    Image.fromarray(wide).save(tmp_path / "wide.png")
    page.find_element("id", "file").send_keys(str(tmp_path / "wide.png"))
    settle(page, "Shown: wide.png")
    size, brightest = page.execute_script(
        "const c = document.getElementById('photo');"
        "const p = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "return [[c.width, c.height], Math.max(...p.filter((_, i) => i % 4 < 3))]"
    )
    assert size == [60, 60]
    assert brightest == 0


def test_file_that_is_no_picture_is_told_and_the_page_goes_on(page, tmp_path, photo):
    (tmp_path / "notes.jpg").write_text("not a picture")
    page.find_element("id", "file").send_keys(str(tmp_path / "notes.jpg"))
    settle(page, "“notes.jpg” is no picture of a known format (JPEG, PNG, BMP, GIF, WebP)")
    page.find_element("id", "file").send_keys(str(photo))
    settle(page, "Shown: holiday.jpg")


@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_page_sees_the_pixels_of_training(page, fit):
    wrong = {}
    for name, (content, pixels, most) in picture_files.GOOD.items():
        expected = preprocessing.preprocess(tf.constant(pixels), 16, fit).numpy()
        found = demo_browser.prepared(page, content, 16, fit)
        difference = np.abs(found.astype(int) - expected).max()
        if difference > max(1, most):
            wrong[name] = difference
    assert not wrong


def test_dropped_photo_is_explained(page, photo):
    drop(page, photo.read_bytes(), "dropped.jpg", "image/jpeg")
    settle(page, "Shown: dropped.jpg")


def test_camera_takes_a_picture_and_is_switched_off(page):
    before = shown(page)
    page.find_element("id", "camera").click()
    take = page.find_element("id", "take")
    wait.WebDriverWait(page, LONG).until(lambda _: take.is_displayed())
    video = "return document.getElementById('video')"
    wait.WebDriverWait(page, LONG).until(lambda _: page.execute_script(f"{video}.videoWidth > 0"))
    tracks = page.execute_script(f"window.tracks = {video[7:]}.srcObject.getTracks(); return 1")
    assert tracks
    take.click()
    settle(page, "Shown: the camera’s picture")
    assert not take.is_displayed()
    assert page.execute_script("return window.tracks.every(t => t.readyState === 'ended')")
    assert not set(before) & set(shown(page))


def test_camera_can_be_cancelled(page):
    before = shown(page)
    page.find_element("id", "camera").click()
    cancel = page.find_element("id", "cancel")
    wait.WebDriverWait(page, LONG).until(lambda _: cancel.is_displayed())
    cancel.click()
    assert not cancel.is_displayed()
    assert shown(page) == before


def test_second_wish_for_the_camera_leaves_no_camera_on(page):
    page.execute_script("""
        window.tracks = [];
        const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
        navigator.mediaDevices.getUserMedia = async (wish) => {
          const stream = await ask(wish);
          window.tracks.push(...stream.getTracks());
          return stream;
        };""")
    camera = page.find_element("id", "camera")
    camera.click()
    camera.click()
    cancel = page.find_element("id", "cancel")
    wait.WebDriverWait(page, LONG).until(lambda _: cancel.is_displayed())
    wait.WebDriverWait(page, LONG).until(
        lambda _: page.execute_script("return window.tracks.length") == 2
    )
    cancel.click()
    assert page.execute_script("return window.tracks.every(t => t.readyState === 'ended')")


def hold_up_decoding(page):
    """Files named slow.png are decoded only when window.go is called."""
    page.execute_script("""
        const decode = window.createImageBitmap.bind(window);
        const going = new Promise((done) => { window.go = done; });
        window.createImageBitmap = async (file, options) => {
          if (file.name === 'slow.png') await going;
          return decode(file, options);
        };""")


def test_later_choice_wins_though_the_earlier_takes_longer(page, photo):
    hold_up_decoding(page)
    drop(page, photo.read_bytes(), "slow.png", "image/jpeg")
    drop(page, photo.read_bytes(), "quick.png", "image/jpeg")
    settle(page, "Shown: quick.png")
    page.execute_async_script("window.go(); setTimeout(arguments[0], 100)")
    assert "quick.png" in page.find_element("id", "state").text


def test_photo_that_can_not_be_encoded_stands_beside_no_other_ones_code(page, photo):
    page.execute_script("""
        window.fetch = async () => new Response('{"error": "no room"}', {status: 503});""")
    drop(page, photo.read_bytes(), "new.jpg", "image/jpeg")
    settle(page, "That did not work: no room")
    assert not page.execute_script("return document.getElementById('code').getAttribute('src')")
    assert not page.find_elements("css selector", "#attributes li")


def test_keyboard_reaches_every_control_in_order(page):
    keys, reached = webdriver.Keys, []
    for _ in range(3):
        webdriver.ActionChains(page).send_keys(keys.TAB).perform()
        reached.append(page.switch_to.active_element.get_attribute("id"))
    assert reached == ["file", "camera", "face"]


@pytest.mark.parametrize("width", [360, 390, 768, 1280])
def test_page_does_not_scroll_sideways(page, width):
    set_width(page, width)
    inner, scroll = page.execute_script(
        "return [document.documentElement.clientWidth, document.documentElement.scrollWidth]"
    )
    assert scroll <= inner <= width


def test_without_attackers_the_page_shows_the_commands_that_make_them(browser, plain_server):
    visit(browser, plain_server)
    assert not browser.find_element("id", "attacks").is_displayed()
    assert "started without attackers" in browser.find_element("id", "missing_words").text
    make, start = browser.find_element("id", "commands").text.split("\n")
    assert make.startswith("python -m arl_tf.main --stages=attackers --workdir=")
    assert make.endswith("--reference=auto")
    assert "--demo_attacker=" in start
    for name in ("protected_finding", "unprotected_finding", "leakage", "ruler", "ranks"):
        assert not browser.find_element("id", name).text
    assert not browser.find_element("id", "warned").is_displayed()
    words = "return document.querySelector('main').innerText + "
    words += "document.getElementById('warning').textContent"
    assert "attackers’ pictures" not in browser.execute_script(words)


@pytest.mark.parametrize("width", [390, 1280])
def test_commands_are_seen_whole(browser, plain_server, width):
    visit(browser, plain_server, width)
    widths = "const p = document.getElementById('commands'); return [p.scrollWidth, p.clientWidth]"
    content, room = browser.execute_script(widths)
    assert content <= room
    set_width(browser, 1280)


def test_drawn_face_is_procedural():
    from arl_tf.data.faces import generation

    drawn = generation.generate_faces(8, 64, seed=2024, images_per_identity=1).images
    shipped = np.asarray(Image.open(ROOT / "serving" / "web" / "static" / "face.png"))
    assert any(np.array_equal(shipped, picture) for picture in drawn)


def test_page_of_an_encoder_of_other_images_speaks_of_no_faces(
    browser, exported_models, monkeypatch, photo
):
    told = manifest.training_data("folder", 9, of_images=20, photographs=True, faces=False)
    monkeypatch.setattr(facts.PageFacts, "_manifest", lambda *_: {"trained_on": told})
    with serving(exported_models, packages=NOT_INSTALLED) as running:
        set_width(browser, 1280)
        browser.get(address(running))
        settle(browser, "Choose a photo.")
        assert browser.title == "arl_tf: what a code tells"
        words = browser.find_element("tag name", "body").text
        assert "face" not in words.lower().replace("show no faces", "").replace("interface", "")
        assert not browser.find_element("id", "face").is_displayed()
        browser.find_element("id", "file").send_keys(str(photo))
        settle(browser, "Shown: holiday.jpg")
