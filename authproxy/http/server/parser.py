"""Bytes to requests. httptools finds the parts of a request; what it leaves to its caller is here.

Heads are bounded, trailers are dropped, nothing is upgraded to, and what makes it unsure where a request ends (which
is how one request is smuggled inside another) is refused.
"""

import re
from typing import Final, Protocol
from urllib.parse import unquote

import httptools

from authproxy.asgi import FACTS, Headers, Scope
from authproxy.http.server.bad_request import Unreadable
from authproxy.http.server.header_cache import HeaderBlock, Known
from authproxy.http.server.options import MAX_HEAD_BYTES

# Headers that decide how a request is read; the others are the application's.
_OURS: Final = frozenset((b"content-length", b"transfer-encoding", b"expect", b"host"))

# The authority of a target that is a whole URL.
_URL: Final = re.compile(rb"https?://([^/?#]*)", re.IGNORECASE)


class Sink(Protocol):
    """Who is told of requests, in their order: begun, its body in parts, ended. Or, without a body, all at once."""

    def add_request(self, scope: Scope) -> None:
        """A whole request without a body, after which more may come. May raise Unreadable."""

    def begin_request(self, scope: Scope, *, keep_alive: bool, expects_continue: bool) -> None:
        """A head has been read. May raise Unreadable."""

    def add_body(self, data: bytes, *, is_all: bool) -> None:
        """A part of the body; `is_all`: what is left of it."""

    def end_request(self) -> None:
        """The request has been read to its end."""


class RequestParser:
    """Reads one connection. `rest`: so many bytes come next that are body and need no parsing, only `pass_by`."""

    def __init__(self, sink: Sink, about_connection: Scope, max_head_bytes: int = MAX_HEAD_BYTES) -> None:
        """`about_connection`: what the scopes of all requests have in common."""
        self._max_head_bytes = max_head_bytes
        self.rest = 0
        self._sink = sink
        self._about_connection = about_connection
        self._httptools: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self._has_progressed = False  # with the bytes that are being fed
        self._open_bytes = 0  # the head that has not ended is at most so long
        self._idle_bytes = 0  # that came one after another and brought nothing: no head, no body, no end
        self._may_be_long = False
        self._is_replaying = False
        self._has_host = False
        self._expects_continue = False
        self._length: int | None = None  # of the body, what has not come of it; None: there is none, or it is chunked
        self._refusal: Unreadable | None = None
        self._heads = 0  # that ended in the bytes that are being fed
        self._is_between = True  # one request has ended, nothing of the next has come
        self._known = Known()
        self._plain: HeaderBlock | None = None  # that of the last request, if it may come again
        self._begin_head()

    def close(self) -> None:
        """Let go of what holds this object. Nothing else may be called afterwards."""
        self._httptools = None
        del self._sink

    def feed(self, data: memoryview) -> None:
        """Read on. Raises Unreadable, and is of no use afterwards."""
        if self._is_between and (known := self._known.read(bytes(data))) is not None:
            method, path, query, block = known
            self._sink.add_request(self._scope("1.1", method, path, query, block))
            return
        self._feed(data)
        was_between, self._is_between = self._is_between, not self._is_past_head and bytes(data[-4:]) == b"\r\n\r\n"
        if was_between and self._is_between and self._heads == 1 and self._plain is not None:
            self._known.learn(bytes(data), self._plain)

    def _feed(self, data: memoryview) -> None:
        """Read on with httptools."""
        size = len(data)
        self._heads = 0
        self._may_be_long = self._open_bytes + size > self._max_head_bytes
        self._has_progressed = False
        offset = 0
        while offset < size:
            assert self._httptools is not None
            try:
                self._httptools.feed_data(data[offset:] if offset else data)
            except httptools.HttpParserUpgrade as upgrade:
                offset += upgrade.args[0]
                self._carry_on_without_upgrade()
            except httptools.HttpParserError as error:
                raise self._explain(error) from None
            else:
                break
        if self._length and self._is_past_head:
            self.rest = self._length
        if self._has_progressed:
            self._open_bytes, self._idle_bytes = size, 0
            return
        self._open_bytes += size
        self._idle_bytes += size
        # A head or a trailer that never ends; the first is weighed exactly when it does.
        if self._idle_bytes > 2 * self._max_head_bytes:
            raise self._too_long()

    def pass_by(self, count: int) -> None:
        """So many bytes of the `rest` have come."""
        self.rest -= count
        if self.rest == 0:
            self._httptools = httptools.HttpRequestParser(self)  # the old one waits for a body that it didn't see
            self._end_message()
            self._is_between = True

    # httptools calls what follows

    def on_url(self, url: bytes) -> None:
        """A part of the request's target."""
        if not self._is_past_head:
            self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or one trailer: these are dropped, as RFC 9110 §6.5.1 allows, for they could be any header."""
        if self._is_past_head:
            return
        name = name.lower()
        self._headers.append((name, value))
        if name in _OURS:
            self._note(name, value)

    def on_headers_complete(self) -> None:
        """The head has ended."""
        if self._is_replaying:
            return
        assert self._httptools is not None
        self._has_progressed = self._is_past_head = True
        self._heads += 1
        version = self._httptools.get_http_version()
        if not self._has_host or self._refusal is not None or self._may_be_long or version != "1.1":
            self._check(version)
        path, query = self._split_target()
        block = HeaderBlock(self._headers, {})
        scope = self._scope(version, self._httptools.get_method(), path, query, block)
        upgrades, keep_alive = self._httptools.should_upgrade(), self._httptools.should_keep_alive()
        has_body = bool(self._length or self._is_chunked)
        self._hides_body = upgrades and has_body
        is_plain = keep_alive and version == "1.1" and not (has_body or upgrades or self._expects_continue)
        self._plain = block if is_plain else None
        self._sink.begin_request(
            scope, keep_alive=keep_alive, expects_continue=self._expects_continue and version == "1.1"
        )

    def on_body(self, data: bytes) -> None:
        """A part of a body."""
        self._has_progressed = True
        if self._length is not None:
            self._length -= len(data)
        self._sink.add_body(data, is_all=self._length == 0)

    def on_message_complete(self) -> None:
        """The request has ended. Of one that would upgrade httptools says so before its body."""
        if not self._hides_body:
            self._end_message()

    def _scope(self, version: str, method: bytes, path: bytes, query: bytes, block: HeaderBlock) -> Scope:
        text = path.decode("utf-8", "replace")
        return {
            **self._about_connection,
            "http_version": version,
            "method": method.decode("ascii"),
            "raw_path": path,
            "path": unquote(text) if "%" in text else text,
            "query_string": query,
            "headers": block.headers,
            FACTS: block.facts,
        }

    def _begin_head(self) -> None:
        self._target = b""
        self._headers: Headers = []
        self._is_past_head = False
        self._length = None
        self._is_chunked = False
        self._hides_body = False
        self._expects_continue = False
        self._has_host = False
        self._refusal = None

    def _end_message(self) -> None:
        self._has_progressed = True
        self._begin_head()
        self._sink.end_request()

    def _note(self, name: bytes, value: bytes) -> None:
        """Of a header that is ours, what counts."""
        match name:
            case b"host":
                if self._has_host:
                    self._refusal = Unreadable(400, "more than one Host header")
                self._has_host = True
            case b"content-length":
                self._length = int(value)  # httptools takes digits alone
            case b"transfer-encoding":
                self._is_chunked = True
                if value.strip().lower() != b"chunked":
                    self._refusal = Unreadable(501, "of the transfer codings only chunked is known")
            case b"expect":
                self._expects_continue = value.lower() == b"100-continue"

    def _check(self, version: str) -> None:
        """What is wrong with a head, for those of which something may be."""
        if version not in ("1.0", "1.1"):
            raise Unreadable(400 if version == "0.9" else 505, "HTTP/1.1 is spoken here")
        if self._refusal is not None:
            raise self._refusal
        if version == "1.0" and self._is_chunked:  # RFC 9112 §6.1
            raise Unreadable(400, "HTTP/1.0 has no chunks")
        if version == "1.1" and not self._has_host:  # RFC 9112 §3.2
            raise Unreadable(400, "no Host header")
        if self._may_be_long:
            bytes_of_headers = sum(len(name) + len(value) + 4 for name, value in self._headers)
            if len(self._target) + bytes_of_headers > self._max_head_bytes:
                raise self._too_long()

    def _split_target(self) -> tuple[bytes, bytes]:
        """Path and query of the target, which is mostly just these (RFC 9112 §3.2)."""
        target = self._target
        if target.startswith(b"/") and b"#" not in target:
            path, _, query = target.partition(b"?")
            return path, query
        try:
            parsed = httptools.parse_url(target)
        except httptools.HttpParserError as error:
            raise Unreadable(400, "the target of the request is no path") from error
        if (url := _URL.match(target)) is not None:  # RFC 9112 §3.2.2: what the Host header says does not count then
            self._headers[:] = [(name, url[1] if name == b"host" else value) for name, value in self._headers]
        return parsed.path or b"/", parsed.query or b""

    def _explain(self, error: httptools.HttpParserError) -> BaseException:
        """What httptools has stopped for; where a method here has raised, that."""
        if isinstance(error, httptools.HttpParserCallbackError) and error.__context__ is not None:
            return error.__context__
        return self._refusal or Unreadable(400, str(error))

    def _carry_on_without_upgrade(self) -> None:
        """Nothing is upgraded to: the request is one as any other (RFC 9110 §7.8), its body with it.

        httptools takes what follows the head for another protocol. So another parser reads on, which has seen a head
        with the same framing.
        """
        self._httptools = httptools.HttpRequestParser(self)
        if self._hides_body:
            length = self._length
            framing = b"transfer-encoding: chunked" if length is None else b"content-length: %d" % length
            self._is_replaying = True
            self._httptools.feed_data(b"POST / HTTP/1.1\r\n" + framing + b"\r\n\r\n")
            self._is_replaying = self._hides_body = False

    def _too_long(self) -> Unreadable:
        """RFC 9110 §15.5.15, RFC 6585 §5: which of both is to blame, the target or what follows it."""
        if 2 * len(self._target) > self._max_head_bytes:
            return Unreadable(
                414, f"the address is too long: with the headers it has {self._max_head_bytes} bytes at most"
            )
        return Unreadable(
            431, f"the headers are too long: with the address they have {self._max_head_bytes} bytes at most"
        )
