"""The backend that is another registry: one exchange from the client's request to the upstream's response.

docs/explanation/proxy.md describes it step by step.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing, closing
from dataclasses import replace

import structlog

from authproxy import asgi, budget
from authproxy.access import Access
from authproxy.asgi import Headers
from authproxy.digest import Digest
from authproxy.errors import EndpointUnknown, GatewayFailed, RegistryError
from authproxy.http.client.address import Address, parse_address, parse_addresses
from authproxy.http.client.connection import Timeouts, UpstreamRequest, encode_fields
from authproxy.http.client.errors import Busy, Unsendable, UpstreamError, gateway_error, refused_credentials
from authproxy.http.client.pool import Pool, UpstreamResponse
from authproxy.http.client.request_queue import Caller, CallerQueues
from authproxy.http.client.slow_clients import Transfer
from authproxy.http.client.tls import TlsFiles, open_storage_tls, open_tls
from authproxy.log.alarms import sound
from authproxy.proxy.balancer import AddressState, Balancer, HealthCheck
from authproxy.proxy.credentials import Credentials
from authproxy.proxy.headers import (
    Relocate,
    content_length,
    expects_continue,
    has_body,
    request_headers,
    response_headers,
)
from authproxy.proxy.location import Relocation
from authproxy.proxy.media_type import sent_type
from authproxy.proxy.mount import accesses
from authproxy.proxy.redirect import RedirectFollower
from authproxy.proxy.request_target import sent_path, sent_query
from authproxy.proxy.stream import ClientWatch, RequestBody, relay
from authproxy.route import Kind, Route

log = structlog.get_logger(__name__)

UNAUTHORIZED, FORBIDDEN = 401, 403


class Upstream:
    """Forwards authorised requests to the registry at `url`, streamed in both directions.

    Several URLs are several addresses of one registry. `pass_authorization` sends it the client's own `Authorization`
    and relays its challenges; else neither, and `credentials` are used. With `follows_redirects`, blobs in a storage
    elsewhere are fetched from there; only from `storages` (URLs) if any are given. Raises StartError for an invalid URL
    or file.
    """

    def __init__(
        self,
        url: str | Sequence[str],
        *,
        pass_authorization: bool = False,
        credentials: Credentials | None = None,
        follows_redirects: bool = False,
        storages: Sequence[str] = (),
        tls: TlsFiles | None = None,
        timeouts: Timeouts | None = None,
    ) -> None:
        self.addresses = parse_addresses([url] if isinstance(url, str) else url)
        self.pass_authorization = pass_authorization
        self._credentials = credentials
        files, waits = tls or TlsFiles(), timeouts or Timeouts()
        self._balancer = _open_balancer(self.addresses, files, waits)
        self._queues = CallerQueues(budget.UPSTREAM_CONNECTIONS * len(self.addresses))
        self._wait_s = waits.pool_s
        self._storage: RedirectFollower | None = None
        if follows_redirects:
            named = [parse_address(storage) for storage in storages]
            self._storage = RedirectFollower(self.addresses, open_storage_tls(files), waits, named)

    def __repr__(self) -> str:
        return f"<Upstream {', '.join(address.url for address in self.addresses)}>"

    async def aclose(self) -> None:
        """Close every connection. Requests in flight fail."""
        self._balancer.close()
        if self._storage is not None:
            self._storage.close()

    def states(self) -> tuple[AddressState, ...]:
        """The current state of each address. May be called in any thread."""
        return self._balancer.states()

    async def watch_health(self, check: HealthCheck) -> None:
        """Check the health of every address until cancelled."""
        await self._balancer.watch(check)

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Serve one request that the edge has authorised, by its route in `scope`.

        Raises GatewayFailed, GatewayTimedOut or Unavailable, even after the start of the response: the server then ends
        the connection, so that the body does not look complete. Raises ClientDisconnected, and EndpointUnknown for our
        own extension: an upstream that has it would list more than the caller may see.
        """
        if scope[asgi.ROUTE].kind is Kind.MANIFESTS:
            raise EndpointUnknown
        with ClientWatch(scope, receive) as client:
            try:
                is_with_body = has_body(scope["headers"])
                if not is_with_body:
                    client.watch()
                caller, transfer = Caller.of(scope), Transfer(client.end, asyncio.get_running_loop().time)
                await self._queues.enter(caller, transfer, self._wait_s)
                try:
                    if is_with_body:
                        last = await self._pass_on_with_body(client, transfer, scope, receive, send)
                    else:
                        last = await self._pass_on(self._request(scope, transfer), transfer, scope, send)
                finally:
                    self._queues.leave(caller, transfer)
            finally:
                if client.has_watcher:
                    await client.stop_watching()
        await send(last)

    async def _pass_on(
        self, request: UpstreamRequest, transfer: Transfer, scope: asgi.Scope, send: asgi.Send
    ) -> asgi.Message:
        """Pass on a request without a body, and its response except the last message, which is returned."""
        address, answer = await self._ask(request, scope[asgi.ROUTE])
        try:
            start, length = self._start(request, answer, address, scope)
            return await self._relay(request, answer, transfer, send, start, length)
        finally:
            answer.close()

    async def _pass_on_with_body(
        self, client: ClientWatch, transfer: Transfer, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send
    ) -> asgi.Message:
        """The same for a request with a body."""
        async with aclosing(RequestBody(receive, client.watch, transfer)) as body:
            request = self._request_with(body, transfer, scope)
            address, answer = await self._ask(request, scope[asgi.ROUTE])
            with closing(answer):
                start, length = self._start(request, answer, address, scope)
                if not body.is_complete:
                    client.watch(drops_rest=True)  # refused early
                return await self._relay(request, answer, transfer, send, start, length)

    def _request(self, scope: asgi.Scope, transfer: Transfer) -> UpstreamRequest:
        """The upstream's request. A client repeats its headers in each request, so their conversion is cached."""
        if scope["method"] not in ("GET", "HEAD") or _is_of_a_part(scope):
            return UpstreamRequest(scope["method"], self._target(scope), self._headers(scope), transfer=transfer)
        # For reading requests it depends only on the headers, which the facts belong to, and on the client view.
        facts, view = asgi.facts(scope), scope[asgi.CLIENT_VIEW]
        cached_view, headers, fields = facts.get(self) or (None, [], b"")
        if cached_view != view:
            headers = self._headers(scope)
            fields = encode_fields(headers)
            facts[self] = view, headers, fields
        return UpstreamRequest(scope["method"], self._target(scope), headers, fields=fields, transfer=transfer)

    def _request_with(self, body: RequestBody, transfer: Transfer, scope: asgi.Scope) -> UpstreamRequest:
        headers, waits = self._headers(scope), expects_continue(scope["headers"])
        if waits:
            headers.append((b"expect", b"100-continue"))
        return UpstreamRequest(scope["method"], self._target(scope), headers, body, waits, transfer=transfer)

    def _target(self, scope: asgi.Scope) -> bytes:
        query = sent_query(scope[asgi.ROUTE], scope["query_string"])
        return self.addresses[0].target(sent_path(scope["raw_path"]), query)

    def _headers(self, scope: asgi.Scope) -> Headers:
        headers = scope["headers"]
        if _is_of_a_part(scope):
            headers = [pair for pair in headers if pair[0] not in (b"range", b"if-range")]
        content_type = sent_type(scope[asgi.ROUTE], headers, has_body=has_body(headers))
        return request_headers(
            headers, scope[asgi.CLIENT_VIEW], content_type, pass_authorization=self.pass_authorization
        )

    async def _ask(self, request: UpstreamRequest, route: Route) -> tuple[Address, UpstreamResponse]:
        try:
            if self._credentials is None:
                address, answer = await self._balancer.ask(request)
            else:
                address, answer = await self._ask_with(self._credentials, request, accesses(route))
            if self._storage is not None and isinstance(route.reference, Digest) and _reads_blob(request, route):
                answer = await self._storage.follow(request, answer, address, route.reference)
        except UpstreamError as exc:
            if not isinstance(exc, Busy | Unsendable):
                where = ", ".join(each.url for each in self.addresses)
                sound("upstream lost", reason=exc.message, upstream=where, cause=repr(exc))
            raise self._failed(gateway_error(exc), request, exc) from exc
        except RegistryError as exc:  # no credentials are available, or a redirect is unusable
            raise self._failed(exc, request, exc.__cause__) from exc
        return address, answer

    async def _ask_with(
        self, credentials: Credentials, request: UpstreamRequest, needs: Sequence[Access]
    ) -> tuple[Address, UpstreamResponse]:
        """Ask with credentials; again with new ones if they were refused and no body has been sent."""
        address, answer = await self._balancer.ask(_with_authorization(request, await credentials.authorization(needs)))
        if answer.status != UNAUTHORIZED or not credentials.forget(needs) or request.body is not None:
            return address, answer
        answer.close()
        return await self._balancer.ask(_with_authorization(request, await credentials.authorization(needs)))

    def _start(
        self, request: UpstreamRequest, answer: UpstreamResponse, address: Address, scope: asgi.Scope
    ) -> tuple[asgi.Message, int | None]:
        """The message that starts the client's response, and the length of its body, if it is known."""
        if not self.pass_authorization and _is_challenge(answer):
            are_ours = self._credentials is not None
            raise self._failed(refused_credentials(answer.status, are_ours=are_ours), request)

        def relocation() -> Relocation:
            return Relocation(request.target.decode("ascii"), address, scope[asgi.CLIENT_VIEW], self.addresses)

        relocators: dict[bytes, Relocate] = {
            b"location": lambda value: relocation().relocate(value),
            b"link": lambda value: relocation().relocate_links(value),
        }
        headers = response_headers(
            answer.status, answer.headers, relocators=relocators, relays_challenges=self.pass_authorization
        )
        return {"type": "http.response.start", "status": answer.status, "headers": headers}, content_length(headers)

    async def _relay(
        self,
        request: UpstreamRequest,
        answer: UpstreamResponse,
        transfer: Transfer,
        send: asgi.Send,
        start: asgi.Message,
        length: int | None,
    ) -> asgi.Message:
        """Send a response to the client, except its last message, which is returned."""
        try:
            body = answer.rest()
        except UpstreamError as exc:
            raise self._failed(gateway_error(exc), request, exc) from exc
        transfer.wait()  # for responses to earlier requests of the connection, which the client may not have read
        await send(start)
        transfer.go_on(0)
        if body is not None:
            return {"type": "http.response.body", "body": body}
        try:
            return await relay(answer, send, transfer, length=length)
        except UpstreamError as exc:
            broken = GatewayFailed("the upstream registry broke off in the middle of its response")
            raise self._failed(broken, request, exc) from exc

    def _failed(
        self, error: RegistryError, request: UpstreamRequest, cause: BaseException | None = None
    ) -> RegistryError:
        # The path without its query, which may contain the key to an upload session.
        log.warning(
            "upstream failed",
            upstream=", ".join(address.url for address in self.addresses),
            method=request.method,
            path=request.target.partition(b"?")[0].decode("ascii"),
            error=str(error),
            cause=None if cause is None else repr(cause),
        )
        return error


def _open_balancer(addresses: Sequence[Address], files: TlsFiles, timeouts: Timeouts) -> Balancer:
    tls = open_tls(addresses[0].scheme, files)
    pools = [Pool(address, tls, timeouts, server_name=files.server_name) for address in addresses]
    return Balancer(pools, time.monotonic)


def _with_authorization(request: UpstreamRequest, authorization: bytes) -> UpstreamRequest:
    return replace(request, headers=[*request.headers, (b"authorization", authorization)], fields=None)


def _reads_blob(request: UpstreamRequest, route: Route) -> bool:
    return route.kind is Kind.BLOB and request.is_repeatable


def _is_challenge(answer: UpstreamResponse) -> bool:
    return answer.status == UNAUTHORIZED or (
        answer.status == FORBIDDEN and any(name.lower() == b"www-authenticate" for name, _ in answer.headers)
    )


def _is_of_a_part(scope: asgi.Scope) -> bool:
    """Whether it is a HEAD with a `Range`, which RFC 9110 §14.2 defines only for GET; CNCF Distribution answers 206."""
    return scope["method"] == "HEAD" and asgi.find_header(scope["headers"], b"range") is not None
