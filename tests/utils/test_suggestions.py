"""An unknown name is answered with the known names that are near, and with nothing else."""

import pytest

from arl_tf.utils.suggestions import did_you_mean


@pytest.mark.parametrize(
    ("name", "most", "said"),
    [
        ("linaer", 1, " Did you mean linear?"),
        ("decoder_pixels", 3, " Did you mean: decoder_pixel, decoder?"),
        ("xyz", 3, ""),
        ("", 1, ""),
    ],
)
def test_nearest_known_names_are_suggested(name, most, said):
    assert did_you_mean(name, {"linear": 1, "decoder": 2, "decoder_pixel": 3}, most) == said
