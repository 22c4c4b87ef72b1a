"""Photos that stand in T and in X1 or X2: found where they are there, and only there."""

import io
import json

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from arl_tf.data import shared_photos
from arl_tf.data.faces import generation

FACES = generation.generate_faces(60, 64, seed=4, images_per_identity=3).images
OTHERS, TEST = np.arange(40), np.arange(40, 60)


def compressed(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((50, 50)).save(buffer, "JPEG", quality=60)
    return np.asarray(Image.open(buffer).resize((64, 64)))


def with_copies():
    """Test images 41, 43 and 45 are an exact, a compressed and a brighter copy of 3, 7 and 11."""
    images = FACES.copy()
    images[41] = images[3]
    images[43] = compressed(images[7])
    images[45] = np.asarray(ImageEnhance.Brightness(Image.fromarray(images[11])).enhance(1.05))
    return images


def test_exact_and_near_copies_are_found():
    found = shared_photos.find_shared(with_copies(), OTHERS, TEST)
    assert found.pairs.tolist() == [[41, 3], [43, 7], [45, 11]]
    assert found.exact.tolist() == [True, False, False]
    assert found.num_test_images() == 3
    assert "3 test images" in found.sentence() and "measures nothing" in found.sentence()


COPIES = {
    "mirrored": lambda picture: ImageOps.mirror(picture),
    "grey": lambda picture: picture.convert("L").convert("RGB"),
    "cropped": lambda picture: picture.crop((2, 2, 62, 62)).resize((64, 64)),
    "cropped at two sides": lambda picture: picture.crop((4, 0, 64, 60)).resize((64, 64)),
    "mirrored and smaller": lambda picture: ImageOps.mirror(picture).resize((40, 40)),
}


@pytest.mark.parametrize("name", COPIES)
@pytest.mark.parametrize("copied", ["test", "other"])
def test_copies_are_found_whichever_side_was_changed(name, copied):
    images = FACES.copy()
    images[50] = images[20]
    row = 50 if copied == "test" else 20
    changed = COPIES[name](Image.fromarray(images[row])).resize((64, 64))
    images[row] = np.asarray(changed)
    assert shared_photos.find_shared(images, OTHERS, TEST).pairs.tolist() == [[50, 20]]


def test_parts_of_two_pictures_show_the_same():
    # Of (left, top, size): where the one begins later, the other one ends earlier.
    moved = [pair for pair in shared_photos.PART_PAIRS if shared_photos.WHOLE not in pair]
    assert moved
    for one, other in moved:
        assert one[2] == other[2]
        assert one[0] + other[0] == pytest.approx(1 - one[2])
        assert one[1] + other[1] == pytest.approx(1 - one[2])


def test_small_pictures_are_means_over_their_areas():
    means = shared_photos.area_means(4, 0.25, 0.5, 2)
    np.testing.assert_allclose(means, [[0, 1, 0, 0], [0, 0, 1, 0]])
    np.testing.assert_allclose(shared_photos.area_means(3, 0, 1, 2) @ [3, 6, 9], [4, 8])


def test_drawn_faces_of_one_person_are_different_photos():
    found = shared_photos.find_shared(FACES, OTHERS, TEST)
    assert len(found.pairs) == 0 and found.sentence() == ""


def test_pictures_of_one_colour_are_the_same_only_if_equal():
    levels = np.array([10, 80, 10, 90], np.uint8)
    images = np.broadcast_to(levels[:, None, None, None], (4, 32, 32, 3))
    found = shared_photos.find_shared(images, np.array([0, 1]), np.array([2, 3]))
    assert found.pairs.tolist() == [[2, 0]] and found.exact.tolist() == [True]


def test_the_record_counts_and_names_the_pairs():
    names = tuple(f"{row}.jpg" for row in range(60))
    record = shared_photos.find_shared(with_copies(), OTHERS, TEST).record(names)
    assert json.loads(json.dumps(record)) == {
        "test_images": 3,
        "pairs": 3,
        "equal_pairs": 1,
        "first_pairs": [["41.jpg", "3.jpg"], ["43.jpg", "7.jpg"], ["45.jpg", "11.jpg"]],
    }


def test_no_images_share_nothing():
    nothing = np.zeros(0, np.int64)
    assert not len(shared_photos.find_shared(FACES, nothing, TEST).pairs)
    assert not len(shared_photos.find_shared(FACES, OTHERS, nothing).pairs)
