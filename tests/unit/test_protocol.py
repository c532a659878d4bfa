"""The seam between uvicorn's and asyncio's insides and us: it must show when they change."""

import asyncio
import contextlib
import datetime as dt
import gc
import socket
import ssl
import weakref
from pathlib import Path

import pytest
import uvicorn
from uvicorn.server import ServerState

from authproxy.asgi import Receive, Scope, Send, respond
from authproxy.certificates import load_tls, make_certificates
from authproxy.protocol import Protocol, _unsent_bytes

# More than the kernel's buffers on both sides hold.
CONTENT = bytes(32 * 1024 * 1024)


def connect(port: int, tls: ssl.SSLContext | None) -> socket.socket:
    plain = socket.create_connection(("127.0.0.1", port), timeout=30)
    return tls.wrap_socket(plain, server_hostname="localhost") if tls else plain


def take_all(client: socket.socket) -> None:
    left = len(CONTENT)
    while left:
        left -= len(client.recv(1 << 20))


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "TLS"])
async def test_what_a_slow_client_has_not_taken_is_seen(tmp_path: Path, *, encrypted: bool) -> None:
    server_tls, client_tls = None, None
    if encrypted:
        make_certificates(tmp_path, ["localhost"], now=dt.datetime.now(dt.UTC))
        server_tls = load_tls(tmp_path / "server.pem", tmp_path / "server.key")
        client_tls = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    accepted: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
    server = await asyncio.start_server(lambda _, writer: accepted.put_nowait(writer), "127.0.0.1", 0, ssl=server_tls)
    client = await asyncio.to_thread(connect, server.sockets[0].getsockname()[1], client_tls)
    with contextlib.closing(client):
        writer = await accepted.get()
        writer.write(CONTENT)
        await asyncio.sleep(0)
        assert _unsent_bytes(writer.transport) > 0
        await asyncio.to_thread(take_all, client)
        assert _unsent_bytes(writer.transport) == 0
        writer.transport.abort()
    server.close()


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, 200, [("Content-Length", "2")], b"{}")


def ask_and_leave(port: int, tls: ssl.SSLContext) -> None:
    with connect(port, tls) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 200")


async def test_a_connection_that_broke_off_holds_no_memory(tmp_path: Path) -> None:
    """Not for the length of the keep-alive timeout, and not until the garbage collector comes by."""
    make_certificates(tmp_path, ["localhost"], now=dt.datetime.now(dt.UTC))
    server_tls = load_tls(tmp_path / "server.pem", tmp_path / "server.key")
    client_tls = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    config = uvicorn.Config(answer, ws="none", lifespan="off", log_config=None, timeout_keep_alive=120)
    config.load()
    state, made = ServerState(), []

    def make() -> Protocol:
        protocol = Protocol(config, state, {})
        made.append(weakref.ref(protocol))
        return protocol

    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0, ssl=server_tls)
    gc.disable()
    try:
        for _ in range(5):
            await asyncio.to_thread(ask_and_leave, server.sockets[0].getsockname()[1], client_tls)
        for _ in range(500):
            if not any(ref() for ref in made):
                break
            await asyncio.sleep(0.01)
        assert [ref() for ref in made] == [None] * 5
    finally:
        gc.enable()
        server.close()
