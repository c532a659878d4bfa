"""Conditional requests on content that is named by its digest (RFC 9110 §13)."""

from authproxy.digest import Digest
from authproxy.registry.exchange import Exchange


def etag(digest: Digest) -> str:
    """The entity tag of content: its digest, quoted."""
    return f'"{digest}"'


def is_unchanged(exchange: Exchange, digest: Digest) -> bool:
    """Whether `If-None-Match` names what we would send: then the answer is 304."""
    value = exchange.header(b"if-none-match")
    if value is None:
        return False
    # §13.1.2 compares weakly. Some clients send the digest without its quotes.
    candidates = {candidate.strip().removeprefix("W/").strip('"') for candidate in value.split(",")}
    return "*" in candidates or str(digest) in candidates


def may_be_partial(exchange: Exchange, digest: Digest) -> bool:
    """Whether a `Range` counts: not where `If-Range` names other content than ours (§13.1.5)."""
    value = exchange.header(b"if-range")
    return value is None or value == etag(digest)
