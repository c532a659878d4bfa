"""Every form of a request for a token, over HTTP against the real token server."""

import base64
import datetime as dt
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any
from urllib.parse import quote

import pytest
from httpx import ASGITransport, AsyncClient
from httpx import Response as Answer
from structlog.testing import capture_logs

from authproxy.access import format_scopes, from_claim
from authproxy.identity.accounts import set_password
from authproxy.principal import Principal
from authproxy.token.refresh import RefreshTokens
from authproxy.token.revocations import revoke
from authproxy.web.app import WebApplication
from authproxy.web.token import token_endpoints
from tests.support.token_server import World
from tests.support.tokens import START, read


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


ALICE = basic("alice", "wonderland")


@pytest.fixture
async def client(world: World) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(
        transport=ASGITransport(WebApplication(token_endpoints(world.service))), base_url="https://registry"
    ) as client:
        yield client


def granted(answer: Answer) -> list[str]:
    return format_scopes(sorted(from_claim(read(answer.json()["token"], 1)["access"])))


@dataclass
class Get:
    what: str
    query: str
    scopes: list[str]
    headers: dict[str, str] = field(default_factory=dict)
    subject: str = ""
    refresh: bool = False


GETS = [
    Get("docker login", "account=alice&client_id=docker&offline_token=true&service=registry", [], ALICE, "alice", True),
    Get(
        "one scope",
        "service=registry&scope=repository:alice/a:pull,push",
        ["repository:alice/a:pull,push"],
        ALICE,
        "alice",
    ),
    Get("service absent", "scope=repository:alice/a:pull", ["repository:alice/a:pull"], ALICE, "alice"),
    Get("service empty", "service=&scope=repository:alice/a:pull", ["repository:alice/a:pull"], ALICE, "alice"),
    Get(
        "scope repeated",
        "scope=repository:alice/a:pull&scope=repository:alice/b:pull",
        ["repository:alice/a:pull", "repository:alice/b:pull"],
        ALICE,
        "alice",
    ),
    Get(
        "several in one, with plus and with %20",
        "scope=repository:alice/a:pull+repository:alice/b:pull%20repository:alice/c:pull",
        ["repository:alice/a:pull", "repository:alice/b:pull", "repository:alice/c:pull"],
        ALICE,
        "alice",
    ),
    Get("a part of the wish", "scope=repository:public/a:pull,push", ["repository:public/a:pull"], ALICE, "alice"),
    Get("nothing of the wish", "scope=repository:bob/a:pull,push", [], ALICE, "alice"),
    Get("a wish of everything", "scope=repository:alice/a:*", ["repository:alice/a:*"], ALICE, "alice"),
    Get("unknown types and actions", "scope=planet:mars:visit", [], ALICE, "alice"),
    Get("malformed scopes grant nothing", "scope=nonsense&scope=repository:&scope=::", [], ALICE, "alice"),
    Get("offline_token other than true", "offline_token=1", [], ALICE, "alice"),
    Get("anonymous", "service=registry&scope=repository:open/a:pull", ["repository:open/a:pull"]),
    Get("anonymous, nothing granted", "scope=repository:public/a:pull", []),
    Get("anonymous, offline_token is not for them", "offline_token=true", []),
    Get("anonymous with an account", "account=alice&scope=repository:alice/a:pull", []),
    Get("Basic Og== is anonymous", "scope=repository:alice/a:pull", [], {"Authorization": "Basic Og=="}),
    Get("no query", "", []),
    Get("unknown fields", "x=1&y", [], ALICE, "alice"),
    Get("the same field twice alike", "service=registry&service=registry", [], ALICE, "alice"),
]


@pytest.mark.parametrize("call", GETS, ids=attrgetter("what"))
async def test_get(client: AsyncClient, call: Get) -> None:
    answer = await client.get(f"/token?{call.query}", headers=call.headers)
    assert answer.status_code == 200
    content = answer.json()
    claims = read(content["token"], 1)
    assert granted(answer) == call.scopes
    assert (claims["sub"], "refresh_token" in content) == (call.subject, call.refresh)
    assert content["access_token"] == content["token"]
    assert (content["expires_in"], content["issued_at"]) == (300, "2027-01-15T08:00:00Z")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"


@dataclass
class Refused:
    what: str
    status: int
    query: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    form: str | None = None
    error: str = "invalid_request"
    says: str = ""


def post(what: str, status: int, form: str, error: str = "invalid_request", says: str = "", **headers: str) -> Refused:
    return Refused(what, status, "", headers, form, error, says)


WRONG = "incorrect username or password"
REFUSED = [
    Refused("wrong password", 401, "", basic("alice", "x"), None, "invalid_grant", WRONG),
    Refused("unknown user", 401, "", basic("nobody", "x"), None, "invalid_grant", WRONG),
    Refused("wrong password, no scope", 401, "offline_token=true", basic("alice", "x"), None, "invalid_grant", WRONG),
    Refused("an empty user with a password", 401, "", basic("", "x"), None, "invalid_grant", WRONG),
    Refused("an empty password", 401, "", basic("alice", ""), None, "invalid_grant", "the password is empty"),
    Refused(
        "an empty password of nobody", 401, "", basic("nobody", ""), None, "invalid_grant", "the password is empty"
    ),
    Refused("73 bytes", 401, "", basic("alice", "wonderland" + "x" * 63), None, "invalid_grant", WRONG),
    Refused("a zero byte", 401, "", basic("alice", "wonderland\0"), None, "invalid_grant", WRONG),
    Refused("another account", 401, "account=bob", ALICE, None, "invalid_grant", "account"),
    Refused("no base64", 401, "", {"Authorization": "Basic !"}, None, "invalid_grant", "Basic"),
    Refused("no colon", 401, "", {"Authorization": "Basic YWxpY2U="}, None, "invalid_grant", "Basic"),
    Refused("a bearer token", 401, "", {"Authorization": "Bearer x"}, None, "invalid_grant", "Basic"),
    Refused("another scheme", 401, "", {"Authorization": "Negotiate x"}, None, "invalid_grant", "Basic"),
    Refused("another service", 400, "service=other", ALICE, None, says="served: registry"),
    Refused("two services", 400, "service=registry&service=other", ALICE, None, says="service"),
    Refused("two accounts", 400, "account=alice&account=bob", ALICE, None, says="account"),
    Refused("not UTF-8", 400, "scope=%ff", ALICE, None, says="UTF-8"),
    Refused("too many fields", 400, "&".join(["x=1"] * 300), ALICE, None, says="256 fields"),
    Refused(
        "too many actions",
        400,
        "scope=repository:alice/a:" + ",".join(f"a{n}" for n in range(257)),
        ALICE,
        None,
        says="more than 256",
    ),
    Refused(
        "a token that no proxy would take",
        400,
        "&".join(f"scope=repository:alice/{'x' * 60}{n}:pull" for n in range(50)),
        ALICE,
        None,
        says="more than 6000",
    ),
    post("no form type", 400, "grant_type=password", says="content type", **{"Content-Type": "application/json"}),
    post("no type at all", 400, "grant_type=password", says="content type", **{"Content-Type": ""}),
    post("empty form", 400, "", says="grant_type is missing"),
    post("no grant type", 400, "username=alice&password=wonderland", says="grant_type is missing"),
    post(
        "another grant type", 400, "grant_type=authorization_code", "unsupported_grant_type", "password, refresh_token"
    ),
    post("no user", 400, "grant_type=password&password=x", says="username is missing"),
    post("no password", 400, "grant_type=password&username=alice", says="password is missing"),
    post("wrong password by form", 401, "grant_type=password&username=alice&password=x", "invalid_grant", WRONG),
    post("empty password by form", 401, "grant_type=password&username=alice&password=", "invalid_grant", "is empty"),
    post("empty user by form", 401, "grant_type=password&username=&password=wonderland", "invalid_grant", WRONG),
    post("two users", 400, "grant_type=password&username=a&username=b&password=x", says="username"),
    post("no refresh token", 400, "grant_type=refresh_token", says="refresh_token is missing"),
    post("an empty refresh token", 401, "grant_type=refresh_token&refresh_token=", "invalid_grant", "log in again"),
    post(
        "a forged refresh token", 401, "grant_type=refresh_token&refresh_token=a.b.c", "invalid_grant", "log in again"
    ),
    post("another service by form", 400, "grant_type=password&username=alice&password=wonderland&service=other"),
    post("a form without end", 400, "grant_type=password&x=" + "x" * 65536, says="65536 bytes"),
    post("a form not in UTF-8", 400, "grant_type=password&username=%ff", says="UTF-8"),
]


@pytest.mark.parametrize("call", REFUSED, ids=attrgetter("what"))
async def test_refused(client: AsyncClient, call: Refused) -> None:
    if call.form is None:
        answer = await client.get(f"/token?{call.query}", headers=call.headers)
    else:
        headers = {"Content-Type": "application/x-www-form-urlencoded"} | call.headers
        answer = await client.post("/token", content=call.form, headers=headers)
    assert answer.status_code == call.status
    content = answer.json()
    # OAuth2 clients read the first two, docker prints the list.
    assert content["error"] == call.error
    assert call.says in content["error_description"]
    assert content["errors"][0]["message"] == content["error_description"]
    assert ("www-authenticate" in answer.headers) is (call.status == 401)


async def test_an_unknown_user_cannot_be_told_from_a_wrong_password(client: AsyncClient, world: World) -> None:
    """By neither text nor work (CVE-2023-20902)."""
    answers = []
    for user in ("alice", "nobody"):
        before = world.bcrypts
        answer = await client.get("/token", headers=basic(user, "wrong"))
        answers.append((answer.status_code, answer.content, sorted(answer.headers.items()), world.bcrypts - before))
    assert answers[0] == answers[1]
    assert answers[0][3] == 1


async def login(client: AsyncClient, **fields: str) -> Answer:
    form = {"grant_type": "password", "username": "alice", "password": "wonderland", "client_id": "docker"} | fields
    return await client.post("/token", data=form)


async def renew(client: AsyncClient, token: str, **fields: str) -> Answer:
    form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": "containerd-client"} | fields
    return await client.post("/token", data=form)


async def test_post_with_a_password(client: AsyncClient) -> None:
    answer = await login(client, scope="repository:alice/a:pull,push repository:bob/b:pull", service="registry")
    content: dict[str, Any] = answer.json()
    assert (answer.status_code, content["scope"]) == (200, "repository:alice/a:pull,push")
    assert set(content) == {"token", "access_token", "expires_in", "issued_at", "scope"}
    assert answer.headers["cache-control"] == "no-store"


async def test_post_takes_scope_as_repeated_field_too(client: AsyncClient) -> None:
    scopes = "scope=repository:alice/a:pull&scope=repository:alice/b:pull"
    form = f"grant_type=password&username=alice&password=wonderland&{scopes}"
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    answer = await client.post("/token", content=form, headers=headers)
    assert answer.json()["scope"] == "repository:alice/a:pull repository:alice/b:pull"


async def test_a_password_with_special_letters_arrives_as_it_is(client: AsyncClient, world: World) -> None:
    password = "pä+ss wörd&=%:"
    set_password(world.htpasswd, "alice", password, cost=4)
    world.directory.refresh()
    assert (await login(client, password=password)).status_code == 200
    assert (await client.get("/token", headers=basic("alice", password))).status_code == 200


async def test_a_refresh_token_serves_other_clients_and_answers_another_on_demand(client: AsyncClient) -> None:
    refresh = (await login(client, access_type="offline")).json()["refresh_token"]
    answer = await renew(client, refresh, scope="repository:alice/a:pull")
    assert (answer.status_code, answer.json()["scope"]) == (200, "repository:alice/a:pull")
    assert read(answer.json()["token"], 1)["sub"] == "alice"
    assert "refresh_token" not in answer.json()
    assert "refresh_token" in (await renew(client, refresh, access_type="offline")).json()


async def test_what_get_handed_out_is_good_for_post(client: AsyncClient, world: World) -> None:
    refresh = (await client.get("/token?offline_token=true", headers=ALICE)).json()["refresh_token"]
    world.clock.now += 90 * 86400
    assert (await renew(client, refresh)).status_code == 200


MISPLACED = "the password is a refresh token"


@pytest.mark.parametrize("user", ["alice", "bob", "nobody", "", "<token>"])
async def test_a_refresh_token_as_a_password_is_named_without_a_bcrypt(
    client: AsyncClient, world: World, user: str
) -> None:
    """oras-py, aioregistry and @sigstore/oci send what docker stored as an identity token."""
    token = world.refresh.issue(Principal("alice", stamp="of a password that was changed since"))
    form = {"grant_type": "password", "username": user, "password": token}
    for answer in (await client.get("/token", headers=basic(user, token)), await client.post("/token", data=form)):
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_grant")
        assert MISPLACED in answer.json()["error_description"]
    assert world.bcrypts == 0


async def test_what_only_looks_like_a_refresh_token_is_a_password_as_any_other(
    client: AsyncClient, world: World
) -> None:
    ours = world.refresh.issue(Principal("alice"))
    head, claims, signature = ours.split(".")
    foreign = RefreshTokens(b"another secret", issuer="issuer", service="registry").issue(Principal("alice"))
    elsewhere = RefreshTokens(
        world.keyring.secret("refresh tokens"), issuer="issuer", service="elsewhere", now=world.clock
    ).issue(Principal("alice"))
    lookalikes = [foreign, elsewhere, f"{head}.{claims}.", f"{head}.{signature}.{claims}", f"{head}.", head, f"é{ours}"]
    for password in lookalikes:
        answer = await client.get("/token", headers=basic("alice", password))
        assert (answer.status_code, answer.json()["error_description"]) == (401, WRONG)


async def test_without_refresh_tokens_none_is_given_and_none_is_taken(world: World) -> None:
    service = replace(world.service, gives_refresh=False)
    earlier = world.refresh.issue(Principal("alice", stamp="s"))
    async with AsyncClient(
        transport=ASGITransport(WebApplication(token_endpoints(service))), base_url="https://registry"
    ) as client:
        answer = await client.get("/token?offline_token=true", headers=ALICE)
        assert (answer.status_code, "refresh_token" in answer.json()) == (200, False)
        form = {"grant_type": "password", "username": "alice", "password": "wonderland", "access_type": "offline"}
        answer = await client.post("/token", data=form)
        assert (answer.status_code, "refresh_token" in answer.json()) == (200, False)
        answer = await client.post("/token", data={"grant_type": "refresh_token", "refresh_token": earlier})
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_grant")
        assert "refresh tokens are switched off here; sign in again" in answer.json()["error_description"]
        answer = await client.get("/token", headers=basic("alice", earlier))
        assert MISPLACED in answer.json()["error_description"]


async def test_using_a_refresh_token_reads_the_groups_anew(client: AsyncClient, world: World) -> None:
    """CVE-2025-23208."""
    world.users.write_text("users: {alice: {groups: [admins]}}\n")
    world.directory.refresh()
    refresh = (await login(client, access_type="offline")).json()["refresh_token"]
    catalog = {"scope": "registry:catalog:*"}
    assert (await renew(client, refresh, **catalog)).json()["scope"] == "registry:catalog:*"
    world.users.write_text("users: {alice: {groups: [team]}}\n# removed")
    world.directory.refresh()
    assert (await renew(client, refresh, **catalog)).json()["scope"] == ""


@pytest.mark.parametrize("how", ["password changed", "user removed", "user disabled"])
async def test_a_refresh_token_dies_with_what_it_stood_for(client: AsyncClient, world: World, how: str) -> None:
    refresh = (await login(client, access_type="offline")).json()["refresh_token"]
    match how:
        case "password changed":
            set_password(world.htpasswd, "alice", "other", cost=4)
        case "user removed":
            world.htpasswd.write_text("# nobody\n")
        case _:
            world.users.write_text("users: {alice: {groups: [team], disabled: true}}\n")
    world.directory.refresh()
    answer = await renew(client, refresh)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_grant")
    assert answer.json()["errors"][0]["message"] == "this login has ended; log in again"


GONE = "the user was removed, is disabled or has expired"


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("password changed", "the password was changed since"),
        ("user disabled", GONE),
        ("user removed", GONE),
        ("revoked", "the login was revoked"),
    ],
)
async def test_the_log_says_whose_refresh_token_was_refused_and_why(
    client: AsyncClient, world: World, how: str, reason: str
) -> None:
    refresh = (await login(client, access_type="offline")).json()["refresh_token"]
    match how:
        case "password changed":
            set_password(world.htpasswd, "alice", "other", cost=4)
        case "user removed":
            world.htpasswd.write_text("# nobody\n")
        case "user disabled":
            world.users.write_text("users: {alice: {disabled: true}}\n")
        case _:
            revoke(world.state, "alice", dt.datetime.fromtimestamp(START + 1, dt.UTC))
            world.revocations.refresh()
    world.directory.refresh()
    with capture_logs() as lines:
        answer = await renew(client, refresh)
    assert answer.status_code == 401
    (line,) = [line for line in lines if line["event"] == "login refused"]
    assert (line["user"], line["reason"]) == ("alice", reason)
    assert reason not in answer.text


async def test_a_refresh_token_whose_signature_is_wrong_names_no_user(client: AsyncClient) -> None:
    refresh = (await login(client, access_type="offline")).json()["refresh_token"]
    with capture_logs() as lines:
        assert (await renew(client, refresh[:-4] + "AAAA")).status_code == 401
    (line,) = [line for line in lines if line["event"] == "login refused"]
    assert (line["user"], line["reason"]) == ("", "the signature does not match")


async def test_a_disabled_user_gets_the_answer_of_a_wrong_password_and_the_log_says_why(
    client: AsyncClient, world: World
) -> None:
    wrong = await client.get("/token", headers=basic("alice", "wrong"))
    world.users.write_text("users: {alice: {disabled: true}}\n")
    world.directory.refresh()
    with capture_logs() as lines:
        answer = await client.get("/token", headers=ALICE)
    assert (answer.status_code, answer.content) == (wrong.status_code, wrong.content)
    varying = ("date", "x-request-id")
    shown = [[pair for pair in one.headers.multi_items() if pair[0] not in varying] for one in (answer, wrong)]
    assert shown[0] == shown[1]
    (line,) = [line for line in lines if line["event"] == "login refused"]
    assert (line["user"], line["reason"]) == ("alice", "the user is disabled")


async def test_the_second_request_with_a_password_costs_no_bcrypt(client: AsyncClient, world: World) -> None:
    for _ in range(3):
        assert (await client.get("/token", headers=ALICE)).status_code == 200
    assert (await login(client)).status_code == 200
    assert world.bcrypts == 1


async def test_options_needs_no_credentials(client: AsyncClient) -> None:
    answer = await client.options("/token", headers={"Origin": "https://ui", "Authorization": "nonsense"})
    assert (answer.status_code, answer.headers["allow"]) == (204, "GET, HEAD, POST, OPTIONS")


async def test_head_has_the_headers_of_get_and_no_body(client: AsyncClient) -> None:
    answer = await client.head("/token", headers=ALICE)
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) > 100
    assert (await client.head("/token", headers=basic("alice", "x"))).status_code == 401


async def test_other_methods_are_405_with_what_is_allowed(client: AsyncClient) -> None:
    answer = await client.delete("/token")
    assert answer.status_code == 405
    assert "GET" in answer.headers["allow"]
    assert answer.json()["errors"][0]["code"] == "UNSUPPORTED"


async def test_a_name_that_is_no_ascii_is_the_subject(client: AsyncClient, world: World) -> None:
    world.htpasswd.write_text(world.htpasswd.read_text().replace("alice:", "älice:"))
    world.directory.refresh()
    answer = await client.get(f"/token?account={quote('älice')}", headers=basic("älice", "wonderland"))
    assert read(answer.json()["token"], 1)["sub"] == "älice"


async def test_times_are_those_of_the_injected_clock(client: AsyncClient, world: World) -> None:
    world.clock.now += 1.9
    answer = (await client.get("/token")).json()
    assert (answer["issued_at"], read(answer["token"], 1)["iat"]) == ("2027-01-15T08:00:01Z", START + 1)
