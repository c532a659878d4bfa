"""Connections as uvicorn makes them, over real sockets."""

import asyncio
import datetime as dt
import gc
import socket
import ssl
import weakref
from pathlib import Path

import uvicorn
from uvicorn.server import ServerState

from authproxy.asgi import Receive, Scope, Send, respond
from authproxy.certificates import load_tls, make_certificates
from authproxy.http1.connection import Connection
from authproxy.http1.loop import Loop


def connect(port: int, tls: ssl.SSLContext) -> ssl.SSLSocket:
    return tls.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=30), server_hostname="localhost")


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, 200, [("Content-Length", "2")], b"{}")


def ask_and_leave(port: int, tls: ssl.SSLContext) -> None:
    with connect(port, tls) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 200")


def test_a_connection_that_broke_off_holds_no_memory(tmp_path: Path) -> None:
    """Not for the length of the keep-alive timeout, and not until the garbage collector comes by."""
    make_certificates(tmp_path, ["localhost"], now=dt.datetime.now(dt.UTC))
    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(leave_five_times(tmp_path))


async def leave_five_times(certificates: Path) -> None:
    server_tls = load_tls(certificates / "server.pem", certificates / "server.key")
    client_tls = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    config = uvicorn.Config(answer, ws="none", lifespan="off", log_config=None, timeout_keep_alive=120)
    config.load()
    state, made = ServerState(), []

    def make() -> Connection:
        connection = Connection(config, state, {})
        made.append(weakref.ref(connection))
        return connection

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
