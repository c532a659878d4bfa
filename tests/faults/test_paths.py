"""Paths as people and old scripts write them, against a running server with and without a prefix."""

from collections.abc import Iterator

import httpx
import pytest

from tests.support.people import OPERATOR
from tests.support.server import Server, running_server

PREFIX = "/my/registry"


@pytest.fixture(scope="module", params=["", PREFIX], ids=["at the top", "below a prefix"])
def prefix(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def server(prefix: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {"REGISTRY_HTTP_PREFIX": f"{prefix}/"} if prefix else {}
    with running_server(tmp_path_factory.mktemp("paths") / "server", settings) as running:
        yield running


SLASHES = {
    "//v2/_catalog?n=1": "/v2/_catalog?n=1",
    "/v2/_catalog/": "/v2/_catalog",
    "/v2/a/b/tags/list/?n=2&last=x": "/v2/a/b/tags/list?n=2&last=x",
}


@pytest.mark.parametrize("path", SLASHES)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_slashes_too_many_lead_to_the_path_that_is_authorised(
    server: Server, prefix: str, method: str, path: str
) -> None:
    with server.client() as client:
        answer = client.request(method, f"{server.url}{prefix}{path}")
        assert (answer.status_code, answer.headers["location"]) == (301, prefix + SLASHES[path])
        followed = client.request(method, f"{server.url}{prefix}{path}", follow_redirects=True)
        assert (followed.status_code, str(followed.url)) == (401, f"{server.url}{prefix}{SLASHES[path]}")
        followed = client.request(
            method,
            f"{server.url}{prefix}{path}",
            follow_redirects=True,
            auth=(OPERATOR.name, OPERATOR.password),
        )
        assert followed.status_code == (404 if "tags" in path else 200)


@pytest.mark.parametrize("path", ["/token", "/.well-known/jwks.json"])
@pytest.mark.parametrize("slashes", ["/", "//"])
def test_a_page_with_slashes_behind_it_stays_on_the_host_and_the_scheme_that_were_asked(
    server: Server, prefix: str, path: str, slashes: str
) -> None:
    """Passwords go to `/token`: a client that follows sends them along, so host and scheme stay its own."""
    with server.client() as client:
        for method in ("GET", "POST"):
            answer = client.request(
                method, f"{server.url}{prefix}{path}{slashes}?a=1", headers={"Host": "elsewhere.example"}
            )
            assert (answer.status_code, answer.headers["location"]) == (307, f"{prefix}{path}?a=1")


@pytest.mark.parametrize("path", ["//evil.example/v2/", "//evil.example//v2/_catalog/", "/\\evil.example/v2//"])
def test_no_path_leads_to_another_host(server: Server, prefix: str, path: str) -> None:
    with server.client() as client:
        for start in dict.fromkeys(("", prefix)):
            answer = client.get(f"{server.url}{start}{path}")
            assert (answer.status_code, answer.headers.get("location")) == (404, None)


def test_what_is_not_there_is_told_with_the_prefix(server: Server, prefix: str) -> None:
    with server.client() as client:
        (error,) = client.get(f"{prefix}/f%C3%BCr").json()["errors"]
    assert error["detail"] == f"{prefix}/für"
    assert error["message"].endswith(f"the registry is at {prefix}/v2/")


def test_a_name_past_ascii_is_shown_as_it_is(server: Server, prefix: str) -> None:
    with server.client() as client:
        client.auth = httpx.BasicAuth(OPERATOR.name, OPERATOR.password)
        (error,) = client.get(f"{prefix}/v2/für/app/tags/list").json()["errors"]
        assert error["detail"] == {"name": "für/app"}
        log = [line for line in server.output.splitlines() if "tags/list" in line]
    assert not any("Ã" in line for line in log)
