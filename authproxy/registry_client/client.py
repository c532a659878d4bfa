"""Requests to one registry: finds its address, authenticates, retries."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from hashlib import blake2b
from typing import Any
from urllib.request import getproxies

import httpx

from authproxy.access import Access
from authproxy.clock import Clock
from authproxy.http.client.address import DEFAULT_PORTS, Address
from authproxy.http.client.bounded_body import IDENTITY, BadBody, discard, read_answer
from authproxy.http.client.tls import speaks_no_tls
from authproxy.http.client.unreachable import why_unreachable
from authproxy.registry_client.docker_config import Login
from authproxy.registry_client.errors import ANONYMOUS, RegistryClientError
from authproxy.registry_client.host import authority_of
from authproxy.registry_client.retry import find_cause, is_permanent, pause_s, send_with_retries
from authproxy.registry_client.tokens import Authorizer
from authproxy.registry_client.transport import TIMEOUTS, PooledTransport
from authproxy.registry_client.trust import Trust, tls_context
from authproxy.this_machine import is_loopback

# Responses that are read into memory: manifests (most registries accept 4 MiB) and pages of names.
MAX_ANSWER_BYTES = 16 << 20
BAD_REQUEST, UNAUTHORIZED = 400, 401

MAX_REDIRECTS = 20

# Of one list: five million names if a registry returns a hundred per page.
MAX_PAGES = 50_000

# Attempts with HTTPS before HTTP is tried, if connections are accepted and then closed; and their time limit: a server
# that speaks only HTTP may wait for the end of what it parses as a request.
TLS_ATTEMPTS = 3
TLS_WITHIN_S = 5.0


class RegistryClient:
    """One registry. `host` is as in names of images, `base` its address if that is known.

    Every method raises RegistryClientError.
    """

    def __init__(
        self,
        host: str,
        client: httpx.AsyncClient,
        login: Login | None,
        trust: Trust,
        now: Clock,
        *,
        base: httpx.URL | None = None,
    ) -> None:
        self.host = host
        self._client = client
        self._trust = trust
        self._is_anonymous = login is None
        self._authorizer = Authorizer(host, login, client, now)
        self._base = base
        self._finding = asyncio.Lock()

    def request_identity_token(self) -> None:
        """Ask token servers for an identity token too, whenever the password is exchanged for a token."""
        self._authorizer.wants_identity_token = True

    @property
    def identity_token(self) -> str:
        """The identity token of a token server, to use instead of the password; "" if there is none."""
        return self._authorizer.identity_token

    async def address(self, path: str) -> httpx.URL:
        """The URL of a path, `/v2/…`, which is sent unchanged."""
        async with self._finding:
            if self._base is None:
                self._base = await self._find_base()
        return self._base.join(path)

    async def ask(self, method: str, url: httpx.URL, needs: Sequence[Access], **options: Any) -> httpx.Response:
        """Send a request that may be repeated, with retries, and read the response, whatever its status."""

        async def once() -> httpx.Response:
            return await self.read(await self.send_once(method, url, needs, **options))

        try:
            return await send_with_retries(once)
        except httpx.TransportError as error:
            raise self.unreachable(error) from error

    @asynccontextmanager
    async def streamed(
        self, method: str, url: httpx.URL, needs: Sequence[Access], **options: Any
    ) -> AsyncIterator[httpx.Response]:
        """Like `ask`, but with the body unread: an error while it is read is raised to the reader."""
        try:
            answer = await send_with_retries(lambda: self.send_once(method, url, needs, **options))
        except httpx.TransportError as error:
            raise self.unreachable(error) from error
        try:
            yield answer
        finally:
            await answer.aclose()

    async def send_once(
        self,
        method: str,
        url: httpx.URL,
        needs: Sequence[Access],
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | AsyncIterator[bytes] | None = None,
    ) -> httpx.Response:
        """Send a request, and after a 401 once more with the credentials that it demands. Raises TransportError.

        A stream cannot be sent again: the 401 is returned, and the next request carries the credentials.
        """
        is_ours = self._is_ours(url)
        sent = dict(headers or {})
        known = self._authorizer.find(needs) if is_ours else None
        if known is not None:
            sent["Authorization"] = known
        answer = await self._transmit(method, url, sent, content)
        if answer.status_code != UNAUTHORIZED or not is_ours:
            return answer
        challenges = answer.headers.get_list("www-authenticate")
        value = await self._authorizer.answer(_address_of(url), challenges, needs, refused=known)
        if value is None or not isinstance(content, bytes | None):
            return answer
        await answer.aclose()
        sent["Authorization"] = value
        return await self._transmit(method, url, sent, content)

    async def read(self, answer: httpx.Response) -> httpx.Response:
        """The response with its content, at most MAX_ANSWER_BYTES. Raises TransportError."""
        try:
            whole = await read_answer(answer, MAX_ANSWER_BYTES)
        except BadBody as error:
            raise RegistryClientError(f"{self.host} answers with {error}, to {answer.url}") from error
        whole.extensions[ANONYMOUS] = self._is_anonymous and answer.status_code == UNAUTHORIZED
        return whole

    async def pages(self, url: httpx.URL, needs: Sequence[Access], what: str) -> AsyncIterator[httpx.Response]:
        """The responses that make up a list; the last one may have any status. `what` is named in errors.

        Follows links by RFC 8288, as in OCI Distribution 1.1. A registry behind a proxy may use an internal address in
        links: their path and query are requested from the registry's own address, whatever host they name.
        """
        seen: set[bytes] = set()  # hashes: a URL may be as long as a header
        following: httpx.URL | None = url
        while following is not None:
            mark = blake2b(str(following).encode(), digest_size=16).digest()
            if mark in seen:
                raise RegistryClientError(f"{what}: the registry links the pages in a loop, back to {following}")
            if len(seen) == MAX_PAGES:
                raise RegistryClientError(f"{what}: the registry still links a next page after {MAX_PAGES}")
            seen.add(mark)
            answer = await self.ask("GET", following, needs)
            if answer.status_code == BAD_REQUEST and "n" in following.params:  # this registry rejects the page size
                answer = await self.ask("GET", following.copy_remove_param("n"), needs)
            yield answer
            following = self._next_page(answer) if answer.is_success else None

    def _next_page(self, answer: httpx.Response) -> httpx.URL | None:
        link = answer.links.get("next", {}).get("url")
        if link is None:
            return None
        assert self._base is not None
        try:
            return self._base.copy_with(raw_path=answer.url.join(link).raw_path)
        except httpx.InvalidURL as error:
            raise RegistryClientError(f"{self.host} links the next page by an invalid URL: {error}") from error

    def unreachable(self, error: httpx.TransportError) -> RegistryClientError:
        """The error for a request without a response."""
        if isinstance(find_cause(error, ssl.SSLCertVerificationError), ssl.SSLCertVerificationError):
            return RegistryClientError(
                f"{self.host} has a certificate that is not trusted ({error}): name its CA by --ca FILE, or put it into"
                f" {self._trust.certificates}/{self.host}/ca.crt, which docker reads too"
            )
        cause = find_cause(error, ssl.SSLError)
        is_plain = cause is not None and speaks_no_tls(cause)
        hint = "; use --plain-http if it speaks only HTTP" if is_plain and not self._trust.plain_http else ""
        return RegistryClientError(f"{self.host} cannot be reached: {why_unreachable(error)}{hint}")

    def _is_ours(self, url: httpx.URL) -> bool:
        # Credentials go only to the registry's own address, never to a host or scheme that it redirects to.
        base = self._base
        return base is not None and (url.scheme, url.host, url.port) == (base.scheme, base.host, base.port)

    async def _transmit(
        self, method: str, url: httpx.URL, headers: Mapping[str, str], content: bytes | AsyncIterator[bytes] | None
    ) -> httpx.Response:
        request = self._client.build_request(method, url, headers=headers, content=content)
        try:
            for _ in range(MAX_REDIRECTS):
                answer = await self._client.send(request, stream=True)
                if answer.next_request is None or method not in {"GET", "HEAD"}:
                    return answer
                # Blobs are often stored on another host; httpx then omits the authorization. It could follow redirects
                # by itself, but would read the body of each into memory.
                request = answer.next_request
                await discard(answer)
        except httpx.TransportError:
            raise
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise RegistryClientError(f"{self.host} sent an invalid redirect: {error}") from error
        raise RegistryClientError(f"{self.host} redirected more than {MAX_REDIRECTS} times, from {url}")

    async def _find_base(self) -> httpx.URL:
        """HTTPS; or HTTP if HTTPS fails, but only on this machine, as docker does, or with `plain_http`."""
        authority = authority_of(self.host)
        secure, plain = httpx.URL(f"https://{authority}/"), httpx.URL(f"http://{authority}/")
        if not self._trust.plain_http and not is_loopback(self.host):
            return secure
        for attempt in range(1, TLS_ATTEMPTS + 1):
            try:
                async with asyncio.timeout(TLS_WITHIN_S):
                    async with self._client.stream("GET", secure.join("/v2/")):
                        pass
            except TimeoutError:
                return plain
            except httpx.TransportError as error:
                if is_permanent(error):
                    raise self.unreachable(error) from error
                if self._trust.plain_http or isinstance(find_cause(error, ssl.SSLError), ssl.SSLError):
                    return plain
                if find_cause(error, ConnectionRefusedError) is not None:
                    raise self.unreachable(error) from error
                await asyncio.sleep(pause_s(attempt, None))
            else:
                return secure
        return plain


def _address_of(url: httpx.URL) -> Address:
    return Address(url.scheme, url.raw_host.decode("ascii"), url.port or DEFAULT_PORTS[url.scheme])


@asynccontextmanager
async def open_registry(
    host: str, login: Login | None, trust: Trust, *, base: httpx.URL | None = None
) -> AsyncIterator[RegistryClient]:
    """A registry for the length of a block. Sends no request; without `base` the first request finds the scheme.

    Raises RegistryClientError.
    """
    tls = tls_context(host, trust)
    async with _open_client(host, tls) as client:
        yield RegistryClient(host, client, login, trust, time.monotonic, base=base)


def _open_client(host: str, tls: ssl.SSLContext) -> httpx.AsyncClient:
    """Our own connections; httpx's if the usual variables name a proxy and the registry is not on this machine."""
    timeout = httpx.Timeout(TIMEOUTS.read_s, connect=TIMEOUTS.connect_s)
    if is_loopback(host) or not getproxies().keys() & {"http", "https", "all"}:
        return httpx.AsyncClient(transport=PooledTransport(tls), headers=IDENTITY, timeout=timeout, trust_env=False)
    try:
        return httpx.AsyncClient(verify=tls, headers=IDENTITY, timeout=timeout)
    except ValueError as error:
        raise RegistryClientError(f"HTTP_PROXY, HTTPS_PROXY or ALL_PROXY has an invalid value: {error}") from error
