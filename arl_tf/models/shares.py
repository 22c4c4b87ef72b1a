"""Codes that are divided among servers: each gets a share of the channels, and nothing else.

Share k of n has the channels from k C / n to (k + 1) C / n, rounded down, of C. All have the same
number of channels, or differ by one.
"""

from collections.abc import Callable

import keras
import numpy as np
from keras import layers


def share_channels(channels: int, shares: int, share: int) -> slice:
    """The channels of one share.

    Args:
        channels: of a code.
        shares: how many there are, >= 1.
        share: which one, from 1 to `shares`.

    Raises:
        ValueError: fewer channels than shares, or there is no such share.
    """
    if not 1 <= shares <= channels:
        raise ValueError(
            f"A code of {channels} channels can't be divided into {shares} shares: expected from 1"
            f" to {channels}."
        )
    if not 1 <= share <= shares:
        raise ValueError(f"Expected a share from 1 to {shares}, got {share}.")
    return slice((share - 1) * channels // shares, share * channels // shares)


def placed(part: np.ndarray, channels: int, shares: int, share: int) -> np.ndarray:
    """A share [N, ..., c] in its place of a code [N, ..., C] whose other values are 0; float32."""
    code = np.zeros((*part.shape[:-1], channels), np.float32)
    code[..., share_channels(channels, shares, share)] = part
    return code


def head_of_shares(head: keras.Model, shares: int) -> keras.Model:
    """A task head for servers that see one share each: the mean of what each makes of its own.

    All servers have the weights of `head`. Its first layer weighs every channel by itself, so that
    what is done with a share's channels is still its own.

    Args:
        head: code float32 [B, ..., C] -> logits float32 [B, A].
        shares: n >= 2, at most C.

    Returns:
        A model of the same name, input and output, with the same weights in the same order.

    Raises:
        ValueError: the code has fewer channels than there are shares.
    """
    channels = head.input_shape[-1]
    server = keras.Model(head.input, head.output, name="server")
    code = keras.Input(head.input_shape[1:], name="code")
    answers = []
    for share in range(1, shares + 1):
        seen = np.zeros(channels)
        seen[share_channels(channels, shares, share)] = 1
        own = layers.Rescaling(seen.tolist(), name=f"share{share}")(code)
        answers.append(server(own))
    return keras.Model(code, layers.Average(name="fused")(answers), name=head.name)


def answer_of_server(
    fused: Callable[[np.ndarray], np.ndarray], channels: int, shares: int, share: int
) -> Callable[[np.ndarray], np.ndarray]:
    """What one server makes of its share: a function of shares [N, ..., c] -> float32 [N, A].

    With y(k) the mean over n servers where only server k has something to see, and y(0) where none
    has, the server's own answer is n y(k) - (n - 1) y(0).

    Args:
        fused: of `head_of_shares`, as a function of codes [N, ..., C]; a scale behind it is kept.
        channels: C.
        shares: n.
        share: k, from 1 to n.
    """

    def answer(part: np.ndarray) -> np.ndarray:
        code = placed(part, channels, shares, share)
        return shares * fused(code) - (shares - 1) * fused(np.zeros_like(code[:1]))

    return answer
