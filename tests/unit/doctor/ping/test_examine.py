"""What no real registry at hand does."""

import email.utils
import itertools
import json
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import httpx
import pytest
import trustme

from authproxy.cli.doctor.findings import line_of
from authproxy.doctor import handshake, request
from authproxy.doctor.finding import Finding, Level
from authproxy.doctor.ping.examine import PingOptions, ping
from authproxy.doctor.response import judge_clock
from authproxy.registry_client.trust import Trust
from tests.support.upstream import Connection, FakeUpstream, answering, fake_upstream

NOW = time.time()


def answer(status: int, body: str = "", **headers: str) -> bytes:
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([f"HTTP/1.1 {status} x", *lines, f"Content-Length: {len(body)}", "", body]).encode()


async def look(
    fake: FakeUpstream, trust: Trust | None = None, options: PingOptions | None = None
) -> dict[str, Finding]:
    """The findings by check."""
    host = f"127.0.0.1:{fake.port}"
    trust = trust or Trust(plain_http=True)
    pinged = await ping(host, trust, options or PingOptions(), {"HOME": "/nowhere"}, NOW)
    return {finding.check: finding for finding in pinged.findings}


@pytest.mark.parametrize(
    ("ahead_s", "level", "words"),
    [(0, Level.OK, "agree"), (300, Level.WARNING, "s ahead of"), (-300, Level.WARNING, "s behind")],
)
async def test_the_clock_is_read_off_the_date(ahead_s: float, level: Level, words: str) -> None:
    date = email.utils.formatdate(NOW + ahead_s, usegmt=True)
    async with fake_upstream(answering(answer(200, "{}", Date=date))) as fake:
        clock = (await look(fake))["clock"]
    assert clock.level is level
    assert words in clock.what


@pytest.mark.parametrize(
    "date",
    [
        "Thu, 01 Jan 99999999999999999999 00:00:00 GMT",
        "Thu, 01 Jan 2026 00:00:00 +99999999999999999999",
        "Thu, 01 Jan 2026 00:00:00 +9999",
        "today",
    ],
)
def test_a_date_that_is_none_says_nothing_about_the_clock(date: str) -> None:
    assert judge_clock(httpx.Headers({"Date": date}), NOW) is None


async def test_who_never_answers_is_waited_for_no_longer_than_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request, "TIMEOUT_S", 0.2)
    monkeypatch.setattr(handshake, "TIMEOUT_S", 0.2)

    async def hang(connection: Connection) -> None:
        await connection.wait_end()

    async with fake_upstream(hang) as fake:
        found = await look(fake)
    assert found["registry"].level is Level.FAILED
    assert "no response within" in found["registry"].what


@pytest.mark.parametrize(
    ("said", "check", "words"),
    [
        (answer(503, "busy"), "registry", "answered 503: it is not well"),
        (answer(429), "registry", "429: too many requests"),
        (answer(200, "<html>"), "registry", "this is not a registry"),
        (answer(403, WWW_Authenticate='Basic realm="x"'), "auth", "clients log in only after 401"),
        (answer(401, WWW_Authenticate="Bearer"), "auth", "an unusable challenge: 'Bearer'"),
        (answer(401, WWW_Authenticate="Negotiate"), "auth", "which no client of registries supports"),
        (answer(200, "{}", Docker_Distribution_API_Version="registry/1.0"), "headers", "clients look for"),
        (answer(401, WWW_Authenticate='Bearer realm="/token"'), "realm", "is not an address"),
        (answer(401, WWW_Authenticate='Bearer realm="http://["'), "realm", "is not an address"),
        (b"SSH-2.0-x\r\n\r\n", "registry", "response is not HTTP/1.1"),
    ],
)
async def test_what_is_wrong_is_said(said: bytes, check: str, words: str) -> None:
    async with fake_upstream(answering(said)) as fake:
        found = (await look(fake))[check]
    assert found.level is Level.FAILED
    assert words in found.what
    assert found.fix


async def test_what_a_registry_says_moves_no_cursor() -> None:
    async def behave(connection: Connection) -> None:
        while b"/_catalog" not in await connection.read_head():
            await connection.send(answer(200, "{}"))
        await connection.send(answer(200, json.dumps({"repositories": ["\x1b[2J"]}), Link='</v2/_catalog>; rel="next"'))

    async with fake_upstream(behave) as fake:
        found = (await look(fake))["catalog"]
    assert "\x1b" in found.what
    assert "\x1b" not in line_of(found)


async def test_a_plain_realm_of_a_registry_with_tls_is_wrong(tls: ssl.SSLContext, ca: Path) -> None:
    said = answer(401, WWW_Authenticate='Bearer realm="http://127.0.0.1/token"')
    async with fake_upstream(answering(said), tls=tls) as fake:
        found = (await look(fake, Trust(ca)))["realm"]
    assert (found.level, found.fix) == (Level.FAILED, "write https://127.0.0.1/token as its realm")


async def test_where_plain_http_may_be_spoken_tls_is_tried_first(tls: ssl.SSLContext, ca: Path) -> None:
    async with fake_upstream(answering(answer(200, "{}")), tls=tls) as fake:
        found = (await look(fake, Trust(ca, plain_http=True)))["tls"]
        unknown = (await look(fake, Trust(plain_http=True)))["tls"]
    assert (found.level, "the certificate of https://" in found.what) == (Level.OK, True)
    assert unknown.level is Level.FAILED


async def test_plain_http_on_another_machine_is_wrong_until_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine stands for another one."""
    monkeypatch.setattr("authproxy.doctor.ping.reach.is_loopback", lambda host: False)

    async def behave(connection: Connection) -> None:
        if await connection.reader.read(1) == b"\x16":  # the first byte of a handshake of TLS
            await connection.send(answer(400))
            return
        await answering(answer(200, "{}"))(connection)

    async with fake_upstream(behave) as fake:
        found = await look(fake, Trust(), PingOptions(may_write=True))
        said = await look(fake, Trust(plain_http=True))
    assert (found["tls"].level, found["registry"].level) == (Level.FAILED, Level.OK)
    assert '"insecure-registries": ["127.0.0.1:' in found["tls"].fix
    assert "were not tried" in found["login"].what
    assert (said["tls"].level, said["catalog"].check) == (Level.WARNING, "catalog")


async def test_what_docker_was_told_of_this_host_vouches_for_it(
    tmp_path: Path, tls: ssl.SSLContext, authority: trustme.CA
) -> None:
    async with fake_upstream(answering(answer(200, "{}")), tls=tls) as fake:
        folder = tmp_path / "certs.d" / f"127.0.0.1:{fake.port}"
        folder.mkdir(parents=True)
        trustme.CA().cert_pem.write_to_path(folder / "another.crt")
        authority.cert_pem.write_to_path(folder / "ours.crt")
        trust = Trust(certificates=tmp_path / "certs.d")
        found = (await look(fake, trust))["tls"]
        (folder / "ours.crt").unlink()
        refused = (await look(fake, trust))["tls"]
    assert found.level is Level.OK
    assert f"{folder}/ours.crt vouches for it" in found.what
    assert refused.level is Level.FAILED
    assert f"with {folder}/another.crt, does not know" in refused.what


async def test_an_upload_that_stays_is_told_of() -> None:
    """CNCF Distribution 2.8 lets nobody cancel whose token does not allow deletes."""

    async def behave(connection: Connection) -> None:
        async for method in requests(connection):
            begun = answer(202, Location="/v2/upload?x=1")
            await connection.send(begun if method == "POST" else answer(405 if method == "DELETE" else 200, "{}"))

    async with fake_upstream(behave) as fake:
        pinged = await ping(
            f"127.0.0.1:{fake.port}", Trust(plain_http=True), PingOptions(may_write=True), {"HOME": "/nowhere"}, NOW
        )
    said = [finding.what for finding in pinged.findings if finding.check == "location"]
    assert said == [
        "uploads stay at the host, scheme and port that were asked",
        "the upload that was started in authproxy-ping/sample could not be cancelled (405)",
    ]


HOSTILE = {
    "a location that is none": {"Location": "http://["},
    "a location with a port that is none": {"Location": "//x:999999/"},
    "a location with a letter for a port": {"Location": "http://x:y/"},
    "a location of another kind": {"Location": "file:///etc/passwd"},
    "a link that is none": {"Link": "<http://[>; rel=next"},
    "a link without an end": {"Link": "<"},
    "a date that is none": {"Date": "yesterday"},
    "a date without an end": {"Date": "Mon, 01 Jan 99999 00:00:00 GMT"},
    "a challenge without an end": {"WWW-Authenticate": 'Bearer realm="'},
    "an empty challenge": {"WWW-Authenticate": ""},
    "two challenges": {"WWW-Authenticate": 'Bearer realm="//", Basic realm="x"'},
    "a realm of another kind": {"WWW-Authenticate": 'Bearer realm="file:///etc/passwd",service="x"'},
    "a realm with a user": {"WWW-Authenticate": 'Bearer realm="http://a:b@127.0.0.1:1/",service="x"'},
    "a type that is none": {"Content-Type": ";;;"},
    "too many types": {"Content-Type": "a" * 5000},
}
BODIES = ["", "{}", "[]", "null", "[" * 100_000, '{"repositories": [1]}', '{"repositories": ["../x", "A"]}', "\x00"]


@pytest.mark.parametrize("headers", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("status", [200, 202, 302, 401, 404])
async def test_whatever_is_answered_something_is_said_of_it(status: int, headers: Mapping[str, str]) -> None:
    async def behave(connection: Connection) -> None:
        for body in itertools.cycle(BODIES):
            await connection.read_request()
            await connection.send(answer(status, body, **headers))

    async with fake_upstream(behave) as fake:
        found = await look(fake, options=PingOptions(may_write=True, repository="team/app"))
    assert found["registry"].what


@pytest.mark.parametrize("body", BODIES)
async def test_whatever_a_realm_answers_something_is_said_of_it(body: str) -> None:
    async def behave(connection: Connection) -> None:
        while head := await connection.read_head():
            challenge = f'Bearer realm="http://127.0.0.1:{fake.port}/token"'
            said = answer(200, body) if b" /token" in head else answer(401, WWW_Authenticate=challenge)
            await connection.send(said)

    async with fake_upstream(behave) as fake:
        found = await look(fake)
    assert (found["realm"].level, "in which there is no token" in found["realm"].what) == (Level.FAILED, True)


async def test_registry_that_closes_the_connection_at_a_token_is_reported() -> None:
    async def behave(connection: Connection) -> None:
        while head := await connection.read_head():
            if b"authorization: bearer t" in head.lower():
                return
            challenge = f'Bearer realm="http://127.0.0.1:{fake.port}/token"'
            is_token = b" /token" in head
            await connection.send(
                answer(200, '{"token": "t"}') if is_token else answer(401, WWW_Authenticate=challenge)
            )

    async with fake_upstream(behave) as fake:
        found = await look(fake)
    assert (found["realm"].level, "/v2/ gave no answer" in found["realm"].what) == (Level.FAILED, True)


@pytest.mark.parametrize(
    ("status", "body", "level", "words"),
    [
        (200, {"mediaType": "application/vnd.oci.image.index.v1+json"}, Level.OK, "it lists referrers"),
        (200, {"manifests": []}, Level.FAILED, "other than an index"),
        (404, {}, Level.WARNING, "under tags instead"),
        (404, {"errors": [{"code": "NAME_UNKNOWN"}]}, Level.WARNING, "is unknown: it answered 404 for team/app"),
    ],
)
async def test_referrers_are_an_index_or_not_there(status: int, body: object, level: Level, words: str) -> None:
    async def behave(connection: Connection) -> None:
        while head := await connection.read_head():
            is_asked = b"/referrers/" in head
            await connection.send(answer(status if is_asked else 200, json.dumps(body) if is_asked else "{}"))

    async with fake_upstream(behave) as fake:
        found = (await look(fake, options=PingOptions(repository="team/app")))["referrers"]
    assert found.level is level
    assert words in found.what


async def requests(connection: Connection) -> AsyncIterator[str]:
    """The method of each request."""
    while True:
        head, _ = await connection.read_request()
        yield head.partition(b" ")[0].decode()


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca(authority: trustme.CA, tmp_path: Path) -> Path:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return tmp_path / "ca.pem"


@pytest.fixture
def tls(authority: trustme.CA) -> ssl.SSLContext:
    """A server's, for 127.0.0.1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context
