"""Slashes too many are redirected away, and nothing else is."""

import httpx
import pytest

from authproxy.asgi import CLIENT_VIEW, Receive, Scope, Send, respond
from authproxy.client_view import ClientView
from authproxy.edge.clean_path import RedirectToCleanPath, find_clean_path
from tests.support.registry import sha256

DIGEST = sha256(b"x")
REDIRECTED = [
    ("//v2/_catalog", "/v2/_catalog"),
    ("/v2//_catalog", "/v2/_catalog"),
    ("/v2/_catalog/", "/v2/_catalog"),
    ("/v2/_catalog///", "/v2/_catalog"),
    ("//v2", "/v2/"),
    ("//v2/", "/v2/"),
    ("/v2//", "/v2/"),
    ("/v2/a/b/tags/list/", "/v2/a/b/tags/list"),
    ("/v2/a//b/tags/list", "/v2/a/b/tags/list"),
    ("/v2/a/manifests/v1/", "/v2/a/manifests/v1"),
    (f"//v2//a//blobs//{DIGEST}//", f"/v2/a/blobs/{DIGEST}"),
    (f"/v2/a/referrers/{DIGEST}/", f"/v2/a/referrers/{DIGEST}"),
    ("/v2/a%2Fb/tags/list/", "/v2/a%2Fb/tags/list"),
]
LEFT = [
    "/v2/",
    "/v2/_catalog",
    "//evil.example/v2/",
    "//evil.example//v2/_catalog",
    "///v2.evil.example/",
    "//evil.example/v2/a/tags/list/",
    "/\\evil.example//v2/",
    "/v2/_catalog%2f",
    "%2f/v2/_catalog",
    "/v2/nothing/",
    "/v2/A/tags/list/",
    "/v2/./_catalog/",
    "/v2/x/../_catalog/",
    "/v2/a/manifests/-/",
    "/v2/a/blobs/uploads/",
    "/v2/a//blobs/uploads/",
    "//",
    "/",
    "",
    "/token/",
    "//token",
]


@pytest.mark.parametrize(("path", "clean"), REDIRECTED)
def test_a_path_with_slashes_too_many_means_the_one_without(path: str, clean: str) -> None:
    assert find_clean_path("GET", path.encode()) == clean.encode()
    assert find_clean_path("HEAD", clean.encode()) is None


@pytest.mark.parametrize("path", LEFT)
def test_any_other_path_means_itself(path: str) -> None:
    assert find_clean_path("GET", path.encode()) is None


async def ask(method: str, path: str, prefix: str = "") -> httpx.Response:
    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, 204, [])

    async def with_origin(scope: Scope, receive: Receive, send: Send) -> None:
        scope[CLIENT_VIEW] = ClientView("https", "registry.test", "192.0.2.1", prefix=prefix)
        scope["raw_path"] = scope["raw_path"].partition(b"?")[0]
        await RedirectToCleanPath(inner)(scope, receive, send)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(with_origin)) as client:
        return await client.request(method, f"https://registry.test{path}")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_the_query_and_the_prefix_are_kept(method: str) -> None:
    answer = await ask(method, "//v2/_catalog/?n=1&last=%2F%2Fa", "/my/registry")
    assert answer.status_code == 301
    assert answer.headers["location"] == "/my/registry/v2/_catalog?n=1&last=%2F%2Fa"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_no_other_method_is_redirected(method: str) -> None:
    assert (await ask(method, "/v2/a/manifests/v1/")).status_code == 204
