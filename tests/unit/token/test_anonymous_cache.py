"""An anonymous question is answered once a moment, and everything else anew."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from authproxy.access import pull
from authproxy.asgi import Message, Scope
from authproxy.token.anonymous_cache import MAX_QUERY_BYTES, AnonymousCache, CachedAnswer
from authproxy.token.audit import TokenAudit
from authproxy.token.endpoint import TokenEndpoint
from authproxy.token.grant import TokenAnswer
from authproxy.token.issuer import IssuedToken
from authproxy.token.request import TokenRequest
from tests.support.token_server import World

if TYPE_CHECKING:
    from authproxy.audit.event import Event


@dataclass
class Time:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def answered() -> CachedAnswer:
    return CachedAnswer(TokenRequest(), TokenAnswer(IssuedToken("t", 300, 0, "id"), ()), [], b"")


def test_an_answer_serves_the_same_question_for_one_second() -> None:
    time = Time()
    answers = AnonymousCache(now=time)
    answers.hold(("10.0.0.1", "https", b"a"), first := answered())
    time.now = 0.9
    assert answers.find(("10.0.0.1", "https", b"a")) is first
    time.now = 1.0
    assert answers.find(("10.0.0.1", "https", b"a")) is None


@pytest.mark.parametrize(
    "question",
    [("10.0.0.2", "https", b"a"), ("10.0.0.1", "http", b"a"), ("10.0.0.1", "https", b"b"), ("10.0.0.1", "https", b"")],
)
def test_another_question_is_another_one(question: tuple[str, str, bytes]) -> None:
    answers = AnonymousCache(now=Time())
    answers.hold(("10.0.0.1", "https", b"a"), answered())
    assert answers.find(question) is None


def test_answers_are_bounded_and_the_oldest_goes_first() -> None:
    answers = AnonymousCache(now=Time(), max_answers=2)
    for query in (b"a", b"b", b"a", b"c"):
        answers.hold(("", "", query), answered())
    assert [answers.find(("", "", query)) is None for query in (b"a", b"b", b"c")] == [False, True, False]


def test_a_question_longer_than_any_clients_is_not_held() -> None:
    answers = AnonymousCache(now=Time())
    answers.hold(("", "", b"a" * (MAX_QUERY_BYTES + 1)), answered())
    assert answers.find(("", "", b"a" * (MAX_QUERY_BYTES + 1))) is None


def scope(*headers: tuple[bytes, bytes], method: str = "GET", query: bytes = b"scope=repository:open/a:pull") -> Scope:
    return {"type": "http", "method": method, "path": "/token", "query_string": query, "headers": list(headers)}


async def ask(endpoint: TokenEndpoint, asked: Scope) -> bytes:
    messages: list[Message] = []

    async def receive() -> Message:
        raise AssertionError("nothing is read")

    async def send(message: Message) -> None:
        messages.append(message)

    await endpoint(asked, receive, send)
    assert messages[0]["status"] == 200
    messages[0]["headers"].append((b"x-of", b"this answer alone"))  # as the edge does
    assert len(messages[0]["headers"]) == 5
    return bytes(messages[1]["body"])


async def test_each_answer_is_audited_though_it_was_made_once(world: World) -> None:
    events: list[Event] = []
    endpoint = TokenEndpoint(world.service, TokenAudit(events.append))
    bodies = [await ask(endpoint, scope()), await ask(endpoint, scope()), await ask(endpoint, scope(method="HEAD"))]
    assert bodies[0] == bodies[1] != b""
    assert bodies[2] == b""
    assert [event.granted for event in events] == [(pull("open/a"),)] * 3


@pytest.mark.parametrize("authorization", [b"Basic Og==", b"Basic YWxpY2U6d29uZGVybGFuZA=="], ids=["empty", "alice"])
async def test_whoever_sends_credentials_gets_a_token_of_their_own(world: World, authorization: bytes) -> None:
    endpoint = TokenEndpoint(world.service)
    anonymous = await ask(endpoint, scope())
    answers = [await ask(endpoint, scope((b"authorization", authorization))) for _ in range(2)]
    assert len({anonymous, *answers}) == 3
    assert await ask(endpoint, scope()) == anonymous
