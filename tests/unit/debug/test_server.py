"""The debug port on real sockets of loopback."""

import asyncio
import signal
import socket
import ssl
import time

import httpx
import pytest
from structlog.testing import capture_logs

from authproxy.asgi import Receive, Scope, Send, respond
from authproxy.debug import server
from authproxy.debug.server import serve_debug


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, 200, [("Content-Length", "5")], b"hello")


def listening() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def url_of(bound: socket.socket) -> str:
    return f"http://127.0.0.1:{bound.getsockname()[1]}/"


def client_without_tls() -> httpx.AsyncClient:
    return httpx.AsyncClient(verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), trust_env=False)


async def test_every_socket_is_served_for_the_length_of_the_block() -> None:
    sockets = [listening(), listening()]
    urls = [url_of(bound) for bound in sockets]
    async with client_without_tls() as client:
        async with serve_debug(hello, sockets):
            assert [(await client.get(url)).text for url in urls] == ["hello", "hello"]
        for url in urls:
            with pytest.raises(httpx.ConnectError):
                await client.get(url)


async def test_signals_stay_with_who_had_them() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with listening() as bound:
        async with serve_debug(hello, [bound]), client_without_tls() as client:
            await client.get(url_of(bound))
            assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


async def test_a_scraper_that_keeps_its_connection_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "DRAIN_S", 60)
    bound = listening()
    async with client_without_tls() as client:
        async with serve_debug(hello, [bound]):
            await client.get(url_of(bound))
            begun = time.monotonic()
        assert time.monotonic() - begun < 30


async def test_an_answer_that_never_ends_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "DRAIN_S", 0.05)
    asked = asyncio.Event()

    async def stuck(scope: Scope, receive: Receive, send: Send) -> None:
        asked.set()
        await asyncio.Event().wait()

    bound = listening()
    async with asyncio.TaskGroup() as tasks, client_without_tls() as client:
        async with serve_debug(stuck, [bound]):
            scrape = tasks.create_task(client.get(url_of(bound)))
            await asked.wait()
        assert (await scrape).status_code == 500


async def test_without_sockets_there_is_nothing_to_serve() -> None:
    async with serve_debug(hello, []):
        assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_fault_of_this_server_is_logged_and_harms_nothing_else() -> None:
    closed = listening()
    closed.close()
    with capture_logs() as logs:
        async with serve_debug(hello, [closed]):
            await asyncio.sleep(0)
    assert [(line["event"], line["task"]) for line in logs] == [("a background task ended", "debug server")]
