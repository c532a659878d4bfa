"""`limits`: how much is taken from anybody. All of it is ours."""

from typing import Annotated

from pydantic import AfterValidator

from authproxy.config.document.scalars import ByteCount
from authproxy.config.document.schema import Section

# Below this the requests of clients with an ordinary token are refused; above it the memory of a connection is large.
LEAST_HEAD_BYTES, MOST_HEAD_BYTES = 8 * 1024, 1024 * 1024


def _holds_a_token(value: int) -> int:
    if not LEAST_HEAD_BYTES <= value <= MOST_HEAD_BYTES:
        raise ValueError(f"{value} bytes; allowed: 8KiB to 1MiB, so that a token fits in")
    return value


class Limits(Section):
    """How much is taken from anybody. Blobs have no limit."""

    requesthead: Annotated[ByteCount, AfterValidator(_holds_a_token)] = 64 * 1024
    """The address and the headers of a request together: `32KiB`. Default `64KiB`, which holds a token with hundreds of
    scopes; from `8KiB` to `1MiB`. What is longer is answered 414 or 431. Proxies in front have limits of their own,
    often 8 KiB."""
