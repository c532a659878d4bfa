"""Redirects of blobs to the upstream's storage, followed on the client's behalf.

Clients that cannot reach the storage, or must not, then get the bytes from here. What proves anybody to the upstream is
not sent on: the storage's address is signed, or open.
"""

import ssl
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from authproxy.asgi import Headers
from authproxy.digest import Digest
from authproxy.errors import GatewayFailed
from authproxy.http.client.address import Address, split_authority
from authproxy.http.client.connection import Timeouts, UpstreamRequest
from authproxy.http.client.errors import UpstreamError
from authproxy.http.client.pool import Pool, UpstreamResponse
from authproxy.proxy.redirect_targets import may_be_storage
from authproxy.proxy.verified_blob import VerifiedBlob

# RFC 9110 §15.4, those that have a Location to ask instead.
REDIRECTS = (301, 302, 303, 307, 308)
MAX_HOPS = 5

# A storage has a host or two; where more come, those go whose connections nobody uses.
MAX_POOLS = 16

# What a storage may answer: all of it, a part, and that there is no such part.
OK = 200
_ANSWERS = (OK, 206, 416)

# Of the request: which part is asked for, and by what. Conditions are about the registry's own answer.
_ASKED_WITH = frozenset({b"accept", b"if-range", b"range", b"user-agent"})

# Of the storage's answer: what describes the bytes. The rest (ids, owners, dates of keys) is nobody's business.
_DESCRIBING = frozenset(
    {
        b"accept-ranges",
        b"content-encoding",
        b"content-length",
        b"content-range",
        b"content-type",
        b"etag",
        b"last-modified",
        b"transfer-encoding",
    }
)


@dataclass(frozen=True, slots=True)
class RedirectHop:
    """Where a request goes."""

    address: Address  # without a prefix
    target: bytes
    host: str = ""  # as the URL writes it: signed addresses are signed with that `Host`


def find_hop(status: int, headers: Headers, asked: RedirectHop) -> RedirectHop | None:
    """Where an answer redirects to, or None where it is none.

    Raises GatewayFailed for what is no http address, and for http after https.
    """
    location = next((value.decode("latin-1") for name, value in headers if name.lower() == b"location"), None)
    if status not in REDIRECTS or location is None:
        return None
    try:
        parts = urlsplit(urljoin(f"{asked.address.url}{asked.target.decode('ascii')}", location))
    except ValueError:
        raise _unusable() from None
    authority = split_authority(parts.netloc, parts.scheme) if parts.scheme in ("http", "https") else None
    if authority is None or not parts.netloc.isascii() or not parts.netloc.isprintable() or "\\" in parts.netloc:
        raise _unusable()
    if asked.address.scheme == "https" and parts.scheme == "http":
        raise GatewayFailed("the upstream registry redirects from https to http, where anybody could listen")
    address = Address(parts.scheme, *authority)
    return RedirectHop(
        address, address.target((parts.path or "/").encode("latin-1"), parts.query.encode("latin-1")), parts.netloc
    )


def _unusable() -> GatewayFailed:
    return GatewayFailed("the upstream registry redirects to something that is no address of a storage")


class RedirectFollower:
    """Follows redirects away from `own`, the upstream's addresses. `tls` verifies https storages.

    With `named` to these storages alone, wherever they are; else to any that may be one by its IP address.
    """

    def __init__(
        self, own: Collection[Address], tls: ssl.SSLContext, timeouts: Timeouts, named: Collection[Address] = ()
    ) -> None:
        self._named = frozenset(named)
        self._own = {(address.scheme, address.host, address.port) for address in own}
        self._tls = tls
        self._timeouts = timeouts
        self._pools: dict[Address, Pool] = {}  # the one that was asked last stands last

    def close(self) -> None:
        """Close every connection."""
        for pool in self._pools.values():
            pool.close()

    async def follow(
        self, request: UpstreamRequest, answer: UpstreamResponse, asked: Address, digest: Digest
    ) -> UpstreamResponse:
        """The answer behind a redirect; one that is none, or leads back to the upstream, stays as it is.

        It takes `answer` over. `digest` is the blob's: a whole one is checked on its way. Raises GatewayFailed,
        UpstreamError.
        """
        here, is_away = RedirectHop(asked, request.target), False
        for _ in range(MAX_HOPS + 1):
            async with _closed_on_error(answer):
                hop = find_hop(answer.status, answer.headers, here)
                if hop is None:
                    return _described(request, answer, digest) if is_away else answer
                if (hop.address.scheme, hop.address.host, hop.address.port) in self._own:
                    if is_away:
                        raise _unusable()
                    return answer
                if self._named and hop.address not in self._named:
                    raise GatewayFailed(
                        "the upstream registry redirects to a storage that upstream.redirecthosts does not name"
                    )
                with suppress(UpstreamError):  # what it says beside the address is nobody's business
                    await answer.skip()
            answer.close()
            here, is_away = hop, True
            headers = [(b"host", hop.host.encode()), *_kept(request.headers, _ASKED_WITH)]
            answer = await self._pool(hop.address).ask(
                UpstreamRequest(request.method, hop.target, headers, transfer=request.transfer)
            )
        answer.close()
        raise GatewayFailed(f"the upstream registry redirects more than {MAX_HOPS} times")

    def _pool(self, address: Address) -> Pool:
        pool = self._pools.pop(address, None)
        if pool is None:
            idle = [key for key, value in self._pools.items() if not value.in_flight]
            for key in idle[: max(len(self._pools) + 1 - MAX_POOLS, 0)]:
                self._pools.pop(key).close()
            tls = self._tls if address.scheme == "https" else None
            pool = Pool(address, tls, self._timeouts, may_connect=None if self._named else may_be_storage)
        self._pools[address] = pool
        return pool


def _described(request: UpstreamRequest, answer: UpstreamResponse, digest: Digest) -> UpstreamResponse:
    """The storage's answer as a registry would have given it. Raises GatewayFailed where it has another status.

    Only a whole blob is said to have its digest, since only that is checked.
    """
    if answer.status not in _ANSWERS:
        raise GatewayFailed(f"the storage behind the upstream registry answered with {answer.status}")
    answer.headers = _kept(answer.headers, _DESCRIBING)
    if request.method != "GET" or answer.status != OK:
        return answer
    answer.headers.append((b"docker-content-digest", str(digest).encode()))
    return VerifiedBlob(answer, digest)


def _kept(headers: Sequence[tuple[bytes, bytes]], names: Collection[bytes]) -> Headers:
    return [(name, value) for name, value in headers if name.lower() in names]


@asynccontextmanager
async def _closed_on_error(answer: UpstreamResponse) -> AsyncIterator[None]:
    try:
        yield
    except BaseException:
        answer.close()
        raise
