"""One connection: bytes to requests, requests to cycles, in order."""

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import httptools
import structlog
from uvicorn.config import Config
from uvicorn.protocols.utils import get_local_addr, get_remote_addr
from uvicorn.server import ServerState

from authproxy.http1.cycle import Cycle

if TYPE_CHECKING:
    from authproxy.asgi import App, Headers, Scope

log = structlog.get_logger(__name__)

# One read, in bytes: several records of TLS. All connections of a process share the buffer, since what was read is
# parsed before anybody else reads.
READ_BYTES: Final = 256 * 1024
_READ = bytearray(READ_BYTES)
_READ_VIEW = memoryview(_READ)

# A request's line and headers, in bytes, where they don't come in one read. A token with many scopes is a few thousand.
MAX_HEAD_BYTES: Final = 64 * 1024

# What is read and dropped of a body after its answer, in bytes: enough for clients that read no answer before they have
# sent a manifest, and an end for those who never stop.
MAX_DROPPED_BYTES: Final = 16 * 1024 * 1024

_ASGI = {"version": "3.0", "spec_version": "2.3"}
_UNREADABLE = (
    b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: text/plain\r\ncontent-length: 33\r\n\r\n"
    b"this is not a request of HTTP/1.1"
)


class Connection(asyncio.BufferedProtocol):
    """uvicorn's side of a connection (its `http` setting), for TLS as for plain TCP."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """The signature is uvicorn's."""
        del app_state
        self.is_behind = False
        self._app: App = config.loaded_app
        self._loop = _loop or asyncio.get_running_loop()
        self._keep_alive_s = config.timeout_keep_alive
        self._state = server_state
        self._common: tuple[Headers, bytes] = ([], b"")
        self._transport: asyncio.Transport
        self._about_connection: Scope
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self._begin_head()
        self._waiting: deque[Cycle] = deque()  # requests that were read and not begun
        self._current: Cycle | None = None  # the one that is being answered, or was last
        self._incoming: Cycle | None = None  # the one whose body has not ended
        self._rest: int | None = None  # bytes that its body still has; None: the parser finds the end
        self._skips_parser = False  # the body goes from the socket into its pieces
        self._idle_since: float = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._writable: asyncio.Future[None] | None = None
        self._is_paused = False
        self._is_ending = False

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TCP, and TLS where it is spoken, are there."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._about_connection = {
            "type": "http",
            "asgi": _ASGI,
            "root_path": "",
            "scheme": "https" if transport.get_extra_info("sslcontext") else "http",
            "client": get_remote_addr(transport),
            "server": get_local_addr(transport),
        }
        self._state.connections.add(self)  # type: ignore[arg-type]  # uvicorn knows its own kinds; it calls shutdown alone
        self._timer = self._loop.call_later(self._keep_alive_s, self._close_if_idle)

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer has gone, or we have closed. Nothing here holds on to what TLS needed, hundreds of KB."""
        del exc
        self._state.connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        for cycle in {self._current, self._incoming, *self._waiting}:
            if cycle is not None:
                cycle.lose_client()
        self._waiting.clear()
        self._current = self._incoming = self._parser = None
        self.resume_writing()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes of the socket go."""
        del sizehint
        if not self._skips_parser:
            return _READ_VIEW
        assert self._incoming is not None
        assert self._rest is not None
        if self._incoming.is_complete:  # answered before it was read: what still comes is dropped
            return _READ_VIEW[: self._rest]
        return self._incoming.body.room(self._rest)

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes came."""
        if not self._skips_parser:
            self._parse(_READ_VIEW[:nbytes])
            return
        assert self._incoming is not None
        assert self._rest is not None
        self._rest -= nbytes
        if self._incoming.is_complete:
            self._drop(nbytes)
        else:
            self._incoming.body.filled(nbytes)
        if self._rest == 0:
            # The old one still waits for the body that it did not see.
            self._skips_parser, self._parser = False, httptools.HttpRequestParser(self)
            self.on_message_complete()
        self._pause_where_full()

    def pause_writing(self) -> None:
        """The client is behind."""
        self.is_behind = True

    def resume_writing(self) -> None:
        """It has taken what was written."""
        self.is_behind = False
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    # uvicorn's side

    def shutdown(self) -> None:
        """End soon: at once where nothing is in flight, else after the answer."""
        self._is_ending = True
        if self._current is None or self._current.is_complete:
            self._transport.close()
        else:
            self._current.keep_alive = False

    # The parser's side

    def on_url(self, url: bytes) -> None:
        """A part of the request's target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        if self._incoming is not None:  # a trailer: what it says comes too late to be believed (RFC 9110 §6.5.1)
            return
        name = name.lower()
        self._headers.append((name, value))
        if name == b"content-length":
            self._rest = int(value)
        elif name == b"expect":
            self._expects_continue = value.lower() == b"100-continue"

    def on_headers_complete(self) -> None:
        """A request begins."""
        assert self._parser is not None
        version = self._parser.get_http_version()
        if version == "1.1" and [name for name, _ in self._headers].count(b"host") != 1:
            raise ValueError("a request has one Host header")  # RFC 9112 §3.2; the parser makes it an error of its own
        path, query = _split_target(self._url)
        text = path.decode("latin-1")
        scope = {
            **self._about_connection,
            "http_version": version,
            "method": self._parser.get_method().decode("ascii"),
            "raw_path": path,
            "path": unquote(text) if "%" in text else text,
            "query_string": query,
            "headers": self._headers,
        }
        keep_alive = self._parser.should_keep_alive() and not self._is_ending
        cycle = Cycle(self, scope, keep_alive=keep_alive, expects_continue=self._expects_continue)
        self._incoming = cycle
        self._waiting.append(cycle)

    def on_body(self, data: bytes) -> None:
        """A part of a body."""
        assert self._incoming is not None
        if self._rest is not None:
            self._rest -= len(data)
        if self._incoming.is_complete:
            self._drop(len(data))
        else:
            self._incoming.body.put(data, is_all=self._rest == 0)

    def on_message_complete(self) -> None:
        """The request has been read."""
        assert self._incoming is not None
        self._incoming.body.end()
        self._incoming = None
        self._begin_head()

    # The cycles' side

    @property
    def common_head(self) -> bytes:
        """See `cycle.Channel`: the date, which uvicorn makes anew once a second."""
        headers = self._state.default_headers
        if headers is not self._common[0]:
            self._common = (headers, b"".join(b"%b: %b\r\n" % pair for pair in headers))
        return self._common[1]

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """See `cycle.Channel`."""
        self._transport.write(data)

    async def drain(self) -> None:
        """See `cycle.Channel`."""
        if self.is_behind:
            self._writable = self._loop.create_future()
            await self._writable

    def read_on(self) -> None:
        """See `cycle.Channel`."""
        if self._is_paused and not self._is_full:
            self._is_paused = False
            self._transport.resume_reading()

    def finish(self, cycle: Cycle) -> None:
        """See `cycle.Channel`."""
        self._state.total_requests += 1
        self._idle_since = self._loop.time()
        if not cycle.keep_alive:
            self._waiting.clear()
            self._transport.close()
            return
        if self._is_paused:
            self.read_on()
        if self._waiting:
            self._loop.call_soon(self._start_waiting)

    def break_off(self) -> None:
        """See `cycle.Channel`."""
        self._transport.close()

    def keep(self, task: "asyncio.Task[None]") -> None:
        """See `cycle.Channel`."""
        self._state.tasks.add(task)
        task.add_done_callback(self._state.tasks.discard)

    @property
    def _is_full(self) -> bool:
        """More is there than is being taken: of the body, or of requests behind the one that is being answered."""
        return bool(self._waiting) or (
            self._incoming is not None and not self._incoming.is_complete and self._incoming.body.is_full
        )

    def _begin_head(self) -> None:
        self._url = b""
        self._headers: Headers = []
        self._head_bytes = 0  # of a head that did not come in one read
        self._expects_continue = False
        self._rest = None
        self._dropped = 0  # bytes of the body that came after the answer

    def _parse(self, data: memoryview) -> None:
        assert self._parser is not None
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            # Nothing is upgraded to: what follows is the next request (RFC 9110 §7.8).
            self._parser = httptools.HttpRequestParser(self)
            self._start_waiting()
            if rest := data[upgrade.args[0] :]:
                self._parse(rest)
            return
        except httptools.HttpParserError as error:
            self._refuse(error)
            return
        if self._incoming is not None and self._rest:
            self._skips_parser = True
        if self._waiting:
            self._start_waiting()
            self._pause_where_full()
        elif self._incoming is not None:
            self._pause_where_full()
        else:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(ValueError("the head is too long"))

    def _start_waiting(self) -> None:
        """Begin with requests in their order, each when the one before has been answered."""
        while self._waiting and (self._current is None or self._current.is_complete):
            if self._transport.is_closing():
                return
            self._current = self._waiting.popleft()
            self._current.run(self._app)
        if self._is_paused:
            self.read_on()

    def _pause_where_full(self) -> None:
        if not self._is_paused and self._is_full and not self._transport.is_closing():
            self._is_paused = True
            self._transport.pause_reading()

    def _refuse(self, error: Exception) -> None:
        """What came is no request. Requests before it are answered; then the connection ends."""
        self._start_waiting()
        if self._transport.is_closing():
            return
        log.info("unreadable request", client=self._about_connection["client"], reason=repr(error))
        current = self._current
        if current is None or current.is_complete or (current is self._incoming and not current.has_begun):
            self._transport.write(_UNREADABLE)
            self._transport.close()
        elif current is self._incoming:  # its body has no end that we could find
            self._transport.close()
        else:
            self.shutdown()

    def _drop(self, count: int) -> None:
        """So many bytes of a body came that nobody reads any more."""
        self._dropped += count
        if self._dropped > MAX_DROPPED_BYTES:
            self._transport.close()

    def _close_if_idle(self) -> None:
        """End a connection on which no request has begun for long; the head of one may have."""
        is_idle = self._current is None or self._current.is_complete
        rest_s = self._idle_since + self._keep_alive_s - self._loop.time() if is_idle else float(self._keep_alive_s)
        if rest_s <= 0:
            self._timer = None
            self._transport.close()
        else:
            self._timer = self._loop.call_later(rest_s, self._close_if_idle)


def _split_target(target: bytes) -> tuple[bytes, bytes]:
    """Path and query of a request's target, which is mostly just these (RFC 9112 §3.2)."""
    if target.startswith(b"/") and b"#" not in target:
        path, _, query = target.partition(b"?")
        return path, query
    parsed = httptools.parse_url(target)
    return parsed.path or b"/", parsed.query or b""
