"""httpx over our own HTTP, against a server that does what its behaviour says."""

import asyncio
import ssl
from collections.abc import AsyncIterator

import httpx
import pytest

from authproxy.registry_client.retry import find_cause
from authproxy.registry_client.transport import PooledTransport
from tests.support.upstream import Connection, answering, fake_upstream

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def client() -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=PooledTransport(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)), trust_env=False)


async def test_requests_go_out_with_their_bodies_and_answers_come_back() -> None:
    async with fake_upstream(answering(OK)) as server, client() as http:
        for content in (None, b"content"):
            answer = await http.post(f"{server.url}/v2/?a=b%2Fc", content=content)
            assert (answer.status_code, answer.text) == (200, "hello")
        assert len(server.connections) == 1


async def test_international_host_is_connected_to_as_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoded and encoded again, xn--strae-oqa.example would be strasse.example, which belongs to somebody else."""
    asked: list[object] = []

    async def resolve_tags(_loop: object, host: object, *_args: object, **_options: object) -> list[object]:
        asked.append(host)
        raise OSError("no such host")

    monkeypatch.setattr(type(asyncio.get_running_loop()), "getaddrinfo", resolve_tags)
    async with client() as http:
        with pytest.raises(httpx.ConnectError):
            await http.get("http://xn--strae-oqa.example/v2/")
    assert asked == ["xn--strae-oqa.example"]


async def test_answer_in_the_middle_of_a_body_is_read_and_ends_the_sending() -> None:
    async def refuse(connection: Connection) -> None:
        await connection.read_head()
        await connection.send(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno")

    sent = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1000):
            sent += 1
            yield bytes(100_000)

    async with fake_upstream(refuse) as server, client() as http:
        answer = await http.put(server.url, content=pieces(), headers={"Content-Length": "100000000"})
        assert (answer.status_code, answer.text) == (401, "no")
    assert sent < 1000


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"", httpx.RemoteProtocolError),
        (b"no HTTP\r\n\r\n", httpx.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", httpx.RemoteProtocolError),
    ],
    ids=["nothing", "garbage", "too short"],
)
async def test_what_is_no_answer_is_httpxs_own_error(answer: bytes, kind: type[Exception]) -> None:
    async def behave(connection: Connection) -> None:
        await connection.read_request()
        await connection.send(answer)

    async with fake_upstream(behave) as server, client() as http:
        with pytest.raises(kind):
            await http.get(server.url)


async def test_nobody_there_is_a_connect_error_that_knows_why() -> None:
    async with fake_upstream(answering(OK)) as server:
        pass
    async with client() as http:
        with pytest.raises(httpx.ConnectError) as caught:
            await http.get(server.url)
        assert find_cause(caught.value, ConnectionRefusedError) is not None
        with pytest.raises(httpx.UnsupportedProtocol):
            await http.get("ftp://localhost/")
