"""A divided code as one of its servers sees it, as the audit's subject."""

import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any

from arl_tf.auditing.encoders.audited import AuditedEncoder
from arl_tf.models import shares as divided


def of_share(subject: AuditedEncoder, shares: int, share: int) -> AuditedEncoder:
    """One share of an encoder's codes, with what its server makes of it for the task output.

    Training's own adversary is left out: it takes whole codes.

    Args:
        subject: a run's encoder, with a task head of `shares.head_of_shares`.
        shares: n, into which its codes are divided.
        share: from 1 to n.

    Raises:
        ValueError: there is no such share.
    """
    channels = subject.code_shape[-1]
    seen = divided.share_channels(channels, shares, share)

    def only(encode: Callable[..., Any] | None) -> Callable[..., Any] | None:
        return encode and (lambda images: encode(images)[..., seen])

    return dataclasses.replace(
        subject,
        words=f"{subject.words}; of each code share {share} of {shares} alone",
        # Caches know codes by it, and these are others than the encoder's.
        sha256=hashlib.sha256(f"{subject.sha256} {share}/{shares}".encode()).hexdigest(),
        code_shape=(*subject.code_shape[:-1], seen.stop - seen.start),
        encoder=only(subject.encoder),
        differentiable=only(subject.differentiable),
        task_output=divided.answer_of_server(subject.task_output, channels, shares, share),
        adversary=None,
        signal_share=None if subject.signal_share is None else subject.signal_share[..., seen],
        signal=only(subject.signal),
        share=(share, shares),
    )
