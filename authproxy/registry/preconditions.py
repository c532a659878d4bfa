"""Conditional requests on content that is named by its digest (RFC 9110 §13)."""

from authproxy.digest import Digest
from authproxy.errors import PreconditionFailed
from authproxy.registry.exchange import Exchange


def etag(digest: Digest) -> str:
    """The entity tag of content: its digest, quoted."""
    return f'"{digest}"'


def is_unchanged(exchange: Exchange, digest: Digest) -> bool:
    """Whether `If-None-Match` names this content: then the answer is 304.

    `If-Match` is evaluated first (§13.2.2): raises PreconditionFailed where it names only other content.
    """
    match = none_match = None
    for name, value in exchange.headers:
        if name == b"if-none-match":
            none_match = value
        elif name == b"if-match":
            match = value
    if match is not None and not _names(match, digest, weakly=False):
        raise PreconditionFailed(headers=[("ETag", etag(digest))])
    return none_match is not None and _names(none_match, digest, weakly=True)


def _names(value: bytes, digest: Digest, *, weakly: bool) -> bool:
    """Whether a list of entity tags contains this content's (§8.8.3.2). Some clients omit the quotes."""
    candidates = [candidate.strip() for candidate in value.decode("latin-1").split(",")]
    if weakly:
        candidates = [candidate.removeprefix("W/") for candidate in candidates]
    return "*" in candidates or etag(digest) in candidates or str(digest) in candidates


def may_be_partial(exchange: Exchange, digest: Digest) -> bool:
    """Whether to honour a `Range`: not where `If-Range` names other content than this (§13.1.5)."""
    value = exchange.header(b"if-range")
    return value is None or value == etag(digest)
