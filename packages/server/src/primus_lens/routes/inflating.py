"""Compressed bodies, inflated without believing what they say of themselves.

Called by body. Python's own zlib and zstd stop at a number of bytes, so a bomb costs no more memory
than an honest body; the size a zstd frame declares is not looked at.
"""

import sys
import zlib
from collections.abc import Callable
from typing import Protocol

from primus_lens.model import errors
from primus_lens.settings import LimitSettings

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# 8 MiB, as RFC 9659 bounds it for HTTP
_WINDOW: dict[int, int] = {zstd.DecompressionParameter.window_log_max: 23}


class _Stream(Protocol):
    """What zlib and zstd have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


_STREAMS: dict[str, Callable[[], _Stream]] = {
    "gzip": lambda: zlib.decompressobj(wbits=31),
    "zstd": lambda: zstd.ZstdDecompressor(options=_WINDOW),
}
CODINGS = tuple(_STREAMS)


def inflate(coding: str, body: bytes, limits: LimitSettings) -> bytes:
    """The content of one gzip member or zstd frame. coding: one of CODINGS.

    Raises TooLarge for a bomb, MalformedBody for what is not that, is cut or has more behind it.
    """
    stream = _STREAMS[coding]()
    # The ratio counts from the first mebibyte on: small bodies of equal rows compress 200:1.
    most = min(limits.inflated_bytes, max(1 << 20, limits.inflated_ratio * len(body)))
    try:
        content = stream.decompress(body, most + 1)
    except (zlib.error, zstd.ZstdError) as error:
        raise errors.MalformedBody(f"the body is not valid {coding}: {error}") from error
    if len(content) > most:
        raise errors.TooLarge(
            f"the body inflates to more than {most} bytes; "
            f"at most {limits.inflated_bytes} and {limits.inflated_ratio}:1 are allowed"
        )
    if not stream.eof:
        raise errors.MalformedBody(f"the body is not valid {coding}: it is cut short")
    if stream.unused_data:
        raise errors.MalformedBody(
            f"the body is not valid {coding}: {len(stream.unused_data)} bytes follow its end; "
            "it must be one stream, compressed once"
        )
    return content
