"""`limits`: limits on every request. All of it is ours."""

from typing import Annotated

from pydantic import AfterValidator

from authproxy.config.document.scalars import ByteCount
from authproxy.config.document.schema import Section

# Below the first, requests with an ordinary token would be refused; above the second, a connection takes much memory.
LEAST_HEAD_BYTES, MOST_HEAD_BYTES = 8 * 1024, 1024 * 1024


def _holds_a_token(value: int) -> int:
    if not LEAST_HEAD_BYTES <= value <= MOST_HEAD_BYTES:
        raise ValueError(f"{value} bytes; allowed: 8KiB to 1MiB, so that a token fits in")
    return value


class Limits(Section):
    """Limits on every request. Blobs have no limit."""

    requesthead: Annotated[ByteCount, AfterValidator(_holds_a_token)] = 64 * 1024
    """The size of URL and headers of a request together: `32KiB`. Default `64KiB`, enough for a token with hundreds of
    scopes; from `8KiB` to `1MiB`. Longer ones get a 414 or 431. Proxies in front have limits of their own, often
    8 KiB."""
