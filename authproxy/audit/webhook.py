"""Audit lines to an HTTP server: POSTs of newline-delimited JSON."""

import ssl
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from http import HTTPStatus

import httpx

from authproxy.audit.chain import Link
from authproxy.audit.sink import LinesRefused, SinkFailed

# Of one request. Log collectors accept at least a megabyte.
MAX_LINES = 500
MAX_BYTES = 1_000_000
TIMEOUT_S = 10.0

# Of a response body: past this a new connection costs less than the rest.
MAX_DISCARDED_BYTES = 64 << 10

# Statuses after which a retry of the same lines cannot succeed. All others may be temporary.
_PERMANENT = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY})


class WebhookSink:
    """A request is one batch; any 2xx accepts it.

    If the response is lost, the same bytes are sent again: the receiver recognizes them by `writer` and `sequence`.
    Redirects are not followed: the headers may hold credentials.
    """

    name = "webhook"

    def __init__(
        self, url: str, *, headers: Iterable[tuple[str, str]] = (), transport: httpx.BaseTransport | None = None
    ) -> None:
        self._url = url
        self._headers = [("Content-Type", "application/x-ndjson"), *headers]
        self._transport = transport
        self._client: httpx.Client | None = None

    def open(self) -> Link | None:
        """A new chain: sent lines cannot be read back."""
        if self._client is None:
            trust = ssl.create_default_context()
            self._client = httpx.Client(verify=trust, trust_env=False, timeout=TIMEOUT_S, transport=self._transport)
        return None

    def write(self, lines: Sequence[bytes]) -> int:
        """See AuditSink."""
        assert self._client is not None
        batch = _first_batch(lines)
        try:
            request = self._client.build_request("POST", self._url, content=b"".join(batch), headers=self._headers)
            answer = self._client.send(request, stream=True)
            _discard(answer)
        except httpx.HTTPError as exc:
            raise SinkFailed(f"{self._host}: {type(exc).__name__}: {exc}") from exc
        if answer.is_success:
            return len(batch)
        sentence = f"{self._host} answered {answer.status_code}"
        if answer.status_code in _PERMANENT:
            raise LinesRefused(sentence, len(batch))
        raise SinkFailed(sentence)

    def close(self) -> None:
        """See AuditSink."""
        if self._client is not None:
            self._client.close()

    @property
    def _host(self) -> str:
        # The path of a webhook is often its password.
        return httpx.URL(self._url).host


def _discard(answer: httpx.Response) -> None:
    """Close a response; a short body is read first, so that the connection can be reused."""
    answer.headers.pop("content-encoding", None)  # or httpx would unpack it
    passed = 0
    with closing(answer), suppress(httpx.TransportError):
        for piece in answer.iter_bytes():
            passed += len(piece)
            if passed > MAX_DISCARDED_BYTES:
                break


def _first_batch(lines: Sequence[bytes]) -> Sequence[bytes]:
    size = 0
    for count, line in enumerate(lines[:MAX_LINES]):
        size += len(line)
        if count and size > MAX_BYTES:
            return lines[:count]
    return lines[:MAX_LINES]
