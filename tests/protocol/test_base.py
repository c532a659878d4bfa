"""What holds for every path: the version check, names, methods, and paths that no specification knows."""

import pytest
from httpx import AsyncClient

from authproxy.route import MAX_QUERY_FIELDS
from tests.support.registry import Call, check, name_of, sha256, under

DIGEST = sha256(b"hello")
SESSION = "00000000-0000-4000-8000-000000000000"


def name(what: str, repository: str) -> Call:
    """A name that is none, where a list of tags is asked for: the rule is the same everywhere."""
    return Call(what, "GET", f"/v2/{repository}/tags/list", 400, code="NAME_INVALID")


def unsupported(method: str, path: str, allow: str) -> Call:
    return Call(f"{method} {path[:24]}", method, path, 405, code="UNSUPPORTED", answers={"Allow": allow})


def nowhere(what: str, path: str) -> Call:
    return Call(what, "GET", path, 404, code="UNSUPPORTED")


CALLS = [
    *under(
        "OCI 1.1 Determining Support",
        Call("GET", "GET", "/v2/", 200, answers={"Content-Type": "application/json"}, content=b"{}"),
        Call("HEAD", "HEAD", "/v2/", 200, answers={"Content-Length": "2"}, content=b""),
        Call("with a query", "GET", "/v2/?ns=docker.io", 200, content=b"{}"),
    ),
    *under(
        "OCI 1.1 Pulling manifests",
        name("a name in capitals", "Team/app"),
        name("a name with a space", "team%20app"),
        name("a name that begins with a separator", "-team/app"),
        name("a name that ends in one", "team/app."),
        name("three underscores", "team___app"),
        name("two dots", "team..app"),
        name("a parent folder", "team/%2e%2e/app"),
        name("a line break", "team%0aapp"),
        name("a NUL", "team%00app"),
        name("letters past ASCII", "t%C3%A9am"),
        name("256 characters", "a" * 256),
        Call("255 characters are a name", "GET", f"/v2/{'a' * 255}/tags/list", 404, code="NAME_UNKNOWN"),
        Call("dashes in a row are", "GET", "/v2/a---b/c__d.e_f/tags/list", 404, code="NAME_UNKNOWN"),
        Call("a name that is an endpoint's word", "GET", "/v2/tags/list/tags/list", 404, code="NAME_UNKNOWN"),
        Call("PUT", "PUT", "/v2/Team/app/manifests/v1", 400, code="NAME_INVALID"),
        Call("POST", "POST", "/v2/Team/app/blobs/uploads/", 400, code="NAME_INVALID"),
        # To GET and HEAD the edge answers with the clean path: tests/faults/test_paths.py.
        Call("an empty component", "POST", "/v2/team//app/blobs/uploads/", 400, code="NAME_INVALID"),
        Call("a slash in front", "POST", "/v2//team/app/blobs/uploads/", 400, code="NAME_INVALID"),
        Call("DELETE", "DELETE", f"/v2/Team/app/blobs/{DIGEST}", 400, code="NAME_INVALID"),
    ),
    *under(
        "OCI 1.1 Endpoints",
        unsupported("POST", "/v2/", "GET, HEAD"),
        unsupported("POST", "/v2/_catalog", "GET, HEAD"),
        unsupported("PUT", "/v2/a/tags/list", "GET, HEAD"),
        unsupported("DELETE", "/v2/a/tags/list", "GET, HEAD"),
        unsupported("POST", "/v2/a/manifests/v1", "GET, HEAD, PUT, DELETE"),
        unsupported("PATCH", "/v2/a/manifests/v1", "GET, HEAD, PUT, DELETE"),
        unsupported("PUT", f"/v2/a/blobs/{DIGEST}", "GET, HEAD, DELETE"),
        unsupported("GET", "/v2/a/blobs/uploads/", "POST"),
        unsupported("POST", f"/v2/a/blobs/uploads/{SESSION}", "GET, HEAD, PATCH, PUT, DELETE"),
        unsupported("DELETE", f"/v2/a/referrers/{DIGEST}", "GET, HEAD"),
        unsupported("PROPFIND", "/v2/", "GET, HEAD"),
        nowhere("a repository alone", "/v2/team/app"),
        nowhere("an unknown word", "/v2/team/app/layers/x"),
        nowhere("a list of manifests", "/v2/team/app/manifests"),
        Call("behind the catalog", "POST", "/v2/_catalog/", 404, code="UNSUPPORTED"),
        Call("a slash too many in front of the catalog", "POST", "/v2//_catalog", 404, code="UNSUPPORTED"),
        nowhere("a session with a space", "/v2/a/blobs/uploads/a%20b"),
        nowhere("a slash in a digest", f"/v2/a/blobs/sha256:..%2f{DIGEST}"),
        Call(
            "more fields than a query has",
            "GET",
            f"/v2/_catalog?{'&'.join(['x=1'] * (MAX_QUERY_FIELDS + 1))}",
            414,
            code="UNSUPPORTED",
        ),
    ),
]


# RFC 3986 §2.5: what is escaped are the bytes of UTF-8. Bytes that are none are shown as what they are: unreadable.
SHOWN = {
    "f%C3%BCr/app": "für/app",
    "f%c3%bcr%2fapp": "für/app",
    "%E6%97%A5%E6%9C%AC": "日本",
    "%f0%9f%90%8b": "🐋",
    "f%FCr": "f\ufffdr",
    "%ed%a0%80": "\ufffd\ufffd\ufffd",
}


@pytest.mark.section("RFC 3986 2.5")
@pytest.mark.parametrize("name", SHOWN)
async def test_a_name_past_ascii_is_shown_as_it_was_written(registry: AsyncClient, name: str) -> None:
    answer = await registry.get(f"/v2/{name}/tags/list")
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["detail"]) == (400, {"name": SHOWN[name]})


@pytest.mark.leaves_the_same
@pytest.mark.parametrize("call", CALLS, ids=name_of)
async def test_call(registry: AsyncClient, call: Call) -> None:
    await check(registry, call)
