"""Pictures that are alike share their noise: how many of drawn faces, and what is remembered."""

import io
import stat

import numpy as np
import pytest
from PIL import Image

from arl_tf.data.faces import generation
from serving.device.noise_key import keyed_noise
from serving.device.similar import MOST_BITS, SimilarPhotos, differing_bits, picture_hash

COUNT, SIZE, MARGIN = 120, 64, 4


@pytest.fixture(scope="module")
def wide():
    """Faces of 40 people, with a margin around what is encoded; uint8 [N, 72, 72, 3]."""
    faces = generation.generate_faces(COUNT, SIZE + 2 * MARGIN, seed=5, images_per_identity=3)
    return faces.images


def cut(images, top=0, left=0, smaller=0):
    """What is encoded of the wide pictures, moved by pixels, or cut closer and made larger."""
    side = SIZE - 2 * smaller
    top, left = top + MARGIN + smaller, left + MARGIN + smaller
    parts = images[:, top : top + side, left : left + side]
    if not smaller:
        return parts
    size = (SIZE, SIZE)
    resized = [Image.fromarray(part).resize(size, Image.Resampling.BILINEAR) for part in parts]
    return np.stack([np.asarray(image) for image in resized])


def recompressed(images, quality):
    found = []
    for image in images:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=quality)
        found.append(np.asarray(Image.open(buffer)))
    return np.stack(found)


COPIES = {
    "recompressed, quality 75": (lambda wide: recompressed(cut(wide), 75), 1.0),
    "recompressed, quality 40": (lambda wide: recompressed(cut(wide), 40), 1.0),
    "moved by 1 pixel": (lambda wide: cut(wide, left=1), 0.95),
    "moved by 1 pixel both ways": (lambda wide: cut(wide, top=1, left=1), 0.7),
    "cut closer by 3 %": (lambda wide: cut(wide, smaller=1), 0.95),
    "cut closer by 6 %": (lambda wide: cut(wide, smaller=2), 0.7),
}


@pytest.mark.parametrize("kind", COPIES)
def test_most_copies_of_a_picture_have_its_mark(wide, kind):
    copies, least = COPIES[kind]
    shared = []
    for original, copy in zip(cut(wide), copies(wide), strict=True):
        device = SimilarPhotos()
        shared.append(np.array_equal(device.mark(original), device.mark(copy)))
    print(f"{kind}: {np.mean(shared):.3f} share the mark")
    assert np.mean(shared) >= least


def test_faces_of_other_people_have_marks_of_their_own(wide):
    device = SimilarPhotos()
    marks = {device.mark(image).tobytes() for image in cut(wide)[::3]}
    assert len(marks) == COUNT // 3


def test_mark_stays_that_of_the_oldest_picture_also_where_a_nearer_one_comes_later():
    first, bits = np.zeros(8, np.uint8), np.zeros(64, np.uint8)
    bits[:MOST_BITS] = 1
    second = np.packbits(bits)
    bits[MOST_BITS : MOST_BITS + 2] = 1
    third = np.packbits(bits)
    assert differing_bits(np.stack([first, third]), second).tolist() == [MOST_BITS, 2]
    pictures = {"first": first, "second": second, "third": third}
    device = SimilarPhotos()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("serving.device.similar.picture_hash", pictures.__getitem__)
        marks = [device.mark(name).tobytes() for name in ("first", "second", "third", "second")]
    assert marks[0] == marks[1] == marks[3] != marks[2]


def test_what_is_remembered_is_kept_in_a_file_for_its_owner_alone(wide, tmp_path):
    path, images = tmp_path / "similar", cut(wide)
    marks = [SimilarPhotos(path).mark(image) for image in (*images[:2], images[0])]
    assert path.read_bytes() == b"".join(mark.tobytes()[-8:] for mark in marks[:2])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    np.testing.assert_array_equal(SimilarPhotos(path).mark(cut(wide, left=1)[0]), marks[0])


def test_a_file_of_other_content_is_refused_and_left_as_it_is(tmp_path):
    path = tmp_path / "similar"
    path.write_text("hello")
    with pytest.raises(ValueError, match=r"similar holds 5 bytes; .* Delete it to begin anew"):
        SimilarPhotos(path)
    assert path.read_text() == "hello"


def test_hash_says_what_a_picture_is_like_at_large_at_any_size():
    picture = Image.fromarray(generation.generate_faces(1, 96, seed=1).images[0])
    large = np.asarray(picture)
    small = np.asarray(picture.resize((64, 64), Image.Resampling.BILINEAR))
    darker = (large * 0.6).astype(np.uint8)
    for other in (small, darker):
        assert differing_bits(picture_hash(large)[None], picture_hash(other))[0] <= 2
    assert differing_bits(picture_hash(large)[None], picture_hash(255 - large))[0] >= 60


def test_noise_of_a_mark_is_another_for_each_mark_and_key():
    one, other = (np.frombuffer(b"similar" + bytes([n] * 8), np.uint8) for n in (0, 1))
    key, encoder = bytes(32), bytes(32)
    noise = keyed_noise(key, encoder, one, (10_000,))
    np.testing.assert_array_equal(noise, keyed_noise(key, encoder, one, (10_000,)))
    for others in (
        keyed_noise(key, encoder, other, (10_000,)),
        keyed_noise(b"k" * 32, encoder, one, (10_000,)),
    ):
        # Independent: the deviation of a correlation of 10,000 is 0.01.
        assert abs(np.corrcoef(noise, others)[0, 1]) < 0.06
