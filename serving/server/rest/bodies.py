"""Bodies of HTTP requests: read within a size and a time, and inflated within the same size."""

import asyncio
import zlib

import anyio.to_thread
import starlette.requests

TOO_LARGE, TOO_SLOW, UNSUPPORTED_ENCODING, DAMAGED = 413, 408, 415, 400
GZIP = ("gzip", "x-gzip")
# zlib's flag for gzip's header and checksum, with the largest window.
GZIP_WINDOW = 16 + zlib.MAX_WBITS


class BodyError(Exception):
    """A body that can't be used, with HTTP's own status for it.

    Attributes:
        status: HTTP's.
        unread: whether some of the body may still be on its way.
    """

    def __init__(self, status: int, message: str, *, unread: bool = True):
        super().__init__(message)
        self.status = status
        self.unread = unread


async def read_body(
    request: starlette.requests.Request, *, max_bytes: int, seconds: float
) -> bytes:
    """Reads a request's body, and inflates one that was sent with gzip.

    Raises:
        BodyError: it is too large, comes too slowly, or is encoded otherwise or wrongly.
        starlette.requests.ClientDisconnect: the client is gone.
    """
    is_gzip = _is_gzip(request.headers.get("content-encoding", ""))
    if int(request.headers.get("content-length", 0)) > max_bytes:
        raise BodyError(TOO_LARGE, f"The body has more than {max_bytes} bytes.")
    chunks, size = [], 0
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                size += len(chunk)
                if size > max_bytes:
                    raise BodyError(TOO_LARGE, f"The body has more than {max_bytes} bytes.")
                chunks.append(chunk)
    except TimeoutError:
        raise BodyError(TOO_SLOW, f"The body took more than {seconds:g} seconds.") from None
    body = b"".join(chunks)
    if not is_gzip:
        return body
    # In a thread: megabytes would hold up everybody else's requests.
    return await anyio.to_thread.run_sync(inflate, body, max_bytes)


def _is_gzip(content_encoding: str) -> bool:
    """Whether a body is packed with gzip, by its Content-Encoding (RFC 9110, 8.4: in any case)."""
    codings = [part.strip().lower() for part in content_encoding.split(",")]
    packed = [coding for coding in codings if coding not in ("", "identity")]
    if not packed:
        return False
    if len(packed) == 1 and packed[0] in GZIP:
        return True
    raise BodyError(
        UNSUPPORTED_ENCODING,
        f"Content-Encoding {content_encoding!r} is not undone by this server; send gzip, or the"
        " body as it is.",
    )


def inflate(body: bytes, max_bytes: int) -> bytes:
    """Inflates a gzip body of one or several members.

    Raises:
        BodyError: it is damaged or cut off, or has more than max_bytes when inflated.
    """
    parts, size = [], 0
    while body:
        member = zlib.decompressobj(GZIP_WINDOW)
        try:
            # One more than is allowed, so that too much is told from just enough.
            parts.append(member.decompress(body, max_bytes - size + 1))
        except zlib.error as error:
            raise BodyError(DAMAGED, f"The body is no gzip: {error}", unread=False) from error
        size += len(parts[-1])
        if size > max_bytes:
            message = f"The body has more than {max_bytes} bytes when inflated."
            raise BodyError(TOO_LARGE, message, unread=False)
        if not member.eof:
            raise BodyError(DAMAGED, "The body is no gzip: it is cut off.", unread=False)
        body = member.unused_data
    return b"".join(parts)
