"""A folder that an earlier version left, served by this one: nothing is lost, and nothing ended comes back.

The clock of the server is the one of the recording, so that its certificates, tokens and uploads are as old as they
were then, whenever this runs. What was recorded, and how: tests/fixtures/record.py.
"""

import datetime as dt
import json
import ssl
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from authproxy.digest import Digest
from tests.fixtures.record import CONFIGURATIONS
from tests.support.binaries import ROOT, binary
from tests.support.image import MANIFEST_TYPE
from tests.support.program import environment, run, succeed
from tests.support.server import AUTHPROXY, Server, running_server

FIXTURES = ROOT / "tests/fixtures"
VERSIONS = sorted(facts.parent.name for facts in FIXTURES.glob("*/facts.json"))
# libfaketime 0.9.10 answers EINVAL to the system call of every `time.sleep` while it leaves the monotonic clock alone,
# which waits need. Waiting for an event takes another call.
SLEEP = """
import threading, time
def sleep(seconds): threading.Event().wait(seconds)
time.sleep = sleep
"""
NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME of OpenSSL: this process has today's clock


@dataclass(frozen=True, slots=True)
class Earlier:
    """A copy of what a version left, and its facts."""

    folder: Path
    facts: dict[str, Any]

    def clock(self, after_s: int = 60) -> tuple[str, ...]:
        """The program that becomes another with the clock of the recording, so many seconds after its end."""
        at = dt.datetime.fromtimestamp(self.facts["recorded"] + after_s, dt.UTC)
        # Not by faketime itself, which starts a second process and passes no signal to it.
        shows = (binary("faketime"), "-f", "+0", "/bin/sh", "-c", "echo $LD_PRELOAD")
        library = succeed(*shows, env=environment(self.folder)).out.strip()
        names = f"LD_PRELOAD='{library}' FAKETIME='@{at:%Y-%m-%d %H:%M:%S}' TZ=UTC FAKETIME_DONT_FAKE_MONOTONIC=1"
        sleep = self.folder.with_name("sleep")
        sleep.mkdir(exist_ok=True)
        (sleep / "sitecustomize.py").write_text(SLEEP)
        script = f"{names} PYTHONPATH='{sleep}' exec \"$@\""
        return (binary("bash"), "-c", script, "bash")

    def trust(self) -> ssl.SSLContext:
        """What a client trusts that got the authority's certificate from the earlier version."""
        with unpacked(self.facts["version"]) as archive:
            content = archive.extractfile("certs/ca.pem")
            assert content
            context = ssl.create_default_context(cadata=content.read().decode())
        context.verify_flags |= NO_CHECK_TIME
        return context

    def client(self, server: Server, token: str | None = None) -> httpx.Client:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=server.url, verify=self.trust(), trust_env=False, timeout=60, headers=headers)


def unpacked(version: str) -> tarfile.TarFile:
    return tarfile.open(FIXTURES / version / "folder.tar.gz")


def copy_of(version: str, folder: Path) -> Earlier:
    folder.mkdir()
    with unpacked(version) as archive:
        archive.extractall(folder, filter="tar")
    return Earlier(folder, json.loads((FIXTURES / version / "facts.json").read_text()))


@pytest.fixture(scope="module", params=VERSIONS)
def earlier(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Earlier:
    return copy_of(request.param, tmp_path_factory.mktemp("earlier") / "copy")


@pytest.fixture(scope="module")
def server(earlier: Earlier) -> Iterator[Server]:
    with running_server(earlier.folder, through=earlier.clock()) as running:
        yield running


def refreshed(client: httpx.Client, facts: dict[str, Any], user: str) -> httpx.Response:
    form = {"grant_type": "refresh_token", "refresh_token": facts["refresh_tokens"][user]}
    return client.post("/token", data=form | {"service": "authproxy", "client_id": "test"})


def password_of(facts: dict[str, Any], user: str) -> tuple[str, str]:
    return user, facts["passwords"][user]


def test_there_is_a_recording() -> None:
    assert VERSIONS


@pytest.mark.parametrize("name", CONFIGURATIONS)
@pytest.mark.parametrize("version", VERSIONS)
def test_its_configurations_load(tmp_path: Path, version: str, name: str) -> None:
    it = copy_of(version, tmp_path / "copy")
    checked = run(AUTHPROXY, "config", "check", name, env=environment(it.folder), cwd=it.folder)
    assert checked.code == 0, str(checked)
    shown = succeed(AUTHPROXY, "config", "show", name, env=environment(it.folder), cwd=it.folder)
    assert "rootdirectory" in shown.out


def test_the_image_is_pulled_by_tag_and_digest(earlier: Earlier, server: Server) -> None:
    facts = earlier.facts
    with earlier.client(server) as client:
        scope = {"scope": f"repository:{facts['repository']}:pull"}
        token = client.get("/token", params=scope, auth=password_of(facts, "admin")).json()["token"]
    with earlier.client(server, token) as client:
        pulled = [
            client.get(f"/v2/{facts['repository']}/manifests/{reference}", headers={"Accept": MANIFEST_TYPE})
            for reference in (facts["tag"], facts["digest"])
        ]
        assert [str(Digest.of(manifest.content)) for manifest in pulled] == [facts["digest"]] * 2
        image = pulled[0].json()
        for part in (image["config"], *image["layers"]):
            blob = client.get(f"/v2/{facts['repository']}/blobs/{part['digest']}")
            assert str(Digest.of(blob.content)) == part["digest"]
        referrers = client.get(f"/v2/{facts['repository']}/referrers/{facts['digest']}").json()["manifests"]
        assert [entry["digest"] for entry in referrers] == [facts["referrer"]]


def test_skopeo_pulls_it_with_the_users_old_password(earlier: Earlier, server: Server, tmp_path: Path) -> None:
    user, password = password_of(earlier.facts, "admin")
    image = f"docker://{server.host}/{earlier.facts['repository']}:{earlier.facts['tag']}"
    options = ("--src-tls-verify=false", "--src-creds", f"{user}:{password}")
    succeed(
        *(binary("skopeo"), "--insecure-policy", "copy", *options, image, f"oci:{tmp_path}/pulled:1"),
        env=environment(tmp_path),
    )


@pytest.mark.parametrize("user", ["admin", "alice"])
def test_a_user_logs_in_with_the_old_password(earlier: Earlier, server: Server, user: str) -> None:
    with earlier.client(server) as client:
        assert client.get("/token", auth=password_of(earlier.facts, user)).status_code == 200
        assert client.get("/token", auth=(user, "another")).status_code == 401


def test_the_refresh_token_of_a_login_is_good(earlier: Earlier, server: Server) -> None:
    with earlier.client(server) as client:
        assert refreshed(client, earlier.facts, "alice").status_code == 200


def test_a_login_that_was_revoked_stays_revoked(earlier: Earlier, server: Server) -> None:
    with earlier.client(server) as client:
        answer = refreshed(client, earlier.facts, "bob")
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_grant")


def test_an_access_token_is_good_until_it_expires(earlier: Earlier, server: Server) -> None:
    with earlier.client(server, earlier.facts["access_token"]) as client:
        assert client.get(f"/v2/{earlier.facts['repository']}/tags/list").json()["tags"] == [earlier.facts["tag"]]


def test_the_keys_are_used_and_none_is_made(earlier: Earlier, server: Server) -> None:
    with earlier.client(server) as client:
        keys = client.get("/.well-known/jwks.json").json()["keys"]
        token = client.get("/token", auth=password_of(earlier.facts, "admin")).json()["token"]
    assert [key["kid"] for key in keys] == earlier.facts["key_ids"]
    with earlier.client(server, token) as client:
        assert client.get("/v2/").status_code == 200


def test_no_private_key_is_beside_the_certificates_and_the_authority_is_the_same(
    earlier: Earlier, server: Server
) -> None:
    assert [file.name for file in (earlier.folder / "certs").iterdir() if b"PRIVATE KEY" in file.read_bytes()] == []
    with unpacked(earlier.facts["version"]) as archive:
        content = archive.extractfile("certs/ca.pem")
        assert content
        assert (earlier.folder / "certs/ca.pem").read_bytes() == content.read()


def test_the_upload_is_continued(earlier: Earlier, server: Server) -> None:
    facts = earlier.facts
    rest = b"and the second half"
    whole = facts["uploaded"].encode() + rest
    with earlier.client(server, facts["access_token"]) as client:
        status = client.get(facts["upload"])
        assert (status.status_code, status.headers["range"]) == (204, f"0-{len(facts['uploaded']) - 1}")
        location = client.base_url.join(status.headers["location"])
        done = client.put(location.copy_merge_params({"digest": str(Digest.of(whole))}), content=rest)
        assert done.status_code == 201, done.text
        assert client.get(f"/v2/{facts['repository']}/blobs/{Digest.of(whole)}").content == whole


def test_the_audit_log_goes_on(earlier: Earlier, server: Server) -> None:
    log = earlier.folder / "data/audit.log"
    before = log.read_text().splitlines()
    with earlier.client(server) as client:
        assert client.get("/token", auth=("alice", "wrong")).status_code == 401
    server.wait_until(lambda: len(log.read_text().splitlines()) > len(before))
    command = (AUTHPROXY, "audit", "verify", *map(str, sorted((earlier.folder / "data").glob("audit*.log"))))
    succeed(*command, env=environment(earlier.folder), cwd=earlier.folder)
    with unpacked(earlier.facts["version"]) as archive:
        content = archive.extractfile("data/audit.log")
        assert content
        assert log.read_bytes().startswith(content.read())


CHANGED: dict[str, Callable[[Earlier], list[str]]] = {
    "a user is added": lambda it: ["user", "add", "carol", "--password-stdin", "--group", "developers"],
    "users are listed": lambda it: ["user", "list"],
    "keys are listed": lambda it: ["key", "list"],
    "policies explain": lambda it: ["policy", "explain", "alice", f"repository:{it.facts['repository']}:push"],
}


@pytest.mark.parametrize("what", CHANGED)
@pytest.mark.parametrize("version", VERSIONS)
def test_commands_work_on_its_files(tmp_path: Path, version: str, what: str) -> None:
    it = copy_of(version, tmp_path / "copy")
    done = run(AUTHPROXY, *CHANGED[what](it), env=environment(it.folder), cwd=it.folder, stdin="a password of a test\n")
    assert done.code in (0, 1), str(done)  # 1: what policies deny
    assert "Traceback" not in done.text
