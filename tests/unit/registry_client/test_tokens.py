import asyncio
import base64
from collections.abc import Callable

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.access import pull, push
from authproxy.registry_client import retry as again
from authproxy.registry_client.docker_config import Login
from authproxy.registry_client.errors import RemoteError
from authproxy.registry_client.tokens import Authorizer, format_basic, may_tell

HOST = "registry.example.org"
CHALLENGE = f'Bearer realm="https://{HOST}/token",service="s"'
NEEDS = (pull("a"), push("a"))

TOLD = [
    ("registry.example.org", "https://registry.example.org/token"),
    ("registry.example.org", "https://registry.example.org:5001/token"),
    ("registry.example.org", "https://auth.registry.example.org/token"),
    ("registry.example.org", "https://auth.example.org/token"),
    ("registry.gitlab.com", "https://gitlab.com/jwt/auth"),
    ("docker.io", "https://auth.docker.io/token"),
    ("localhost:5000", "http://localhost:5001/auth"),
    ("127.0.0.1:5000", "http://127.0.0.1:5001/auth"),
    ("[::1]:5000", "http://[::1]:5001/auth"),
    ("registry.team.example.co.uk", "https://auth.team.example.co.uk/token"),
]

NOT_TOLD = [
    ("registry.example.org", "https://evil.org/token"),
    ("registry.example.org", "https://registry.example.org.evil.org/token"),
    ("registry.example.org", "https://evilexample.org/token"),
    ("registry.example.org", "http://auth.example.org/token"),
    ("registry.example.org", "https://registry.example.org@evil.org/token"),
    ("registry.example.org", "https://user@registry.example.org/token"),
    ("registry.example.org", "ftp://registry.example.org/token"),
    ("registry.example.org", "/token"),
    ("registry.example.org", "https://[oops/token"),
    ("example.org", "https://other.org/token"),
    ("example.co.uk", "https://other.co.uk/token"),
    ("localhost:5000", "https://evil.localhost/token"),
    ("10.0.0.1:5000", "https://2.0.0.1/token"),
    ("[::1]:5000", "https://[::2]/token"),
]


@pytest.mark.parametrize(("host", "realm"), TOLD)
def test_own_realm_is_told_the_password(host: str, realm: str) -> None:
    assert may_tell(realm, host)


@pytest.mark.parametrize(("host", "realm"), NOT_TOLD)
def test_foreign_realm_is_not(host: str, realm: str) -> None:
    assert not may_tell(realm, host)


@given(st.text(max_size=40), st.sampled_from(["a.b", "localhost", "[::1]:5000", "a.b.co.uk"]))
def test_any_realm_is_decided(realm: str, host: str) -> None:
    assert may_tell(realm, host) in (True, False)


class Server:
    """A token server: what it was asked, and what it answers, in turn; the last answer stays."""

    def __init__(self, *answers: httpx.Response) -> None:
        self.asked: list[httpx.Request] = []
        self.answers = list(answers)
        self.now = 0.0
        self.client = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        await asyncio.sleep(0)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return httpx.Response(answer.status_code, content=answer.content, headers=answer.headers)

    def authorizer(self, login: Login | None) -> Authorizer:
        return Authorizer(HOST, login, self.client, lambda: self.now)


def token(text: str, **more: object) -> httpx.Response:
    return httpx.Response(200, json={"token": text} | more)


async def test_token_is_asked_with_basic_and_used_until_it_ends() -> None:
    server = Server(token("one", expires_in=100), token("two"))
    authorizer = server.authorizer(Login("alice", "secret"))
    assert authorizer.find(NEEDS) is None
    assert await authorizer.answer([CHALLENGE], NEEDS) == "Bearer one"
    asked = server.asked[0]
    assert asked.headers["authorization"] == format_basic("alice", "secret")
    assert asked.url.params.multi_items() == [
        ("service", "s"), ("scope", "repository:a:pull,push"), ("account", "alice"),
    ]  # fmt: skip
    server.now = 79
    assert authorizer.find(NEEDS) == "Bearer one"
    assert authorizer.find((pull("a"),)) is None
    server.now = 81
    assert authorizer.find(NEEDS) is None


async def test_identity_token_is_sent_as_a_refresh_token_and_nothing_else() -> None:
    server = Server(httpx.Response(200, json={"access_token": "one"}))
    value = await server.authorizer(Login("", identity_token="identity")).answer([CHALLENGE], NEEDS)
    assert value == "Bearer one"
    (asked,) = server.asked
    form = httpx.QueryParams(asked.content.decode())
    assert asked.method == "POST"
    assert "authorization" not in asked.headers
    assert dict(form) == {
        "grant_type": "refresh_token",
        "service": "s",
        "client_id": "authproxy",
        "scope": "repository:a:pull,push",
        "refresh_token": "identity",
    }


async def test_basic_is_answered_with_the_password_and_never_with_an_identity_token() -> None:
    server = Server(token("none"))
    basic = server.authorizer(Login("alice", "secret"))
    assert await basic.answer(['Basic realm="x"'], NEEDS) == f"Basic {base64.b64encode(b'alice:secret').decode()}"
    assert basic.find(NEEDS) == format_basic("alice", "secret")
    assert await server.authorizer(Login("", identity_token="identity")).answer(['Basic realm="x"'], NEEDS) is None
    assert await server.authorizer(None).answer(['Basic realm="x"'], NEEDS) is None
    assert await basic.answer([], NEEDS) is None
    assert server.asked == []


async def test_foreign_realm_is_refused_and_anonymous_asks_there() -> None:
    server = Server(token("one"))
    challenge = 'Bearer realm="https://evil.org/token"'
    with pytest.raises(RemoteError, match="the password stays here"):
        await server.authorizer(Login("alice", "secret")).answer([challenge], NEEDS)
    assert server.asked == []
    assert await server.authorizer(None).answer([challenge], NEEDS) == "Bearer one"


async def test_requests_that_are_refused_at_the_same_time_are_answered_by_one_token() -> None:
    server = Server(token("one"), token("two"))
    authorizer = server.authorizer(None)
    values = await asyncio.gather(*(authorizer.answer([CHALLENGE], NEEDS) for _ in range(5)))
    assert (set(values), len(server.asked)) == ({"Bearer one"}, 1)
    assert await authorizer.answer([CHALLENGE], NEEDS, refused="Bearer one") == "Bearer two"


async def test_busy_token_server_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(again, "FIRST_PAUSE_S", 0.001)
    server = Server(httpx.Response(503), httpx.Response(429, headers={"retry-after": "0"}), token("one"))
    assert await server.authorizer(None).answer([CHALLENGE], NEEDS) == "Bearer one"


ANSWERS: list[tuple[str, Callable[[], httpx.Response], str]] = [
    ("wrong password", lambda: httpx.Response(401, json={"errors": [{"code": "UNAUTHORIZED", "message": "no"}]}),
     "HTTP 401 UNAUTHORIZED: no"),
    ("no JSON", lambda: httpx.Response(200, content=b"<html>"), "the answer has none"),
    ("no token", lambda: httpx.Response(200, json={}), "the answer has none"),
    ("a list", lambda: httpx.Response(200, json=[1]), "the answer has none"),
    ("a token with a line break", lambda: token("a\r\nb"), "the answer has none"),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "why"), [row[1:] for row in ANSWERS], ids=[row[0] for row in ANSWERS])
async def test_no_token_is_told_without_the_password(answer: Callable[[], httpx.Response], why: str) -> None:
    server = Server(answer())
    with pytest.raises(RemoteError) as caught:
        await server.authorizer(Login("alice", "secret")).answer([CHALLENGE], NEEDS)
    assert why in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(Login("alice", "secret"))


async def test_registry_token_is_sent_as_it_stands_and_not_again_where_it_is_refused() -> None:
    server = Server(token("one"))
    authorizer = server.authorizer(Login("", registry_token="t"))
    assert authorizer.find(NEEDS) is None
    assert await authorizer.answer([CHALLENGE], NEEDS) == "Bearer t"
    assert authorizer.find(NEEDS) == "Bearer t"
    assert await authorizer.answer([CHALLENGE], NEEDS, refused="Bearer t") is None
    assert server.asked == []


@pytest.mark.parametrize("lifetime", ["1e999", "-1e999", "NaN", "1" + "0" * 400, "-5", "true", '"x"', "null"])
async def test_any_lifetime_is_a_minute_at_least_and_a_day_at_most(lifetime: str) -> None:
    content = f'{{"token": "one", "expires_in": {lifetime}}}'
    server = Server(httpx.Response(200, content=content), token("two"))
    authorizer = server.authorizer(None)
    assert await authorizer.answer([CHALLENGE], NEEDS) == "Bearer one"
    server.now = 40.0
    assert authorizer.find(NEEDS) == "Bearer one"
    server.now = 24 * 3600.0
    assert authorizer.find(NEEDS) is None
