"""Signed addresses of upload sessions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.access import Grant
from authproxy.asgi import CLIENT_VIEW, GRANT, ROUTE, Message, Receive, Scope, Send
from authproxy.client_view import ClientView
from authproxy.edge.signed_sessions import SessionClaim, SessionSigner, SignSessions
from authproxy.errors import BlobUploadInvalid, BlobUploadUnknown, RangeInvalid, RegistryError
from authproxy.route import Route, parse_route

SIGNER = SessionSigner(b"k" * 32)
SESSION = "3f0c6d5e-8a59-4c1e-9b7a-2d1f4e6a7b80"
PATH = f"/v2/a/blobs/uploads/{SESSION}"
NOW, LIFETIME_S = 1000, 50
CLAIM = SIGNER.claim("Bearer t", "alice", NOW + LIFETIME_S)
FIELD = "_session=" + SIGNER.sign("a", SESSION, CLAIM)


def route(path: str, method: str = "PATCH") -> Route:
    path, _, query = path.partition("?")
    return parse_route(method, path.encode(), query.encode())


def read(location: str) -> SessionClaim | None:
    return SIGNER.read(route(location.removeprefix("https://h")))


async def ask(
    method: str, path: str, answer: str | RegistryError = "", *, subject: str = "alice", now: float = NOW
) -> tuple[bytes, str]:
    """What the backend saw as query, and the Location that went out."""
    seen = b""

    async def backend(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal seen
        seen = scope["query_string"]
        if isinstance(answer, RegistryError):
            raise answer
        await send({"type": "http.response.start", "status": 202, "headers": [(b"location", answer.encode())]})

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    scope: Scope = {"headers": [(b"authorization", b"Bearer t")], "query_string": path.partition("?")[2].encode()}
    scope[CLIENT_VIEW] = ClientView("https", "h", "127.0.0.1")
    scope[ROUTE] = route(path, method)
    scope[GRANT] = Grant(subject)
    await SignSessions(backend, signer=SIGNER, lifetime_s=LIFETIME_S, now=lambda: now)(scope, receive, send)
    return seen, dict(sent[0]["headers"])[b"location"].decode()


async def test_a_new_session_is_signed_for_its_opener() -> None:
    _, location = await ask("POST", "/v2/a/blobs/uploads/", f"https://h{PATH}")
    assert read(location) == CLAIM


async def test_a_backend_never_sees_the_field_and_keeps_its_own_query() -> None:
    seen, location = await ask("PATCH", f"{PATH}?_state=a%2Bb%3D&{FIELD}&digest=sha256%3Ax", f"{PATH}?_state=c%2Bd")
    assert seen == b"_state=a%2Bb%3D&digest=sha256%3Ax"
    assert location == f"{PATH}?_state=c%2Bd&{FIELD}"


async def test_a_session_keeps_its_opening() -> None:
    _, location = await ask("PATCH", f"{PATH}?{FIELD}", PATH, now=NOW + 10)
    assert read(location) == CLAIM


FORGED = SessionSigner(b"f" * 32).sign("a", SESSION, CLAIM)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PATCH", "PUT", "DELETE"])
@pytest.mark.parametrize(
    ("path", "subject", "now", "error"),
    [
        (PATH, "alice", NOW, BlobUploadUnknown),
        (f"{PATH}?_state=x", "alice", NOW, BlobUploadUnknown),
        (f"{PATH}?_session=", "alice", NOW, BlobUploadInvalid),
        (f"{PATH}?_session={FORGED}", "alice", NOW, BlobUploadInvalid),
        (f"{PATH}?{FIELD}x", "alice", NOW, BlobUploadInvalid),
        (f"{PATH[:-1]}1?{FIELD}", "alice", NOW, BlobUploadInvalid),
        (f"{PATH.replace('/a/', '/b/')}?{FIELD}", "alice", NOW, BlobUploadInvalid),
        (f"{PATH}?{FIELD}", "bob", NOW, BlobUploadInvalid),
        (f"{PATH}?{FIELD}", "", NOW, BlobUploadInvalid),
        (f"{PATH}?{FIELD}", "alice", NOW + LIFETIME_S, BlobUploadUnknown),
    ],
)
async def test_a_session_is_used_by_its_address_and_its_opener_alone(
    method: str, path: str, subject: str, now: float, error: type[RegistryError]
) -> None:
    with pytest.raises(error):
        await ask(method, path, subject=subject, now=now)


@pytest.mark.parametrize(
    "location",
    [
        "https://cdn.example/x?sig=1",
        "/v2/a/blobs/sha256:" + "a" * 64,
        "::",
        "http://[",
        f"https://cdn.example{PATH}",
    ],
)
async def test_other_addresses_are_left_alone(location: str) -> None:
    assert (await ask("PUT", f"{PATH}?{FIELD}", location))[1] == location


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="&;#%+"), max_size=120))
def test_no_made_up_value_is_read(value: str) -> None:
    assert SIGNER.read(route(f"{PATH}?_session={value}")) is None


def test_nothing_can_be_guessed_from_an_address() -> None:
    """The hashes are keyed: another server's of the same credentials are others."""
    other = SessionSigner(b"o" * 32).claim("Bearer t", "alice", CLAIM.end)
    assert other.credentials != CLAIM.credentials
    assert other.opener != CLAIM.opener


async def test_the_address_in_an_error_is_signed_too() -> None:
    with pytest.raises(RangeInvalid) as caught:
        await ask("PATCH", f"{PATH}?{FIELD}", RangeInvalid(headers=[("Location", PATH), ("Range", "0-4")]))
    headers = dict(caught.value.headers)
    assert read(headers["Location"]) == CLAIM
    assert headers["Range"] == "0-4"
