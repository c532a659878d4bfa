"""Holes that registries and their front doors have had, each tried on the whole application, or on the part it was in.

Those of the core, of tokens and of policies alone are in `test_advisories.py` of their folders; the last test here
knows where each is.
"""

import io
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from authproxy.edge.clean_path import find_clean_path
from authproxy.errors import RegistryError
from authproxy.proxy.upstream import Upstream
from authproxy.route import parse_route
from tests.support.binaries import ROOT
from tests.support.registry import sha256
from tests.support.upstream import Connection, fake_upstream, front_door
from tests.support.whole import basic, bearer, whole

HELLO = sha256(b"hello")


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
            assert answer.status_code != 301 or not answer.content


def expected(method: str, path: str, *, has_token: bool) -> int:
    """Any valid token opens /v2/, which says nothing; what is no route is refused to every token.

    A slash too many is redirected whatever is there, and says nothing of it.
    """
    if method == "GET" and find_clean_path(method, path.encode()):
        return 301
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
            if answer.status_code == 301:  # to the spelling that the scope is about
                assert answer.headers["location"] == "/v2/_catalog"
                answer = await client.get("/v2/_catalog", headers=way)
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
    assert head.startswith(b"PUT /v2/a/b/manifests/v1?tag=t HTTP/1.1\r\n")
    assert body == b"body"
    route = parse_route("PUT", b"/v2/a%2Fb/manifests/v%31", b"tag=%74")
    assert (route.repository, route.reference, route.parameter("tag")) == ("a/b", "v1", "t")
    for twice in (b"/v2/a%252Fb/manifests/v1", b"/v2/a/manifests/v%2531"):
        with pytest.raises(RegistryError):
            parse_route("PUT", twice, b"")


async def test_cve_2026_32591_no_request_says_where_it_is_forwarded_to() -> None:
    async with (
        fake_upstream(elsewhere := Recorder(b"")) as other,
        fake_upstream(record := Recorder(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as upstream,
        front_door(Upstream(upstream.url)) as front,
    ):
        host = other.url.removeprefix("http://").encode()
        targets = [b"/v2/a/manifests/v1?ns=" + host, other.url.encode() + b"/v2/a/manifests/v1", b"//" + host + b"/v2/"]
        for target in targets:
            client = await front.connect(
                b"GET " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\nX-Forwarded-Host: " + host + b"\r\n"
                b"Forwarded: host=" + host + b"\r\nConnection: close\r\n\r\n"
            )
            await client.reader.read()
            client.writer.close()
    assert elsewhere.seen.getvalue() == b""
    assert record.seen.getvalue().startswith(b"GET /v2/a/manifests/v1?ns=")


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
    "CVE-2024-9683": "tests/unit/test_advisories_logins.py",
    "CVE-2025-23208": "tests/unit/policy/test_advisories.py",
    "CVE-2025-24976": "tests/unit/token/test_advisories.py",
    "CVE-2025-68944": "tests/unit/test_advisories_logins.py",
    "CVE-2026-31801": "tests/unit/test_advisories_logins.py",
    "CVE-2026-32590": "tests/unit/registry/test_advisories.py",
    "CVE-2026-35172": "tests/unit/registry/test_advisories.py",
    "CVE-2026-41888": "tests/unit/registry/test_advisories.py",
    "GHSA-prh4-vhfh-24mj": "tests/faults/test_secrets_in_log.py",
}


@pytest.mark.parametrize(("hole", "file"), ELSEWHERE.items())
def test_a_hole_of_another_part_is_tried_where_that_part_is(hole: str, file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    assert hole in text or hole.lower().replace("-", "_") in text


# Holes that have no number of their own, or several: what was tried, and the test.
NAMELESS = {
    "alg: none": "token/test_advisories.py::test_alg_none_in_any_spelling",
    "HS256 with the public key": "token/test_advisories.py::test_an_hmac_with_the_public_key_as_its_secret",
    "a foreign jwk, jku or x5u": "token/test_advisories.py::test_a_key_that_the_header_brings_along",
    "a kid with a path in it": "token/test_advisories.py::test_a_kid_is_only_ever_looked_up",
    "aud, iss and times": "token/test_advisories.py::test_a_good_signature_over_claims_for_somebody_else",
    "truncated": "token/test_advisories.py::test_truncated_and_doubled_tokens",
    "doubled claims": "token/test_advisories.py::test_doubled_members_in_claims_or_header",
    "another account": "test_advisories_logins.py::test_an_account_is_who_the_credentials_prove_or_nobody",
    "apr1, sha and crypt": "test_advisories_logins.py::test_a_password_by_another_scheme_is_good_for_nothing",
    "no scope, no check": "token/test_advisories.py::test_a_login_without_scope_checks_the_password",
    "no password entry": "identity/test_directory.py::test_a_user_without_a_password_accepts_none_and_is_not_found",
    "an empty password": "identity/test_directory.py::test_an_empty_name_or_password_never_logs_in",
    "user text in a pattern": "policy/test_advisories.py::test_user_text_is_never_a_pattern",
    "a typo for everybody": "policy/test_advisories.py::test_a_misspelt_key_never_becomes_a_rule_about_everybody",
    "a page with 200": "test_advisories_logins.py::test_no_address_answers_a_page_with_200",
    "secrets in errors": "test_advisories_logins.py::test_no_answer_says_a_secret_back",
    "secrets as arguments": "test_advisories_logins.py::"
    "test_no_command_takes_a_secret_where_a_list_of_processes_shows_it",
}


@pytest.mark.parametrize("test", NAMELESS.values(), ids=NAMELESS)
def test_a_hole_without_a_number_is_tried_too(test: str) -> None:
    file, _, name = test.partition("::")
    text = (Path(__file__).parent / file).read_text(encoding="utf-8")
    assert f"def {name}(" in text
