"""Training batches: the right rows, each once an epoch, and the same again from any step."""

import dataclasses
import itertools

import numpy as np
import pytest

from arl_tf.data import image_sets, pipelines, splits

NUM_IMAGES, SIZE = 200, 4
PARTS = splits.Splits(
    private_train=np.arange(0, 90),
    private_validation=np.arange(90, 100),
    public_train=np.arange(100, 160),
    public_validation=np.arange(160, 170),
    test=np.arange(170, 200),
)


def numbered_images() -> image_sets.ImageSet:
    """Image k has the value k in its left half and 255 in its right, and k's bits as attributes."""
    images = np.full((NUM_IMAGES, SIZE, SIZE, 3), 255, np.uint8)
    images[:, :, : SIZE // 2] = np.arange(NUM_IMAGES)[:, None, None, None]
    attributes = np.arange(NUM_IMAGES)[:, None] >> np.arange(8) & 1
    return image_sets.ImageSet(
        images=images,
        attributes=attributes.astype(np.uint8),
        identities=np.arange(NUM_IMAGES),
        attribute_names=tuple(f"bit_{bit}" for bit in range(8)),
        names=tuple(f"image_{row}" for row in range(NUM_IMAGES)),
        bad_images=(),
        identities_known=True,
    )


def steps(count: int, **values) -> list:
    values = {"batch_size": 8, "decoder_steps": 1, "seed": 0, **values}
    batches = pipelines.training_batches(numbered_images(), PARTS, **values)
    return list(itertools.islice(batches.as_numpy_iterator(), count))


def rows_shown(images: np.ndarray) -> np.ndarray:
    """Which rows float images [..., S, S, 3] show, mirrored or not."""
    return np.round(images.min(axis=(-3, -2, -1)) * 255).astype(int)


def mirrored(images: np.ndarray) -> np.ndarray:
    return images[..., 0, 0, 0] == 1


def assert_same_steps(first: list, second: list) -> None:
    assert len(first) == len(second) > 0
    for (private, public), (other_private, other_public) in zip(first, second, strict=True):
        np.testing.assert_array_equal(private[0], other_private[0])
        np.testing.assert_array_equal(private[1], other_private[1])
        np.testing.assert_array_equal(public, other_public)


@pytest.mark.parametrize(("first", "count"), [(0, 5), (58, 8), (117, 3), (0, 200)])
def test_kept_orders_are_those_that_were_drawn_for_every_piece(first, count):
    rows, seed, stream = PARTS.public_train[::-1], 3, 12
    expected = []
    for position in range(first, first + count):
        epoch, place = divmod(position, len(rows))
        order = np.random.default_rng([seed, stream, epoch]).permutation(len(rows))
        expected.append(rows[order[place]])
    for _ in range(2):
        found = pipelines.epoch_rows(rows, first, count, seed, stream)
        np.testing.assert_array_equal(found, expected)


def test_an_order_is_drawn_once_for_the_steps_of_an_epoch():
    pipelines.epoch_order.cache_clear()
    steps(10, seed=41)
    # Up to 16 steps of 8 images are prepared, of 90 private rows and 60 public ones: at most 5
    # orders, which 2 threads may both draw.
    assert pipelines.epoch_order.cache_info().misses <= 2 * 5
    order = pipelines.epoch_order(60, 41, pipelines.PUBLIC_STREAM, 0)
    with pytest.raises(ValueError, match="read-only"):
        order[0] = 1


def test_targets_take_the_place_of_the_attributes_row_by_row():
    targets = np.random.default_rng(0).random((NUM_IMAGES, 3)).astype(np.float32)
    for (private, found), _ in steps(3, targets=targets):
        np.testing.assert_array_equal(found, targets[rows_shown(private)])


@pytest.mark.parametrize("piece", [1, 7, 32, 100])
def test_every_row_is_visited_once_an_epoch_however_the_stream_is_cut(piece):
    rows = np.arange(100, 133)
    starts = range(0, 99, piece)
    pieces = [pipelines.epoch_rows(rows, first, min(piece, 99 - first), 0, 1) for first in starts]
    epochs = np.concatenate(pieces).reshape(3, 33)
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch), rows)
    assert not np.array_equal(epochs[0], epochs[1]) and not np.array_equal(epochs[1], epochs[2])
    np.testing.assert_array_equal(epochs.ravel(), pipelines.epoch_rows(rows, 0, 99, 0, 1))


def test_a_piece_may_be_longer_than_several_epochs():
    taken = pipelines.epoch_rows(np.array([5, 9]), 3, 11, 0, 1)
    assert abs(int(np.sum(taken == 5)) - int(np.sum(taken == 9))) <= 1 and set(taken) == {5, 9}


def test_seeds_and_streams_have_orders_of_their_own():
    rows = np.arange(50)
    orders = [pipelines.epoch_rows(rows, 0, 50, s, t) for s, t in ((0, 1), (1, 1), (0, 2), (2, 0))]
    assert len({tuple(order) for order in orders}) == 4
    np.testing.assert_array_equal(orders[0], pipelines.epoch_rows(rows, 0, 50, 0, 1))


@pytest.mark.parametrize("decoder_steps", [1, 3])
def test_batches_have_the_promised_shapes_types_and_ranges(decoder_steps):
    values = {"batch_size": 8, "decoder_steps": decoder_steps, "seed": 0}
    batches = pipelines.training_batches(numbered_images(), PARTS, **values)
    (private, attributes), public = batches.element_spec
    assert private.shape == (8, SIZE, SIZE, 3) and attributes.shape == (8, 8)
    assert public.shape == (decoder_steps, 8, SIZE, SIZE, 3)
    assert {spec.dtype.name for spec in (private, attributes, public)} == {"float32"}
    (private, attributes), public = next(batches.as_numpy_iterator())
    assert public.shape == (decoder_steps, 8, SIZE, SIZE, 3)
    assert private.min() >= 0 and public.min() >= 0 and private.max() == public.max() == 1
    assert set(np.unique(attributes)) <= {0, 1}


@pytest.mark.parametrize("decoder_steps", [1, 3])
def test_each_player_sees_all_of_its_own_training_rows_and_no_others(decoder_steps):
    taken = steps(45, decoder_steps=decoder_steps)
    private = np.concatenate([rows_shown(batch[0][0]) for batch in taken])
    public = np.concatenate([rows_shown(batch[1]).ravel() for batch in taken])
    # 45 batches of 8 are 4 epochs of 90 private rows, and 6 (18) epochs of 60 public rows.
    np.testing.assert_array_equal(np.unique(private), PARTS.private_train)
    assert np.all(np.bincount(private)[PARTS.private_train] == 4)
    np.testing.assert_array_equal(np.unique(public), PARTS.public_train)
    assert np.all(np.bincount(public)[PARTS.public_train] == 6 * decoder_steps)


def test_every_adversary_step_gets_public_images_of_its_own():
    for _, public in steps(5, decoder_steps=3):
        assert len(set(rows_shown(public).ravel())) >= 24 - 8


def test_labels_stay_with_their_image_mirrored_or_not():
    for (private, attributes), _ in steps(30):
        np.testing.assert_array_equal(attributes @ (1 << np.arange(8)), rows_shown(private))


def test_about_half_of_the_images_are_mirrored_whole():
    taken = steps(60, batch_size=16)
    for images in (
        np.concatenate([batch[0][0] for batch in taken]),
        np.concatenate([batch[1][0] for batch in taken]),
    ):
        assert abs(mirrored(images).mean() - 0.5) < 0.08
        left, right = images[:, :, : SIZE // 2], images[:, :, SIZE // 2 :]
        values = rows_shown(images)[:, None, None, None] / 255
        flip = mirrored(images)[:, None, None, None]
        np.testing.assert_allclose(left, np.broadcast_to(np.where(flip, 1, values), left.shape))
        np.testing.assert_allclose(right, np.broadcast_to(np.where(flip, values, 1), right.shape))


def test_an_image_is_mirrored_in_some_epochs_and_not_in_others():
    taken = np.concatenate([batch[0][0] for batch in steps(90)])
    shown, flips = rows_shown(taken), mirrored(taken)
    both = sum(len(set(flips[shown == row])) == 2 for row in PARTS.private_train)
    assert both > 80


def test_no_place_in_the_batch_is_always_mirrored():
    private, public = zip(*((batch[0][0], batch[1][0]) for batch in steps(40)), strict=True)
    for images in (np.stack(private), np.stack(public)):
        shares = mirrored(images).mean(axis=0)
        assert shares.min() > 0.1 and shares.max() < 0.9


@pytest.mark.parametrize("decoder_steps", [1, 3])
@pytest.mark.parametrize("first_step", [1, 11, 40])
def test_a_run_can_go_on_from_any_step(first_step, decoder_steps):
    whole = steps(first_step + 4, decoder_steps=decoder_steps)
    assert_same_steps(
        whole[first_step:], steps(4, decoder_steps=decoder_steps, first_step=first_step)
    )


def test_the_same_seed_gives_the_same_batches_and_another_seed_others():
    assert_same_steps(steps(5, seed=3), steps(5, seed=3))
    first, second = (rows_shown(steps(1, seed=seed)[0][0][0]) for seed in (3, 4))
    assert set(first) != set(second)


def test_a_batch_larger_than_the_training_set_spans_epochs():
    (private, _), public = steps(1, batch_size=180)[0]
    assert np.all(np.bincount(rows_shown(private))[PARTS.private_train] == 2)
    assert np.all(np.bincount(rows_shown(public).ravel())[PARTS.public_train] == 3)


def corners(images: np.ndarray) -> np.ndarray:
    """Row and column of the brightest pixel of each image, int [n, 2]."""
    flat = images[..., 0].reshape(len(images), -1).argmax(axis=1)
    return np.stack(np.unravel_index(flat, images.shape[1:3]), axis=1)


def test_shifted_images_move_by_every_distance_up_to_the_greatest_and_by_no_other():
    images = np.zeros((400, 16, 16, 3), np.uint8)
    images[:, 8, 8] = 255
    moved = corners(pipelines.shifted(images, 2, seed=0, step=0, stream=1)) - 8
    assert set(map(tuple, moved)) == set(itertools.product(range(-2, 3), repeat=2))


def test_shifted_images_mirror_what_is_beyond_the_border():
    images = np.arange(4, dtype=np.uint8)[None, None, :, None] * np.ones((50, 4, 1, 3), np.uint8)
    rows = {
        tuple(image[0, :, 0]) for image in pipelines.shifted(images, 1, seed=0, step=0, stream=1)
    }
    assert rows == {(1, 0, 1, 2), (0, 1, 2, 3), (1, 2, 3, 2)}


def test_shift_of_0_leaves_the_images_as_they_are():
    images = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 3), np.uint8)
    assert pipelines.shifted(images, 0, seed=0, step=0, stream=1) is images


def test_shifts_move_private_images_and_leave_public_ones():
    (plain, moved) = (
        steps(1, augmentation=pipelines.Augmentation(shift_pixels=pixels))[0] for pixels in (0, 2)
    )
    assert not np.array_equal(plain[0][0], moved[0][0])
    np.testing.assert_array_equal(plain[1], moved[1])
    np.testing.assert_array_equal(plain[0][1], moved[0][1])


@pytest.mark.parametrize("change", [{"scale": 0.4}, {"colour": 0.5}])
def test_variation_follows_from_seed_and_step_and_leaves_public_images_and_labels(change):
    varied = pipelines.Augmentation(**change)
    plain, first, again = (
        steps(2, augmentation=each) for each in (pipelines.ONLY_MIRRORED, varied, varied)
    )
    assert_same_steps(first, again)
    for before, after in zip(plain, first, strict=True):
        assert not np.array_equal(before[0][0], after[0][0])
        np.testing.assert_array_equal(before[0][1], after[0][1])
        np.testing.assert_array_equal(before[1], after[1])
    (later,) = steps(1, augmentation=varied, first_step=1)
    assert_same_steps([later], first[1:])
    (other,) = steps(1, augmentation=varied, seed=1)
    assert not np.array_equal(other[0][0], first[0][0][0])


@pytest.mark.parametrize("here", [1, 2])
def test_shares_of_a_batch_are_together_the_batch_of_one_process(here):
    varied = pipelines.Augmentation(shift_pixels=1, scale=0.4, colour=0.5)
    settings = {"decoder_steps": 2, "augmentation": varied, "seed": 3, "first_step": 5}
    whole = steps(2, **settings)
    processes = [
        steps(2 * here, **settings, shares=pipelines.Shares(first, here, 4))
        for first in range(0, 4, here)
    ]
    joined = []
    for step in range(2):
        parts = [part for own in processes for part in own[step * here : (step + 1) * here]]
        images, labels, public = zip(*[(*private, shown) for private, shown in parts], strict=True)
        joined.append(
            ((np.concatenate(images), np.concatenate(labels)), np.concatenate(public, axis=1))
        )
    assert_same_steps(joined, whole)


def test_process_reads_the_images_of_its_own_shares_alone():
    class Recorded:
        """Images that note how many are read at once."""

        def __init__(self, images):
            self.images, self.shape, self.read = images, images.shape, []

        def __getitem__(self, rows):
            self.read.append(len(rows))
            return self.images[rows]

    images = numbered_images()
    recorded = Recorded(images.images)
    batches = pipelines.training_batches(
        dataclasses.replace(images, images=recorded),
        PARTS,
        batch_size=8,
        decoder_steps=1,
        seed=0,
        shares=pipelines.Shares(1, 1, 4),
    )
    next(batches.take(1).as_numpy_iterator())
    # Private and public ones; the pipeline prepares further steps ahead.
    assert len(recorded.read) >= 2 and set(recorded.read) == {2}
