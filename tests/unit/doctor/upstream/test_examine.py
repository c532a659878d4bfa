"""What no registry that could be had does, done by a small fake; real ones are in tests/peers."""

import email.utils
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from operator import attrgetter

import pytest

from authproxy.config.mode import Mode
from authproxy.config.sections.upstream import Upstream
from authproxy.doctor import handshake, request
from authproxy.doctor.finding import Finding
from authproxy.doctor.upstream import examine
from authproxy.doctor.upstream.admission import Clients
from authproxy.doctor.upstream.site import Site
from tests.support.upstream import Behaviour, Connection, FakeUpstream, fake_upstream

NOW = 1_800_000_000.0
EMPTY = b"Content-Length: 0\r\n\r\n"
REGISTRY = b"HTTP/1.1 200 OK\r\nDocker-Distribution-API-Version: registry/2.0\r\n" + EMPTY
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\n" + EMPTY
UPLOAD = "POST /v2/authproxy-doctor/sample/blobs/uploads/"
CANCEL = "DELETE /v2/authproxy-doctor/sample/blobs/uploads/1?_state=s%3D"
DELETE = f"DELETE /v2/authproxy-doctor/sample/manifests/sha256:{'0' * 64}"
CATALOG = "GET /v2/_catalog?n=1"
TAGS = "GET /v2/a/tags/list?n=1"


def answer(status: int, body: str = "", **headers: str) -> bytes:
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([f"HTTP/1.1 {status} x", *lines, f"Content-Length: {len(body)}", "", body]).encode()


def registry(answers: Mapping[str, bytes]) -> Behaviour:
    """A registry that answers like this: "GET /v2/" and so on; what is not named is not found."""

    async def behave(connection: Connection) -> None:
        while True:
            head, _ = await connection.read_request()
            line = re.match(rb"(\S+ \S+) HTTP/1\.1\r\n", head)
            assert line, head
            said = ({"GET /v2/": REGISTRY} | dict(answers)).get(line[1].decode(), NOT_FOUND)
            await connection.send(said)
            if not said.startswith(b"HTTP/"):
                return

    return behave


def running(answers: Mapping[str, bytes]) -> AbstractAsyncContextManager[FakeUpstream]:
    return fake_upstream(registry(answers))


async def look(url: str, options: examine.UpstreamOptions | None = None) -> list[Finding]:
    site = Site("upstream", Upstream(url=url), "config.yml", {"upstream.url": "config.yml:3"})
    options = options or examine.UpstreamOptions(may_write=True)
    return list(await examine.examine(site, Clients(Mode.OPEN), None, options, NOW))


@dataclass(frozen=True, slots=True)
class Case:
    """What a registry answers, and what is said of it: the level of one check, and words."""

    what: str
    answers: Mapping[str, bytes]
    check: str
    level: str
    words: Sequence[str]


ONE = '{"repositories": ["a"]}'
TWO = '{"repositories": ["a", "b"]}'
DATE = email.utils.formatdate(NOW + 300, usegmt=True)
CASES = [
    Case("without the version", {"GET /v2/": answer(200, "{}")}, "registry", "warning", ["authproxy adds it"]),
    Case("with an empty page", {"GET /v2/": answer(200)}, "registry", "warning", ["by which clients recognize"]),
    Case("with another document", {"GET /v2/": answer(200, "[]")}, "registry", "failed", ["this is not a registry"]),
    Case("ill", {"GET /v2/": answer(503)}, "registry", "failed", ["503: it is not well"]),
    Case(
        "asked too often",
        {"GET /v2/": answer(429)},
        "registry",
        "unknown",
        ["429: too many requests → try again later"],
    ),
    Case("garbage", {"GET /v2/": b"SSH-2.0-OpenSSH_9.2p1\r\n"}, "registry", "failed", ["response is not HTTP/1.1"]),
    Case("nothing at all", {"GET /v2/": b""}, "registry", "failed", ["gave no answer"]),
    Case("silent behind its door", {CATALOG: b""}, "registry", "failed", ["answered /v2/, and no further request"]),
    Case(
        "a clock that is ahead",
        {"GET /v2/": answer(200, "{}", Date=DATE)},
        "clock",
        "warning",
        ["300 s ahead of ours", "set both by NTP"],
    ),
    Case(
        "a refusal without a reason",
        {"GET /v2/": answer(401, Docker_Distribution_API_Version="registry/2.0")},
        "auth",
        "failed",
        ["refuses (401) without saying what it asks for"],
    ),
    Case(
        "an unknown kind of credentials",
        {"GET /v2/": answer(401, WWW_Authenticate="Negotiate")},
        "auth",
        "failed",
        ["credentials of the kind 'negotiate'"],
    ),
    Case("no catalog", {CATALOG: answer(404)}, "catalog", "warning", ["is not available (404)"]),
    Case("a catalog that is no list", {CATALOG: answer(200, "{}")}, "catalog", "failed", ["cannot be read"]),
    Case("a catalog of null", {CATALOG: answer(200, '{"repositories": null}')}, "catalog", "ok", ["no name"]),
    Case("a catalog of one", {CATALOG: answer(200, ONE)}, "catalog", "ok", ["one name, too few"]),
    Case(
        "a catalog without pages", {CATALOG: answer(200, TWO)}, "catalog", "warning", ["asked for one name, it gave 2"]
    ),
    Case(
        "a catalog with pages",
        {CATALOG: answer(200, ONE, Link='</v2/_catalog?last=a&n=1>; rel="next"')},
        "catalog",
        "ok",
        ["comes in pages"],
    ),
    Case(
        "a next page elsewhere",
        {CATALOG: answer(200, ONE, Link='<https://elsewhere.example/v2/_catalog?last=a&n=1>; rel="next"')},
        "catalog",
        "failed",
        ["leads clients past authproxy: <https://elsewhere.example/"],
    ),
    Case(
        "tags without pages",
        {CATALOG: answer(200, ONE), TAGS: answer(200, '{"name": "a", "tags": ["1", "2"]}')},
        "tags",
        "warning",
        ["of a has no pages"],
    ),
    Case("hidden tags", {CATALOG: answer(200, ONE), TAGS: answer(403)}, "tags", "warning", ["cannot be read (403)"]),
    Case("deletes are off", {DELETE: answer(405)}, "deletes", "warning", ["it answers 405"]),
    Case("deletes are for others", {DELETE: answer(403)}, "deletes", "warning", ["is unknown: it answered 403"]),
    Case("deletes of anything", {DELETE: answer(202)}, "deletes", "warning", ["it answered 202 to the delete"]),
    Case(
        "no pushes",
        {UPLOAD: answer(403)},
        "location",
        "warning",
        ["it does not let us push to authproxy-doctor/sample (403)"],
    ),
    Case("no uploads", {UPLOAD: answer(405)}, "location", "warning", ["it accepts no uploads (405)"]),
    Case("an upload nowhere", {UPLOAD: answer(202)}, "location", "failed", ["without saying where"]),
    Case("a full disk", {UPLOAD: answer(500)}, "location", "failed", ["it answered 500 to the start of an upload"]),
    Case(
        "the client's host and not its scheme",
        {UPLOAD: answer(202, Location="http://authproxy-doctor.example/1"), "DELETE /1": answer(204)},
        "location",
        "warning",
        ["not X-Forwarded-Proto: it answers with http"],
    ),
    Case(
        "an upload at no address", {UPLOAD: answer(202, Location="http://[")}, "location", "failed", ["past authproxy"]
    ),
    Case(
        "an upload at another kind of address",
        {UPLOAD: answer(202, Location="file:///etc/passwd")},
        "location",
        "failed",
        ["sends the clients of uploads to file://"],
    ),
    Case(
        "names that are none before one that is",
        {CATALOG: answer(200, '{"repositories": ["../x", "\\u00e9", "a"]}'), TAGS: answer(403)},
        "tags",
        "warning",
        ["the tags of a cannot be read"],
    ),
    Case(
        "an upload that stays",
        {UPLOAD: answer(202, Location="/1"), "DELETE /1": answer(405)},
        "location",
        "warning",
        ["could not be cancelled (405)"],
    ),
]


@pytest.mark.parametrize("case", CASES, ids=attrgetter("what"))
async def test_a_registry_is_told_as_what_it_is(case: Case) -> None:
    async with running(case.answers) as fake:
        findings = await look(fake.url)
    found = [finding for finding in findings if (finding.check, finding.level.value) == (case.check, case.level)]
    assert found, findings
    text = f"{found[-1].what} → {found[-1].fix}"
    assert [words for words in case.words if words not in text] == [], text


async def test_its_own_address_is_put_right_by_us_and_the_upload_is_cancelled_there() -> None:
    async with fake_upstream(behave := _Recording()) as fake:
        behave.url = fake.url
        (location,) = [finding for finding in await look(fake.url) if finding.check == "location"]
    assert (location.level.value, "with its own address" in location.what) == ("warning", True)
    assert behave.lines[-1] == CANCEL


async def test_nothing_is_written_where_nobody_allows_it() -> None:
    async with fake_upstream(behave := _Recording()) as fake:
        findings = await look(fake.url, examine.UpstreamOptions())
    assert findings[-1].fix == "--write starts an upload there, and cancels it"
    assert [line for line in behave.lines if not line.startswith("GET ")] == [DELETE]


async def test_a_repository_that_is_named_is_asked_for_its_tags_and_takes_the_upload() -> None:
    async with fake_upstream(behave := _Recording()) as fake:
        await look(fake.url, examine.UpstreamOptions(may_write=True, repository="mine/app"))
    assert "GET /v2/mine/app/tags/list?n=1" in behave.lines
    assert "POST /v2/mine/app/blobs/uploads/" in behave.lines


async def test_it_is_asked_with_the_headers_that_the_proxy_sends() -> None:
    async with fake_upstream(behave := _Recording()) as fake:
        await look(fake.url, examine.UpstreamOptions())
    head = behave.heads[0].lower()
    assert b"\r\nhost: authproxy-doctor.example\r\n" in head
    assert b"\r\nx-forwarded-proto: https\r\n" in head
    assert b"\r\nauthorization:" not in head


async def test_who_never_answers_is_waited_for_no_longer_than_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request, "TIMEOUT_S", 0.2)

    async def hang(connection: Connection) -> None:
        await connection.wait_end()

    began = time.monotonic()
    async with fake_upstream(hang) as fake:
        *_, last = await look(fake.url)
    assert (last.check, last.level.value) == ("registry", "failed")
    assert "no response within 0 s" in last.what
    assert time.monotonic() - began < request.TIMEOUT_S + 5


async def test_a_body_that_drips_is_waited_for_no_longer_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request, "TIMEOUT_S", 0.2)

    async def drip(connection: Connection) -> None:
        await connection.read_request()
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        await connection.wait_end()

    async with fake_upstream(drip) as fake:
        *_, last = await look(fake.url)
    assert (last.check, last.level.value) == ("registry", "failed")


async def test_who_says_nothing_in_the_handshake_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "TIMEOUT_S", 0.2)

    async def hang(connection: Connection) -> None:
        await connection.wait_end()

    async with fake_upstream(hang) as fake:
        *_, last = await look(fake.url.replace("http:", "https:"))
    assert (last.check, last.level.value) == ("tls", "failed")
    assert "broke off the TLS handshake" in last.what


async def test_an_endless_list_is_read_no_further_than_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request, "MAX_BYTES", 1000)
    endless = answer(200, '{"repositories": [' + '"a", ' * 100_000 + '"a"]}')
    async with running({CATALOG: endless}) as fake:
        found = [finding for finding in await look(fake.url) if finding.check == "catalog"]
    assert [finding.level.value for finding in found] == ["failed"]


class _Recording:
    """A registry that remembers what it was asked, and answers uploads with its own address."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.url = ""

    @property
    def lines(self) -> list[str]:
        return [head.split(b" HTTP/1.1")[0].decode() for head in self.heads]

    async def __call__(self, connection: Connection) -> None:
        while True:
            head, _ = await connection.read_request()
            self.heads.append(head)
            said = REGISTRY if head.startswith(b"GET /v2/ ") else NOT_FOUND
            if head.startswith(b"POST "):
                path = f"{self.url}/v2/authproxy-doctor/sample/blobs/uploads/1?_state=s%3D"
                said = answer(202, Location=path)
            elif b"/uploads/" in head:
                said = answer(204)
            await connection.send(said)
