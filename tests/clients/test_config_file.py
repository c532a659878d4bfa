"""Servers that are started with a config.yml as people have it for CNCF Distribution, and what docker finds there."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from authproxy.certificates import make_certificates
from tests.support.binaries import binary
from tests.support.daemon import Daemon, Docker
from tests.support.people import ALICE, BOB
from tests.support.program import environment, succeed
from tests.support.server import AUTHPROXY, Server, running_server

# CNCF Distribution's own example, with TLS; the address comes by REGISTRY_HTTP_ADDR.
COMMON = """\
version: 0.1
log:
  level: info
  fields: {service: registry}
http:
  addr: :5000
  headers:
    X-Content-Type-Options: [nosniff]
  tls: {certificate: certs/server.pem, key: certs/server.key}
storage:
  cache: {blobdescriptor: inmemory}
  filesystem: {rootdirectory: data/registry}
  delete: {enabled: true}
"""
BASIC = COMMON + "auth: {htpasswd: {realm: basic-realm, path: htpasswd}}\n"

# Distribution says the same of a file that has none, as most have.
NO_SECRET = (
    "config.yml: http.secret: missing, so each start makes one: a restart breaks off uploads, and so does a second"
    " node on the same storage; write a long random text, the same on every node"
)


def folder_with(folder: Path, config: str) -> Path:
    """A folder with a configuration and certificates."""
    folder.mkdir()
    make_certificates(folder / "certs", ["localhost"], now=dt.datetime.now(dt.UTC))
    (folder / "config.yml").write_text(config)
    return folder


def person(daemon: Daemon) -> Docker:
    """Somebody who has never logged in anywhere."""
    return daemon.docker(uuid4().hex)


@pytest.fixture(scope="module")
def basic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """htpasswd alone; the file was written by Apache's htpasswd: alice's entry in bcrypt, bob's in its old default."""
    folder = folder_with(tmp_path_factory.mktemp("config") / "basic", BASIC)
    alice = succeed(binary("htpasswd"), "-Bbn", ALICE.name, ALICE.password, env=environment(folder)).out.strip()
    bob = succeed(binary("htpasswd"), "-mbn", BOB.name, BOB.password, env=environment(folder)).out.strip()
    (folder / "htpasswd").write_text(alice + "\n" + bob + "\n")
    with running_server(folder, arguments=["config.yml"]) as running:
        yield running


def test_htpasswd_alone_is_challenged_with_basic(basic: Server) -> None:
    with basic.client() as client:
        answer = client.get("/v2/")
    assert answer.status_code == httpx.codes.UNAUTHORIZED
    assert answer.headers["WWW-Authenticate"].startswith('Basic realm="basic-realm"')
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_docker_pushes_pulls_and_is_refused_with_htpasswd_alone(basic: Server, daemon: Daemon) -> None:
    alice, image = person(daemon), f"{basic.host}/anything/app:v1"
    assert alice.login(basic.host, ALICE.name, ALICE.password).code == 0
    alice.make_image(image, mark=image)
    alice.must("push", image)
    alice.must("rmi", image)
    stranger = person(daemon)
    assert stranger.login(basic.host, ALICE.name, "wrong").code != 0
    # Without a password docker goes on to plain HTTP and shows only how that failed, with any registry of this kind.
    assert stranger("pull", image).code != 0
    alice.must("pull", image)


def test_entries_that_are_not_bcrypt_cannot_log_in_and_are_named(basic: Server, daemon: Daemon) -> None:
    assert person(daemon).login(basic.host, BOB.name, BOB.password).code != 0
    assert f"users={BOB.name}" in basic.output


def test_every_key_of_the_file_is_in_force(basic: Server) -> None:
    with basic.client() as client:
        assert client.get("/v2/").headers["X-Content-Type-Options"] == "nosniff"
    assert [line for line in basic.output.splitlines() if "authproxy: warning" in line] == [
        f"authproxy: warning: {NO_SECRET}"
    ]
    requests = [line for line in basic.output.splitlines() if "event=request" in line]
    assert requests
    assert all(line.endswith(" service=registry") for line in requests)


def test_tokens_of_one_server_open_another_that_has_its_keys(tmp_path: Path, daemon: Daemon) -> None:
    """The token server runs alone; the registry only verifies, by its key set."""
    with running_server(tmp_path / "issuer") as issuer:
        issuer.add_user(ALICE.name, ALICE.password)
        verify = (
            f"auth: {{token: {{realm: 'https://{issuer.host}/token', service: authproxy, issuer: authproxy,"
            " jwks: jwks.json}}\n"
        )
        folder = folder_with(tmp_path / "registry", COMMON + verify)
        with issuer.client() as client:
            (folder / "jwks.json").write_text(client.get("/.well-known/jwks.json").text)
        with running_server(folder, arguments=["config.yml"]) as registry:
            alice, image = person(daemon), f"{registry.host}/{ALICE.name}/app:v1"
            assert alice.login(registry.host, ALICE.name, ALICE.password).code == 0
            alice.make_image(image, mark=image)
            alice.must("push", image)
            alice.must("rmi", image)
            alice.must("pull", image)
            foreign = f"{registry.host}/{BOB.name}/app:v1"
            alice.must("tag", image, foreign)
            # Whom it may not serve, and why, is the other server's to say.
            assert "denied: this token does not allow you to pull and push" in alice("push", foreign).text


def test_check_and_show_say_what_is_served(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "checked", BASIC)
    env = environment(folder, REGISTRY_HTTP_SECRET="do not show this", REGISTRY_HTTP_ADDR="127.0.0.1:5999")
    checked = succeed(
        AUTHPROXY, "config", "check", "config.yml", env=env | {"REGISTRY_REDIS_ADDR": "r"}, cwd=folder
    ).out
    named, what, ok = checked.splitlines()
    assert named == "warning: config.yml: not in force as written here:"
    assert what.startswith("  redis (REGISTRY_REDIS_ADDR): nothing is kept in Redis")
    assert ok == "config.yml: ok: a password with each request"
    shown = succeed(AUTHPROXY, "config", "show", "config.yml", env=env, cwd=folder).out
    assert "addr: 127.0.0.1:5999  # REGISTRY_HTTP_ADDR" in shown
    assert "do not show this" not in shown


def test_the_file_that_debians_package_installs_is_taken(tmp_path: Path) -> None:
    installed = "/etc/docker/registry/config.yml"  # of docker-registry, which packages.txt lists
    checked = succeed(AUTHPROXY, "config", "check", installed, env=environment(tmp_path))
    assert checked.out == f"warning: {NO_SECRET}\n{installed}: ok: a password with each request\n".replace(
        "config.yml", installed, 1
    )
