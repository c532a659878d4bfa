"""Tokens for the upstream: fetched from its realm, used until they end, and never asked for at somebody else's."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Sequence
from operator import attrgetter
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from authproxy.access import Access, pull, push
from authproxy.errors import GatewayFailed
from authproxy.http.client.address import parse_addresses
from authproxy.http.client.challenge import Challenge
from authproxy.http.client.token import Token, read_token
from authproxy.proxy.bearer import Bearer, TokenServer, check_realm
from authproxy.proxy.credentials import FixedBasic
from authproxy.proxy.upstream import Upstream
from tests.support.realms import ALLOWED, REALMS, Realm
from tests.support.upstream import Connection, FakeUpstream, answering, fake_upstream, front_door

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Registry:
    """A registry that wants tokens, and its token server, on one port or two."""

    def __init__(self) -> None:
        self.realm = ""
        self.token = "t1"
        self.status = 200
        self.asked: list[tuple[dict[str, list[str]], str]] = []  # of the token server: its query, and who
        self.served: list[str] = []  # what came with which token

    async def __call__(self, connection: Connection) -> None:
        while True:
            head, _ = await connection.read_request()
            line, *headers = head.decode().split("\r\n")
            method, target, _ = line.split(" ")
            pairs = dict(header.lower().split(": ", 1) for header in headers if ": " in header)
            authorization = next((h.split(": ", 1)[1] for h in headers if h.lower().startswith("authorization:")), "")
            if urlsplit(target).path == "/token":
                await connection.send(self._answer_token(target, authorization))
            elif authorization == f"Bearer {self.token}":
                self.served.append(f"{method} {target}")
                await connection.send(OK)
            else:
                challenge = f'Bearer realm="{self.realm}",service="reg"'
                await connection.send(
                    f"HTTP/1.1 401 No\r\nWWW-Authenticate: {challenge}\r\nContent-Length: 0\r\n\r\n".encode()
                )
            if pairs.get("connection") == "close":
                return

    def _answer_token(self, target: str, authorization: str) -> bytes:
        query: dict[str, list[str]] = {}
        for name, value in parse_qsl(urlsplit(target).query):
            query.setdefault(name, []).append(value)
        self.asked.append((query, authorization))
        body = json.dumps({"token": self.token, "expires_in": 100}).encode()
        return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (self.status, len(body), body)


class Setting:
    """A registry, and us in front of it."""

    def __init__(self, registry: Registry, fake: FakeUpstream, clock: Clock) -> None:
        self.registry = registry
        self.fake = fake
        self.clock = clock

    async def ask(self, method: str, path: str, **options: object) -> int:
        addresses = parse_addresses([self.fake.url])
        server = TokenServer(addresses, tls=None, **options)  # type: ignore[arg-type]  # a test's own
        return await self.ask_with(Bearer(server.fetch, self.clock), method, path)

    async def ask_with(self, bearer: Bearer, *calls: str) -> int:
        backend = Upstream(self.fake.url, credentials=bearer)
        async with front_door(backend) as front, front.client() as client:
            status = 0
            for method, path in zip(calls[::2], calls[1::2], strict=True):
                status = (await client.request(method, path, headers={"Authorization": "Bearer clients"})).status_code
            return status

    def bearer(self) -> Bearer:
        return Bearer(TokenServer(parse_addresses([self.fake.url]), tls=None).fetch, self.clock)


@pytest.fixture
async def setting() -> AsyncIterator[Setting]:
    registry = Registry()
    async with fake_upstream(registry) as fake:
        registry.realm = f"{fake.url}/token?x=y"
        yield Setting(registry, fake, Clock())


async def test_token_is_fetched_for_what_the_request_needs(setting: Setting, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret")
    login = FixedBasic("robot", tmp_path / "password")
    assert await setting.ask("POST", "/v2/team/app/blobs/uploads/", login=login) == 200
    query, who = setting.registry.asked[0]
    assert query == {"x": ["y"], "service": ["reg"], "scope": ["repository:team/app:pull,push"]}
    assert who == login.value.decode()
    assert setting.registry.served == ["POST /v2/team/app/blobs/uploads/"]


async def test_without_a_password_it_is_fetched_as_nobody(setting: Setting) -> None:
    assert await setting.ask("GET", "/v2/") == 200
    assert setting.registry.asked == [({"x": ["y"], "service": ["reg"]}, "")]


async def test_token_is_used_until_most_of_its_life_is_over(setting: Setting) -> None:
    bearer = setting.bearer()
    await setting.ask_with(bearer, *["GET", "/v2/a/tags/list"] * 3)
    setting.clock.now += 79
    await setting.ask_with(bearer, "GET", "/v2/a/tags/list", "GET", "/v2/b/tags/list")
    assert len(setting.registry.asked) == 2
    setting.clock.now += 2
    await setting.ask_with(bearer, "GET", "/v2/a/tags/list")
    assert len(setting.registry.asked) == 3


async def test_token_that_is_refused_is_replaced_and_the_request_repeated(setting: Setting) -> None:
    bearer = setting.bearer()
    await setting.ask_with(bearer, "GET", "/v2/")
    setting.clock.now += 10
    setting.registry.token = "t2"
    assert await setting.ask_with(bearer, "DELETE", "/v2/a/manifests/b", "GET", "/v2/") == 200
    assert len(setting.registry.served) == 3


async def test_token_that_is_refused_at_once_is_a_gateway_error(setting: Setting) -> None:
    async def wrong(needs: Sequence[Access]) -> Token:
        return Token("wrong", 100)

    assert await setting.ask_with(Bearer(wrong, setting.clock), "GET", "/v2/") == 502


@pytest.mark.parametrize("status", [401, 403, 500])
async def test_token_server_that_gives_none_is_a_gateway_error(setting: Setting, status: int) -> None:
    setting.registry.status = status
    assert await setting.ask("GET", "/v2/") == 502
    assert setting.registry.served == []


async def test_answer_is_read_as_it_comes_and_never_unpacked(setting: Setting) -> None:
    """A few kilobytes of gzip are a few megabytes of spaces, in one step, before anybody counts them."""
    packed = gzip.compress(b" " * 4_000_000 + b'{"token": "t1"}')
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    heads: list[bytes] = []

    async def answer(connection: Connection) -> None:
        while True:
            heads.append((await connection.read_request())[0])
            await connection.send(head, packed)

    async with fake_upstream(answer) as realm:
        setting.registry.realm = f"{realm.url}/token"
        assert await setting.ask("GET", "/v2/") == 502
    assert b"accept-encoding: identity\r\n" in heads[0].lower()


async def test_password_is_not_told_to_somebody_elses_realm(setting: Setting, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret")
    login = FixedBasic("robot", tmp_path / "password")
    evil = Registry()
    async with fake_upstream(evil) as other:
        setting.registry.realm = f"http://localhost:{other.port}/token"
        assert await setting.ask("GET", "/v2/", login=login) == 502
        assert evil.asked == []
        assert await setting.ask("GET", "/v2/", login=login, allowed=[f"http://localhost:{other.port}"]) == 200
        assert [who for _, who in evil.asked] == [login.value.decode()]


@pytest.mark.parametrize("row", REALMS, ids=attrgetter("what"))
def test_realm_is_asked_by_the_one_rule(row: Realm) -> None:
    challenge, registry = Challenge(row.realm, None), parse_addresses([row.registry])
    if row.proxy:
        assert check_realm(challenge, registry, ALLOWED) == challenge
    else:
        with pytest.raises(GatewayFailed, match="list it in realms"):
            check_realm(challenge, registry, ALLOWED)


async def test_redirect_of_the_realm_is_not_followed(setting: Setting, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret")
    evil = Registry()
    async with fake_upstream(evil) as other:
        moved = f"HTTP/1.1 307 X\r\nLocation: {other.url}/token\r\nContent-Length: 0\r\n\r\n".encode()
        async with fake_upstream(answering(moved)) as realm:
            setting.registry.realm = f"{realm.url}/token"
            assert await setting.ask("GET", "/v2/", login=FixedBasic("robot", tmp_path / "password")) == 502
    assert evil.asked == []


async def test_registry_that_asks_for_nothing_is_told(setting: Setting) -> None:
    async def open_door(connection: Connection) -> None:
        await connection.read_request()
        await connection.send(OK)

    async with fake_upstream(open_door) as fake:
        with pytest.raises(GatewayFailed, match="asks for no token"):
            await TokenServer(parse_addresses([fake.url]), tls=None).fetch(())


async def test_realm_is_found_at_the_next_address_where_the_first_is_down(setting: Setting) -> None:
    async with fake_upstream(setting.registry) as gone:
        pass
    realm = TokenServer(parse_addresses([gone.url, setting.fake.url]), tls=None)
    assert (await realm.fetch(())).text == "t1"


async def test_those_who_need_the_same_at_once_wait_for_one() -> None:
    asked: list[Sequence[Access]] = []
    may_answer = asyncio.Event()

    async def get(needs: Sequence[Access]) -> Token:
        asked.append(needs)
        await may_answer.wait()
        return Token("t", 100)

    bearer = Bearer(get, Clock())
    waiting = [asyncio.ensure_future(bearer.authorization(needs)) for needs in ([pull("a")], [pull("a")], [push("a")])]
    await asyncio.sleep(0)
    may_answer.set()
    assert await asyncio.gather(*waiting) == [b"Bearer t"] * 3
    assert sorted(map(tuple, asked)) == [(pull("a"),), (push("a"),)]
    assert not bearer._fetching


@pytest.mark.parametrize("text", ["a\r\nb", "a\x00", "\u00e9"])
async def test_token_that_no_header_can_hold_is_refused(text: str) -> None:
    async def get(needs: Sequence[Access]) -> Token:
        return Token(text, 100)

    with pytest.raises(GatewayFailed, match="does not fit into a header"):
        await Bearer(get, Clock()).authorization(())


TOKENS = [
    (b'{"token":"a"}', Token("a", 60)),
    (b'{"access_token":"a","expires_in":300}', Token("a", 300)),
    (b'{"token":"a","access_token":"b","expires_in":true}', Token("a", 60)),
    (b'{"token":"a","expires_in":-5}', Token("a", 0)),
    (b'{"token":""}', None),
    (b'{"token":5}', None),
    (b"[]", None),
    (b"<html>", None),
    (b"\xff", None),
    (b"[" * 200_000, None),
    (b'{"token":"a","expires_in":1' + b"0" * 400 + b"}", Token("a", 86400)),
    (b'{"token":"a","expires_in":NaN}', Token("a", 60)),
    (b'{"token":"a","expires_in":1e999}', Token("a", 86400)),
]


@pytest.mark.parametrize(("body", "token"), TOKENS)
def test_answer_of_a_token_server(body: bytes, token: Token | None) -> None:
    assert read_token(body) == token
