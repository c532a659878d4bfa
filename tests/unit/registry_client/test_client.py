import asyncio
import itertools
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from authproxy.access import pull
from authproxy.registry_client import retry as again
from authproxy.registry_client.client import MAX_ANSWER_BYTES, RegistryClient, open_registry
from authproxy.registry_client.docker_config import Login
from authproxy.registry_client.errors import RegistryClientError, refused
from authproxy.registry_client.trust import Trust, tls_context
from authproxy.this_machine import is_loopback

NEEDS = (pull("a"),)
Turn = httpx.Response | Exception


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(again, "FIRST_PAUSE_S", 0.001)


class Registry:
    """What it was asked, and what it answers, in turn; the last answer stays."""

    def __init__(self, *turns: Callable[[], Turn], host: str = "a.b", login: Login | None = None) -> None:
        self.asked: list[httpx.Request] = []
        self._turns = itertools.chain(turns, itertools.repeat(turns[-1]))
        http = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))
        self.client = RegistryClient(host, http, login, Trust(), lambda: 0.0)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        turn = next(self._turns)()
        if isinstance(turn, Exception):
            raise turn
        return turn

    async def get(self) -> httpx.Response:
        return await self.client.ask("GET", await self.client.address("/v2/a/tags/list"), NEEDS)


def ok() -> httpx.Response:
    return httpx.Response(200, json={"tags": []})


def unauthorized() -> httpx.Response:
    return httpx.Response(401, headers={"www-authenticate": 'Bearer realm="https://a.b/token"'})


def token() -> httpx.Response:
    return httpx.Response(200, json={"token": "t"})


class BreaksOff(httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"{"
        raise httpx.ReadError("broke off")


def cut() -> httpx.Response:
    return httpx.Response(200, stream=BreaksOff())


async def test_answer_that_breaks_off_is_asked_for_again() -> None:
    registry = Registry(cut, cut, ok)
    assert (await registry.get()).json() == {"tags": []}
    assert len(registry.asked) == 3


async def test_401_is_answered_once_and_the_token_used_from_then_on() -> None:
    registry = Registry(unauthorized, token, ok)
    await registry.get()
    await registry.get()
    assert [request.headers.get("authorization") for request in registry.asked] == [None, None, "Bearer t", "Bearer t"]


async def test_401_to_a_token_is_the_answer() -> None:
    registry = Registry(unauthorized, token, unauthorized)
    answer = await registry.get()
    assert answer.status_code == 401
    assert str(refused(answer, "a.b/a")) == "a.b/a: HTTP 401 (not logged in: use docker login, or --user)"


async def test_stream_is_not_sent_again_and_the_next_one_is_authorized() -> None:
    registry = Registry(unauthorized, token, ok)

    async def pieces() -> AsyncIterator[bytes]:
        yield b"content"

    url = await registry.client.address("/v2/a/blobs/uploads/1")
    for status in (401, 200):
        answer = await registry.client.send_once("PATCH", url, NEEDS, content=pieces())
        assert answer.status_code == status
    assert registry.asked[-1].headers["authorization"] == "Bearer t"


@pytest.mark.parametrize(
    "address", ["https://evil.org/v2/x", "http://a.b/v2/x", "https://a.b:8443/v2/x"], ids=["host", "scheme", "port"]
)
async def test_token_is_not_told_elsewhere(address: str) -> None:
    registry = Registry(unauthorized, token, ok, login=Login("alice", "secret"))
    await registry.get()
    await registry.client.ask("GET", httpx.URL(address), NEEDS)
    assert "authorization" not in registry.asked[-1].headers


async def test_redirect_to_storage_goes_without_the_token() -> None:
    redirect = httpx.Response(307, headers={"location": "https://storage.c/x"})
    registry = Registry(unauthorized, token, lambda: redirect, ok)
    assert (await registry.get()).status_code == 200
    assert (registry.asked[-1].url.host, "authorization" in registry.asked[-1].headers) == ("storage.c", False)


async def test_circle_of_redirects_is_told() -> None:
    registry = Registry(lambda: httpx.Response(307, headers={"location": "/v2/a/tags/list"}))
    with pytest.raises(RegistryClientError, match=r"a\.b redirected more than 20 times"):
        await registry.get()


async def test_answer_without_end_is_not_gathered() -> None:
    registry = Registry(lambda: httpx.Response(200, content=bytes(MAX_ANSWER_BYTES + 1)))
    with pytest.raises(RegistryClientError, match="more than 16777216 bytes"):
        await registry.get()


def failed(cause: OSError) -> httpx.ConnectError:
    error = httpx.ConnectError(str(cause))
    error.__cause__ = cause
    return error


async def test_certificate_that_is_not_believed_is_told_with_what_to_do_and_no_reason_for_http() -> None:
    registry = Registry(lambda: failed(ssl.SSLCertVerificationError("unknown authority")), host="localhost:5000")
    with pytest.raises(RegistryClientError) as caught:
        await registry.get()
    assert "--ca FILE" in str(caught.value)
    assert "/etc/docker/certs.d/localhost:5000/ca.crt" in str(caught.value)
    assert [request.url.scheme for request in registry.asked] == ["https"]


async def test_registry_that_speaks_no_tls_is_told_with_the_option() -> None:
    registry = Registry(lambda: failed(ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")))
    with pytest.raises(RegistryClientError, match="use --plain-http if it speaks only HTTP"):
        await registry.get()


HERE, ELSEWHERE = "localhost:5000", "registry.test"

# What HTTPS meets, how often it is tried, and the scheme then: on this machine, and elsewhere with --plain-http (said).
PROBES: list[tuple[str, Turn, str, int, str | None]] = [
    ("answered", httpx.Response(401), HERE, 1, "https"),
    ("no TLS", failed(ssl.SSLError("wrong version number")), HERE, 1, "http"),
    ("nobody listens", failed(ConnectionRefusedError("refused")), HERE, 1, None),
    ("closed each time", httpx.RemoteProtocolError("closed"), HERE, 3, "http"),
    ("silence", TimeoutError(), HERE, 1, "http"),
    ("answered, said", httpx.Response(401), ELSEWHERE, 1, "https"),
    ("no TLS, said", failed(ssl.SSLError("wrong version number")), ELSEWHERE, 1, "http"),
    ("nobody listens, said", failed(ConnectionRefusedError("refused")), ELSEWHERE, 1, "http"),
    ("silence, said", TimeoutError(), ELSEWHERE, 1, "http"),
]


@pytest.mark.parametrize(("met", "host", "tries", "scheme"), [row[1:] for row in PROBES], ids=[r[0] for r in PROBES])
async def test_http_is_spoken_where_https_is_not(met: Turn, host: str, tries: int, scheme: str | None) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.scheme)
        if isinstance(met, Exception):
            raise met
        return met

    http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    client = RegistryClient(host, http, None, Trust(plain_http=host == ELSEWHERE), lambda: 0.0)
    try:
        base = await client.address("/")
    except RegistryClientError as error:
        assert "cannot be reached" in str(error)
        assert scheme is None
    else:
        assert base.scheme == scheme
    assert asked == ["https"] * tries


async def test_elsewhere_https_is_not_even_looked_for() -> None:
    registry = Registry(ok)
    assert str(await registry.client.address("/v2/")) == "https://a.b/v2/"
    assert registry.asked == []


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        ("localhost", True),
        ("localhost:5000", True),
        ("127.0.0.1:5000", True),
        ("127.8.8.8", True),
        ("[::1]:5000", True),
        ("[::1]", True),
        ("app.localhost:80", True),
        ("10.0.0.1:5000", False),
        ("localhost.example.org", False),
        ("[fd00::1]:5000", False),
    ],
)
def test_this_machine_is_told_from_others(host: str, *, is_ours: bool) -> None:
    assert is_loopback(host) is is_ours


def test_certificate_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(RegistryClientError, match=f"{tmp_path}/none.pem: a certificate cannot be read"):
        tls_context("a.b", Trust(tmp_path / "none.pem"))
    (tmp_path / "a.b").mkdir()
    (tmp_path / "a.b" / "ca.crt").write_text("no certificate")
    with pytest.raises(RegistryClientError, match=f"{tmp_path}/a.b: a certificate cannot be read"):
        tls_context("a.b", Trust(certificates=tmp_path))


async def test_proxy_of_the_usual_variables_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "gopher://proxy")
    with pytest.raises(RegistryClientError, match="HTTP_PROXY, HTTPS_PROXY or ALL_PROXY has an invalid value"):
        async with open_registry("a.b", None, Trust()):
            pass
    async with open_registry("localhost:1", None, Trust()) as client:
        assert client.host == "localhost:1"
    await asyncio.sleep(0)
