"""The demo page in a real browser: what is seen, clicked, dropped and filmed."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT
from PIL import Image
from saved_models import save_function
from serving_models import CODE_SHAPE, NAMES, save_models, serving

BROWSER, DRIVER = pathlib.Path("/usr/bin/chromium"), pathlib.Path("/usr/bin/chromedriver")
webdriver = pytest.importorskip("selenium.webdriver")
wait = pytest.importorskip("selenium.webdriver.support.wait")
pytestmark = pytest.mark.skipif(
    not (BROWSER.exists() and DRIVER.exists()),
    reason=f"needs Debian's chromium and chromium-driver: no {BROWSER}, or no {DRIVER}",
)
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for argument in ARGUMENTS:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(str(DRIVER))
    with webdriver.Chrome(options=options, service=service) as driver:
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
    (save_models(folder / "run") / "encoder" / "1").rename(folder / "unprotected_encoder")
    findings = {
        "attackers": {
            "protected": {"words": "a linear map", "face_similarity": {"value": 0.512}},
            "unprotected": {"words": "a decoder", "face_similarity": None},
        },
        "leakage": {"value": 0.754},
    }
    (folder / "attackers.json").write_text(json.dumps(findings))
    with serving(exported_models, demo_attacker=folder) as running:
        yield running


@pytest.fixture(scope="module")
def plain_server(exported_models):
    with serving(exported_models) as running:
        yield running


def address(server):
    # A name that browsers take for a secure place: the camera is for these only.
    return f"http://localhost:{server.rest_api_port}/"


def set_width(browser, width):
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600},
    )


def settle(browser, words):
    """Waits until the page says these words; returns all it says."""
    state = browser.find_element("id", "state")
    wait.WebDriverWait(browser, 30).until(lambda _: words in state.text)
    return state.text


@pytest.fixture
def page(browser, server):
    set_width(browser, 1280)
    browser.get(address(server))
    settle(browser, "Shown: a drawn face")
    return browser


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
    assert len(pictures) == 3
    assert all(visible and text for visible, text in pictures)
    assert {row.text.split("\n")[0] for row in page.find_elements("css selector", "li")} == set(
        NAMES
    )
    assert "4 × 4 × 3 numbers, 192 bytes" in page.find_element("id", "code_size").text


def test_what_the_audit_found_stands_below_the_attackers_pictures(page):
    words = [
        page.find_element("id", f"{name}_finding").text for name in ("protected", "unprotected")
    ]
    assert words == ["Attacker: a linear map. Face similarity 0.51.", "Attacker: a decoder."]
    assert "gives away 75 % of what" in page.find_element("id", "leakage").text
    assert page.find_element("id", "ruler").is_displayed()


def test_page_asks_only_its_own_server_and_logs_no_error(browser, page):
    for kind in ("browser", "performance"):
        browser.get_log(kind)
    browser.refresh()
    settle(browser, "Shown")
    assert browser.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = {
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    }
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
    settle(page, "“notes.jpg” is no picture")
    page.find_element("id", "file").send_keys(str(photo))
    settle(page, "Shown: holiday.jpg")


def test_dropped_photo_is_explained(page):
    page.execute_script("""
        const canvas = document.createElement('canvas');
        canvas.width = canvas.height = 40;
        canvas.toBlob(blob => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([blob], 'dropped.png', {type: 'image/png'}));
          const options = {dataTransfer: transfer, bubbles: true, cancelable: true};
          document.body.dispatchEvent(new DragEvent('drop', options));
        });""")
    settle(page, "Shown: dropped.png")


def test_camera_takes_a_picture_and_is_switched_off(page):
    before = shown(page)
    page.find_element("id", "camera").click()
    take = page.find_element("id", "take")
    wait.WebDriverWait(page, 20).until(lambda _: take.is_displayed())
    video = "return document.getElementById('video')"
    wait.WebDriverWait(page, 20).until(lambda _: page.execute_script(f"{video}.videoWidth > 0"))
    tracks = page.execute_script(f"window.tracks = {video[7:]}.srcObject.getTracks(); return 1")
    assert tracks
    take.click()
    settle(page, "Shown: the camera's picture")
    assert not take.is_displayed()
    assert page.execute_script("return window.tracks.every(t => t.readyState === 'ended')")
    assert not set(before) & set(shown(page))


def test_camera_can_be_cancelled(page):
    before = shown(page)
    page.find_element("id", "camera").click()
    cancel = page.find_element("id", "cancel")
    wait.WebDriverWait(page, 20).until(lambda _: cancel.is_displayed())
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
    wait.WebDriverWait(page, 20).until(lambda _: cancel.is_displayed())
    wait.WebDriverWait(page, 20).until(
        lambda _: page.execute_script("return window.tracks.length") == 2
    )
    cancel.click()
    assert page.execute_script("return window.tracks.every(t => t.readyState === 'ended')")


def choose_slowly(page, name, milliseconds):
    """Chooses a picture that takes so long to decode."""
    page.execute_script(
        """
        const [name, wait] = arguments;
        const decode = window.realDecode ??= window.createImageBitmap.bind(window);
        window.createImageBitmap = async (file) => {
          if (file.name === 'slow.png') await new Promise((done) => setTimeout(done, wait));
          return decode(file);
        };
        const canvas = document.createElement('canvas');
        canvas.width = canvas.height = 40;
        canvas.toBlob(blob => open(new File([blob], name, {type: 'image/png'}), name));
        """,
        name,
        milliseconds,
    )


def test_later_choice_wins_though_the_earlier_takes_longer(page):
    choose_slowly(page, "slow.png", 500)
    choose_slowly(page, "quick.png", 0)
    settle(page, "Shown: quick.png")
    page.execute_async_script("setTimeout(arguments[0], 1000)")
    assert "quick.png" in page.find_element("id", "state").text


def test_photo_that_can_not_be_encoded_stands_beside_no_other_ones_code(page):
    page.execute_script("""
        window.fetch = async () => new Response('{"error": "no room"}', {status: 503});""")
    choose_slowly(page, "new.png", 0)
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


def test_without_attackers_the_page_says_so(browser, plain_server):
    set_width(browser, 1280)
    browser.get(address(plain_server))
    settle(browser, "Shown: a drawn face")
    frames = [frame.text for frame in browser.find_elements("class name", "frame")]
    assert frames == ["no attacker given"] * 2
    for name in ("protected_finding", "unprotected_finding", "leakage", "ruler"):
        assert not browser.find_element("id", name).text


def test_drawn_face_is_procedural():
    from arl_tf.data.faces import generation

    drawn = generation.generate_faces(8, 64, seed=2024, images_per_identity=1).images
    shipped = np.asarray(Image.open(ROOT / "serving" / "web" / "static" / "face.png"))
    assert any(np.array_equal(shipped, picture) for picture in drawn)
