"""The procedural faces: reproducible, truthfully labelled, the same person in every picture."""

import dataclasses

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from arl_tf.data.faces import canvas, drawing, face_traits, generation


def attribute(batch: generation.FaceBatch, name: str) -> np.ndarray:
    return batch.attributes[:, generation.ATTRIBUTE_NAMES.index(name)] == 1


@pytest.fixture(scope="module")
def strangers() -> generation.FaceBatch:
    """3000 pictures of 3000 people, 32 x 32."""
    return generation.generate_faces(3000, 32, seed=7, images_per_identity=1)


@pytest.fixture(scope="module")
def families() -> generation.FaceBatch:
    """60 people, eight pictures each, 32 x 32."""
    return generation.generate_faces(480, 32, seed=8, images_per_identity=8)


def assert_equal(first: generation.FaceBatch, second: generation.FaceBatch) -> None:
    for field in dataclasses.fields(first):
        name = field.name
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), name)


@pytest.mark.parametrize("size", [16, 33, 64, 256])
def test_a_batch_has_the_promised_shapes_and_types(size):
    batch = generation.generate_faces(3, size, seed=0)
    num_attributes, num_factors = (
        len(generation.ATTRIBUTE_NAMES),
        len(generation.IDENTITY_FACTOR_NAMES),
    )
    assert (batch.images.shape, batch.images.dtype) == ((3, size, size, 3), np.uint8)
    assert (batch.attributes.shape, batch.attributes.dtype) == ((3, num_attributes), np.uint8)
    assert (batch.identities.shape, batch.identities.dtype) == ((3,), np.int64)
    assert batch.identity_factors.shape == (3, num_factors)
    assert batch.identity_factors.dtype == np.float32
    assert set(np.unique(batch.attributes)) <= {0, 1}
    assert np.all(np.ptp(batch.images.reshape(3, -1).astype(int), axis=1) > 100)


def test_names_are_unique_and_cover_the_face():
    assert len(set(generation.ATTRIBUTE_NAMES)) == len(generation.ATTRIBUTE_NAMES) >= 20
    assert len(set(generation.IDENTITY_FACTOR_NAMES)) == len(generation.IDENTITY_FACTOR_NAMES) >= 20


def test_the_same_arguments_give_the_same_faces():
    assert_equal(generation.generate_faces(9, 24, seed=5), generation.generate_faces(9, 24, seed=5))


def test_another_seed_gives_other_faces():
    first, second = (generation.generate_faces(8, 24, seed=seed) for seed in (5, 6))
    assert np.abs(first.identity_factors - second.identity_factors).min(axis=0).max() > 0.1
    difference = np.abs(first.images.astype(int) - second.images)
    assert difference.mean(axis=(1, 2, 3)).min() > 5


@pytest.mark.parametrize("size", [20, 64])
def test_chunks_are_bit_equal_to_the_whole(size):
    whole = generation.generate_faces(41, size, seed=3, images_per_identity=3, first_image=2)
    for first, count in ((2, 1), (3, 17), (20, 23)):
        part = generation.generate_faces(
            count, size, seed=3, images_per_identity=3, first_image=first
        )
        rows = slice(first - 2, first - 2 + count)
        expected = {
            field.name: getattr(whole, field.name)[rows] for field in dataclasses.fields(whole)
        }
        assert_equal(part, generation.FaceBatch(**expected))


def test_the_windows_that_parts_are_drawn_in_cut_nothing_off(monkeypatch):
    expected = generation.generate_faces(300, 40, seed=6, images_per_identity=1).images
    window = canvas.Face.window

    def whole_frame_above_the_neck(face, left, right, top, bottom):
        # The neck's column alone is endless upwards; its window starts behind the head.
        is_neck = top == 0.9
        return window(face, left, right, top, bottom) if is_neck else (slice(None),) * 3

    monkeypatch.setattr(canvas.Face, "window", whole_frame_above_the_neck)
    images = generation.generate_faces(300, 40, seed=6, images_per_identity=1).images
    np.testing.assert_array_equal(images, expected)


def test_identities_count_consecutive_pictures():
    batch = generation.generate_faces(7, 16, seed=1, images_per_identity=3, first_image=4)
    assert batch.identities.tolist() == [1, 1, 2, 2, 2, 3, 3]


def test_every_attribute_is_neither_rare_nor_universal(strangers):
    rates = dict(zip(generation.ATTRIBUTE_NAMES, strangers.attributes.mean(axis=0), strict=True))
    outside = {name: rate for name, rate in rates.items() if not 0.05 <= rate <= 0.70}
    assert not outside


def test_no_attribute_copies_another(strangers):
    correlations = np.corrcoef(strangers.attributes.T.astype(float))
    np.fill_diagonal(correlations, 0.0)
    assert np.abs(correlations).max() < 0.8


def test_attributes_go_together_sensibly(strangers):
    male, lipstick = attribute(strangers, "Male"), attribute(strangers, "Wearing_Lipstick")
    bearded, smiling = ~attribute(strangers, "No_Beard"), attribute(strangers, "Smiling")
    mouth_open = attribute(strangers, "Mouth_Slightly_Open")
    assert np.all(male[bearded])
    assert lipstick[bearded].mean() < 0.05 < lipstick[~male].mean()
    assert mouth_open[smiling].mean() > mouth_open[~smiling].mean() + 0.2
    colours = [attribute(strangers, f"{name}_Hair") for name in ("Black", "Blond", "Brown", "Gray")]
    assert np.sum(colours, axis=0).max() == 1
    assert not np.any(np.any(colours, axis=0) & attribute(strangers, "Bald"))


def test_identity_factors_are_standardised(strangers):
    np.testing.assert_allclose(strangers.identity_factors.mean(axis=0), 0.0, atol=0.1)
    np.testing.assert_allclose(strangers.identity_factors.std(axis=0), 1.0, atol=0.1)


def test_identity_factors_stay_with_the_person_and_tell_people_apart(families):
    grouped = families.identity_factors.reshape(60, 8, -1)
    assert np.ptp(grouped, axis=1).max() == 0.0
    people = grouped[:, 0]
    distances = np.linalg.norm(people[:, None] - people[None], axis=-1) + 99.0 * np.eye(60)
    assert distances.min() > 1.0


@pytest.mark.parametrize("name", ["Male", "Bald", "Black_Hair", "Big_Nose", "No_Beard", "Young"])
def test_attributes_of_the_person_stay_with_the_person(families, name):
    assert np.ptp(attribute(families, name).reshape(60, 8).astype(int), axis=1).max() == 0


@pytest.mark.parametrize("name", ["Smiling", "Mouth_Slightly_Open", "Wearing_Hat", "Eyeglasses"])
def test_attributes_of_the_moment_change_within_a_person(families, name):
    assert np.ptp(attribute(families, name).reshape(60, 8).astype(int), axis=1).max() == 1


def test_the_nearest_picture_of_the_face_is_often_the_same_person(families):
    crops = families.images[:, 10:27, 9:23].astype(np.float64)
    crops = crops.reshape(len(crops), -1)
    squares = np.sum(crops**2, axis=1)
    distances = squares[:, None] + squares[None] - 2.0 * crops @ crops.T
    np.fill_diagonal(distances, np.inf)
    hits = families.identities[distances.argmin(axis=1)] == families.identities
    assert hits.mean() > 10 * (7 / 479)


def test_identity_factors_can_be_read_from_the_pixels_of_strangers(strangers):
    pixels = strangers.images.reshape(len(strangers.images), -1) / np.float32(255.0)
    model = Ridge(alpha=30.0).fit(pixels[:2000], strangers.identity_factors[:2000])
    truth = strangers.identity_factors[2000:]
    residual = np.mean((truth - model.predict(pixels[2000:])) ** 2, axis=0)
    explained = 1.0 - residual / truth.var(axis=0)
    assert explained.mean() > 0.2
    assert np.sum(explained > 0.1) >= 20


def test_a_linear_probe_reads_every_attribute_from_the_pixels(strangers):
    pixels = strangers.images.reshape(len(strangers.images), -1) / np.float32(255.0)
    model = Ridge(alpha=30.0).fit(pixels[:2000], strangers.attributes[:2000])
    scores = model.predict(pixels[2000:])
    aucs = {
        name: roc_auc_score(strangers.attributes[2000:, i], scores[:, i])
        for i, name in enumerate(generation.ATTRIBUTE_NAMES)
    }
    assert {name: auc for name, auc in aucs.items() if auc < 0.65} == {}
    assert np.mean(list(aucs.values())) > 0.8


def test_hair_gets_lighter_from_black_to_brown_to_blond():
    batch = generation.generate_faces(600, 32, seed=4, images_per_identity=1)
    bare = ~attribute(batch, "Wearing_Hat")
    crown = batch.images[:, 4:6, 14:18].mean(axis=(1, 2, 3))
    black, brown, blond = (
        crown[bare & attribute(batch, f"{name}_Hair")].mean()
        for name in ("Black", "Brown", "Blond")
    )
    assert black + 15 < brown < blond - 15


def test_pale_skin_is_lighter(strangers):
    cheeks = strangers.images[:, 18:22, 12:20].mean(axis=(1, 2, 3))
    pale = attribute(strangers, "Pale_Skin")
    assert cheeks[pale].mean() > cheeks[~pale].mean() + 20


TOGGLES = {
    # trait: (its value when off, when on, rows of the frame and columns that must hold the change)
    "hat": (0.0, 1.0, (0.0, 0.45), (0.1, 0.9)),
    "glasses": (0.0, 1.0, (0.30, 0.65), (0.1, 0.9)),
    "bald": (0.0, 1.0, (0.0, 0.75), (0.1, 0.9)),
    "bangs": (0.0, 1.0, (0.15, 0.5), (0.15, 0.85)),
    "narrow_eyes": (0.0, 1.0, (0.38, 0.58), (0.2, 0.8)),
    "makeup": (0.0, 1.0, (0.35, 0.6), (0.2, 0.8)),
    "rosy": (0.0, 1.0, (0.45, 0.8), (0.2, 0.8)),
    "mustache": (0.0, 1.0, (0.6, 0.78), (0.28, 0.72)),
    "beard": (0.0, 1.0, (0.55, 0.95), (0.2, 0.8)),
    "lipstick": (0.0, 1.0, (0.62, 0.85), (0.3, 0.7)),
    "mouth_gap": (0.0, 0.9, (0.62, 0.85), (0.3, 0.7)),
    "smile": (0.0, 0.9, (0.4, 0.95), (0.2, 0.8)),
}


@pytest.mark.parametrize("trait", TOGGLES)
def test_a_trait_shows_where_it_belongs_and_nowhere_else(trait):
    off, on, rows, columns = TOGGLES[trait]
    identities = np.arange(24)
    _, traits = face_traits.identity_traits(12, identities)
    traits |= face_traits.picture_traits(12, identities, traits)
    # Bare faces with short hair: nothing else may hide the trait.
    traits |= {name: np.zeros(24) for name in ("hat", "glasses", "bald")}
    traits["hair_length"] = np.full(24, -1.0)
    without, with_it = (
        drawing.draw_faces(traits | {trait: np.full(24, value)}, 64).astype(float)
        for value in (off, on)
    )
    change = np.abs(with_it - without).sum(axis=-1)
    box = change[
        :,
        int(rows[0] * 64) : int(np.ceil(rows[1] * 64)),
        int(columns[0] * 64) : int(np.ceil(columns[1] * 64)),
    ]
    total = change.sum(axis=(1, 2))
    assert np.all(total > 300)
    assert np.all(box.sum(axis=(1, 2)) > 0.95 * total)


def test_a_smile_lifts_the_corners_of_the_mouth():
    """How much higher the darkest row between the lips lies at the corners than in the middle."""
    identities = np.arange(16)
    _, traits = face_traits.identity_traits(2, identities)
    traits |= face_traits.picture_traits(2, identities, traits)
    still = ("yaw", "pitch", "roll", "scale", "shift_x", "shift_y", "grain", "mouth_gap")
    still += ("mouth_width", "mouth_height", "nose_length", "lipstick", "beard", "mustache")
    traits |= {name: np.zeros(16) for name in still}
    lifts = []
    for smile in (0.0, 1.0):
        images = drawing.draw_faces(traits | {"smile": np.full(16, smile)}, 128)
        rows = images[:, 87:98].astype(float).mean(axis=3)
        middle, corner = (
            rows[:, :, left : left + 3].mean(axis=2).argmin(axis=1) for left in (63, 55)
        )
        lifts.append(middle - corner)
    assert np.median(lifts[0]) <= 0.5
    assert np.median(lifts[1]) >= 2.0


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"num_images": 0}, "num_images"),
        ({"num_images": 2.5}, "num_images"),
        ({"image_size": 15}, "image_size"),
        ({"image_size": 4096}, "image_size"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**63}, "seed"),
        ({"images_per_identity": 0}, "images_per_identity"),
        ({"first_image": -4}, "first_image"),
    ],
)
def test_impossible_arguments_are_refused_by_name(arguments, name):
    with pytest.raises(ValueError, match=name):
        generation.generate_faces(**({"num_images": 2, "image_size": 16, "seed": 0} | arguments))
