"""Signed addresses of upload sessions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.asgi import ORIGIN, ROUTE, Message, Receive, Scope, Send
from authproxy.edge.sessions import SESSION_LIFETIME_S, Opening, SessionSigner, SignSessions
from authproxy.errors import RangeInvalid
from authproxy.origin import Origin
from authproxy.route import parse_route

SIGNER = SessionSigner(b"k" * 32)
SESSION = "3f0c6d5e-8a59-4c1e-9b7a-2d1f4e6a7b80"


def signed(location: str) -> str:
    return location.partition("_session=")[2]


async def ask(
    method: str, path: str, query: bytes, location: str, authorization: bytes = b"Bearer t"
) -> tuple[bytes, str]:
    """What the backend saw as query, and the Location that went out."""
    seen = b""

    async def backend(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal seen
        seen = scope["query_string"]
        await send({"type": "http.response.start", "status": 202, "headers": [(b"location", location.encode())]})

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    scope: Scope = {"headers": [(b"authorization", authorization)], "query_string": query}
    scope[ORIGIN] = Origin("https", "h", "127.0.0.1")
    scope[ROUTE] = parse_route(method, path.encode(), query)
    await SignSessions(backend, signer=SIGNER, now=lambda: 1000.0)(scope, receive, send)
    return seen, dict(sent[0]["headers"])[b"location"].decode()


async def test_a_new_session_is_signed_for_its_opener() -> None:
    _, location = await ask("POST", "/v2/a/blobs/uploads/", b"", f"https://h/v2/a/blobs/uploads/{SESSION}")
    opening = SIGNER.read("a", SESSION, signed(location))
    assert opening == Opening(1000 + SESSION_LIFETIME_S, SIGNER.hash_holder("Bearer t"))


async def test_a_backend_never_sees_the_field_and_keeps_its_own_query() -> None:
    value = SIGNER.sign("a", SESSION, Opening(5, "x" * 22))
    query = f"_state=a%2Bb%3D&_session={value}&digest=sha256%3Ax".encode()
    seen, location = await ask(
        "PATCH", f"/v2/a/blobs/uploads/{SESSION}", query, f"/v2/a/blobs/uploads/{SESSION}?_state=c%2Bd"
    )
    assert seen == b"_state=a%2Bb%3D&digest=sha256%3Ax"
    assert location.startswith(f"/v2/a/blobs/uploads/{SESSION}?_state=c%2Bd&_session=")


async def test_a_session_keeps_its_opening_when_another_token_goes_on() -> None:
    value = SIGNER.sign("a", SESSION, Opening(5, "x" * 22))
    path = f"/v2/a/blobs/uploads/{SESSION}"
    _, location = await ask("PATCH", path, f"_session={value}".encode(), path, b"Bearer later")
    assert signed(location) == value


async def test_a_forged_field_is_not_carried_on() -> None:
    value = SessionSigner(b"f" * 32).sign("a", SESSION, Opening(5, "x" * 22))
    path = f"/v2/a/blobs/uploads/{SESSION}"
    _, location = await ask("PATCH", path, f"_session={value}".encode(), path)
    assert signed(location) != value


@pytest.mark.parametrize(
    "location",
    [
        "https://cdn.example/x?sig=1",
        "/v2/a/blobs/sha256:" + "a" * 64,
        "::",
        "http://[",
        f"https://cdn.example/v2/a/blobs/uploads/{SESSION}",
    ],
)
async def test_other_addresses_are_left_alone(location: str) -> None:
    assert (await ask("PUT", f"/v2/a/blobs/uploads/{SESSION}", b"", location))[1] == location


@pytest.mark.parametrize(("repository", "session"), [("b", SESSION), ("a", "other"), (f"a\n{SESSION}", "")])
def test_a_field_is_good_for_its_own_session_alone(repository: str, session: str) -> None:
    value = SIGNER.sign("a", SESSION, Opening(5, "x" * 22))
    assert SIGNER.read(repository, session, value) is None


@given(st.text(max_size=120))
def test_no_made_up_value_is_read(value: str) -> None:
    assert SIGNER.read("a", SESSION, value) is None


def test_a_password_cannot_be_guessed_from_an_address() -> None:
    """The holder is keyed: another server's hash of the same credentials is another one."""
    assert SIGNER.hash_holder("Basic x") != SessionSigner(b"o" * 32).hash_holder("Basic x")


async def test_the_address_in_an_error_is_signed_too() -> None:
    async def out_of_order(scope: Scope, receive: Receive, send: Send) -> None:
        raise RangeInvalid(headers=[("Location", f"/v2/a/blobs/uploads/{SESSION}"), ("Range", "0-4")])

    scope: Scope = {"headers": [], "query_string": b""}
    scope[ORIGIN] = Origin("https", "h", "127.0.0.1")
    scope[ROUTE] = parse_route("PATCH", f"/v2/a/blobs/uploads/{SESSION}".encode(), b"")

    async def nothing() -> Message:
        return {"type": "http.disconnect"}

    async def nowhere(message: Message) -> None:
        raise AssertionError(message)

    with pytest.raises(RangeInvalid) as caught:
        await SignSessions(out_of_order, signer=SIGNER, now=lambda: 0.0)(scope, nothing, nowhere)
    headers = dict(caught.value.headers)
    assert SIGNER.read("a", SESSION, signed(headers["Location"]))
    assert headers["Range"] == "0-4"
