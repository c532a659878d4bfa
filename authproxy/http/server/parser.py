"""Parse bytes into requests. httptools finds the parts of a request; this module does the rest.

Heads are bounded, trailers are dropped, upgrades are ignored, and a request whose end is ambiguous (which is how one
request is smuggled inside another) is refused.
"""

import re
from typing import Final, Protocol
from urllib.parse import unquote

import httptools

from authproxy.asgi import FACTS, Headers, Scope
from authproxy.http.server.bad_request import Unreadable
from authproxy.http.server.header_cache import HeaderBlock, Known
from authproxy.http.server.options import MAX_HEAD_BYTES

# Headers that decide how a request is read; the others are for the application.
_OURS: Final = frozenset((b"content-length", b"transfer-encoding", b"expect", b"host"))

# A target that is a whole URL, with its authority.
_URL: Final = re.compile(rb"https?://([^/?#]*)", re.IGNORECASE)


class Sink(Protocol):
    """Receives the requests in their order: begin, parts of the body, end. Or, without a body, all at once."""

    def add_request(self, scope: Scope) -> None:
        """A whole request without a body, which keeps the connection open. May raise Unreadable."""

    def begin_request(self, scope: Scope, *, keep_alive: bool, expects_continue: bool) -> None:
        """A head has been read. May raise Unreadable."""

    def add_body(self, data: bytes, *, is_all: bool) -> None:
        """A part of the body; `is_all`: all that is left of it."""

    def end_request(self) -> None:
        """The request has been read to its end."""


class RequestParser:
    """Reads one connection. `rest`: the number of next bytes that are body and need no parsing, only `pass_by`."""

    def __init__(self, sink: Sink, about_connection: Scope, max_head_bytes: int = MAX_HEAD_BYTES) -> None:
        """`about_connection`: the common part of all requests' scopes."""
        self._max_head_bytes = max_head_bytes
        self.rest = 0
        self._sink = sink
        self._about_connection = about_connection
        self._httptools: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self._has_progressed = False  # by the bytes that are being fed
        self._open_bytes = 0  # at most the length of the head that has not ended
        self._idle_bytes = 0  # since the last progress: no head, no body, no end
        self._may_be_long = False
        self._is_replaying = False
        self._has_host = False
        self._expects_continue = False
        self._length: int | None = None  # of the rest of the body; None: there is no body, or it is chunked
        self._refusal: Unreadable | None = None
        self._heads = 0  # that ended in the bytes that are being fed
        self._is_between = True  # one request has ended, no byte of the next has arrived
        self._known = Known()
        self._plain: HeaderBlock | None = None  # of the last request, if it may be cached
        self._begin_head()

    def close(self) -> None:
        """Break the reference cycles of this object. No method may be called afterwards."""
        self._httptools = None
        del self._sink

    def feed(self, data: memoryview) -> None:
        """Parse more bytes. Raises Unreadable, and can't be used afterwards."""
        if self._is_between and (known := self._known.read(bytes(data))) is not None:
            method, path, query, block = known
            self._sink.add_request(self._scope("1.1", method, path, query, block))
            return
        self._feed(data)
        was_between, self._is_between = self._is_between, not self._is_past_head and bytes(data[-4:]) == b"\r\n\r\n"
        if was_between and self._is_between and self._heads == 1 and self._plain is not None:
            self._known.learn(bytes(data), self._plain)

    def _feed(self, data: memoryview) -> None:
        """Parse more bytes with httptools."""
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
                self._ignore_upgrade()
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
        # A head or a trailer that does not end; the exact length of a head is checked when it does.
        if self._idle_bytes > 2 * self._max_head_bytes:
            raise self._too_long()

    def pass_by(self, count: int) -> None:
        """`count` bytes of the `rest` have arrived."""
        self.rest -= count
        if self.rest == 0:
            self._httptools = httptools.HttpRequestParser(self)  # the old one still waits for the body
            self._end_message()
            self._is_between = True

    # Called by httptools

    def on_url(self, url: bytes) -> None:
        """A part of the request's target."""
        if not self._is_past_head:
            self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header or trailer. Trailers are dropped, as RFC 9110 §6.5.1 allows: they could be any header."""
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
        """The request has ended. For one with an upgrade httptools calls this before the body."""
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
        """Note the value of a header in _OURS."""
        match name:
            case b"host":
                if self._has_host:
                    self._refusal = Unreadable(400, "more than one Host header")
                self._has_host = True
            case b"content-length":
                self._length = int(value)  # httptools accepts only digits
            case b"transfer-encoding":
                self._is_chunked = True
                if value.strip().lower() != b"chunked":
                    self._refusal = Unreadable(501, "chunked is the only transfer coding that is supported")
            case b"expect":
                self._expects_continue = value.lower() == b"100-continue"

    def _check(self, version: str) -> None:
        """Raise Unreadable if the head is invalid."""
        if version not in ("1.0", "1.1"):
            raise Unreadable(400 if version == "0.9" else 505, "this server speaks HTTP/1.1")
        if self._refusal is not None:
            raise self._refusal
        if version == "1.0" and self._is_chunked:  # RFC 9112 §6.1
            raise Unreadable(400, "HTTP/1.0 has no chunked transfer coding")
        if version == "1.1" and not self._has_host:  # RFC 9112 §3.2
            raise Unreadable(400, "no Host header")
        if self._may_be_long:
            bytes_of_headers = sum(len(name) + len(value) + 4 for name, value in self._headers)
            if len(self._target) + bytes_of_headers > self._max_head_bytes:
                raise self._too_long()

    def _split_target(self) -> tuple[bytes, bytes]:
        """Path and query of the target, which usually has no other parts (RFC 9112 §3.2)."""
        target = self._target
        if target.startswith(b"/") and b"#" not in target:
            path, _, query = target.partition(b"?")
            return path, query
        try:
            parsed = httptools.parse_url(target)
        except httptools.HttpParserError as error:
            raise Unreadable(400, "the target of the request is not a path") from error
        if (url := _URL.match(target)) is not None:  # RFC 9112 §3.2.2: it replaces the Host header
            self._headers[:] = [(name, url[1] if name == b"host" else value) for name, value in self._headers]
        return parsed.path or b"/", parsed.query or b""

    def _explain(self, error: httptools.HttpParserError) -> BaseException:
        """The reason why httptools stopped; if one of our methods raised, its exception."""
        if isinstance(error, httptools.HttpParserCallbackError) and error.__context__ is not None:
            return error.__context__
        return self._refusal or Unreadable(400, str(error))

    def _ignore_upgrade(self) -> None:
        """Ignore the upgrade: the request and its body are read as usual (RFC 9110 §7.8).

        httptools takes the bytes after the head for another protocol. So a new parser continues, after a head with the
        same framing.
        """
        self._httptools = httptools.HttpRequestParser(self)
        if self._hides_body:
            length = self._length
            framing = b"transfer-encoding: chunked" if length is None else b"content-length: %d" % length
            self._is_replaying = True
            self._httptools.feed_data(b"POST / HTTP/1.1\r\n" + framing + b"\r\n\r\n")
            self._is_replaying = self._hides_body = False

    def _too_long(self) -> Unreadable:
        """RFC 9110 §15.5.15, RFC 6585 §5: either the target is too long or the headers are."""
        if 2 * len(self._target) > self._max_head_bytes:
            return Unreadable(
                414, f"the address is too long: with the headers it may have at most {self._max_head_bytes} bytes"
            )
        return Unreadable(
            431, f"the headers are too long: with the address they may have at most {self._max_head_bytes} bytes"
        )
