"""The seam between uvicorn's and asyncio's insides and us: it must show when they change."""

import asyncio
import contextlib
import datetime as dt
import socket
import ssl
from pathlib import Path

import pytest

from authproxy.certificates import load_tls, make_certificates
from authproxy.protocol import _unsent_bytes

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
