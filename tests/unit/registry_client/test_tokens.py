import asyncio
import base64
from collections.abc import Callable
from operator import attrgetter

import httpx
import pytest

from authproxy.access import pull, push
from authproxy.http.client.address import parse_address
from authproxy.http.client.challenge import format_basic
from authproxy.http.client.token import MAX_ANSWER_BYTES
from authproxy.registry_client import retry as again
from authproxy.registry_client.docker_config import Login
from authproxy.registry_client.errors import RegistryClientError
from authproxy.registry_client.tokens import Authorizer
from tests.support.realms import REALMS, Realm

HOST = "registry.example.org"
CHALLENGE = f'Bearer realm="https://{HOST}/token",service="s"'
NEEDS = (pull("a"), push("a"))

REGISTRY = parse_address(f"https://{HOST}")


class Server:
    """A token server: what it was asked, and what it answers, in turn; the last answer stays."""

    def __init__(self, *answers: httpx.Response) -> None:
        self.asked: list[httpx.Request] = []
        self.answers = list(answers)
        self.now = 0.0
        self.client = httpx.AsyncClient(transport=httpx.MockTransport(self._answer), follow_redirects=True)

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
    assert await authorizer.answer(REGISTRY, [CHALLENGE], NEEDS) == "Bearer one"
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
    value = await server.authorizer(Login("", identity_token="identity")).answer(REGISTRY, [CHALLENGE], NEEDS)
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
    assert (
        await basic.answer(REGISTRY, ['Basic realm="x"'], NEEDS)
        == f"Basic {base64.b64encode(b'alice:secret').decode()}"
    )
    assert basic.find(NEEDS) == format_basic("alice", "secret")
    assert (
        await server.authorizer(Login("", identity_token="identity")).answer(REGISTRY, ['Basic realm="x"'], NEEDS)
        is None
    )
    assert await server.authorizer(None).answer(REGISTRY, ['Basic realm="x"'], NEEDS) is None
    assert await basic.answer(REGISTRY, [], NEEDS) is None
    assert server.asked == []


async def test_foreign_realm_is_refused_and_anonymous_asks_there() -> None:
    server = Server(token("one"))
    challenge = 'Bearer realm="https://evil.org/token"'
    with pytest.raises(RegistryClientError, match="the password is not sent"):
        await server.authorizer(Login("alice", "secret")).answer(REGISTRY, [challenge], NEEDS)
    assert server.asked == []
    assert await server.authorizer(None).answer(REGISTRY, [challenge], NEEDS) == "Bearer one"


@pytest.mark.parametrize("row", [row for row in REALMS if row.client], ids=attrgetter("what"))
async def test_own_realm_is_told_the_password(row: Realm) -> None:
    server = Server(token("one"))
    authorizer = server.authorizer(Login("alice", "secret"))
    assert await authorizer.answer(parse_address(row.registry), [challenge_to(row)], NEEDS) == "Bearer one"
    (asked,) = server.asked
    assert asked.headers["authorization"] == format_basic("alice", "secret")


LOGINS = [Login("alice", "secret"), Login("", identity_token="secret")]


@pytest.mark.parametrize("login", LOGINS, ids=["password", "identity token"])
@pytest.mark.parametrize("row", [row for row in REALMS if not row.client], ids=attrgetter("what"))
async def test_foreign_realm_is_not(row: Realm, login: Login) -> None:
    server = Server(token("one"))
    with pytest.raises(RegistryClientError, match="the password is not sent"):
        await server.authorizer(login).answer(parse_address(row.registry), [challenge_to(row)], NEEDS)
    assert server.asked == []


def challenge_to(row: Realm) -> str:
    return 'Bearer realm="{}"'.format(row.realm.replace("\\", r"\\"))


async def test_redirect_of_a_realm_is_not_followed() -> None:
    server = Server(httpx.Response(307, headers={"location": "https://evil.org/token"}), token("evil's"))
    with pytest.raises(RegistryClientError, match="HTTP 307"):
        await server.authorizer(Login("alice", "secret")).answer(REGISTRY, [CHALLENGE], NEEDS)
    assert [request.url.host for request in server.asked] == [HOST]


async def test_answer_that_is_too_large_is_refused() -> None:
    server = Server(token("x" * MAX_ANSWER_BYTES))
    with pytest.raises(RegistryClientError, match=f"more than {MAX_ANSWER_BYTES} bytes"):
        await server.authorizer(None).answer(REGISTRY, [CHALLENGE], NEEDS)


async def test_requests_that_are_refused_at_the_same_time_are_answered_by_one_token() -> None:
    server = Server(token("one"), token("two"))
    authorizer = server.authorizer(None)
    values = await asyncio.gather(*(authorizer.answer(REGISTRY, [CHALLENGE], NEEDS) for _ in range(5)))
    assert (set(values), len(server.asked)) == ({"Bearer one"}, 1)
    assert await authorizer.answer(REGISTRY, [CHALLENGE], NEEDS, refused="Bearer one") == "Bearer two"


async def test_busy_token_server_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(again, "FIRST_PAUSE_S", 0.001)
    server = Server(httpx.Response(503), httpx.Response(429, headers={"retry-after": "0"}), token("one"))
    assert await server.authorizer(None).answer(REGISTRY, [CHALLENGE], NEEDS) == "Bearer one"


ANSWERS: list[tuple[str, Callable[[], httpx.Response], str]] = [
    ("wrong password", lambda: httpx.Response(401, json={"errors": [{"code": "UNAUTHORIZED", "message": "no"}]}),
     "HTTP 401 UNAUTHORIZED: no"),
    ("no JSON", lambda: httpx.Response(200, content=b"<html>"), "the response has none"),
    ("no token", lambda: httpx.Response(200, json={}), "the response has none"),
    ("a list", lambda: httpx.Response(200, json=[1]), "the response has none"),
    ("a token with a line break", lambda: token("a\r\nb"), "the response has none"),
    ("an empty token", lambda: token(""), "the response has none"),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "why"), [row[1:] for row in ANSWERS], ids=[row[0] for row in ANSWERS])
async def test_no_token_is_told_without_the_password(answer: Callable[[], httpx.Response], why: str) -> None:
    server = Server(answer())
    with pytest.raises(RegistryClientError) as caught:
        await server.authorizer(Login("alice", "secret")).answer(REGISTRY, [CHALLENGE], NEEDS)
    assert why in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(Login("alice", "secret"))


async def test_registry_token_is_sent_as_it_stands_and_not_again_where_it_is_refused() -> None:
    server = Server(token("one"))
    authorizer = server.authorizer(Login("", registry_token="t"))
    assert authorizer.find(NEEDS) is None
    assert await authorizer.answer(REGISTRY, [CHALLENGE], NEEDS) == "Bearer t"
    assert authorizer.find(NEEDS) == "Bearer t"
    assert await authorizer.answer(REGISTRY, [CHALLENGE], NEEDS, refused="Bearer t") is None
    assert server.asked == []


@pytest.mark.parametrize("lifetime", ["1e999", "-1e999", "NaN", "1" + "0" * 400, "-5", "true", '"x"', "null"])
async def test_any_lifetime_is_a_minute_at_least_and_a_day_at_most(lifetime: str) -> None:
    content = f'{{"token": "one", "expires_in": {lifetime}}}'
    server = Server(httpx.Response(200, content=content), token("two"))
    authorizer = server.authorizer(None)
    assert await authorizer.answer(REGISTRY, [CHALLENGE], NEEDS) == "Bearer one"
    server.now = 40.0
    assert authorizer.find(NEEDS) == "Bearer one"
    server.now = 24 * 3600.0
    assert authorizer.find(NEEDS) is None
