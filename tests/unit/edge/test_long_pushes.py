"""A push never dies of its token's age: the layers of the edge together, with a clock of the test's own."""

import datetime as dt
import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from authproxy.access import pull, push
from authproxy.asgi import App
from authproxy.edge.authorize import Authorize, ParseRoute
from authproxy.edge.challenge import BearerChallenge
from authproxy.edge.errors import ErrorResponses
from authproxy.edge.forwarded import DecideClientView
from authproxy.edge.signed_sessions import SessionSigner, SignSessions
from authproxy.principal import Principal
from authproxy.proxy.upstream import Upstream
from authproxy.registry.core import Core
from authproxy.registry.options import Rules
from authproxy.storage.memory import MemoryDriver
from authproxy.token.revocations import revoke
from tests.support.http1 import serving
from tests.support.registry import code_of, sha256
from tests.support.token_server import HASHES, World

UPLOADS = "/v2/alice/app/blobs/uploads/"
AGES_S = 6 * 3600


@asynccontextmanager
async def core() -> AsyncIterator[App]:
    yield Core(MemoryDriver(), Rules())


@asynccontextmanager
async def upstream() -> AsyncIterator[App]:
    """Another registry, over a real connection, which believes what this proxy says of its clients."""
    trusted = [ipaddress.ip_network("127.0.0.0/8")]
    open_registry = ErrorResponses(DecideClientView(ParseRoute(Core(MemoryDriver(), Rules())), trusted=trusted))
    with serving(open_registry, None) as registry:
        backend = Upstream(f"http://127.0.0.1:{registry.port}")
        yield backend
        await backend.aclose()


@pytest.fixture(params=[core, upstream], ids=["core", "upstream"])
async def client(request: pytest.FixtureRequest, world: World) -> AsyncIterator[httpx.AsyncClient]:
    signer = SessionSigner(world.keyring.secret("sessions"))
    async with request.param() as backend:
        signing = SignSessions(backend, signer=signer, lifetime_s=7 * 24 * 3600, now=world.clock)
        authorizing = Authorize(
            signing,
            challenge=BearerChallenge("registry"),
            sessions=signer,
            verifier=world.verifier(),
            users=world.directory,
        )
        transport = httpx.ASGITransport(ErrorResponses(DecideClientView(authorizing)))
        async with httpx.AsyncClient(transport=transport, base_url="https://registry.test") as client:
            yield client


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def token(world: World, user: str) -> dict[str, str]:
    issued = world.issuer.issue(Principal(user), {pull("alice/app"), push("alice/app")})
    return {"Authorization": f"Bearer {issued.token}"}


def address(answer: httpx.Response) -> str:
    parts = urlsplit(answer.headers["location"])
    return f"{parts.path}?{parts.query}"


async def open_upload(client: httpx.AsyncClient, headers: dict[str, str]) -> str:
    answer = await client.post(UPLOADS, headers=headers)
    assert answer.status_code == 202
    return address(answer)


def closing(session: str, content: bytes) -> str:
    return f"{session}&digest={sha256(content)}"


async def test_a_session_is_ended_with_the_token_that_opened_it(client: httpx.AsyncClient, world: World) -> None:
    alice = token(world, "alice")
    session = await open_upload(client, alice)
    for chunk in (b"he", b"ll", b"o"):
        world.clock.now += AGES_S
        answer = await client.patch(session, headers=alice, content=chunk)
        assert answer.status_code == 202
        session = address(answer)
    assert (await client.get(session, headers=alice)).headers["range"] == "0-4"
    answer = await client.put(closing(session, b"hello"), headers=alice)
    assert answer.status_code == 201
    assert (await client.head(answer.headers["location"], headers=alice)).status_code == 401
    assert (await client.post(UPLOADS, headers=alice)).status_code == 401


async def test_others_gain_nothing_by_its_address(client: httpx.AsyncClient, world: World) -> None:
    alice, bob = token(world, "alice"), token(world, "bob")
    session, other = await open_upload(client, alice), await open_upload(client, bob)
    assert code_of(await client.patch(session, headers=bob, content=b"x")) == "BLOB_UPLOAD_INVALID"
    world.clock.now += AGES_S
    path, field = other.partition("?")[0], session.partition("?")[2]
    for attempt in (session, f"{path}?{field}"):
        for method in ("GET", "PATCH", "PUT", "DELETE"):
            url = closing(attempt, b"") if method == "PUT" else attempt
            assert (await client.request(method, url, headers=bob)).status_code == 401
    assert (await client.patch(f"{path}?{field}", headers=alice, content=b"x")).status_code == 401
    assert (await client.patch(session, headers=token(world, "bob"), content=b"x")).status_code == 400
    answer = await client.patch(session, headers=token(world, "alice"), content=b"x")
    assert (answer.status_code, answer.headers["range"]) == (202, "0-0")


async def test_a_session_ends_at_last(client: httpx.AsyncClient, world: World) -> None:
    alice = token(world, "alice")
    session = await open_upload(client, alice)
    world.clock.now += 7 * 24 * 3600
    assert code_of(await client.patch(session, headers=alice, content=b"x")) == "BLOB_UPLOAD_UNKNOWN"


async def test_an_expired_token_is_looked_at_as_closely_as_any_other(client: httpx.AsyncClient, world: World) -> None:
    alice = token(world, "alice")
    session = await open_upload(client, alice)
    world.clock.now += AGES_S
    forged = {"Authorization": alice["Authorization"][:-4] + "AAAA"}
    assert (await client.patch(session, headers=forged, content=b"x")).status_code == 401


async def test_a_session_is_lost_to_a_subject_that_was_removed(client: httpx.AsyncClient, world: World) -> None:
    alice, bob = token(world, "alice"), token(world, "bob")
    hers, his = await open_upload(client, alice), await open_upload(client, bob)
    world.htpasswd.write_text(f"bob:{HASHES['bob']}\n")
    world.directory.refresh()
    assert (await client.patch(hers, headers=alice, content=b"x")).status_code == 202  # until the token expires
    world.clock.now += AGES_S
    for method in ("GET", "PATCH", "PUT", "DELETE"):
        answer = await client.request(method, hers, headers=alice)
        assert (answer.status_code, "invalid_token" in answer.headers["www-authenticate"]) == (401, True)
    assert (await client.patch(his, headers=bob, content=b"x")).status_code == 202


async def test_a_session_is_lost_to_a_subject_that_was_disabled(client: httpx.AsyncClient, world: World) -> None:
    alice = token(world, "alice")
    session = await open_upload(client, alice)
    world.users.write_text("users: {alice: {disabled: true}}\n")
    world.directory.refresh()
    world.clock.now += AGES_S
    assert (await client.patch(session, headers=alice, content=b"x")).status_code == 401


async def test_a_session_is_lost_to_a_subject_whose_tokens_are_revoked(client: httpx.AsyncClient, world: World) -> None:
    alice = token(world, "alice")
    session = await open_upload(client, alice)
    world.clock.now += AGES_S
    assert (await client.patch(session, headers=alice, content=b"x")).status_code == 202
    revoke(world.state, "alice", dt.datetime.fromtimestamp(world.clock.now, dt.UTC))
    world.revocations.refresh()
    assert (await client.patch(session, headers=alice, content=b"x")).status_code == 401


async def test_an_anonymous_session_has_nobody_to_remove(client: httpx.AsyncClient, world: World) -> None:
    anonymous = token(world, "")
    session = await open_upload(client, anonymous)
    world.clock.now += AGES_S
    assert (await client.patch(session, headers=anonymous, content=b"x")).status_code == 202
