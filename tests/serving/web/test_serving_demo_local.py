"""The demo page encodes in the browser: what leaves it, and whether the code is the server's."""

import io
import json
import shutil

import demo_browser
import numpy as np
import pytest
import tensorflow as tf
import tiny_models
from demo_browser import drop, prepared, settle, visit
from PIL import Image, ImageCms, ImageOps
from serving_models import serving
from waiting import LONG

from arl_tf.data import image_sets, preprocessing
from arl_tf.exporting import build, manifest
from arl_tf.models import architectures, code_layers
from serving.web import browser_files

webdriver = pytest.importorskip("selenium.webdriver")
wait = pytest.importorskip("selenium.webdriver.support.wait")
pytestmark = [
    pytest.mark.slow,
    demo_browser.needs_browser,
    pytest.mark.skipif(
        browser_files.find_litert() is None,
        reason=f"needs LiteRT.js in serving/web/node_modules: {browser_files.INSTALL}",
    ),
]
NOISE = 0.5
CODE_VALUES = 8 * 8 * 4
RNG = np.random.default_rng(0)


def export_tiny(folder, bounds=None):
    """Exports a tiny encoder with its float32 TFLite file; (its Keras model, the export)."""
    built = tiny_models.build_models(bounds=bounds)
    build.export_models(
        built.encoder,
        built.task_head,
        image_size=tiny_models.SIZE,
        attribute_names=tiny_models.NAMES,
        proof=tiny_models.proof(),
        export_dir=folder,
        provenance={},
        trained_on=manifest.training_data("faces", 128, of_images=240, photographs=False),
        precisions=("float32",),
    )
    return built.encoder, folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return export_tiny(tmp_path_factory.mktemp("plain") / "export")


@pytest.fixture(scope="module")
def browser():
    with demo_browser.start(webdriver) as driver:
        yield driver


@pytest.fixture(scope="module")
def server(plain):
    with serving(plain[1] / "saved_model") as running:
        yield running


@pytest.fixture(scope="module")
def visited(browser, server):
    """The page, once for all tests here: its start is most of their time."""
    return visit(browser, server)


@pytest.fixture
def page(visited):
    """The page, of whose requests none is left unread."""
    demo_browser.requests(visited)
    return visited


def picture(height=90, width=120):
    return RNG.integers(0, 256, (height, width, 3), np.uint8)


def file_of(pixels, kind="PNG", **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def code_of(encoder, pixels):
    image = preprocessing.preprocess(tf.constant(pixels), tiny_models.SIZE)
    return encoder(image_sets.to_float(image[None]), training=False).numpy()[0]


def the_one_body(page):
    """The body of the one request that the page has made, which must be a code's."""
    ((method, url, body),) = [
        each for each in demo_browser.requests(page) if not each[1].startswith(("data:", "blob:"))
    ]
    assert (method, url.partition("/demo/")[2]) == ("POST", "read?version=1")
    assert len(body) == 4 * CODE_VALUES
    return np.frombuffer(body, "<f4").reshape(8, 8, 4)


def test_of_a_chosen_photo_only_the_code_leaves(page, plain, tmp_path):
    pixels = picture()
    (tmp_path / "holiday.png").write_bytes(file_of(pixels))
    page.find_element("id", "file").send_keys(str(tmp_path / "holiday.png"))
    settle(page, "Shown: holiday.png")
    np.testing.assert_allclose(the_one_body(page), code_of(plain[0], pixels), atol=0.02)


def test_of_a_dropped_photo_only_the_code_leaves(page, plain):
    pixels = picture()
    drop(page, file_of(pixels, "JPEG", quality=95), "dropped.jpg", "image/jpeg")
    settle(page, "Shown: dropped.jpg")
    decoded = tf.io.decode_jpeg(file_of(pixels, "JPEG", quality=95)).numpy()
    found, expected = the_one_body(page).ravel(), code_of(plain[0], decoded).ravel()
    # Decoders of JPEG differ.
    cosine = found @ expected / np.linalg.norm(found) / np.linalg.norm(expected)
    assert cosine > 0.99


def test_of_the_cameras_picture_only_the_code_leaves(page):
    page.find_element("id", "camera").click()
    take = page.find_element("id", "take")
    wait.WebDriverWait(page, LONG).until(lambda _: take.is_displayed())
    wait.WebDriverWait(page, LONG).until(
        lambda _: page.execute_script("return document.getElementById('video').videoWidth > 0")
    )
    take.click()
    settle(page, "Shown: the camera’s picture")
    assert the_one_body(page).std() > 0


def test_page_says_at_the_photo_that_it_stayed(page):
    assert "stayed in this browser" in page.find_element("id", "stays").text
    assert "WebAssembly" in page.find_element("id", "stays").text
    assert "Photos stay in this browser" in page.find_element("id", "where").text


def test_start_asks_no_other_host_and_sends_no_picture(browser, page, server):
    page.refresh()
    settle(page, "Shown: a drawn face")
    asked = demo_browser.requests(page)
    own = (demo_browser.address(server), "data:", f"blob:{demo_browser.address(server)}")
    assert all(url.startswith(own) for _, url, _ in asked), asked
    assert any(url.endswith("/demo/encoder.tflite?version=1") for _, url, _ in asked)
    (body,) = [body for _, _, body in asked if body is not None]
    assert len(body) == 4 * CODE_VALUES
    errors = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert not errors


@pytest.mark.parametrize(
    ("height", "width", "size"),
    [(90, 120, 16), (121, 77, 32), (7, 9, 16), (16, 16, 16), (600, 8, 4)],
)
@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_page_prepares_pictures_as_training_does(page, height, width, size, fit):
    pixels = picture(height, width)
    expected = preprocessing.preprocess(tf.constant(pixels), size, fit).numpy()
    found = prepared(page, file_of(pixels), size, fit)
    difference = np.abs(found.astype(int) - expected)
    # A tie may round the other way.
    assert difference.max() <= 1
    assert (difference > 0).mean() <= 0.01


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("BMP", {}),
        ("WEBP", {"lossless": True}),
        ("GIF", {}),
        ("JPEG", {"quality": 95}),
    ],
)
def test_page_reads_the_formats_of_training(page, kind, options):
    content = file_of(picture(40, 40), kind, **options)
    decoded = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    expected = preprocessing.preprocess(tf.constant(decoded), 16).numpy()
    difference = np.abs(prepared(page, content, 16).astype(int) - expected)
    assert difference.max() <= (4 if kind == "JPEG" else 1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_page_turns_photos_upright(page, orientation):
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:20, :30], pixels[:20, 30:], pixels[20:, :30] = (200, 0, 0), (0, 200, 0), (0, 0, 200)
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = file_of(pixels, "JPEG", quality=95, exif=exif, subsampling=0)
    image = Image.open(io.BytesIO(content))
    upright = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    expected = preprocessing.preprocess(tf.constant(upright), 8).numpy()
    np.testing.assert_allclose(prepared(page, content, 8), expected, atol=4)


def test_profile_of_colours_does_not_change_them(page):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    # Red and blue change places where it is applied.
    swapped = profile.replace(b"rXYZ", b"...r").replace(b"bXYZ", b"rXYZ").replace(b"...r", b"bXYZ")
    pixels = picture(16, 16)
    found = prepared(page, file_of(pixels, icc_profile=swapped), 16)
    assert np.abs(found.astype(int) - pixels).max() <= 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<svg xmlns='x'/>", "no picture of a known format"),
        (b"", "no picture of a known format"),
        (file_of(picture())[:300], "is a damaged PNG"),
    ],
)
def test_file_that_is_no_picture_is_refused_and_nothing_leaves(page, content, words):
    drop(page, content, "notes", "image/png")
    settle(page, words)
    assert not [body for _, _, body in demo_browser.requests(page) if body is not None]


def test_noise_is_standard_normal_and_new_each_time(page):
    first, second = (
        np.array(
            page.execute_async_script(
                "const done = arguments[0];"
                "import('/demo/noise.js').then(({standardNormal}) =>"
                " done([...standardNormal(40001)]))"
            )
        )
        for _ in range(2)
    )
    assert first.shape == (40001,)
    assert abs(first.mean()) < 0.03
    assert abs(first.std() - 1) < 0.03
    assert 0.02 < (np.abs(first) > 2).mean() < 0.07
    assert abs(np.corrcoef(first[:-1], first[1:])[0, 1]) < 0.03
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.03


def test_warning_stands_beside_the_users_own_photo_and_not_the_drawn_face(page):
    warning = page.find_element("id", "warning")
    drop(page, file_of(picture()), "own.png", "image/png")
    settle(page, "Shown: own.png")
    assert "learned from drawn faces only" in warning.text
    page.find_element("id", "face").click()
    settle(page, "Shown: a drawn face")
    assert not warning.is_displayed()
    assert "128 of 240 drawn faces, no photographs" in page.find_element("id", "trained").text


def test_an_encoder_that_is_replaced_meanwhile_is_loaded_anew(browser, plain, tmp_path):
    export = shutil.copytree(plain[1], tmp_path / "export")
    with serving(export / "saved_model") as running:
        visit(browser, running)
        demo_browser.requests(browser)
        for model in ("encoder", "task_head"):
            folder = export / "saved_model" / model
            (folder / "1").rename(folder / "2")
        content = json.loads((export / "manifest.json").read_text())
        (export / "manifest.json").write_text(json.dumps(content | {"version": 2}))
        running.store.poll(settled=True)
        drop(browser, file_of(picture()), "own.png", "image/png")
        settle(browser, "Shown: own.png")
        asked = [url.partition("/demo/")[2] for _, url, _ in demo_browser.requests(browser)]
    # The browser logs the refused version as an error, which other tests look for.
    browser.get_log("browser")
    wanted = ["read?version=1", "facts", "encoder.tflite?version=2", "read?version=2"]
    assert [url for url in asked if url in wanted] == wanted


def test_noise_of_the_encoder_is_drawn_in_the_browser(browser, tmp_path):
    encoder, folder = export_tiny(tmp_path / "export", architectures.CodeBounds(noise=NOISE))
    with serving(folder / "saved_model") as running:
        visit(browser, running)
        demo_browser.requests(browser)
        pixels = picture()
        drop(browser, file_of(pixels), "own.png", "image/png")
        settle(browser, "Shown: own.png")
        first = the_one_body(browser)
        browser.find_element("id", "again").click()
        browser.execute_async_script("setTimeout(arguments[0])")
        settle(browser, "Shown: own.png")
        second = the_one_body(browser)
        words = browser.find_element("id", "noise").text
    assert "adds new random noise to every code" in words
    noisy, _ = code_layers.bounding_layers(encoder)
    mean = code_of(code_layers.signal_encoder(encoder), pixels)
    for code in (first, second):
        rest = (code - mean) / noisy.noise_deviation.numpy()
        assert abs(rest.mean()) < 0.3
        assert 0.8 < rest.std() < 1.2
    assert np.abs(first - second).max() > 0.1
