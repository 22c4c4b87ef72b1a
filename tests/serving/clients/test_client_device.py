"""The device's side: preprocessing as in training, codes as of the exported encoder."""

import io

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from PIL import Image
from tiny_models import proof

from arl_tf.data import image_sets, preprocessing
from arl_tf.data.faces import generation
from arl_tf.data.pictures import decoding
from arl_tf.exporting import tflite
from arl_tf.models import code_layers
from serving.clients.errors import EncoderError
from serving.device import encoder as device
from serving.device.encoder import DeviceEncoder
from serving.device.similar import SimilarPhotos

SIZE = 16


def build_encoder(scale=1.0):
    image = keras.Input((SIZE, SIZE, 3), name="picture")
    kernel = keras.initializers.RandomNormal(0, scale, seed=0)
    code = layers.Conv2D(4, 4, 4, kernel_initializer=kernel, name="stem")(image)
    return keras.Model(image, code, name="encoder")


@pytest.fixture(scope="module")
def encoder():
    return build_encoder()


@pytest.fixture(scope="module")
def tflite_file(encoder, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "encoder_float32.tflite"
    path.write_bytes(tflite.convert(encoder, "float32", proof()))
    return path


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def face(size=96):
    return generation.generate_faces(1, size, seed=5).images[0]


@pytest.mark.parametrize(
    "height_width", [(218, 178), (177, 218), (33, 40), (16, 16), (9, 90), (500, 1)]
)
@pytest.mark.parametrize(
    ("image_size", "fit"), [(16, "crop"), (64, "crop"), (16, "pad"), (64, "pad")]
)
def test_square_and_resize_are_trainings_but_for_ties(height_width, image_size, fit):
    pixels = noise(*height_width, 3)
    expected = preprocessing.preprocess(tf.constant(pixels), image_size, fit).numpy().astype(int)
    found = device.prepare(Image.fromarray(pixels), image_size, fit)
    assert found.dtype == np.uint8
    difference = np.abs(found - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1 / 300


def test_square_of_the_encoders_size_is_left_as_it_is():
    np.testing.assert_array_equal(device.prepare(Image.fromarray(face()), 96), face())


def as_bytes(mode, image_format, **options):
    pixels = Image.fromarray(face())
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(pixels.convert("L")).astype(np.uint16) * 257)
    else:
        picture = pixels.convert(mode)
    buffer = io.BytesIO()
    picture.save(buffer, image_format, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_photos_are_prepared_as_in_training_but_for_ties(tmp_path, mode, subsampling):
    path = tmp_path / "photo.jpg"
    path.write_bytes(as_bytes(mode, "JPEG", subsampling=subsampling))
    decoded = decoding.decode_image(tf.constant(path.read_bytes()))
    expected = preprocessing.preprocess(decoded, 32).numpy().astype(int)
    difference = np.abs(device.load_image(path, 32) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1 / 300


def test_codes_are_the_keras_encoders(encoder, tflite_file):
    images = noise(3, SIZE, SIZE, 3)
    found = DeviceEncoder(tflite_file).encode(images)
    expected = encoder(image_sets.to_float(tf.constant(images)), training=False).numpy()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_file_tells_its_sizes(tflite_file):
    loaded = DeviceEncoder(tflite_file, num_threads=1)
    assert (loaded.image_size, loaded.code_shape) == (SIZE, (4, 4, 4))


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, SIZE, SIZE, 3), np.float32),
        np.zeros((1, SIZE, 8, 3), np.uint8),
        np.zeros((SIZE, SIZE, 3), np.uint8),
        np.zeros((0, SIZE, SIZE, 3), np.uint8),
    ],
)
def test_images_that_do_not_fit_are_refused(tflite_file, images):
    with pytest.raises(ValueError, match=r"expected uint8 \[N, 16, 16, 3\], N >= 1"):
        DeviceEncoder(tflite_file).encode(images)


def test_codes_that_are_not_finite_are_an_error(tmp_path):
    path = tmp_path / "broken.tflite"
    path.write_bytes(tflite.convert(build_encoder(scale=3e38), "float32", proof()))
    with pytest.raises(EncoderError, match="NaN or inf"):
        DeviceEncoder(path).encode(np.full((1, SIZE, SIZE, 3), 255, np.uint8))


def test_files_give_codes_in_order_and_bad_ones_are_named(tmp_path, tflite_file):
    whole = as_bytes("RGB", "JPEG")
    contents = {"a.jpg": whole, "b.jpg": whole[:800], "c.png": as_bytes("L", "PNG"), "d.jpg": b""}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    reasons = {}
    encoder = DeviceEncoder(tflite_file)
    found = list(
        encoder.encode_files(
            [tmp_path / name for name in (*contents, "gone.jpg")],
            on_unreadable=lambda path, reason: reasons.update({path.name: reason}),
        )
    )
    assert [path.name for path, _ in found] == ["a.jpg", "c.png"]
    prepared = device.load_image(tmp_path / "c.png", SIZE)[None]
    np.testing.assert_array_equal(found[1][1], encoder.encode(prepared)[0])
    assert sorted(reasons) == ["b.jpg", "d.jpg", "gone.jpg"]
    assert "truncated" in reasons["b.jpg"]


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "BMP", "GIF", "WEBP"])
def test_damaged_files_are_value_errors_or_pictures(tmp_path, monkeypatch, image_format):
    # Damaged headers claim sizes that take long to decode.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100_000)
    rng = np.random.default_rng(0)
    whole = as_bytes("RGB", image_format)
    path = tmp_path / "photo"
    refused = 0
    for _ in range(100):
        content = bytearray(whole)
        for place in rng.integers(0, rng.choice([60, len(content)]), 4):
            content[place] = rng.integers(0, 256)
        path.write_bytes(content)
        try:
            assert device.load_image(path, SIZE).shape == (SIZE, SIZE, 3)
        except ValueError:
            refused += 1
    assert refused >= 20


def test_other_formats_are_refused(tmp_path):
    path = tmp_path / "photo.tiff"
    Image.fromarray(face()).save(path)
    with pytest.raises(ValueError, match="got a file of type TIFF"):
        device.load_image(path, SIZE)


@pytest.mark.parametrize("limit", [1599, 400])
def test_decompression_bomb_is_refused_by_its_header(tmp_path, monkeypatch, limit):
    path = tmp_path / "bomb.png"
    Image.fromarray(noise(40, 40, 3)).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(ValueError, match=f"it has 1600 pixels when decoded, the limit is {limit}"):
        device.load_image(path, SIZE)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1600)
    assert device.load_image(path, SIZE).shape == (SIZE, SIZE, 3)


def test_a_panorama_within_the_limit_is_read_where_photos_are_padded(tmp_path, monkeypatch):
    path = tmp_path / "panorama.png"
    Image.fromarray(np.full((40, 400, 3), 200, np.uint8)).save(path)
    # Its square has ten times as many pixels, more than twice the limit, which pillow refuses.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 16_000)
    found = device.load_image(path, SIZE, "pad")
    assert (found[SIZE // 2] > 0).all()
    assert (found[[0, -1]] == 0).all()


def test_pillows_own_limit_makes_a_photo_unreadable_and_the_others_go_on(
    tmp_path, monkeypatch, tflite_file
):
    for name in ("good.png", "large.png"):
        Image.fromarray(face(48 if name == "large.png" else 32)).save(tmp_path / name)
    prepare = device.prepare

    def limited(image, *others):
        if image.size == (48, 48):
            raise Image.DecompressionBombError("Image size exceeds limit")
        return prepare(image, *others)

    monkeypatch.setattr(device, "prepare", limited)
    reasons = {}
    found = DeviceEncoder(tflite_file).encode_files(
        [tmp_path / "large.png", tmp_path / "good.png"],
        on_unreadable=lambda path, reason: reasons.update({path.name: reason}),
    )
    assert [path.name for path, _ in found] == ["good.png"]
    assert reasons == {"large.png": "48 x 48 pixels are too many: Image size exceeds limit"}


def test_rotation_is_applied(tmp_path):
    pixels, exif = Image.fromarray(face()), Image.Exif()
    exif[0x0112] = 6
    pixels.rotate(90, expand=True).save(tmp_path / "turned.png", exif=exif)
    pixels.save(tmp_path / "upright.png")
    turned, upright = (
        device.load_image(tmp_path / f"{name}.png", SIZE) for name in ("turned", "upright")
    )
    np.testing.assert_array_equal(turned, upright)


def test_file_that_is_no_encoder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="Expected an exported encoder"):
        DeviceEncoder(tmp_path / "gone.tflite")
    (tmp_path / "text.tflite").write_text("no model at all")
    with pytest.raises(ValueError, match="can't be loaded by LiteRT"):
        DeviceEncoder(tmp_path / "text.tflite")


def test_model_with_another_interface_is_refused():
    other = {"features": {"dtype": np.float32, "shape": np.array([1, 3])}}
    image = {"image": {"dtype": np.float32, "shape": np.array([1, 16, 16, 3])}}
    with pytest.raises(ValueError, match=r"\['features'\], .* expected image float32 \[1, S, S, 3"):
        device.checked_shapes(image, other, "head.tflite")
    narrow = {"image": {"dtype": np.float32, "shape": np.array([1, 16, 8, 3])}}
    code = {"code": {"dtype": np.float32, "shape": np.array([1, 3])}}
    with pytest.raises(ValueError, match=r"\(1, 16, 8, 3\)"):
        device.checked_shapes(narrow, code, "narrow.tflite")
    assert device.checked_shapes(image, code, "good.tflite") == ((1, 16, 16, 3), (1, 3))


@pytest.fixture(scope="module")
def noisy_file(encoder, tmp_path_factory):
    noisy = code_layers.NoisyCode(1.0)(encoder.output)
    path = tmp_path_factory.mktemp("noisy") / "encoder_float32.tflite"
    path.write_bytes(tflite.convert(keras.Model(encoder.input, noisy), "float32", proof()))
    return path


def test_device_draws_new_noise_for_every_code(encoder, noisy_file):
    image = noise(1, SIZE, SIZE, 3)
    codes = DeviceEncoder(noisy_file).encode(np.repeat(image, 800, axis=0))
    assert len(np.unique(codes[:, 0, 0, 0])) == 800
    signal = np.clip(encoder(image.astype(np.float32) / 255), -2, 2)
    # The standard error of each mean is sqrt(0.5 / 800) = 0.025.
    np.testing.assert_allclose(codes.mean(axis=0), np.sqrt(0.5) * signal[0], atol=0.13)


def test_two_devices_draw_different_noise(noisy_file):
    image = noise(1, SIZE, SIZE, 3)
    first, second = (DeviceEncoder(noisy_file).encode(image) for _ in range(2))
    assert np.abs(first - second).mean() > 0.3


def test_key_gives_a_photo_the_same_code_each_time_and_others_noise_of_their_own(noisy_file):
    images = noise(2, SIZE, SIZE, 3)
    images[1] = images[0]
    images[1, 0, 0, 0] ^= 1
    first = DeviceEncoder(noisy_file, noise_key=bytes(32)).encode(images)
    again = DeviceEncoder(noisy_file, noise_key=bytes(32)).encode(images[:1])
    other = DeviceEncoder(noisy_file, noise_key=b"k" * 32).encode(images[:1])
    np.testing.assert_array_equal(first[:1], again)
    for different in (first[1:], other):
        assert np.abs(first[:1] - different).mean() > 0.3


def test_similar_photos_share_half_of_their_noise_and_neither_mean_nor_difference_is_free_of_it(
    noisy_file, encoder
):
    size = (SIZE, SIZE)
    faces = [np.asarray(Image.fromarray(each).resize(size)) // 2 for each in noise(24, 4, 4, 3)]
    images = np.stack([*faces, *(face + 100 for face in faces)]).astype(np.uint8)
    device = DeviceEncoder(noisy_file, noise_key=bytes(32), similar=SimilarPhotos())
    codes = device.encode(images)
    np.testing.assert_array_equal(device.encode(images), codes)
    signal = np.sqrt(0.5) * np.clip(encoder(images.astype(np.float32) / 255), -2, 2)
    photos, brighter = np.split((codes - signal).reshape(2 * len(faces), -1), 2)
    # Variances of the noise, .5 in all, of a code, of the mean and the difference of two codes of a
    # photo, of the difference of two photos'. The standard error of a variance v of n values is
    # v sqrt(2 / n).
    for found, expected in (
        (photos, 0.5),
        ((photos + brighter) / 2, 0.375),
        (photos - brighter, 0.5),
        (photos - np.roll(brighter, 1, axis=0), 1.0),
    ):
        error = expected * np.sqrt(2 / photos.size)
        assert np.square(found).mean() == pytest.approx(expected, abs=4 * error)


def test_key_for_an_encoder_without_noise_and_a_short_key_are_refused(tflite_file, noisy_file):
    with pytest.raises(ValueError, match="adds no noise that a key could decide"):
        DeviceEncoder(tflite_file, noise_key=bytes(32))
    with pytest.raises(ValueError, match="The key has 5 bytes; expected a secret of 32"):
        DeviceEncoder(noisy_file, noise_key=b"short")
    with pytest.raises(ValueError, match="a noise_key decides, which is missing"):
        DeviceEncoder(noisy_file, similar=SimilarPhotos())
