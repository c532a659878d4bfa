"""The seam to asyncio's insides: its servers accept by our method, and everything it counts comes out even."""

import asyncio
import errno
import socket
import ssl
import time
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from authproxy.http.server import loop as module
from authproxy.http.server.loop import ACCEPTS_A_TURN, RETRY_S, Loop
from authproxy.http.server.tls import TlsTransport
from authproxy.http.server.transport import SocketTransport
from authproxy.log.alarms import Alarms
from tests.support.http1 import LoopThread, Tls, running


class Echo(asyncio.Protocol):
    """A protocol of asyncio's other kind."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        assert not isinstance(transport, SocketTransport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)
        self.transport.close()


def test_protocols_of_the_other_kind_get_asyncios_own(maybe_tls: Tls | None) -> None:
    with running(LoopThread(Echo, maybe_tls)) as server, server.connect() as client:
        client.sendall(b"x")
        assert client.recv(10) == b"x"


class Buffered(asyncio.BufferedProtocol):
    """A protocol of our kind, which notes its transport."""

    made: list[Any]

    @classmethod
    async def wait_for(cls, count: int) -> None:
        """Until so many have been made."""
        while len(cls.made) < count:  # noqa: ASYNC110 - an event would have to belong to each loop
            await asyncio.sleep(0.002)

    def __init__(self) -> None:
        self.buffer = bytearray(100)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.made.append(transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return memoryview(self.buffer)


@pytest.fixture(autouse=True)
def _anew() -> None:
    Buffered.made = []


@pytest.mark.parametrize(
    "arguments", [{}, {"ssl_handshake_timeout": 5.0, "ssl_shutdown_timeout": 5.0}], ids=["", "limits"]
)
def test_create_server_accepts_by_our_method(tls: Tls, arguments: dict[str, Any]) -> None:
    """What fails here when another version of Python calls another method, or this one with other arguments."""
    calls: list[tuple[Any, ...]] = []

    class Watched(Loop):
        def _accept_connection(self, *args: Any, **kwargs: Any) -> None:
            calls.append(args)
            assert kwargs == {}
            super()._accept_connection(*args, **kwargs)

    async def check() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Buffered, "127.0.0.1", 0, ssl=tls.server, backlog=7, **arguments)
        port = server.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls.client(), server_hostname="localhost")
        writer.close()
        factory, listening, context, given, backlog, *limits = calls[0]
        assert (factory, context, given, backlog) == (Buffered, tls.server, server, 7)
        assert isinstance(listening, socket.socket)
        assert len(limits) == 2
        server.close()
        await server.wait_closed()

    with asyncio.Runner(loop_factory=Watched) as runner:
        runner.run(check())
    assert [type(transport) for transport in Buffered.made] == [TlsTransport]


def test_clients_of_the_loop_are_asyncios_own(tls: Tls) -> None:
    with running(LoopThread(Buffered, tls)) as server, server.connect(plain=True):

        async def check() -> list[type]:
            kinds = []
            for context in (None, tls.client()):
                transport, _ = await asyncio.get_running_loop().create_connection(
                    Buffered, "127.0.0.1", server.port, ssl=context, server_hostname="localhost" if context else None
                )
                kinds.append(type(transport))
                transport.abort()
            return kinds

        with asyncio.Runner(loop_factory=Loop) as runner:
            assert not any(issubclass(kind, SocketTransport) for kind in runner.run(check()))


def test_the_server_counts_its_connections_and_waits_for_them(maybe_tls: Tls | None) -> None:
    with running(LoopThread(Buffered, maybe_tls)) as server:
        with server.connect():
            server.wait(lambda: Buffered.made)
        server.wait(Buffered.made[0].is_closing)
        server.call(server.server.close)
        waited = asyncio.run_coroutine_threadsafe(server.server.wait_closed(), server.loop)
        waited.result(10)


def test_a_loop_that_a_signal_has_left_half_made_can_be_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As its end does: an error there would be a traceback in the log."""

    def end(_: object) -> None:
        raise SystemExit(0)

    monkeypatch.setattr(Loop, "_make_self_pipe", end)
    half_made = Loop.__new__(Loop)
    with pytest.raises(SystemExit):
        half_made.__init__()  # type: ignore[misc]  # as `Loop()`, which would return nothing here
    half_made.close()
    half_made._selector.close()  # type: ignore[attr-defined]
    half_made._closed = True  # type: ignore[attr-defined]


def test_a_unix_socket_is_served_too(tls: Tls, tmp_path: Any) -> None:
    async def check() -> None:
        loop = asyncio.get_running_loop()
        path = str(tmp_path / "socket")
        for count, context in enumerate((None, tls)):
            server = await loop.create_unix_server(Buffered, path, ssl=context.server if context else None)
            client = context.client() if context else None
            _, writer = await asyncio.open_unix_connection(
                path, ssl=client, server_hostname="localhost" if client else None
            )
            await Buffered.wait_for(count + 1)
            writer.close()
            server.close()
        assert len(Buffered.made) == 2
        assert [transport.get_extra_info("sockname") for transport in Buffered.made] == [path, path]

    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(check())


class Exhausted(socket.socket):
    """A listening socket of a process that has no descriptor left, until it has."""

    errors: list[int]
    accepted = 0

    def accept(self) -> tuple[socket.socket, Any]:
        if self.errors:
            raise OSError(self.errors.pop(0), "no room")
        self.accepted += 1
        return super().accept()


@pytest.fixture
def listening() -> Iterator[Exhausted]:
    with Exhausted() as made:
        made.bind(("127.0.0.1", 0))
        made.errors = []
        yield made


@pytest.mark.parametrize("error", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_where_no_descriptor_is_left_it_waits_a_little_and_says_so_once(
    listening: Exhausted, error: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.05)
    monkeypatch.setattr(module, "sound", Alarms().sound)
    listening.errors = [error, error]

    async def check() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Buffered, sock=listening)
        with socket.create_connection(listening.getsockname()):
            begun = time.monotonic()
            await Buffered.wait_for(1)
            assert time.monotonic() - begun >= 0.1
        server.close()

    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(check())
    assert capsys.readouterr().out.count("no more connections can be accepted") == 1


def test_a_server_that_ends_while_it_waits_is_not_begun_anew(
    listening: Exhausted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.01)
    listening.errors = [errno.EMFILE]
    faults: list[Any] = []

    async def check() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: faults.append(context))
        server = await loop.create_server(Buffered, sock=listening)
        with socket.create_connection(listening.getsockname()):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert listening.errors == []
            server.close()
            await asyncio.sleep(0.05)

    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(check())
    assert (faults, Buffered.made) == ([], [])


def test_another_error_of_accepting_is_told_and_no_end(listening: Exhausted) -> None:
    listening.errors = [errno.EPROTO]
    faults: list[Any] = []

    async def check() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: faults.append(context["exception"]))
        server = await loop.create_server(Buffered, sock=listening)
        with socket.create_connection(listening.getsockname()):
            await Buffered.wait_for(1)
        server.close()

    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(check())
    assert [error.errno for error in faults] == [errno.EPROTO]


def test_many_that_come_at_once_are_accepted_by_turns(listening: Exhausted) -> None:
    async def check() -> int:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Buffered, sock=listening, backlog=1000, start_serving=False)
        listening.listen(1000)
        clients = [socket.create_connection(listening.getsockname()) for _ in range(ACCEPTS_A_TURN + 10)]
        await server.start_serving()
        first = listening.accepted
        for _ in range(3):  # turns of the loop, of which one accepts
            await asyncio.sleep(0)
            first = first or listening.accepted
        await Buffered.wait_for(len(clients))
        for client in clients:
            client.close()
        server.close()
        return first

    with asyncio.Runner(loop_factory=Loop) as runner:
        assert runner.run(check()) == ACCEPTS_A_TURN


def test_a_peer_that_has_gone_before_it_was_accepted_is_no_fault(maybe_tls: Tls | None) -> None:
    faults: list[Any] = []

    async def check() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: faults.append(context))
        server = await loop.create_server(Buffered, "127.0.0.1", 0, ssl=maybe_tls.server if maybe_tls else None)
        for _ in range(20):
            client = socket.create_connection(server.sockets[0].getsockname())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
            client.close()
        await asyncio.sleep(0.05)
        server.close()

    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        with asyncio.Runner(loop_factory=Loop) as runner:
            runner.run(check())
    assert faults == []


def test_a_loop_that_ends_closes_what_it_accepted(maybe_tls: Tls | None) -> None:
    with running(LoopThread(Buffered, maybe_tls)) as server:
        client = server.connect()
        server.wait(lambda: Buffered.made)
        accepted = list(server.loop._accepted)
    assert [made.fileno() for made in accepted] == [-1]
    with pytest.raises((ConnectionResetError, ssl.SSLError)) if maybe_tls else warnings.catch_warnings():
        assert client.recv(1) == b""
    client.close()
    assert RETRY_S > 0
