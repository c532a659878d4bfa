"""Logins that docker has stored: by itself, through credential helpers, and for whom they are."""

import base64
import json
from pathlib import Path

import pytest

from authproxy.registry_client.docker_config import StoredLogins
from tests.images.conftest import HTPASSWD_PASSWORD, HTPASSWD_USER, Images, Registry
from tests.support.binaries import binary
from tests.support.daemon import Daemon
from tests.support.program import DEBIAN_PATH, environment, run
from tests.support.server import ADMIN, ADMIN_PASSWORD

SECRETS = (HTPASSWD_PASSWORD, ADMIN_PASSWORD)


@pytest.fixture
def person(tmp_path: Path, ours: Registry, plain: Registry) -> Images:
    """Somebody who is signed in nowhere."""
    return Images(tmp_path, ours.ca)


@pytest.fixture(params=["guarded", "ours"])
def registry(request: pytest.FixtureRequest) -> Registry:
    found: Registry = request.getfixturevalue(request.param)
    return found


ALICE = {"auth": base64.b64encode(b"alice:s").decode()}
HOST = "r.example.org:5000"

# What containers/image finds in a file, and so we: (what is asked for, what the file has).
AGREED: list[tuple[str, str, dict[str, dict[str, str]]]] = [
    ("by host", HOST, {HOST: ALICE}),
    ("by address", HOST, {f"https://{HOST}": ALICE}),
    ("by address with a version", HOST, {f"https://{HOST}/v1/": ALICE}),
    ("by namespace", f"{HOST}/a/b", {f"{HOST}/a": ALICE}),
    ("by another namespace", f"{HOST}/b", {f"{HOST}/a": ALICE}),
    ("registry, where only a namespace has one", HOST, {f"{HOST}/a": ALICE}),
    ("Docker Hub", "docker.io", {"https://index.docker.io/v1/": ALICE}),
    ("Docker Hub by its registry", "docker.io", {"https://registry-1.docker.io/v2/": ALICE}),
    ("beside a damaged one", HOST, {"a.b": {"auth": "%"}, HOST: ALICE}),
    ("in other case", HOST, {HOST: {"Auth": ALICE["auth"]}}),
]


@pytest.mark.parametrize(("name", "auths"), [row[1:] for row in AGREED], ids=[row[0] for row in AGREED])
def test_skopeo_finds_the_same_login(tmp_path: Path, name: str, auths: dict[str, dict[str, str]]) -> None:
    file = tmp_path / "auth.json"
    file.write_text(json.dumps({"auths": auths}))
    host, _, repository = name.partition("/")
    ours = StoredLogins({"HOME": str(tmp_path), "REGISTRY_AUTH_FILE": str(file)}).find(host, repository)
    theirs = run(
        binary("skopeo"), "login", "--get-login", "--authfile", str(file), name, env=environment(tmp_path)
    ).out.strip()
    assert (ours.user if ours else "") == theirs


def use_helper(person: Images, script: str) -> dict[str, str]:
    """Have docker's configuration name a helper that does what the script says: variables that find it."""
    program = person.home / "docker-credential-test"
    program.write_text(f"#!/bin/sh\nread -r host\n{script}\n")
    program.chmod(0o755)
    (person.home / ".docker").mkdir(exist_ok=True)
    (person.home / ".docker" / "config.json").write_text(json.dumps({"credsStore": "test"}))
    return {"PATH": f"{person.home}:{DEBIAN_PATH}"}


@pytest.mark.parametrize("registry", ["guarded", "ours"], indirect=True)
def test_what_docker_login_stores_is_used(registry: Registry, daemon: Daemon, ours: Registry) -> None:
    docker = daemon.docker(f"login-{registry.port}")
    assert registry.user is not None
    assert docker.login(registry.host, registry.user, registry.password).code == 0
    person = Images(docker.home, ours.ca)
    stored = json.loads((docker.home / ".docker" / "config.json").read_text())["auths"][registry.host]
    # Our token server gives docker an identity token, which takes the password's place.
    assert ("identitytoken" in stored) == (registry is ours)
    assert person.process("list", registry.host).code == 0


def test_helper_gives_the_login(person: Images, guarded: Registry) -> None:
    login = json.dumps({"Username": HTPASSWD_USER, "Secret": HTPASSWD_PASSWORD})
    settings = use_helper(person, f"test \"$1 $host\" = 'get {guarded.host}' && echo '{login}'")
    done = person.process("list", guarded.host, **settings)
    assert done.code == 0, str(done)


def test_helper_that_fails_is_told(person: Images, guarded: Registry) -> None:
    settings = use_helper(person, "echo the keychain is locked; exit 1")
    done = person.process("list", guarded.host, **settings)
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        f"authproxy: {guarded.host}: docker-credential-test, which docker's configuration names, has no login for "
        f"{guarded.host}: the keychain is locked\n"
    )


def test_helper_that_has_no_login_is_no_fault(person: Images, guarded: Registry, plain: Registry) -> None:
    settings = use_helper(person, "echo credentials not found in native keychain; exit 1")
    assert person.process("list", plain.host, **settings).code == 0
    refused = person.process("list", guarded.host, **settings)
    assert refused.code == 1
    assert "HTTP 401 UNAUTHORIZED" in refused.err
    assert "(not logged in: use docker login, or --user)" in refused.err


def test_helper_that_is_not_installed_is_told(person: Images, guarded: Registry) -> None:
    (person.home / ".docker").mkdir()
    (person.home / ".docker" / "config.json").write_text(json.dumps({"credHelpers": {guarded.host: "gone"}}))
    done = person.process("list", guarded.host)
    assert done.code == 1
    assert "docker-credential-gone, which docker's configuration names, cannot be run" in done.err


def test_user_signs_in_with_a_password_from_standard_input(person: Images, registry: Registry) -> None:
    done = person("list", "--user", registry.user, "--password-stdin", registry.host, stdin=f"{registry.password}\n")
    assert done.code == 0, str(done)
    wrong = person("list", "--json", "--user", registry.user, "--password-stdin", registry.host, stdin="wrong\n")
    assert wrong.code == 1
    (failed,) = [json.loads(line) for line in wrong.out.splitlines()]
    assert (failed["name"], failed["outcome"]) == (registry.host, "failed")
    assert "HTTP 401" in failed["why"]


def test_password_is_asked_of_a_terminal_alone(person: Images, guarded: Registry) -> None:
    done = person.process("list", "--user", "hugo", guarded.host)
    assert (done.code, "use --password-stdin" in done.err) == (2, True)
    assert person.process("list", "--password-stdin", guarded.host).code == 2


def test_password_is_for_one_registry(person: Images, ours: Registry, guarded: Registry, plain: Registry) -> None:
    options = ("--user", ADMIN, "--password-stdin")
    both = person("pull", *options, "-o", "x.tar", f"{ours.host}/a:v1", f"{guarded.host}/b:v1", stdin=ADMIN_PASSWORD)
    assert (both.code, "it is for one registry" in both.err) == (2, True)
    # Of a copy it is the destination's: the source is asked as nobody.
    copied = person("copy", *options, f"{guarded.host}/a:v1", f"{ours.host}/a:v1", stdin=ADMIN_PASSWORD)
    assert copied.code == 1
    assert f"{guarded.host}/a:v1: HTTP 401" in copied.err
    assert "not logged in" in copied.err


def test_no_secret_is_said(person: Images, registry: Registry) -> None:
    person.store_logins(registry)
    missing = f"{registry.host}/none:v1"
    for arguments in (("list", missing.partition("/")[0]), ("inspect", missing), ("delete", "--yes", missing)):
        done = person.process(*arguments)
        assert all(secret not in done.text for secret in SECRETS), str(done)
    store = Path(person.home / ".docker" / "config.json")
    store.write_text(store.read_text()[:-1])
    broken = person.process("list", registry.host)
    assert broken.code == 1
    assert f"{store}: the stored logins cannot be read" in broken.err
    assert all(secret not in broken.text for secret in SECRETS)
