"""Images: decoded and cut as promised, prepared once, and never mixed up with others' labels."""

import concurrent.futures
import errno
import io
import os
import pathlib
import shutil
import struct
import unicodedata
import zlib

import filelock
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from absl import logging
from PIL import Image

from arl_tf.config.settings import Config
from arl_tf.data import celeba_folder, image_sets, preprocessing
from arl_tf.data.faces import generation
from arl_tf.data.image_cache import Chunk
from arl_tf.data.pictures import decoding, reader
from arl_tf.experiments.encoding import sources

RED = (220, 30, 20)
SIZE = 32


def picture(colour: tuple[int, ...] = RED, height: int = 40, width: int = 60) -> np.ndarray:
    return np.broadcast_to(np.uint8(colour), (height, width, len(colour))).copy()


def encoded(pixels: np.ndarray, file_format: str, mode: str | None = None) -> bytes:
    image = Image.fromarray(pixels)
    buffer = io.BytesIO()
    (image.convert(mode) if mode else image).save(buffer, file_format)
    return buffer.getvalue()


def png_of_16_bits(pixels: np.ndarray) -> bytes:
    """Pillow can't write 16-bit RGB; [h, w, 3] uint16."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    height, width, _ = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def seen(image_bytes: bytes, size: int = SIZE) -> np.ndarray:
    image = decoding.decode_image(tf.constant(image_bytes))
    assert image.dtype == tf.uint8
    result = preprocessing.preprocess(image, size).numpy()
    assert (result.shape, result.dtype) == ((size, size, 3), np.uint8)
    return result.astype(int)


@pytest.mark.parametrize(
    ("image_bytes", "colour"),
    [
        pytest.param(encoded(picture(), "JPEG"), RED, id="jpeg"),
        pytest.param(encoded(picture(), "JPEG", "CMYK"), RED, id="cmyk_jpeg"),
        pytest.param(encoded(picture(), "JPEG", "L"), (86, 86, 86), id="grey_jpeg"),
        pytest.param(encoded(picture((*RED, 255)), "PNG"), RED, id="rgba_png"),
        pytest.param(encoded(picture(), "PNG", "LA"), (86, 86, 86), id="grey_alpha_png"),
        pytest.param(encoded(picture(), "PNG", "P"), RED, id="palette_png"),
        pytest.param(encoded(picture(), "PNG", "1"), (85, 85, 85), id="one_bit_png"),
        pytest.param(
            encoded(np.full((40, 60), 200 * 257, np.uint16), "PNG"), (200,) * 3, id="grey16_png"
        ),
        pytest.param(png_of_16_bits(picture().astype(np.uint16) * 257), RED, id="rgb16_png"),
        pytest.param(encoded(picture(), "BMP"), RED, id="bmp"),
        pytest.param(encoded(picture(), "GIF", "P"), RED, id="gif"),
        pytest.param(encoded(picture(height=1, width=1), "PNG"), RED, id="one_pixel"),
        pytest.param(encoded(picture(height=300, width=3), "PNG"), RED, id="tall"),
        pytest.param(encoded(picture(height=2, width=500), "PNG"), RED, id="wide"),
    ],
)
def test_every_kind_of_image_becomes_rgb_with_its_own_colours(image_bytes, colour):
    image = seen(image_bytes)
    np.testing.assert_allclose(image.mean(axis=(0, 1)), colour, atol=1.5)
    if len(set(colour)) == 1:
        np.testing.assert_array_equal(image[..., :1], image[..., 1:2])
        np.testing.assert_array_equal(image[..., :1], image[..., 2:])


@pytest.mark.parametrize(("height", "width"), [(40, 100), (100, 40), (40, 40), (41, 100)])
def test_the_largest_square_in_the_centre_is_kept(height, width):
    pixels = picture((0, 0, 255), height, width)
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    pixels[top : top + side, left : left + side] = (0, 255, 0)
    assert np.all(seen(encoded(pixels, "PNG")) == (0, 255, 0))
    pixels[:] = (0, 255, 0)
    pixels[top, left] = pixels[top + side - 1, left + side - 1] = (0, 0, 255)
    corners = seen(encoded(pixels, "PNG"), size=side)
    assert np.all(corners[[0, -1], [0, -1]] == (0, 0, 255))


def test_an_image_of_the_wanted_size_is_left_as_it_is():
    pixels = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    np.testing.assert_array_equal(seen(encoded(pixels, "PNG")), pixels)


def test_detail_finer_than_the_result_is_averaged_not_aliased():
    # Thrice the size: without antialiasing each sample would hit the centre of one pixel.
    rows, columns = np.indices((3 * SIZE, 3 * SIZE))
    board = np.repeat(((rows + columns) % 2 * 255).astype(np.uint8)[..., None], 3, axis=2)
    assert np.abs(seen(encoded(board, "PNG")) - 127.5).max() <= 4


def test_to_float_maps_bytes_to_the_unit_interval():
    values = image_sets.to_float(tf.constant([0, 51, 255], tf.uint8))
    assert values.dtype == tf.float32
    np.testing.assert_allclose(values, [0, 0.2, 1], atol=1e-7)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
@pytest.mark.parametrize("share", [0.5, 0.99])
def test_a_truncated_image_is_refused(file_format, share):
    pixels = np.random.default_rng(1).integers(0, 256, (60, 60, 3), np.uint8)
    whole = encoded(pixels, file_format)
    seen(whole)
    with pytest.raises(tf.errors.InvalidArgumentError):
        decoding.decode_image(tf.constant(whole[: int(share * len(whole))]))


def grey_level(row: int) -> int:
    return 10 + 7 * row


def write_folder(root: pathlib.Path, num_images: int = 20, identities: bool = True) -> pathlib.Path:
    """Image k has grey level 10 + 7 k, the bits of k as attributes, identity k // 3 + 100."""
    images = root / celeba_folder.IMAGE_FOLDER
    images.mkdir(parents=True)
    rows = [f"{num_images}", "One Two Four Eight Sixteen"]
    for row in range(num_images):
        suffix = ".jpg" if row % 2 else ".png"
        Image.fromarray(picture((grey_level(row),) * 3, 44, 36)).save(images / f"é{row}{suffix}")
        labels = " ".join("1" if row >> bit & 1 else "-1" for bit in range(5))
        rows.append(f"é{row}{suffix} {labels}")
    (root / celeba_folder.ATTRIBUTE_FILE).write_text("\n".join(rows), encoding="utf-8")
    if identities:
        lines = (f"{line.split()[0]} {row // 3 + 100}" for row, line in enumerate(rows[2:]))
        text = "\n".join(reversed(list(lines)))
        (root / celeba_folder.IDENTITY_FILE).write_text(text, encoding="utf-8")
    return root


def folder_config(folder: pathlib.Path, **values) -> Config:
    values = {"max_bad_images": 0.0, "image_size": SIZE, **values}
    return Config(dataset="celeba", data_dir=str(folder), **values)


def image_path(folder: pathlib.Path, row: int) -> pathlib.Path:
    return next((folder / celeba_folder.IMAGE_FOLDER).glob(f"é{row}.*"))


def assert_aligned(images: image_sets.ImageSet, rows: list[int]) -> None:
    """The set holds just `rows`, in order, each with its own picture, labels, identity and name."""
    levels = np.asarray(images.images).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(levels, [grey_level(row) for row in rows], atol=1.01)
    np.testing.assert_array_equal(images.attributes @ (1 << np.arange(5)), rows)
    np.testing.assert_array_equal(images.identities, [row // 3 + 100 for row in rows])
    assert [int(name[1:-4]) for name in images.names] == rows


def test_a_folder_s_images_stand_with_their_own_labels_and_identities(tmp_path):
    images = image_sets.load_images(
        folder_config(write_folder(tmp_path / "set")), tmp_path / "cache"
    )
    assert_aligned(images, list(range(20)))
    assert images.attribute_names == ("One", "Two", "Four", "Eight", "Sixteen")
    assert (images.images.dtype, images.images.shape) == (np.uint8, (20, SIZE, SIZE, 3))
    assert (images.attributes.dtype, images.identities.dtype) == (np.uint8, np.int64)
    assert images.identities_known and images.bad_images == ()
    assert not images.images.flags.writeable


def test_without_an_identity_file_every_image_is_its_own_person(tmp_path):
    folder = write_folder(tmp_path / "set", identities=False)
    images = image_sets.load_images(folder_config(folder), tmp_path / "cache")
    np.testing.assert_array_equal(images.identities, np.arange(20))
    assert not images.identities_known


def break_images(folder: pathlib.Path) -> list[int]:
    """Spoils an image in each way, and returns their rows."""
    image_path(folder, 0).write_bytes(b"")
    image_path(folder, 3).write_text("no image, whatever its name says")
    for row in (5, 6):
        path = image_path(folder, row)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    image_path(folder, 11).unlink()
    noise = bytearray(image_path(folder, 14).read_bytes())
    noise[20:60] = bytes(40)
    image_path(folder, 14).write_bytes(noise)
    path = image_path(folder, 19)
    path.unlink()
    path.mkdir()
    return [0, 3, 5, 6, 11, 14, 19]


def test_bad_images_are_skipped_and_the_others_keep_their_labels(tmp_path, monkeypatch):
    folder = write_folder(tmp_path / "set")
    bad = break_images(folder)
    warnings = []
    monkeypatch.setattr(logging, "warning", lambda text, *values: warnings.append(text % values))
    images = image_sets.load_images(folder_config(folder, max_bad_images=0.35), tmp_path / "cache")
    assert_aligned(images, [row for row in range(20) if row not in bad])
    assert [int(name[1:-4]) for name in images.bad_images] == bad
    assert [
        line
        for line in warnings
        if "Skipped 7 of 20" in line and "1 missing (é11.jpg), 6 unreadable (é0.png: " in line
    ]
    again = image_sets.load_images(folder_config(folder, max_bad_images=0.35), tmp_path / "cache")
    assert_aligned(again, [row for row in range(20) if row not in bad])
    assert again.bad_images == images.bad_images


def test_more_bad_images_than_allowed_are_refused_by_name(tmp_path):
    folder = write_folder(tmp_path / "set")
    break_images(folder)
    for _ in range(2):
        with pytest.raises(ValueError, match="7 of 20 images can't be used") as caught:
            image_sets.load_images(folder_config(folder, max_bad_images=0.34), tmp_path / "cache")
        message = str(caught.value)
        assert "--max_bad_images=0.34" in message
        assert "1 missing (é11.jpg), 6 unreadable (é0.png: " in message


def test_a_data_set_without_any_good_image_is_refused(tmp_path):
    folder = write_folder(tmp_path / "set", num_images=3)
    for row in range(3):
        image_path(folder, row).write_bytes(b"x")
    with pytest.raises(ValueError, match=r"None of the 3 images can be used.*é0\.png"):
        image_sets.load_images(folder_config(folder, max_bad_images=1.0), tmp_path / "cache")
    with pytest.raises(ValueError, match="3 of 3 images can't be used"):
        image_sets.load_images(folder_config(folder), tmp_path / "cache")


def rename_images(folder: pathlib.Path, change) -> None:
    for path in list((folder / celeba_folder.IMAGE_FOLDER).iterdir()):
        path.rename(path.with_name(change(path.name)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda name: name[:-3] + "bmp", "é0.bmp for é0.png"),
        (lambda name: name.upper(), "É0.PNG for é0.png"),
        (lambda name: unicodedata.normalize("NFD", name), "for é0.png"),
        (lambda name: f"other_{name}", "holds other_é0.png"),
    ],
)
def test_missing_images_are_refused_at_once_and_what_is_there_is_named(
    tmp_path, monkeypatch, change, words
):
    folder = write_folder(tmp_path / "set")
    rename_images(folder, change)
    calls = count_reads(monkeypatch)
    with pytest.raises(ValueError, match="20 of 20 images are missing") as caught:
        image_sets.load_images(folder_config(folder, max_bad_images=1.0), tmp_path / "cache")
    assert words in str(caught.value) and calls == []


def test_images_in_a_folder_further_down_are_named(tmp_path):
    folder = write_folder(tmp_path / "set")
    images = folder / celeba_folder.IMAGE_FOLDER
    inside = images / "part1"
    inside.mkdir()
    for path in [path for path in images.iterdir() if path.is_file()]:
        path.rename(inside / path.name)
    (images / "notes.txt").touch()
    with pytest.raises(ValueError, match="20 of 20 images are missing") as caught:
        image_sets.load_images(folder_config(folder), tmp_path / "cache")
    assert f"é0.png is in {inside}." in str(caught.value)


def test_images_on_their_side_are_set_upright_and_counted(tmp_path, monkeypatch):
    folder = write_folder(tmp_path / "set")
    exif = Image.Exif()
    exif[0x0112] = 8
    pixels = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    Image.fromarray(np.rot90(pixels, -1)).save(image_path(folder, 2), exif=exif)
    lines = []
    monkeypatch.setattr(logging, "info", lambda text, *values: lines.append(text % values))
    for _ in range(2):
        images = image_sets.load_images(folder_config(folder), tmp_path / "cache")
        np.testing.assert_array_equal(images.images[2], pixels)
        assert images.turned_images == 1
    assert len([line for line in lines if "1 of 20 images lay on their side" in line]) == 2


def test_files_without_a_row_are_not_used(tmp_path):
    folder = write_folder(tmp_path / "set")
    Image.fromarray(picture()).save(folder / celeba_folder.IMAGE_FOLDER / "zz_extra.png")
    assert_aligned(
        image_sets.load_images(folder_config(folder), tmp_path / "cache"), list(range(20))
    )


def count_reads(monkeypatch) -> list[int]:
    """The number of files that each preparation from now on is asked to read."""
    calls, read_files = [], reader.read_files

    def counted(paths, preprocess):
        calls.append(len(paths))
        return read_files(paths, preprocess)

    monkeypatch.setattr(reader, "read_files", counted)
    return calls


def test_images_are_decoded_once(tmp_path, monkeypatch):
    config = folder_config(write_folder(tmp_path / "set"))
    first = image_sets.load_images(config, tmp_path / "cache")
    calls = count_reads(monkeypatch)
    second = image_sets.load_images(config, tmp_path / "cache")
    np.testing.assert_array_equal(first.images, second.images)
    assert calls == []


def test_a_changed_file_is_prepared_again(tmp_path, monkeypatch):
    folder = write_folder(tmp_path / "set")
    path = image_path(folder, 4)
    path.write_bytes(encoded(picture((0, 0, 0), 44, 36), "BMP"))
    image_sets.load_images(folder_config(folder), tmp_path / "cache")
    calls, before = count_reads(monkeypatch), path.stat()
    path.write_bytes(encoded(picture((255, 255, 255), 44, 36), "BMP"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert path.stat().st_size == before.st_size
    images = image_sets.load_images(folder_config(folder), tmp_path / "cache")
    assert calls == [20] and np.all(images.images[4] == 255)


def test_a_repaired_image_comes_back(tmp_path):
    folder = write_folder(tmp_path / "set")
    good = image_path(folder, 4).read_bytes()
    image_path(folder, 4).unlink()
    config = folder_config(folder, max_bad_images=0.1)
    assert len(image_sets.load_images(config, tmp_path / "cache").names) == 19
    (folder / celeba_folder.IMAGE_FOLDER / "é4.png").write_bytes(good)
    assert_aligned(image_sets.load_images(config, tmp_path / "cache"), list(range(20)))


def test_what_the_system_does_not_give_out_now_is_not_left_out_for_good(tmp_path):
    folder = write_folder(tmp_path / "set")
    path = image_path(folder, 4)
    good = path.read_bytes()
    path.unlink()
    # Linux gives this file's first byte to nobody: an input/output error.
    path.symlink_to("/proc/self/mem")
    config = folder_config(folder, max_bad_images=0.5)
    for _ in range(2):
        with pytest.raises(reader.ReadingError, match=r"1 of 20 pictures .*é4\.png \(Input/output"):
            image_sets.load_images(config, tmp_path / "cache")
    assert [path for path in (tmp_path / "cache").iterdir() if path.suffix != ".lock"] == []
    path.unlink()
    path.write_bytes(good)
    assert_aligned(image_sets.load_images(config, tmp_path / "cache"), list(range(20)))


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE])
def test_a_repair_that_changes_no_file_brings_the_image_back(tmp_path, monkeypatch, number):
    config = folder_config(write_folder(tmp_path / "set"), max_bad_images=0.5)
    whole = pathlib.Path.open

    def opened(path, *arguments, **named):
        if path.name == "é4.png":
            raise OSError(number, os.strerror(number), str(path))
        return whole(path, *arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(pathlib.Path, "open", opened)
        with pytest.raises(reader.ReadingError, match="é4"):
            image_sets.load_images(config, tmp_path / "cache")
    assert_aligned(image_sets.load_images(config, tmp_path / "cache"), list(range(20)))


@pytest.mark.parametrize("dataset", ["celeba", "folder"])
def test_storage_that_goes_away_is_not_remembered_as_missing_files(tmp_path, monkeypatch, dataset):
    folder = write_folder(tmp_path / "set")
    images = folder / celeba_folder.IMAGE_FOLDER
    if dataset == "folder":
        paths = [image_path(folder, row).relative_to(folder) for row in range(20)]
        rows = [f"{path},{row % 2}" for row, path in enumerate(paths)]
        (folder / "metadata.csv").write_text("\n".join(["file_name,odd", *rows]))
    config = Config(dataset=dataset, data_dir=str(folder), max_bad_images=0.5, image_size=SIZE)
    image_path(folder, 7).unlink()
    read_files = reader.read_files

    def away(paths, preprocess):
        images.rename(tmp_path / "elsewhere")
        return read_files(paths, preprocess)

    with monkeypatch.context() as patch:
        patch.setattr(reader, "read_files", away)
        with pytest.raises(
            reader.ReadingError, match="19 of 20 files were there when this command"
        ):
            image_sets.load_images(config, tmp_path / "cache")
    (tmp_path / "elsewhere").rename(images)
    found = image_sets.load_images(config, tmp_path / "cache")
    assert len(found.names) == 19 and found.bad_reasons == ("missing",)


def test_a_cache_of_before_that_left_out_what_could_not_be_opened_is_made_anew(
    tmp_path, monkeypatch
):
    config = folder_config(write_folder(tmp_path / "set"), max_bad_images=0.5)

    def leaving_out(paths, preprocess):
        pixels = np.full((19, SIZE, SIZE, 3), 200, np.uint8)
        yield Chunk(np.arange(1, 20), pixels, {0: "can't be opened: Permission denied"})

    with monkeypatch.context() as patch:
        patch.setattr(reader, "read_files", leaving_out)
        assert len(image_sets.load_images(config, tmp_path / "cache").names) == 19
    assert list((tmp_path / "cache").glob("*.json"))
    assert_aligned(image_sets.load_images(config, tmp_path / "cache"), list(range(20)))


@pytest.mark.parametrize("error", [RuntimeError("disk"), KeyboardInterrupt()])
def test_an_interrupted_preparation_leaves_nothing_that_counts(tmp_path, monkeypatch, error):
    config = folder_config(write_folder(tmp_path / "set"))

    def stopped(paths, preprocess):
        yield Chunk(np.arange(2), np.zeros((2, SIZE, SIZE, 3), np.uint8))
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(reader, "read_files", stopped)
        with pytest.raises(type(error)):
            image_sets.load_images(config, tmp_path / "cache")
    assert [path for path in (tmp_path / "cache").iterdir() if path.suffix != ".lock"] == []
    assert_aligned(image_sets.load_images(config, tmp_path / "cache"), list(range(20)))


def test_what_a_killed_preparation_left_goes_and_what_another_process_writes_stays(tmp_path):
    config = folder_config(write_folder(tmp_path / "set"))
    cache = tmp_path / "cache"
    cache.mkdir()
    killed, other = cache / "images_0123.77.tmp", cache / "images_4567.78.tmp"
    killed.write_bytes(b"half")
    other.write_bytes(b"half")
    with filelock.FileLock(cache / "images_4567.lock"):
        image_sets.load_images(config, cache)
    assert not killed.exists() and other.exists()


def test_those_who_want_a_cache_at_once_prepare_it_once(tmp_path, monkeypatch):
    config = folder_config(write_folder(tmp_path / "set"))
    calls = count_reads(monkeypatch)
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        found = list(
            threads.map(lambda _: image_sets.load_images(config, tmp_path / "cache"), range(4))
        )
    assert calls == [20]
    for images in found:
        assert_aligned(images, list(range(20)))


@pytest.mark.parametrize("suffix", [".json", ".u8"])
def test_half_a_cache_does_not_count(tmp_path, monkeypatch, suffix):
    config = folder_config(write_folder(tmp_path / "set"))
    image_sets.load_images(config, tmp_path / "cache")
    next((tmp_path / "cache").glob(f"*{suffix}")).unlink()
    calls = count_reads(monkeypatch)
    assert_aligned(image_sets.load_images(config, tmp_path / "cache"), list(range(20)))
    assert calls == [20]


def test_a_cut_off_cache_does_not_count(tmp_path):
    config = folder_config(write_folder(tmp_path / "set"))
    image_sets.load_images(config, tmp_path / "cache")
    pixels = next((tmp_path / "cache").glob("*.u8"))
    pixels.write_bytes(pixels.read_bytes()[:-1])
    assert_aligned(image_sets.load_images(config, tmp_path / "cache"), list(range(20)))


@pytest.mark.slow
def test_sizes_and_folders_share_a_cache_without_collision(tmp_path):
    first = write_folder(tmp_path / "first")
    second = write_folder(tmp_path / "second", num_images=10)
    for _ in range(2):
        for size in (32, 64):
            config = folder_config(first, image_size=size)
            images = image_sets.load_images(config, tmp_path / "cache")
            assert images.images.shape == (20, size, size, 3)
            assert_aligned(images, list(range(20)))
        images = image_sets.load_images(folder_config(second), tmp_path / "cache")
        assert_aligned(images, list(range(10)))
    suffixes = sorted(path.suffix for path in (tmp_path / "cache").iterdir())
    assert [suffix for suffix in suffixes if suffix != ".lock"] == [".json"] * 3 + [".u8"] * 3


def test_a_source_that_gives_the_wrong_shape_is_refused(tmp_path, monkeypatch):
    config = folder_config(write_folder(tmp_path / "set"))
    grey = np.zeros((20, SIZE, SIZE, 1), np.uint8)
    chunk = Chunk(np.arange(20), grey)
    monkeypatch.setattr(reader, "read_files", lambda *_, **__: iter([chunk]))
    with pytest.raises(ValueError, match=r"\(20, 32, 32, 1\) for 20 rows; expected uint8"):
        image_sets.load_images(config, tmp_path / "cache")


def faces_config(**values) -> Config:
    return Config(**{"num_faces": 70, "image_size": SIZE, "seed": 5, **values})


def test_procedural_faces_are_those_of_the_full_size_with_their_labels(tmp_path, monkeypatch):
    monkeypatch.setattr(image_sets, "CHUNK", 32)
    images = image_sets.load_images(faces_config(image_size=64), tmp_path)
    batch = generation.generate_faces(70, 64, seed=5, images_per_identity=4)
    np.testing.assert_array_equal(images.images, batch.images)
    np.testing.assert_array_equal(images.attributes, batch.attributes)
    np.testing.assert_array_equal(images.identities, batch.identities)
    assert images.attribute_names == generation.ATTRIBUTE_NAMES
    assert images.identities_known and len(set(images.names)) == 70


def test_procedural_faces_are_drawn_once_and_anew_for_other_settings(tmp_path):
    variants = [{}, {"seed": 6}, {"num_faces": 71}, {"images_per_identity": 2}, {"image_size": 64}]
    sources = [image_sets.procedural_source(faces_config(**values)) for values in variants]
    assert len({source.fingerprint for source in sources}) == len(variants)
    first = image_sets.load_images(faces_config(), tmp_path)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    second = image_sets.load_images(faces_config(), tmp_path)
    np.testing.assert_array_equal(first.images, second.images)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == files


class TinyFaces(tfds.core.GeneratorBasedBuilder):
    """Six train and four test images of grey levels 10 + 7 k; the image of row 2 is broken."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(None, None, None)),
            "attributes": {"Odd": np.bool_, "Big": np.bool_},
            "identity": {"Identity_No": np.int64},
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(0, 6), "test": self._generate_examples(6, 10)}

    def _generate_examples(self, start, stop):
        for row in range(start, stop):
            level = grey_level(row)
            image = encoded(picture((level,) * (1 if row == 4 else 3), 44, 36).squeeze(), "PNG")
            yield (
                row,
                {
                    "image": io.BytesIO(image[:50] if row == 2 else image),
                    "attributes": {"Odd": row % 2, "Big": row >= 5},
                    "identity": {"Identity_No": row // 2},
                },
            )


class CountedFaces(tfds.core.GeneratorBasedBuilder):
    """One image whose attribute is a count."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {"image": tfds.features.Image(), "attributes": {"Hats": np.int64}}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        yield 0, {"image": picture(), "attributes": {"Hats": 2}}


def tfds_config(name: str, folder: pathlib.Path, **values) -> Config:
    return Config(dataset=f"tfds:{name}", data_dir=str(folder), image_size=SIZE, **values)


def test_a_prepared_builder_gives_all_splits_with_their_labels_and_identities(tmp_path):
    tfds.builder("tiny_faces", data_dir=tmp_path / "tfds").download_and_prepare()
    config = tfds_config("tiny_faces", tmp_path / "tfds", max_bad_images=0.1)
    images = image_sets.load_images(config, tmp_path / "cache")
    levels = np.asarray(images.images).mean(axis=(1, 2, 3))
    rows = np.round((levels - 10) / 7).astype(int)
    assert sorted(rows) == [0, 1, 3, 4, 5, 6, 7, 8, 9] and len(images.bad_images) == 1
    assert images.attribute_names == ("Big", "Odd")
    np.testing.assert_array_equal(images.attributes, np.stack([rows >= 5, rows % 2], axis=1))
    np.testing.assert_array_equal(images.identities, rows // 2)
    assert images.identities_known and len(set(images.names)) == 9
    again = image_sets.load_images(config, tmp_path / "cache")
    np.testing.assert_array_equal(again.images, images.images)


def test_a_builder_that_is_prepared_anew_is_not_served_from_the_old_cache(tmp_path, monkeypatch):
    config = tfds_config("tiny_faces", tmp_path / "tfds", max_bad_images=0.1)
    found = []
    for _ in range(2):
        tfds.builder("tiny_faces", data_dir=tmp_path / "tfds").download_and_prepare()
        found.append(image_sets.load_images(config, tmp_path / "cache"))
        # Other pictures under the same version, names and labels.
        shutil.rmtree(tmp_path / "tfds")
        monkeypatch.setitem(globals(), "grey_level", lambda row: 200 + row)
    old, new = found
    assert np.max(old.images) < 200 <= np.min(new.images)
    np.testing.assert_array_equal(old.attributes, new.attributes)
    assert old.names == new.names


def test_a_set_that_is_prepared_anew_is_another_source_to_encode(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    builder = tfds.builder("tiny_faces", data_dir=tmp_path / "tfds")
    builder.download_and_prepare()
    info = tfds.builder("tiny_faces", data_dir=tmp_path / "tfds").info
    found = sources.tfds_fingerprint(info)
    assert sources.tfds_fingerprint(builder.info) == found
    # As many bytes in as many shards: what was written at another time counts as another set.
    file = pathlib.Path(info.splits["train"].filepaths[0])
    changed = file.stat().st_mtime_ns + 1_000_000
    os.utime(file, ns=(changed, changed))
    assert sources.tfds_fingerprint(info) != found
    os.truncate(file, file.stat().st_size - 1)
    os.utime(file, ns=(changed, changed))
    assert sources.tfds_fingerprint(info) != found


def test_a_builder_is_prepared_only_when_told(tmp_path):
    with pytest.raises(ValueError, match=r"tiny_faces is not prepared.*--tfds_download"):
        image_sets.load_images(tfds_config("tiny_faces", tmp_path / "tfds"), tmp_path / "cache")
    assert list(tmp_path.iterdir()) == []
    config = tfds_config("tiny_faces", tmp_path / "tfds", tfds_download=True, max_bad_images=0.1)
    assert len(image_sets.load_images(config, tmp_path / "cache").names) == 9


def test_celeb_a_is_not_downloaded_unless_told(tmp_path, monkeypatch):
    def refused(*_, **__):
        raise RuntimeError("download")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", refused)
    with pytest.raises(ValueError, match=r"celeb_a is not prepared.*--tfds_download.*--data_dir"):
        image_sets.load_images(tfds_config("celeb_a", tmp_path), tmp_path / "cache")
    assert list(tmp_path.iterdir()) == []


def test_celeb_a_of_tfds_has_its_attributes_and_identities(tmp_path):
    with tfds.testing.mock_data(num_examples=8):
        images = image_sets.load_images(
            tfds_config("celeb_a", tmp_path / "tfds"), tmp_path / "cache"
        )
    assert images.images.shape == (8, SIZE, SIZE, 3) and images.bad_images == ()
    assert images.attributes.shape == (8, 40) and set(np.unique(images.attributes)) <= {0, 1}
    assert {"Male", "Smiling", "Young"} < set(images.attribute_names)
    assert images.identities_known and images.identities.shape == (8,)


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("no_such_data", "no such builder .*no_such_data"),
        ("not a name", "no such builder"),
        ("celeb_a/nonsense", "no such builder .*nonsense"),
        ("huggingface:someone/something", "no such builder"),
        ("div2k", "must have the features 'image' .*it has (hr, lr|lr, hr)"),
    ],
)
def test_a_builder_that_is_unknown_or_unfit_is_refused_by_name(tmp_path, name, named):
    with pytest.raises(ValueError, match=f"--dataset=tfds:{name} ?.*{named}"):
        image_sets.load_images(tfds_config(name, tmp_path / "tfds"), tmp_path / "cache")


def test_attributes_that_are_no_yes_or_no_are_refused(tmp_path):
    config = tfds_config("counted_faces", tmp_path / "tfds", tfds_download=True)
    with pytest.raises(
        ValueError, match=r"tfds:counted_faces: .* be 0 or 1, got 2 for Hats of image 0"
    ):
        image_sets.load_images(config, tmp_path / "cache")


@pytest.mark.parametrize(
    ("given", "task"),
    [("", "abc"), ("c, a", "ac"), ("-b", "ac"), ("-b,-a", "c")],
)
def test_task_has_the_attributes_that_are_named_or_all_but_those_with_a_minus(given, task):
    assert image_sets.task_names(tuple("abc"), given) == tuple(task)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("a,d", "names d, which the data set does not have; it has a, b, c"),
        ("-d", "names d, which the data set does not have"),
        ("-a,b", "some attributes with a minus and others without"),
        ("-a,-b,-c", "leaves the task no attribute"),
    ],
)
def test_task_that_can_not_be_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        image_sets.task_names(tuple("abc"), given)


def test_pictures_of_twelve_bits_in_files_of_sixteen_are_refused(tmp_path):
    folder = write_folder(tmp_path / "set")
    for row in range(20):
        deep = np.full((44, 36), 4095 - row, np.uint16)
        Image.fromarray(deep).save(image_path(folder, row), format="PNG")
    with pytest.raises(ValueError, match="nearly black: of 20 the highest level is 15"):
        image_sets.load_images(folder_config(folder), tmp_path / "cache")
