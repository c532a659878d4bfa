"""Everything below a path: what comes in loses it, what goes out has it."""

import json
from typing import Any

import pytest

from authproxy.asgi import CLIENT_VIEW, Receive, Scope, Send, respond
from authproxy.client_view import ClientView
from authproxy.edge.challenge import BearerChallenge
from authproxy.edge.forwarded import DecideClientView, decide_client_view
from authproxy.edge.prefix import StripPrefix

PREFIX = "/my/registry"
HOST = "registry.test:5000"


async def tell(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with what the layers have made of the request."""
    del receive
    seen = [scope["path"], scope["raw_path"].decode(), scope[CLIENT_VIEW].location("/v2/a")]
    await respond(send, 200, [], json.dumps(seen).encode())


async def answer_to(path: str, raw_path: bytes, method: str = "GET") -> tuple[int, bytes]:
    """Both readings of a path, as a server hands them over."""
    sent: list[Any] = []

    async def receive() -> Any:
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "scheme": "https",
        "path": path,
        "raw_path": raw_path,
        "headers": [(b"host", HOST.encode())],
    }
    await StripPrefix(DecideClientView(tell, prefix=PREFIX), prefix=PREFIX)(scope, receive, send)
    return sent[0]["status"], sent[1]["body"]


BELOW = {
    "/my/registry/v2/": "/v2/",
    "/my/registry/v2/my/registry/tags/list": "/v2/my/registry/tags/list",
    "/my/registry/token": "/token",
    "/my/registry/": "/",
}


@pytest.mark.parametrize(("path", "inside"), BELOW.items())
async def test_what_is_asked_below_the_prefix_loses_it(path: str, inside: str) -> None:
    location = f"https://{HOST}/my/registry/v2/a"
    status, body = await answer_to(path, path.encode())
    assert (status, json.loads(body)) == (200, [inside, inside, location])


OUTSIDE = ["/v2/", "/", "/my/registry", "/my/registryv2/", "/token", "/my//registry/v2/"]


@pytest.mark.parametrize("path", OUTSIDE)
async def test_everything_else_is_not_there(path: str) -> None:
    status, body = await answer_to(path, path.encode())
    (error,) = json.loads(body)["errors"]
    assert (status, error["code"]) == (404, "UNSUPPORTED")
    assert PREFIX in error["message"]


async def test_an_escape_in_the_prefix_is_not_undone() -> None:
    status, _ = await answer_to("/my/registry/v2/", b"/my%2Fregistry/v2/")
    assert status == 404


async def test_head_outside_has_no_body() -> None:
    assert await answer_to("/elsewhere", b"/elsewhere", "HEAD") == (404, b"")


@pytest.mark.parametrize(
    ("public_url", "location", "realm"),
    [
        (None, f"https://{HOST}/registry/v2/", f"https://{HOST}/registry/token"),
        ("https://a", "https://a/v2/", "https://a/token"),
        ("https://a/nested", "https://a/nested/v2/", "https://a/nested/token"),
    ],
)
def test_a_path_in_http_host_stands_in_place_of_the_prefix(public_url: str | None, location: str, realm: str) -> None:
    view = decide_client_view(
        peer="192.0.2.1",
        scheme="https",
        headers=[(b"host", HOST.encode())],
        own_authority=HOST,
        public_url=public_url,
        prefix="/registry",
    )
    assert view.location("/v2/") == location
    assert BearerChallenge("s")(view, ()) == f'Bearer realm="{realm}",service="s"'


def test_relative_locations_have_the_prefix_too() -> None:
    view = ClientView("https", HOST, "192.0.2.1", relative_locations=True, prefix="/registry")
    assert view.location("/v2/") == "/registry/v2/"


def test_a_path_of_another_token_server_on_this_host_has_no_prefix() -> None:
    view = ClientView("https", HOST, "192.0.2.1", prefix="/registry")
    challenge = BearerChallenge("s", path="/auth/token")(view, ())
    assert challenge == f'Bearer realm="https://{HOST}/auth/token",service="s"'
