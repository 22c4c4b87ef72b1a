"""Several codes of an image made into one: means, and values that noise has left in one of them."""

import numpy as np
import pytest

from arl_tf.attacks.several_codes import SeveralCodes, join_codes

RATE, COUNT, DRAWS = 0.6, 3, 40_000
MEANS = np.array([1.0, -2.0, 0.5, 0.0])


def dropping(count, seed=0):
    """Codes float32 [DRAWS, 4] of the same means, `count` of each."""
    rng = np.random.default_rng(seed)
    stays = rng.random((count, DRAWS, len(MEANS))) >= RATE
    return (MEANS * stays / (1 - RATE)).astype(np.float32)


def test_united_codes_drop_what_all_drop_and_leave_the_rest_of_one_size():
    codes = dropping(COUNT)
    united = join_codes([(each, 1) for each in codes], RATE)
    several = SeveralCodes(COUNT, RATE)
    np.testing.assert_array_equal(united == 0, (codes == 0).all(axis=0))
    left = united != 0
    expected = np.broadcast_to(several.scale * MEANS / (1 - RATE), united.shape)
    np.testing.assert_allclose(united[left], expected[left], rtol=1e-6)
    assert united.dtype == np.float32
    assert (united[:, :3] == 0).mean() == pytest.approx(several.left_out, abs=0.005)


def test_united_codes_have_the_mean_of_codes_and_less_variance_than_their_mean():
    codes = dropping(COUNT)
    united = join_codes([(each, 1) for each in codes], RATE)
    np.testing.assert_allclose(united.mean(axis=0), MEANS, atol=0.02)
    gain = codes[0, :, :3].var(axis=0) / united[:, :3].var(axis=0)
    np.testing.assert_allclose(gain, SeveralCodes(COUNT, RATE).gain, rtol=0.03)
    assert SeveralCodes(COUNT, RATE).gain > 1.5 * COUNT


@pytest.mark.parametrize("dropped", [0.0, RATE])
def test_codes_that_were_made_of_several_are_joined_as_all_of_them_would_be(dropped):
    codes = dropping(5)
    first, second = (
        join_codes([(each, 1) for each in part], dropped) for part in (codes[:2], codes[2:])
    )
    at_once = join_codes([(each, 1) for each in codes], dropped)
    np.testing.assert_allclose(join_codes([(first, 2), (second, 3)], dropped), at_once, rtol=1e-5)
    if not dropped:
        np.testing.assert_allclose(at_once, codes.mean(axis=0), rtol=1e-6)


def test_a_single_code_stays_as_it_is_and_thousands_of_codes_have_finite_figures():
    code = dropping(1)[0]
    for dropped in (0.0, RATE):
        np.testing.assert_array_equal(join_codes([(code, 1)], dropped), code)
        assert (SeveralCodes(1, dropped).scale, SeveralCodes(1, dropped).gain) == (1, 1)
    many = SeveralCodes(4096, 0.01)
    assert np.isfinite(many.gain) and many.scale == pytest.approx(0.99, rel=1e-5)
    assert (SeveralCodes(7).scale, SeveralCodes(7).gain, SeveralCodes(7).left_out) == (1, 7, 0)
