"""The id of a request: whose it is, and that nothing strange gets into a log or an answer by it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.asgi import REQUEST_ID, Message, Receive, Scope, Send, respond
from authproxy.edge.errors import ErrorResponses
from authproxy.edge.request_id import name_request

MADE = re.compile(r"[0-9a-f]{20}")

TAKEN = [
    ("a UUID", b"1b4e28ba-2fa1-11d2-883f-0016d3cca427"),
    ("a trace", b"1-67891233-abcdef012345678912345678/7:8@node_1~x+y.z"),
    ("the longest", b"x" * 128),
]
REFUSED = [
    ("none", b""),
    ("too long", b"x" * 129),
    ("a space", b"a b"),
    ("a line break", b"a\nb"),
    ("a quote", b'a"b'),
    ("an equals sign, which ends a key in a log", b"a=b"),
    ("past ASCII", "ä".encode()),
]


def scope(*values: bytes) -> Scope:
    return {"type": "http", "headers": [(b"host", b"registry"), *((b"x-request-id", value) for value in values)]}


@pytest.mark.parametrize("value", [row[1] for row in TAKEN], ids=[row[0] for row in TAKEN])
def test_an_id_that_is_well_formed_is_taken(value: bytes) -> None:
    request = scope(value)
    assert name_request(request) == request[REQUEST_ID] == value.decode()


@pytest.mark.parametrize("value", [row[1] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_one_is_made_in_the_place_of_any_other(value: bytes) -> None:
    assert MADE.fullmatch(name_request(scope(value)))


def test_the_first_counts() -> None:
    assert name_request(scope(b"first", b"second")) == "first"
    assert MADE.fullmatch(name_request(scope(b"a b", b"second")))


def test_requests_with_the_same_headers_on_a_connection_have_their_own() -> None:
    facts: dict[str, object] = {}
    names = [name_request({**scope(), "authproxy.facts": facts}) for _ in range(100)]
    assert len(set(names)) == 100


@given(st.binary(max_size=200))
def test_whatever_comes_needs_no_quotes(value: bytes) -> None:
    assert re.fullmatch(r"[A-Za-z0-9._~:/+@-]{1,128}", name_request(scope(value)))


async def test_the_answer_has_ours_whatever_an_upstream_says() -> None:
    async def upstream(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, 200, [("X-Request-ID", "theirs"), ("X-Other", "kept")])

    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    request: Scope = {**scope(b"ours"), "method": "GET", "path": "/v2/"}
    await ErrorResponses(upstream)(request, receive, send)
    headers = sent[0]["headers"]
    assert [value for name, value in headers if name == b"x-request-id"] == [b"ours"]
    assert (b"x-other", b"kept") in headers
