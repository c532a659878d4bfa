"""Which tags of a request the rules are asked about, and what a backend gets to ask by itself."""

from dataclasses import dataclass, field

import pytest

from authproxy.access import Grant
from authproxy.asgi import CLIENT_VIEW, GRANT, ROUTE, Message, Receive, Scope, Send
from authproxy.client_view import UNKNOWN
from authproxy.edge.tag_rules import EnforceTagRules
from authproxy.errors import Denied
from authproxy.permissions import PERMISSIONS, Permissions, Verb
from authproxy.reference import Tag
from authproxy.route import parse_route

DIGEST = "sha256:" + "a" * 64


@dataclass
class Asked:
    """Refuses the tag `v1`, and keeps what it is asked."""

    asked: list[tuple[Verb, Tag | None]] = field(default_factory=list)

    def concern(self, verb: Verb) -> bool:
        return verb != "delete"

    def refusal(self, verb: Verb, tag: Tag | None = None) -> Denied | None:
        self.asked.append((verb, tag))
        return Denied("not this one") if tag == "v1" else None

    def shows_repository(self, name: str) -> bool:
        raise AssertionError("it is no list")

    def shows_tag(self, tag: str) -> bool:
        raise AssertionError("it is no list")

    def shows_every_tag(self) -> bool:
        return False


async def serve(method: str, path: str, permissions: Permissions | None, query: str = "") -> list[Scope]:
    served: list[Scope] = []

    async def backend(scope: Scope, receive: Receive, send: Send) -> None:
        del receive, send
        served.append(scope)

    async def receive() -> Message:
        raise AssertionError("nothing is read")

    async def send(message: Message) -> None:
        raise AssertionError("nothing is sent")

    scope: Scope = {
        ROUTE: parse_route(method, path.encode(), query.encode()),
        GRANT: Grant("alice"),
        CLIENT_VIEW: UNKNOWN,
    }
    await EnforceTagRules(backend, find=lambda _route, _grant, _view: permissions)(scope, receive, send)
    return served


REQUESTS = [
    ("GET", "a/manifests/v2", "", [("pull", "v2")]),
    ("HEAD", "a/manifests/v2", "", [("pull", "v2")]),
    ("PUT", "a/manifests/v2", "", [("push", "v2")]),
    ("PUT", f"a/manifests/{DIGEST}", "tag=v2&tag=v3&tag=-&other=v1", [("push", "v2"), ("push", "v3")]),
    ("GET", f"a/manifests/{DIGEST}", "tag=v1", []),
    ("DELETE", "a/manifests/v1", "", []),
    ("GET", f"a/blobs/{DIGEST}", "", []),
    ("POST", "a/blobs/uploads/", "", []),
    ("GET", "a/tags/list", "", []),
    ("GET", "_catalog", "", []),
]


@pytest.mark.parametrize(("method", "path", "query", "asked"), REQUESTS)
async def test_the_tags_that_are_named_are_asked_about(
    method: str, path: str, query: str, asked: list[tuple[Verb, Tag]]
) -> None:
    permissions = Asked()
    [scope] = await serve(method, f"/v2/{path}", permissions, query)
    assert permissions.asked == asked
    assert scope[PERMISSIONS] is permissions


@pytest.mark.parametrize(
    ("method", "reference", "query"),
    [("GET", "v1", ""), ("HEAD", "v1", ""), ("PUT", "v1", ""), ("PUT", DIGEST, "tag=v2&tag=v1")],
)
async def test_one_that_is_refused_never_reaches_the_backend(method: str, reference: str, query: str) -> None:
    with pytest.raises(Denied, match="not this one"):
        await serve(method, f"/v2/a/manifests/{reference}", Asked(), query)


async def test_where_no_rule_restricts_a_request_the_backend_has_nothing_to_ask() -> None:
    [scope] = await serve("PUT", "/v2/a/manifests/v1", None)
    assert PERMISSIONS not in scope
