"""A divided code as one of its servers sees it, as an audited encoder."""

import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any

from arl_tf.auditing.encoders.audited import AuditedEncoder
from arl_tf.models import shares as divided


def of_share(audited_encoder: AuditedEncoder, shares: int, share: int) -> AuditedEncoder:
    """One share of an encoder's codes, with what its server makes of it for the task output.

    Training's own adversary is left out: it takes whole codes.

    Args:
        audited_encoder: a run's encoder, with a task head of `shares.head_of_shares`.
        shares: n, into which its codes are divided.
        share: from 1 to n.

    Raises:
        ValueError: there is no such share.
    """
    channels = audited_encoder.code_shape[-1]
    seen = divided.share_channels(channels, shares, share)

    def only(encode: Callable[..., Any] | None) -> Callable[..., Any] | None:
        return encode and (lambda images: encode(images)[..., seen])

    return dataclasses.replace(
        audited_encoder,
        words=f"{audited_encoder.words}; of each code share {share} of {shares} alone",
        # Caches know codes by it, and these are others than the encoder's.
        sha256=hashlib.sha256(f"{audited_encoder.sha256} {share}/{shares}".encode()).hexdigest(),
        code_shape=(*audited_encoder.code_shape[:-1], seen.stop - seen.start),
        encoder=only(audited_encoder.encoder),
        differentiable=only(audited_encoder.differentiable),
        task_output=divided.answer_of_server(audited_encoder.task_output, channels, shares, share),
        adversary=None,
        signal_share=None
        if audited_encoder.signal_share is None
        else audited_encoder.signal_share[..., seen],
        signal=only(audited_encoder.signal),
        spread=only(audited_encoder.spread),
        share=(share, shares),
    )
