"""Holes that registries and their front doors have had, each tried on the whole application, or on the part it was in.

Those of the core, of tokens and of policies alone are in `test_advisories.py` of their folders; the last test here
knows where each is.
"""

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from authproxy.errors import RegistryError
from authproxy.identity.accounts import add_user
from authproxy.proxy.upstream import Upstream
from authproxy.route import parse_route
from tests.support.application import serving
from tests.support.registry import (
    sha256,
)
from tests.support.upstream import Connection, fake_upstream, front_door

PASSWORDS = {"alice": "alice's own password", "bob": "bob's own password"}
HELLO = sha256(b"hello")
RULES = """
version: 1
rules:
  - name: own space
    allow: [pull, push, delete]
    to: {signed-in: true}
    on: {repositories: ["{user}/**"]}
"""


@asynccontextmanager
async def whole(folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    """The application with alice and bob, each of whom may do everything below their name and nothing elsewhere."""
    for name, password in PASSWORDS.items():
        add_user(folder / "htpasswd", None, name, password, [], cost=4)
    (folder / "rules.yaml").write_text(RULES)
    settings = {
        "version": "0.1",
        "storage": {"filesystem": {"rootdirectory": str(folder / "registry")}, "delete": {"enabled": "true"}},
        "token": {"keys": str(folder / "keys")},
        "identities": [{"htpasswd": {"path": str(folder / "htpasswd")}}],
        "policies": {"path": str(folder / "rules.yaml")},
    }
    async with serving(settings) as client:
        yield client


async def bearer(client: httpx.AsyncClient, user: str, *scopes: str) -> dict[str, str]:
    """The header of a token for what the rules give of these scopes."""
    answer = await client.get("/token", params={"scope": list(scopes)}, auth=(user, PASSWORDS[user]))
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['token']}"}


async def test_cve_2024_39897_a_mount_takes_nothing_from_where_the_caller_may_not_pull(tmp_path: Path) -> None:
    async with whole(tmp_path) as client:
        bob = await bearer(client, "bob", "repository:bob/secret:pull,push")
        answer = await client.post(f"/v2/bob/secret/blobs/uploads/?digest={HELLO}", content=b"hello", headers=bob)
        assert answer.status_code == 201
        scopes = ["repository:alice/app:pull,push", "repository:bob/secret:pull"]
        for headers in (await bearer(client, "alice", *scopes), {"Authorization": basic("alice")}):
            for query in (
                f"mount={HELLO}&from=bob/secret",
                f"mount={HELLO}",
                f"mount={HELLO}&from=alice/app&from=bob/secret",
                f"from=bob%2Fsecret&mount={HELLO}",
                f"mount={HELLO};from=bob/secret",
            ):
                refused = await client.post(f"/v2/alice/app/blobs/uploads/?{query}", headers=headers)
                absent = await client.post(
                    f"/v2/alice/app/blobs/uploads/?{query.replace('secret', 'none')}", headers=headers
                )
                assert (refused.status_code, absent.status_code) == (202, 202)
                assert set(refused.headers) == set(absent.headers)
            assert (await client.head(f"/v2/alice/app/blobs/{HELLO}", headers=headers)).status_code == 404


def basic(user: str) -> str:
    return httpx.BasicAuth(user, PASSWORDS[user])._auth_header


PRIVATE = [
    ("GET", "/v2/"),
    ("GET", "/v2/_catalog"),
    ("GET", "/v2/bob/app/tags/list"),
    ("GET", "/v2/bob/app/manifests/v1"),
    ("HEAD", "/v2/bob/app/manifests/v1"),
    ("GET", f"/v2/bob/app/blobs/{sha256(b'a layer')}"),
    ("HEAD", f"/v2/bob/app/blobs/{sha256(b'a layer')}"),
    ("GET", f"/v2/bob/app/referrers/{HELLO}"),
    ("POST", "/v2/bob/app/blobs/uploads/"),
    ("PUT", "/v2/bob/app/manifests/v1"),
    ("DELETE", "/v2/bob/app/manifests/v1"),
    ("GET", "/v2/Nothing/that/is/a/name"),
    ("GET", "/v2/bob%2fapp/tags/list"),
    ("GET", "/v2/bob/app/tags/list/"),
    ("PROPFIND", "/v2/bob/app/tags/list"),
]


@pytest.mark.parametrize("who", ["nobody", "an anonymous token", "empty Basic", "an empty token", "somebody else"])
async def test_cve_2026_27771_no_route_gives_private_content(tmp_path: Path, who: str) -> None:
    async with whole(tmp_path) as client:
        anonymous = (await client.get("/token?scope=repository:bob/app:pull")).json()["token"]
        headers = {
            "nobody": {},
            "an anonymous token": {"Authorization": f"Bearer {anonymous}"},
            "empty Basic": {"Authorization": "Basic Og=="},
            "an empty token": {"Authorization": "Bearer "},
            "somebody else": await bearer(client, "alice", "repository:bob/app:pull,push,delete"),
        }[who]
        has_token = who in ("somebody else", "an anonymous token")
        for method, path in PRIVATE:
            answer = await client.request(method, path, headers=headers)
            assert answer.status_code == expected(method, path, has_token=has_token), (method, path)


def expected(method: str, path: str, *, has_token: bool) -> int:
    """Any valid token opens /v2/, which says nothing; what is no route is refused to whoever has one."""
    if not has_token:
        return 401
    try:
        route = parse_route(method, path.encode(), b"")
    except RegistryError as error:
        return error.status
    return 401 if route.needs else 200


async def test_cve_2026_32589_a_session_is_of_no_use_to_others(tmp_path: Path) -> None:
    async with whole(tmp_path) as client:
        alice = await bearer(client, "alice", "repository:alice/app:pull,push")
        bob = await bearer(client, "bob", "repository:bob/app:pull,push", "repository:alice/app:pull,push")
        opened = await client.post("/v2/alice/app/blobs/uploads/", headers=alice)
        parts = urlsplit(opened.headers["location"])
        own = f"{parts.path}?{parts.query}"
        moved = own.replace("/v2/alice/", "/v2/bob/")
        for method in ("GET", "PATCH", "PUT", "DELETE"):
            assert (await client.request(method, own, headers=bob)).status_code == 401
            assert (await client.request(method, own)).status_code == 401
            query = f"&digest={sha256(b'x')}" if method == "PUT" else ""
            answer = await client.request(method, moved + query, headers=bob)
            assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "BLOB_UPLOAD_INVALID")
        assert (await client.get(own, headers=alice)).status_code == 204


@pytest.mark.parametrize(
    "path",
    [
        "/v2/_catalog/",
        "/v2//_catalog",
        "/v2/%5fcatalog",
        "/v2/_catalog%2f",
        "/v2/x/../_catalog",
        "/v2/_Catalog",
        "/v2/a/_catalog",
    ],
)
async def test_cve_2020_29662_no_spelling_of_the_catalog_goes_round_its_scope(tmp_path: Path, path: str) -> None:
    async with whole(tmp_path) as client:
        headers = await bearer(client, "alice", "registry:catalog:*", "repository:alice/app:pull")
        for way in ({}, headers, {"Authorization": basic("alice")}):
            answer = await client.get(path, headers=way)
            assert answer.status_code in (400, 401, 403, 404)
            assert "repositories" not in answer.text


class Recorder:
    """An upstream that answers every request alike and keeps what came."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.seen = io.BytesIO()

    async def __call__(self, connection: Connection) -> None:
        while True:
            head, body = await connection.read_request()
            self.seen.write(head + body)
            await connection.send(self.answer)


@pytest.mark.parametrize("status", [b"307 Temporary Redirect", b"302 Found", b"401 Unauthorized"])
async def test_cve_2020_15157_and_cve_2026_33540_credentials_follow_no_address_of_an_upstream(status: bytes) -> None:
    """Neither a redirect nor the realm of a challenge is followed: both go to the client, who knows whom it trusts."""
    async with fake_upstream(elsewhere := Recorder(b"")) as other:
        answer = (
            b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nLocation: " + other.url.encode() + b"/x\r\n"
            b'WWW-Authenticate: Bearer realm="' + other.url.encode() + b'/token"\r\n\r\n'
        )
        async with (
            fake_upstream(Recorder(answer)) as upstream,
            front_door(Upstream(upstream.url, pass_authorization=True)) as front,
        ):
            client = await front.connect(
                b"GET /v2/a/manifests/v1 HTTP/1.1\r\nHost: h\r\nAuthorization: Basic c2VjcmV0OnM=\r\n"
                b"Connection: close\r\n\r\n"
            )
            received = await client.reader.read()
            client.writer.close()
    assert elsewhere.seen.getvalue() == b""
    assert received.startswith(b"HTTP/1.1 " + status[:3])


async def test_cve_2024_41110_the_upstream_reads_the_request_that_was_authorised() -> None:
    """No escape is undone twice, no field of the query is read by one and not by the other."""
    record = Recorder(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    async with fake_upstream(record) as upstream, front_door(Upstream(upstream.url)) as front:
        client = await front.connect(
            b"PUT /v2/a%2Fb/manifests/v%31?tag=%74 HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n"
            b"Connection: close\r\n\r\nbody"
        )
        await client.reader.read()
        client.writer.close()
    head, _, body = record.seen.getvalue().partition(b"\r\n\r\n")
    assert head.startswith(b"PUT /v2/a%2Fb/manifests/v%31?tag=%74 HTTP/1.1\r\n")
    assert body == b"body"
    route = parse_route("PUT", b"/v2/a%2Fb/manifests/v%31", b"tag=%74")
    assert (route.repository, route.reference, route.parameter("tag")) == ("a/b", "v1", "t")
    for twice in (b"/v2/a%252Fb/manifests/v1", b"/v2/a/manifests/v%2531"):
        with pytest.raises(RegistryError):
            parse_route("PUT", twice, b"")


# Where the other holes are tried.
ELSEWHERE = {
    "CVE-2017-11468": "tests/unit/registry/test_advisories.py",
    "CVE-2018-0114": "tests/unit/token/test_advisories.py",
    "CVE-2018-1000531": "tests/unit/token/test_advisories.py",
    "CVE-2021-41190": "tests/unit/registry/test_advisories.py",
    "CVE-2022-21449": "tests/unit/token/test_advisories.py",
    "CVE-2023-20902": "tests/unit/identity/test_directory.py",
    "CVE-2023-2253": "tests/unit/registry/test_advisories.py",
    "CVE-2024-3727": "tests/unit/registry/test_advisories.py",
    "CVE-2024-9683": "tests/unit/token/test_advisories.py",
    "CVE-2025-23208": "tests/unit/policy/test_advisories.py",
    "CVE-2025-24976": "tests/unit/token/test_advisories.py",
    "CVE-2026-32590": "tests/unit/registry/test_advisories.py",
    "CVE-2026-35172": "tests/unit/registry/test_advisories.py",
    "CVE-2026-41888": "tests/unit/registry/test_advisories.py",
    "GHSA-prh4-vhfh-24mj": "tests/faults/test_secrets_in_log.py",
}


@pytest.mark.parametrize(("hole", "file"), ELSEWHERE.items())
def test_a_hole_of_another_part_is_tried_where_that_part_is(hole: str, file: str) -> None:
    text = (Path(__file__).parents[2] / file).read_text(encoding="utf-8")
    assert hole in text or hole.lower().replace("-", "_") in text
