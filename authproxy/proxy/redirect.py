"""Redirects of blobs to the upstream's storage, followed on the client's behalf.

Clients that cannot or must not reach the storage then get the bytes from here. No credentials are sent to it: the
storage's address is signed, or open.
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

# RFC 9110 §15.4: the statuses with a Location to request instead.
REDIRECTS = (301, 302, 303, 307, 308)
MAX_HOPS = 5

# A storage has a host or two; beyond this number, pools without requests in flight are closed.
MAX_POOLS = 16

# The statuses that a storage may answer with: the whole blob, a part, no such part.
OK = 200
_ANSWERS = (OK, 206, 416)

# The request's headers for the storage: the requested part, and the client. Conditions concern the registry's response.
_ASKED_WITH = frozenset({b"accept", b"if-range", b"range", b"user-agent"})

# The storage's headers that describe the bytes. The others (ids, owners, dates of keys) are not for clients.
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
    """The address of one request."""

    address: Address  # without a prefix
    target: bytes
    host: str = ""  # as the URL writes it: signed addresses are signed with that `Host`


def find_hop(status: int, headers: Headers, asked: RedirectHop) -> RedirectHop | None:
    """The target of a redirect, or None if the response is not one.

    Raises GatewayFailed for anything but an http or https address, and for http after https.
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
        raise GatewayFailed("the upstream registry redirects from https to http, which is not encrypted")
    address = Address(parts.scheme, *authority)
    return RedirectHop(
        address, address.target((parts.path or "/").encode("latin-1"), parts.query.encode("latin-1")), parts.netloc
    )


def _unusable() -> GatewayFailed:
    return GatewayFailed("the upstream registry redirects to something that is not the address of a storage")


class RedirectFollower:
    """Follows redirects away from `own`, the upstream's addresses. `tls` verifies https storages.

    With `named`, only to these storages, at any IP address; else to any whose IP address `may_be_storage` accepts.
    """

    def __init__(
        self, own: Collection[Address], tls: ssl.SSLContext, timeouts: Timeouts, named: Collection[Address] = ()
    ) -> None:
        self._named = frozenset(named)
        self._own = {(address.scheme, address.host, address.port) for address in own}
        self._tls = tls
        self._timeouts = timeouts
        self._pools: dict[Address, Pool] = {}  # the most recently used last

    def close(self) -> None:
        """Close every connection."""
        for pool in self._pools.values():
            pool.close()

    async def follow(
        self, request: UpstreamRequest, answer: UpstreamResponse, asked: Address, digest: Digest
    ) -> UpstreamResponse:
        """Follow a redirect to its response; one back to the upstream, and any other response, is returned unchanged.

        Takes ownership of `answer`. `digest` is the blob's: a whole one is verified on its way. Raises GatewayFailed,
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
                        "the upstream registry redirects to a storage that is not in upstream.redirecthosts"
                    )
                with suppress(UpstreamError):  # only the address of a redirect matters
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
    """The storage's response as a registry's. Raises GatewayFailed if it has another status.

    Only a whole blob gets `Docker-Content-Digest`, because only that is verified.
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
