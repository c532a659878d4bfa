"""One connection: received bytes become requests, which are answered in their order."""

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import structlog
from uvicorn.config import Config
from uvicorn.server import ServerState

from authproxy.http.server.bad_request import Unreadable
from authproxy.http.server.body import NO_BODY, Body
from authproxy.http.server.cycle import Cycle
from authproxy.http.server.options import DEFAULT, Options
from authproxy.http.server.parser import RequestParser
from authproxy.http.server.timeouts import Patience

if TYPE_CHECKING:
    from authproxy.asgi import App, Headers, Scope

log = structlog.get_logger(__name__)

# One read, in bytes: several records of TLS. All connections of a process share the buffer, because its bytes are
# parsed before the next read.
READ_BYTES: Final = 256 * 1024
_READ = bytearray(READ_BYTES)
_READ_VIEW = memoryview(_READ)

# Up to this many bytes of a body that are left when its request has been answered are read and dropped, so that the
# connection can be used again; with more it costs less to close it and accept a new one.
DRAIN_BYTES: Final = 64 * 1024 * 1024

# Requests that may wait behind the one that is being answered. Clients with pipelining send a few; one read could
# contain thousands.
MAX_WAITING: Final = 256

# RFC 4291 §2.5.5.2, as the system writes it: the dotted IPv4 address follows.
_IPV4_MAPPED: Final = "::ffff:"

_ASGI: Final = {"version": "3.0", "spec_version": "2.3"}


class Connection(asyncio.BufferedProtocol):
    """uvicorn's protocol class for a connection (its `http` setting), with TLS and without."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        options: Options = DEFAULT,
    ) -> None:
        """The signature is uvicorn's, but for `options`."""
        del app_state
        self.options = options  # the loop reads them too, before TLS
        self.is_behind = False
        self.loop = _loop or asyncio.get_running_loop()
        self._app: App = config.loaded_app
        self._state = server_state
        self._common: tuple[Headers, bytes] = ([], b"")
        self._transport: asyncio.Transport
        self._parser: RequestParser
        self._waiting: deque[Cycle] = deque()  # requests that were read and not begun
        self._current: Cycle | None = None  # the request that is being answered, or was last
        self._incoming: Cycle | None = None  # the request whose body has not ended
        self._dropped_bytes = 0  # of the incoming body, since its request was answered
        self._refusal: Unreadable | None = None  # the invalid bytes after all these requests
        self._broken: Cycle | None = None  # the last request that waits, if the invalid bytes are in its body
        self._patience = Patience(config.timeout_keep_alive, self.loop.time())
        self._timer: asyncio.TimerHandle | None = None
        self._has_moved = False  # bytes arrived, since the timer last fired
        self._writable: asyncio.Future[None] | None = None
        self._is_paused = False

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection, with TLS if it is used, is established."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self._client = _name(peer) if isinstance(peer, tuple) else None  # None: of a Unix socket
        here = transport.get_extra_info("sockname")
        about_connection: Scope = {
            "type": "http",
            "asgi": _ASGI,
            "root_path": "",
            "scheme": "https" if transport.get_extra_info("sslcontext") else "http",
            "client": self._client,
            "server": (here, None) if isinstance(here, str) else (str(here[0]), int(here[1])),
        }
        self._parser = RequestParser(self, about_connection, self.options.max_head_bytes)
        self._state.connections.add(self)  # type: ignore[arg-type]  # not a type of uvicorn, which only calls shutdown
        self._check_time()

    def eof_received(self) -> None:
        """The peer sends no more bytes: most have disconnected then, and those that have not can't be recognized.

        Responses that are complete still reach it; the transport closes afterwards.
        """
        self._lose_client()

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer has disconnected, or we have closed. Drop all references to the TLS state, hundreds of KB."""
        del exc
        self._state.connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        self._lose_client()
        self._current = self._incoming = self._broken = None
        self._parser.close()
        self.resume_writing()

    def get_buffer(self, sizehint: int) -> memoryview:
        """The buffer for the next bytes of the socket."""
        del sizehint
        rest = self._parser.rest
        if not rest:
            return _READ_VIEW
        assert self._incoming is not None
        if self._incoming.is_complete:  # answered before it was read: the rest is dropped
            return _READ_VIEW[:rest]
        return self._incoming.body.room(rest)

    def buffer_updated(self, nbytes: int) -> None:
        """`nbytes` bytes were read."""
        self._has_moved = True
        if self._parser.rest:
            assert self._incoming is not None
            if not self._incoming.is_complete:
                self._incoming.body.filled(nbytes)
            self._parser.pass_by(nbytes)
        else:
            try:
                self._parser.feed(_READ_VIEW[:nbytes])
            except Unreadable as error:
                self._give_up_reading(error)
        if self._waiting or self._refusal is not None:
            self._start_waiting()
        may_be_full = self._waiting or self._incoming is not None or self._refusal is not None
        if may_be_full and not self._is_paused and self._is_full and not self._transport.is_closing():
            self._is_paused = True
            self._transport.pause_reading()

    def pause_writing(self) -> None:
        """The client reads too slowly."""
        self.is_behind = True

    def resume_writing(self) -> None:
        """The client has read most of what was written."""
        self.is_behind = False
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        if self._waiting:
            self.loop.call_soon(self._start_waiting)

    # The transport's side

    @property
    def quiet_since(self) -> float | None:
        """See `connection_limit.Holder`."""
        is_idle = self._current is None or self._current.is_complete
        return self._patience.idle_since if is_idle else None

    @property
    def waits_for_client(self) -> bool:
        """See `connection_limit.Holder`."""
        current = self._current
        return self.is_behind or (current is not None and current is self._incoming and current.body.is_awaited)

    # uvicorn's side

    def shutdown(self) -> None:
        """Close soon: at once if no request is being answered, else after the response."""
        if self._current is None or self._current.is_complete:
            self._transport.close()
        else:
            self._current.keep_alive = False

    # The parser's side

    def add_request(self, scope: "Scope") -> None:
        """See `parser.Sink`."""
        self._wait_for_turn(Cycle(self, scope, NO_BODY, keep_alive=True, expects_continue=False))

    def begin_request(self, scope: "Scope", *, keep_alive: bool, expects_continue: bool) -> None:
        """See `parser.Sink`."""
        self._incoming = Cycle(self, scope, Body(), keep_alive=keep_alive, expects_continue=expects_continue)
        self._wait_for_turn(self._incoming)
        self._dropped_bytes = 0

    def add_body(self, data: bytes, *, is_all: bool) -> None:
        """See `parser.Sink`."""
        assert self._incoming is not None
        if not self._incoming.is_complete:
            self._incoming.body.put(data, is_all=is_all)
            return
        self._dropped_bytes += len(data)
        if self._dropped_bytes > DRAIN_BYTES:
            self._transport.close()

    def end_request(self) -> None:
        """See `parser.Sink`."""
        assert self._incoming is not None
        self._incoming.body.end()
        self._incoming = None

    # The cycles' side

    @property
    def common_head(self) -> bytes:
        """See `cycle.Channel`: the date, which uvicorn renews once a second."""
        headers = self._state.default_headers
        if headers is not self._common[0]:
            self._common = (headers, b"".join(b"%b: %b\r\n" % pair for pair in headers))
        return self._common[1]

    @property
    def has_much_to_read(self) -> bool:
        """See `cycle.Channel`."""
        return self._parser.rest > DRAIN_BYTES

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """See `cycle.Channel`."""
        self._transport.write(data)

    async def drain(self) -> None:
        """See `cycle.Channel`."""
        if self.is_behind:
            self._writable = self.loop.create_future()
            await self._writable

    def read_on(self) -> None:
        """See `cycle.Channel`."""
        if self._is_paused and not self._is_full:
            self._is_paused = False
            self._transport.resume_reading()

    def finish(self, cycle: Cycle) -> None:
        """See `cycle.Channel`."""
        self._state.total_requests += 1
        self._patience.begin_idling(self.loop.time())
        if not cycle.keep_alive:
            self._waiting.clear()
            self._transport.close()
            return
        if self._is_paused:
            self.read_on()
        if self._waiting or self._refusal is not None:
            self.loop.call_soon(self._start_waiting)

    def break_off(self, *, shows: bool) -> None:
        """See `cycle.Channel`."""
        if shows:
            self._transport.close()
        else:
            self._transport.abort()

    def keep(self, task: "asyncio.Task[None]") -> None:
        """See `cycle.Channel`."""
        self._state.tasks.add(task)
        task.add_done_callback(self._state.tasks.discard)

    @property
    def _is_full(self) -> bool:
        """More has arrived than is processed: of the body, or requests behind the one that is being answered."""
        return (
            bool(self._waiting)
            or self._refusal is not None
            or (self._incoming is not None and not self._incoming.is_complete and self._incoming.body.is_full)
        )

    def _wait_for_turn(self, cycle: Cycle) -> None:
        if len(self._waiting) == MAX_WAITING:
            raise Unreadable(429, f"more than {MAX_WAITING} requests wait for their responses")
        self._waiting.append(cycle)

    def _start_waiting(self) -> None:
        """Begin requests in their order, each after the one before has been answered and the client is not behind."""
        while self._current is None or self._current.is_complete:
            if self._transport.is_closing():
                return
            if self._waiting and not self.is_behind:
                self._current = self._waiting.popleft()
                self._current.run(self._app)
                if self._current is self._broken:
                    self._current = None
                elif not self._waiting and self._refusal is None:
                    break
            elif self._refusal is not None and not self._waiting:
                self._transport.write(self._refusal.answer())
                self._transport.close()
            else:
                break
        if self._is_paused:
            self.read_on()

    def _give_up_reading(self, error: Unreadable) -> None:
        """The bytes are not a request. Answer those before it, then send the error and close the connection."""
        log.info("unreadable request", client=self._client, status=error.status, reason=str(error))
        broken, self._incoming = self._incoming, None
        self._refusal = error
        if broken is not None and broken.has_begun:  # the client already gets its response
            self._transport.close()
        elif broken is not None:
            broken.lose_client()  # the received part of its body may still be useful
            self._broken = broken
            self._current = None if broken is self._current else self._current

    def _lose_client(self) -> None:
        """Tell all requests that the client has disconnected."""
        for cycle in {self._current, self._incoming, *self._waiting}:
            if cycle is not None:
                cycle.lose_client()
        self._waiting.clear()

    def _check_time(self) -> None:
        """Close a connection on which no request has begun for too long (its head may have), or one has stalled."""
        current = self._current
        rest_s = self._patience.decide(
            self.loop.time(),
            is_idle=current is None or current.is_complete,
            waits=current is not None and current is self._incoming and current.body.is_awaited,
            has_moved=self._has_moved,
        )
        self._has_moved = False
        if rest_s > 0:
            self._timer = self.loop.call_later(rest_s, self._check_time)
        else:
            self._transport.close()


def _name(peer: tuple[Any, ...]) -> tuple[str, int]:
    """Address and port. An IPv4 client of an IPv6 socket is shown as IPv4, so that logs and rules have one name."""
    host = str(peer[0])
    return host.removeprefix(_IPV4_MAPPED) if "." in host else host, int(peer[1])
