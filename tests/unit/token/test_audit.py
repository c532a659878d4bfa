"""What the audit log is told of requests for tokens, over HTTP against the real token server."""

import base64
import json
from collections.abc import AsyncIterator

import jwt
import pytest
from httpx import ASGITransport, AsyncClient

from authproxy.access import format_scopes
from authproxy.asgi import CLIENT_VIEW, REQUEST_ID, Receive, Scope, Send
from authproxy.audit.event import Event, EventKind, to_fields
from authproxy.client_view import ClientView
from authproxy.principal import Principal
from authproxy.token.audit import TokenAudit
from authproxy.web.app import WebApplication
from authproxy.web.token import token_endpoints
from tests.support.token_server import World

PASSWORD = "wonderland"


@pytest.fixture
def told() -> list[Event]:
    return []


@pytest.fixture
async def client(world: World, told: list[Event]) -> AsyncIterator[AsyncClient]:
    pages = WebApplication(token_endpoints(world.service, TokenAudit(told.append)))

    async def named(scope: Scope, receive: Receive, send: Send) -> None:
        scope[CLIENT_VIEW] = ClientView("https", "registry", "10.0.0.7")
        scope[REQUEST_ID] = "r-1"
        await pages(scope, receive, send)

    async with AsyncClient(transport=ASGITransport(named), base_url="https://registry") as client:
        yield client


async def test_a_token_for_all_that_was_asked(client: AsyncClient, told: list[Event]) -> None:
    query = {"scope": "repository:alice/app:pull,push"}
    answer = await client.get("/token", params=query, auth=("alice", PASSWORD))
    assert answer.status_code == 200
    (event,) = told
    claims = jwt.decode(answer.json()["token"], options={"verify_signature": False})
    assert (event.token_id, event.lifetime_s) == (claims["jti"], 300)
    assert (event.kind, event.principal.name, sorted(event.principal.groups)) == (
        EventKind.TOKEN_ISSUED,
        "alice",
        ["team"],
    )
    assert (event.principal.source, event.request_id) == ("htpasswd", "r-1")
    assert (event.client, event.scheme) == ("10.0.0.7", "https")
    assert format_scopes(event.asked) == format_scopes(event.granted) == ["repository:alice/app:pull,push"]
    assert [verdict.allowed for verdict in event.verdicts] == [True, True]


async def test_a_token_for_less(client: AsyncClient, told: list[Event]) -> None:
    await client.get("/token", params={"scope": "repository:bob/app:push"}, auth=("alice", PASSWORD))
    (event,) = told
    assert (event.kind, event.granted) == (EventKind.TOKEN_CUT_DOWN, ())
    assert [verdict.allowed for verdict in event.verdicts] == [False]


async def test_an_anonymous_token_without_a_scope_is_issued_whole(client: AsyncClient, told: list[Event]) -> None:
    await client.get("/token")
    assert [(event.kind, event.principal.name) for event in told] == [(EventKind.TOKEN_ISSUED, "")]


async def test_a_refused_login_has_the_name_that_was_claimed_and_no_source(
    client: AsyncClient, told: list[Event]
) -> None:
    answer = await client.get("/token", auth=("alice", "wrong"))
    assert answer.status_code == 401
    (event,) = told
    assert (event.kind, event.principal) == (EventKind.LOGIN_REFUSED, Principal("alice"))
    assert event.reason


async def test_a_login_that_cannot_be_read_is_refused_without_a_name(client: AsyncClient, told: list[Event]) -> None:
    answer = await client.get("/token", headers={"Authorization": "Bearer hunter2"})
    assert answer.status_code == 401
    assert [(event.kind, event.principal.name) for event in told] == [(EventKind.LOGIN_REFUSED, "")]


async def test_no_secret_of_any_request_or_answer_is_in_a_line(client: AsyncClient, told: list[Event]) -> None:
    secrets = [PASSWORD, "wrong-password", base64.b64encode(f"alice:{PASSWORD}".encode()).decode(), "hunter2"]
    alice = ("alice", PASSWORD)
    scope = "repository:alice/app:pull"
    first = await client.get("/token", params={"offline_token": "true", "scope": scope}, auth=alice)
    form = {"grant_type": "password", "username": "alice", "password": PASSWORD, "client_id": "c", "scope": scope}
    second = await client.post("/token", data={**form, "access_type": "offline"})
    renewal = {"grant_type": "refresh_token", "refresh_token": first.json()["refresh_token"], "client_id": "c"}
    third = await client.post("/token", data=renewal)
    for answer in (first, second, third):
        assert answer.status_code == 200
        secrets += [answer.json()["token"], answer.json().get("refresh_token", answer.json()["token"])]
    await client.get("/token", auth=("alice", "wrong-password"))
    await client.post("/token", data={**form, "password": "wrong-password"})
    await client.post("/token", data={**renewal, "refresh_token": "hunter2"})
    await client.get("/token", headers={"Authorization": "Bearer hunter2"})
    assert len(told) == 7
    lines = json.dumps([to_fields(event) for event in told])
    assert [secret for secret in secrets if secret in lines] == []
    # What a secret is cut into is none either: no part of a token's signature.
    assert [secret for secret in secrets if secret.rpartition(".")[2] in lines] == []
