"""Codes that are divided among servers, and the task heads of those."""

import keras
import numpy as np
import pytest

from arl_tf.models import architectures, shares

CHANNELS = 5
CODE = np.random.default_rng(0).normal(size=(3, 4, 4, CHANNELS)).astype(np.float32)


def heads(divided):
    """The task head for whole codes, and that of so many servers, with the same weights."""
    found = []
    for number in (1, divided):
        keras.utils.set_random_seed(1)
        _, head = architectures.build_encoder_and_task_head(
            "small",
            image_size=32,
            cut="middle",
            code_channels=CHANNELS,
            num_attributes=2,
            head=architectures.HeadSize(width=4, depth=1, shares=number),
        )
        found.append(head)
    return found


@pytest.fixture(scope="module")
def whole_and_divided():
    return heads(2)


def without(code, channels):
    changed = code.copy()
    changed[..., channels] = 0
    return changed


@pytest.mark.parametrize(("channels", "number"), [(5, 2), (5, 5), (8, 3), (4, 1)])
def test_every_channel_is_in_one_share_and_shares_are_equal_or_differ_by_one(channels, number):
    found = [
        np.arange(channels)[shares.share_channels(channels, number, share)]
        for share in range(1, number + 1)
    ]
    np.testing.assert_array_equal(np.concatenate(found), np.arange(channels))
    sizes = [len(part) for part in found]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(("number", "share", "words"), [(6, 1, "5 channels"), (2, 3, "got 3")])
def test_shares_that_are_not_there_are_refused(number, share, words):
    with pytest.raises(ValueError, match=words):
        shares.share_channels(CHANNELS, number, share)


def test_the_head_is_the_mean_of_what_each_server_makes_of_its_share(whole_and_divided):
    whole, divided = whole_and_divided
    alone = [without(CODE, [2, 3, 4]), without(CODE, [0, 1])]
    answers = [whole.predict(code, verbose=0) for code in alone]
    np.testing.assert_allclose(divided.predict(CODE, verbose=0), np.mean(answers, 0), atol=1e-6)
    assert (divided.name, divided.output_shape) == (whole.name, whole.output_shape)


def test_a_divided_head_has_the_weights_of_a_whole_one_in_their_order(whole_and_divided):
    whole, divided = whole_and_divided
    for one, other in zip(whole.get_weights(), divided.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("share", [1, 2])
def test_a_server_s_answer_is_that_of_the_head_for_its_share_alone(whole_and_divided, share):
    whole, divided = whole_and_divided
    seen = shares.share_channels(CHANNELS, 2, share)
    scaled = lambda code: 3.0 * divided.predict(code, verbose=0) + 1.0  # noqa: E731
    answer = shares.answer_of_server(scaled, CHANNELS, 2, share)(CODE[..., seen])
    code = shares.placed(CODE[..., seen], CHANNELS, 2, share)
    expected = 3.0 * whole.predict(code, verbose=0) + 1.0
    np.testing.assert_allclose(answer, expected, atol=1e-5)
    np.testing.assert_array_equal(code[..., seen], CODE[..., seen])
    assert np.count_nonzero(code) == np.count_nonzero(CODE[..., seen])


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_divided_head_comes_back_from_disk(whole_and_divided, tmp_path):
    whole_and_divided[1].save(tmp_path / "head.keras")
    loaded = keras.models.load_model(tmp_path / "head.keras")
    expected = whole_and_divided[1].predict(CODE, verbose=0)
    np.testing.assert_allclose(loaded.predict(CODE, verbose=0), expected, atol=1e-6)
