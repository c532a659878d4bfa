"""The order of the edge's questions: who, then what, then may they."""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import pytest

from authproxy.access import Access, ExpiredToken, Grant, InvalidToken, pull, push
from authproxy.asgi import CLIENT_VIEW, GRANT, ROUTE, Message, Receive, Scope, Send
from authproxy.authorization import Bearer
from authproxy.client_view import ClientView
from authproxy.edge.authorize import MAX_MOUNT_SOURCES, Authorize, BasicAccess, Denial, _allow_mount
from authproxy.edge.challenge import BearerChallenge
from authproxy.edge.signed_sessions import SessionSigner
from authproxy.errors import Denied, RegistryError, Unauthorized
from authproxy.principal import Principal
from authproxy.route import Kind, parse_route

DIGEST = "sha256:" + "a" * 64
SIGNER = SessionSigner(b"k" * 32)
SESSION = "3f0c6d5e-8a59-4c1e-9b7a-2d1f4e6a7b80"


class Tokens:
    """`pull`, `push` and `both` are tokens for `team/app`; `source` may pull `other` too; `both-old` has expired."""

    def verify(self, bearer: Bearer) -> Grant:
        name, _, age = bearer.token.partition("-")
        is_old = age == "old"
        allowed = {
            "none": frozenset[Access](),
            "pull": frozenset({pull("team/app")}),
            "both": frozenset({pull("team/app"), push("team/app")}),
            "source": frozenset({pull("team/app"), push("team/app"), pull("other")}),
        }.get(name)
        if allowed is None:
            raise InvalidToken("not one of ours")
        if is_old:
            raise ExpiredToken(Grant("alice", allowed))
        return Grant("alice", allowed)


class Users:
    async def authenticate(self, name: str, password: str, client: str) -> Principal | None:
        return Principal(name) if password == "right" else None


class OwnNamespace:
    def granted(self, principal: Principal, accesses: Iterable[Access], view: ClientView) -> frozenset[Access]:
        del view
        return frozenset(access for access in accesses if access.name.startswith(principal.name + "/"))


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@dataclass
class Passed:
    scopes: list[Scope] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)


async def ask(
    method: str, path: str, authorization: str | None = None, query: str = "", *, passwords: bool = True
) -> Scope:
    backend = Passed()
    layer = Authorize(
        backend,
        challenge=BearerChallenge("authproxy"),
        sessions=SIGNER,
        verifier=Tokens(),
        basic=BasicAccess(Users(), OwnNamespace()) if passwords else None,
    )
    headers = [(b"authorization", authorization.encode())] if authorization else []
    scope: Scope = {"method": method, "raw_path": path.encode(), "query_string": query.encode(), "headers": headers}
    scope[CLIENT_VIEW] = ClientView("https", "h:5000", "127.0.0.1")

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        scope.setdefault("sent", []).append(message)

    await layer(scope, receive, send)
    return backend.scopes[0] if backend.scopes else scope


@dataclass(frozen=True)
class Refused:
    what: str
    method: str
    path: str
    authorization: str | None
    error: type[RegistryError]
    challenge: str = ""  # what stands in it
    message: str = ""


REFUSED = [
    Refused("no token", "GET", "/v2/", None, Unauthorized, 'service="authproxy"'),
    Refused(
        "no token, with what is needed",
        "PUT",
        "/v2/a/manifests/x",
        None,
        Unauthorized,
        'scope="repository:a:pull,push"',
    ),
    Refused("no token and an invalid name look alike", "GET", "/v2/A/tags/list", None, Unauthorized),
    Refused("no token and an unknown path look alike", "GET", "/v2/nothing", None, Unauthorized),
    Refused("bad token", "GET", "/v2/", "Bearer forged", Unauthorized, 'error="invalid_token"'),
    Refused("another scheme", "GET", "/v2/", "Negotiate x", Unauthorized, 'error="invalid_token"'),
    Refused(
        "too little",
        "PUT",
        "/v2/team/app/manifests/x",
        "Bearer pull",
        Unauthorized,
        'error="insufficient_scope"',
        "this token does not allow you to push team/app",
    ),
    Refused("another repository", "GET", "/v2/team/b/tags/list", "Bearer both", Unauthorized, "insufficient_scope"),
    Refused(
        "delete is its own action", "DELETE", "/v2/team/app/manifests/x", "Bearer both", Unauthorized, "insufficient"
    ),
    Refused("catalog", "GET", "/v2/_catalog", "Bearer both", Unauthorized, "registry:catalog:*", "read the catalog"),
    Refused("wrong password", "GET", "/v2/", basic("alice:wrong"), Unauthorized, "Bearer realm", "incorrect"),
    Refused(
        "right password, no right",
        "GET",
        "/v2/bob/app/tags/list",
        basic("alice:right"),
        Denied,
        "",
        "alice may not pull",
    ),
]


@pytest.mark.parametrize("row", REFUSED, ids=attrgetter("what"))
async def test_refused(row: Refused) -> None:
    with pytest.raises(row.error) as caught:
        await ask(row.method, row.path, row.authorization)
    assert row.challenge in dict(caught.value.headers).get("WWW-Authenticate", "")
    assert row.message in str(caught.value)


async def test_a_request_whose_token_grants_all_passes_with_its_route_and_grant() -> None:
    scope = await ask("PUT", "/v2/team/app/manifests/x", "Bearer both")
    assert (scope[ROUTE].repository, scope[GRANT].subject) == ("team/app", "alice")


async def test_a_password_straight_to_the_registry_is_decided_by_the_policies() -> None:
    assert (await ask("GET", "/v2/alice/app/tags/list", basic("alice:right")))[GRANT].subject == "alice"


async def test_where_passwords_are_not_taken_they_prove_nothing() -> None:
    with pytest.raises(Unauthorized):
        await ask("GET", "/v2/", basic("alice:right"), passwords=False)


async def test_a_known_caller_is_told_what_is_wrong_with_the_path() -> None:
    with pytest.raises(RegistryError) as caught:
        await ask("GET", "/v2/A/tags/list", "Bearer none")
    assert caught.value.code == "NAME_INVALID"


async def test_a_preflight_needs_no_credentials() -> None:
    scope = await ask("OPTIONS", "/v2/team/app/manifests/x")
    assert scope["sent"][0]["status"] == 204


MOUNT = f"mount={DIGEST}&from=other"


async def test_mount_without_pull_on_source_opens_a_session() -> None:
    scope = await ask("POST", "/v2/team/app/blobs/uploads/", "Bearer both", f"x=%2B&{MOUNT}")
    assert (scope[ROUTE].mount, scope["query_string"]) == (None, b"x=%2B")


async def test_mount_with_pull_on_source_passes() -> None:
    scope = await ask("POST", "/v2/team/app/blobs/uploads/", "Bearer source", MOUNT)
    assert (scope[ROUTE].mount.sources, scope["query_string"]) == (("other",), MOUNT.encode())


@pytest.mark.parametrize("authorization", [None, "Bearer forged", "Bearer both-old", basic("alice:wrong"), "Digest x"])
async def test_mount_without_good_credentials_is_told_to_ask_for_the_source_too(authorization: str | None) -> None:
    with pytest.raises(Unauthorized) as refused:
        await ask("POST", "team/app/blobs/uploads/", authorization, MOUNT)
    assert (
        'scope="repository:team/app:pull,push repository:other:pull"' in dict(refused.value.headers)["WWW-Authenticate"]
    )


async def test_mount_with_too_little_is_told_of_one_repository() -> None:
    """podman and skopeo read the scope beside this error, and cannot parse two."""
    with pytest.raises(Unauthorized) as refused:
        await ask("POST", "team/app/blobs/uploads/", "Bearer pull", MOUNT)
    challenge = dict(refused.value.headers)["WWW-Authenticate"]
    assert 'scope="repository:team/app:pull,push"' in challenge
    assert 'error="insufficient_scope"' in challenge


async def test_mount_without_a_source_may_look_where_the_token_may_pull() -> None:
    query = f"x=1&mount={DIGEST}"
    scope = await ask("POST", "/v2/team/app/blobs/uploads/", "Bearer source", query)
    assert scope[ROUTE].mount.sources == ("other", "team/app")
    assert (scope[ROUTE].query, scope["query_string"]) == ((("x", "1"),), b"x=1")  # what another registry would get
    scope = await ask("POST", "/v2/team/app/blobs/uploads/", "Bearer both", query)
    assert scope[ROUTE].mount.sources == ("team/app",)
    scope = await ask("POST", "/v2/alice/app/blobs/uploads/", basic("alice:right"), query)
    assert scope[ROUTE].mount.sources == ("alice/app",)


async def test_mount_without_a_source_looks_in_repositories_alone_and_in_no_more_than_it_may() -> None:
    names = ("UPPER", "*", "a/push/only", *(f"n/{number:03}" for number in range(40)))
    grant = Grant("alice", frozenset(Access("repository", name, "pull") for name in names if name != "a/push/only"))
    grant = Grant("alice", grant.allowed | {push("a/push/only"), Access("registry", "catalog", "*")})
    route = parse_route("POST", b"/v2/team/app/blobs/uploads/", f"mount={DIGEST}".encode())
    allowed = _allow_mount({"query_string": b""}, route, grant)
    assert allowed.mount is not None
    assert allowed.mount.sources == tuple(f"n/{number:03}" for number in range(MAX_MOUNT_SOURCES))


@pytest.mark.parametrize("query", [f"%6dount={DIGEST}&from=other", f"x=1;mount={DIGEST};from=other"])
async def test_a_hidden_mount_field_is_no_way_around(query: str) -> None:
    """Whoever reads the query behind us undoes escapes, and old servers part fields at semicolons."""
    scope = await ask("POST", "/v2/team/app/blobs/uploads/", "Bearer both", query)
    assert (scope[ROUTE].mount, scope["query_string"]) == (None, b"")


def address(opened_with: str, repository: str = "team/app", session: str = SESSION) -> str:
    """The query of a session that was opened with this token."""
    return "_session=" + SIGNER.sign(repository, session, SIGNER.claim(f"Bearer {opened_with}", "alice", 1))


@pytest.mark.parametrize("method", ["GET", "HEAD", "PATCH", "PUT"])
async def test_the_token_that_opened_a_session_is_good_for_it_when_it_has_expired(method: str) -> None:
    scope = await ask(method, f"/v2/team/app/blobs/uploads/{SESSION}", "Bearer both-old", address("both-old"))
    assert scope[GRANT].subject == "alice"


@pytest.mark.parametrize(
    ("what", "path", "authorization", "query"),
    [
        ("no address", f"/v2/team/app/blobs/uploads/{SESSION}", "Bearer both-old", ""),
        ("opened with another token", f"/v2/team/app/blobs/uploads/{SESSION}", "Bearer both-old", address("both")),
        ("as Basic", f"/v2/team/app/blobs/uploads/{SESSION}", basic("alice:wrong"), address("both-old")),
        ("no token of ours", f"/v2/team/app/blobs/uploads/{SESSION}", "Bearer forged", address("forged")),
        ("another session", f"/v2/team/app/blobs/uploads/{SESSION[:-1]}1", "Bearer both-old", address("both-old")),
        ("another repository", f"/v2/team/b/blobs/uploads/{SESSION}", "Bearer both-old", address("both-old")),
        ("a token that may not push", f"/v2/team/app/blobs/uploads/{SESSION}", "Bearer pull-old", address("pull-old")),
        ("a manifest", "/v2/team/app/manifests/x", "Bearer both-old", address("both-old")),
        ("an upload to open", "/v2/team/app/blobs/uploads/", "Bearer both-old", address("both-old")),
    ],
)
async def test_an_expired_token_is_good_for_nothing_else(what: str, path: str, authorization: str, query: str) -> None:
    del what
    method = "POST" if path.endswith("uploads/") else "PUT"
    with pytest.raises(Unauthorized):
        await ask(method, path, authorization, query)


async def test_a_refused_request_is_known_by_what_it_asked_for() -> None:
    """Metrics count a refusal where an answer would have been counted."""
    scope: Scope = {"method": "GET", "raw_path": b"/v2/a/tags/list", "query_string": b"", "headers": []}
    scope[CLIENT_VIEW] = ClientView("https", "h:5000", "127.0.0.1")

    async def nobody(*_: object) -> Any:
        raise AssertionError

    with pytest.raises(Unauthorized):
        await Authorize(nobody, challenge=BearerChallenge("authproxy"), sessions=SIGNER)(scope, nobody, nobody)
    assert scope[ROUTE].kind is Kind.TAGS


class Rules:
    """Nobody deletes, only CI pushes; everybody may pull."""

    async def deny(self, subject: str, lacking: Sequence[Access], view: ClientView) -> Denial:
        del view
        denied = tuple(access for access in lacking if access.action != "pull")
        return Denial(denied, f"only CI may, not {subject}" if push("team/app") in denied else None)


@pytest.mark.parametrize(
    ("method", "token", "message"),
    [
        ("PUT", "pull", "alice may not push team/app: only CI may, not alice"),
        ("PUT", "none", "alice may not push team/app: only CI may, not alice"),
        ("DELETE", "pull", "alice may not delete team/app"),
        ("GET", "none", "this token does not allow you to pull team/app, but a new token for that would"),
    ],
)
async def test_who_is_denied_is_told_why(method: str, token: str, message: str) -> None:
    async def nobody(*_: object) -> Any:
        raise AssertionError

    layer = Authorize(
        nobody, challenge=BearerChallenge("authproxy"), sessions=SIGNER, verifier=Tokens(), reasons=Rules()
    )
    headers = [(b"authorization", f"Bearer {token}".encode())]
    scope: Scope = {"method": method, "raw_path": b"/v2/team/app/manifests/x", "query_string": b"", "headers": headers}
    scope[CLIENT_VIEW] = ClientView("https", "h:5000", "127.0.0.1")
    with pytest.raises(Unauthorized) as caught:
        await layer(scope, nobody, nobody)
    assert str(caught.value) == message
    assert f'error_description="{message}"' in dict(caught.value.headers)["WWW-Authenticate"]
