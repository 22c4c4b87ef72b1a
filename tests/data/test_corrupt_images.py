"""Ten thousand files of which one in two hundred is damaged: each is named, the others are read."""

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from arl_tf.config.settings import Config, subset
from arl_tf.data import image_sets
from arl_tf.data.image_sets import DataSettings

IMAGES, CORRUPT_EVERY, SIZE = 10_000, 200, 32
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


def jpeg(shade):
    """A file of one grey."""
    file = io.BytesIO()
    Image.new("RGB", (SIZE, SIZE), (shade, shade, shade)).save(file, "JPEG", quality=100)
    return file.getvalue()


# What disks, copies and downloads make of a file.
DAMAGES = {
    "empty": lambda content: b"",
    "cut off": lambda content: content[: len(content) // 2],
    "zeroed": lambda content: bytes(len(content)),
    "a page": lambda content: b"<html>404 Not Found</html>",
    "a pointer": lambda content: LFS,
}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """(Class folders of grey JPEGs, the names of those that are damaged)."""
    folder = tmp_path_factory.mktemp("photos")
    whole = [jpeg(shade) for shade in range(256)]
    damages, corrupt = list(DAMAGES.values()), []
    for name in ("dark", "light"):
        (folder / name).mkdir()
    for number in range(IMAGES):
        name = f"{'light' if number % 256 > 127 else 'dark'}/{number:05d}.jpg"
        content = whole[number % 256]
        if number % CORRUPT_EVERY == 7:
            content = damages[len(corrupt) % len(damages)](content)
            corrupt.append(name)
        (folder / name).write_bytes(content)
    return folder, corrupt


def settings_of(folder, **values):
    config = Config(dataset="folder", data_dir=str(folder), image_size=SIZE, **values)
    return subset(config, DataSettings)


@pytest.mark.slow
def test_each_damaged_file_of_ten_thousand_is_named_and_all_others_are_whole(
    photos, tmp_path, caplog
):
    folder, corrupt = photos
    settings = settings_of(folder)
    found = image_sets.load_images(settings, tmp_path / "cache")
    assert len(corrupt) == IMAGES // CORRUPT_EVERY
    assert sorted(found.bad_images) == sorted(corrupt)
    assert all(found.bad_reasons) and len(found.bad_reasons) == len(corrupt)
    assert len(found.images) == len(found.names) == IMAGES - len(corrupt)
    # The shade says which file a row is of.
    expected = [int(name.split("/")[1].removesuffix(".jpg")) % 256 for name in found.names]
    np.testing.assert_array_equal(found.images[:, 5, 5, 0], expected)
    assert np.ptp(found.images, axis=(1, 2, 3)).max() == 0
    limit = dataclasses.replace(settings, max_bad_images=0.004)
    with pytest.raises(ValueError, match=r"50 of 10000"):
        image_sets.load_images(limit, tmp_path / "cache")
