"""Requests to one registry: where it answers, who is asking, and what is tried again."""

import asyncio
import random
import ssl
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx

from authproxy.access import Access
from authproxy.clock import Clock
from authproxy.remote.faults import RemoteError
from authproxy.remote.host import authority_of
from authproxy.remote.login import Login
from authproxy.remote.tokens import Authorizer
from authproxy.remote.trust import Trust, is_loopback, tls_context

TIMEOUT_S = 60.0
ATTEMPTS = 5
FIRST_PAUSE_S = 0.5
MAX_PAUSE_S = 30.0

# Answers that say nothing about the request: the same one may be sent again.
PASSING = frozenset({429, 502, 503, 504})
UNAUTHORIZED = 401


class RegistryClient:
    """One registry. `host` is as in names of images. Every method raises RemoteError."""

    def __init__(self, host: str, client: httpx.AsyncClient, login: Login | None, trust: Trust, now: Clock) -> None:
        self.host = host
        self._client = client
        self._trust = trust
        self._authorizer = Authorizer(host, login, client, now)
        self._base: httpx.URL | None = None
        self._finding = asyncio.Lock()

    def want_identity(self) -> None:
        """Ask token servers for an identity token too, with each token for the login's password."""
        self._authorizer.wants_identity = True

    @property
    def identity_token(self) -> str:
        """What a token server gave to be used in the password's place; "" where nothing was, or it was not wanted."""
        return self._authorizer.identity_token

    async def address(self, path: str) -> httpx.URL:
        """The address of a path, `/v2/…`, which is sent as it stands."""
        async with self._finding:
            if self._base is None:
                self._base = await self._find_base()
        return self._base.join(path)

    async def ask(self, method: str, url: httpx.URL, needs: Sequence[Access], **options: Any) -> httpx.Response:
        """Send a request that may be sent twice, and read its answer: any status but those that only ask to wait."""
        async with self.streamed(method, url, needs, **options) as answer:
            await answer.aread()
            return answer

    @asynccontextmanager
    async def streamed(
        self, method: str, url: httpx.URL, needs: Sequence[Access], **options: Any
    ) -> AsyncIterator[httpx.Response]:
        """The same, its body unread. A fault while it is read is the reader's."""
        answer = await self._send(method, url, needs, **options)
        try:
            yield answer
        finally:
            await answer.aclose()

    async def _send(self, method: str, url: httpx.URL, needs: Sequence[Access], **options: Any) -> httpx.Response:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                answer = await self.send_once(method, url, needs, **options)
            except httpx.TransportError as error:
                if attempt == ATTEMPTS:
                    raise self._unreachable(error) from error
                await asyncio.sleep(pause_s(attempt, None))
                continue
            if answer.status_code not in PASSING or attempt == ATTEMPTS:
                return answer
            await answer.aclose()
            await asyncio.sleep(pause_s(attempt, answer.headers.get("retry-after")))
        raise AssertionError("the last attempt returns or raises")

    async def send_once(
        self,
        method: str,
        url: httpx.URL,
        needs: Sequence[Access],
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | AsyncIterator[bytes] | None = None,
    ) -> httpx.Response:
        """Send a request, and once more with what a 401 asks for, unless its body is a stream. Raises TransportError.

        A stream goes with what was authorized before: the request that opened its upload has asked.
        """
        is_ours = self._base is not None and url.host == self._base.host and url.port == self._base.port
        sent = dict(headers or {})
        if is_ours and (known := self._authorizer.find(needs)) is not None:
            sent["Authorization"] = known
        answer = await self._transmit(method, url, sent, content)
        if answer.status_code != UNAUTHORIZED or not is_ours or not isinstance(content, bytes | None):
            return answer
        value = await self._authorizer.answer(answer.headers.get_list("www-authenticate"), needs)
        if value is None:
            return answer
        await answer.aclose()
        sent["Authorization"] = value
        return await self._transmit(method, url, sent, content)

    async def _transmit(
        self, method: str, url: httpx.URL, headers: Mapping[str, str], content: bytes | AsyncIterator[bytes] | None
    ) -> httpx.Response:
        request = self._client.build_request(method, url, headers=headers, content=content)
        # Storage of blobs is often elsewhere; httpx leaves the authorization out where the host is another.
        return await self._client.send(request, stream=True, follow_redirects=method in {"GET", "HEAD"})

    async def _find_base(self) -> httpx.URL:
        """HTTPS; plain HTTP where that was said, and for this machine where HTTPS is not answered, as docker does."""
        authority = authority_of(self.host)
        plain = httpx.URL(f"http://{authority}/")
        if self._trust.plain_http:
            return plain
        secure = httpx.URL(f"https://{authority}/")
        if not is_loopback(self.host):
            return secure
        try:
            await self._client.get(secure.join("/v2/"))
        except httpx.TransportError as error:
            # A certificate that is not believed is no lack of HTTPS: no password goes there in plain text.
            if isinstance(error, httpx.ConnectError) and not _is_about_certificate(error):
                return plain
            raise self._unreachable(error) from error
        return secure

    def _unreachable(self, error: httpx.TransportError) -> RemoteError:
        return RemoteError(f"{self.host} cannot be reached: {str(error) or type(error).__name__}")


def _is_about_certificate(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def pause_s(attempt: int, retry_after: str | None) -> float:
    """How long to wait after so many attempts: what the registry says, else twice as long each time, at random."""
    if retry_after is not None and retry_after.isdecimal():
        return min(float(retry_after), MAX_PAUSE_S)
    longest: float = min(FIRST_PAUSE_S * 2 ** (attempt - 1), MAX_PAUSE_S)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - no secret


@asynccontextmanager
async def open_registry(host: str, login: Login | None, trust: Trust) -> AsyncIterator[RegistryClient]:
    """A registry for the length of a block. Nothing is asked yet. Raises RemoteError."""
    async with httpx.AsyncClient(verify=tls_context(host, trust), timeout=TIMEOUT_S) as client:
        yield RegistryClient(host, client, login, trust, time.monotonic)
