"""Counts of requests: one look-up and three buckets for each, about a microsecond in all.

The numbers of all families of requests are computed from these counts at each scrape.
"""

from bisect import bisect_left
from collections.abc import Awaitable
from http import HTTPMethod
from typing import Any, Protocol

from authproxy.asgi import ROUTE, App, Receive, Scope, Send
from authproxy.authorization import TOKEN_PATH
from authproxy.metrics.families import DURATION, IN_FLIGHT, REQUEST_SIZE, REQUESTS, RESPONSE_SIZE, TOKEN_ANSWERS
from authproxy.metrics.numbers import Family, Numbers
from authproxy.route import Kind

# CNCF Distribution's names of its handlers, and ours for what it does not have.
HANDLERS: dict[object, str] = {
    Kind.BASE: "base",
    Kind.CATALOG: "catalog",
    Kind.TAGS: "tags",
    Kind.MANIFEST: "manifest",
    Kind.BLOB: "blob",
    Kind.UPLOADS: "blob_upload",
    Kind.UPLOAD: "blob_upload_chunk",
    Kind.REFERRERS: "referrers",
    Kind.MANIFESTS: "manifests",
    TOKEN_PATH: "token",
}
OTHER_HANDLER = "other"  # no route: other pages, and requests that were refused before they had one
OTHER_METHOD = "UNKNOWN"

METHODS = frozenset(HTTPMethod)

TOKEN_RESULTS = {"200": "granted", "400": "malformed", "401": "refused", "429": "throttled"}
SERVER_FAULT = "5"

# Local names save an attribute look-up three times a request.
_SECONDS, _RECEIVED, _SENT = DURATION.buckets, REQUEST_SIZE.buckets, RESPONSE_SIZE.buckets


class EndedRequest(Protocol):
    """A request that has ended."""

    @property
    def scope(self) -> Any:
        """Its ASGI scope."""

    @property
    def status(self) -> int:
        """The status of the response; 0: the client disconnected before it."""

    @property
    def sent(self) -> int:
        """Bytes of the response's body."""

    @property
    def received(self) -> int:
        """Bytes of the request's body."""

    @property
    def seconds(self) -> float:
        """How long it took."""


class _RequestCounts:
    """All requests with one handler, method and status."""

    __slots__ = ("durations", "received", "received_bytes", "seconds", "sent", "sent_bytes")

    def __init__(self) -> None:
        self.durations = [0] * (len(_SECONDS) + 1)
        self.received = [0] * (len(_RECEIVED) + 1)
        self.sent = [0] * (len(_SENT) + 1)
        self.seconds, self.received_bytes, self.sent_bytes = 0.0, 0, 0


class HttpCounts:
    """Counts requests. `record` is called on the event loop; `numbers` may be in another thread."""

    def __init__(self) -> None:
        self._entries: dict[tuple[object, str, int], _RequestCounts] = {}
        self.begun = 0  # including those that have ended

    def record(self, served: EndedRequest) -> None:
        """Count one request."""
        scope = served.scope
        route = scope.get(ROUTE)
        what = route.kind if route is not None else TOKEN_PATH if scope["path"] == TOKEN_PATH else None
        key = (what, scope["method"], served.status)
        entry = self._entries.get(key) or self._add(key)
        seconds, received, sent = served.seconds, served.received, served.sent
        entry.durations[bisect_left(_SECONDS, seconds)] += 1
        entry.seconds += seconds
        entry.received[bisect_left(_RECEIVED, received) if received else 0] += 1
        entry.received_bytes += received
        entry.sent[bisect_left(_SENT, sent) if sent else 0] += 1
        entry.sent_bytes += sent

    def _add(self, key: tuple[object, str, int]) -> _RequestCounts:
        """The entry of a new key. Unknown methods share one, so that memory is bounded."""
        what, method, status = key
        return self._entries.setdefault((what, method if method in METHODS else OTHER_METHOD, status), _RequestCounts())

    @property
    def total(self) -> int:
        """How many requests have been counted."""
        return sum(sum(entry.durations) for entry in list(self._entries.values()))

    def numbers(self) -> Numbers:
        """The counts so far, as numbers of the families."""
        numbers: Numbers = {(IN_FLIGHT.name, ()): [max(self.begun - self.total, 0)]}
        for (what, method, status), entry in list(self._entries.items()):
            handler = HANDLERS.get(what, OTHER_HANDLER)
            durations, code = list(entry.durations), str(status)
            _add(numbers, DURATION, (handler, method.lower()), [*durations, entry.seconds])
            _add(numbers, REQUEST_SIZE, (handler,), [*entry.received, entry.received_bytes])
            _add(numbers, RESPONSE_SIZE, (handler,), [*entry.sent, entry.sent_bytes])
            _add(numbers, REQUESTS, (handler, method.lower(), code), [sum(durations)])
            if handler == HANDLERS[TOKEN_PATH] and (result := _token_result(code)):
                _add(numbers, TOKEN_ANSWERS, (result,), [sum(durations)])
        return numbers


class CountBegun:
    """The layer outside the one that records the ends of requests: the difference is the requests in flight."""

    def __init__(self, app: App, counts: HttpCounts) -> None:
        self.app = app
        self.counts = counts

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass on, without a frame of its own."""
        self.counts.begun += 1
        return self.app(scope, receive, send)


def _token_result(code: str) -> str | None:
    """The result of a response of /token; None if no token was requested (OPTIONS), or the client disconnected."""
    return "failed" if code.startswith(SERVER_FAULT) else TOKEN_RESULTS.get(code)


def _add(numbers: Numbers, family: Family, labels: tuple[str, ...], values: list[float]) -> None:
    before = numbers.get((family.name, labels))
    numbers[family.name, labels] = values if before is None else [a + b for a, b in zip(before, values, strict=True)]
