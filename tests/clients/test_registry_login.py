"""`authproxy registry login` and docker keep their logins in the same place: what one stores, the other uses."""

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support.binaries import binary
from tests.support.daemon import Daemon, Docker
from tests.support.people import ALICE, BOB
from tests.support.program import DEBIAN_PATH, Outcome, environment, run
from tests.support.server import AUTHPROXY, Server, running_server

# Keeps logins in a file for each registry, by the credential helper protocol.
HELPER = f"""\
#!{sys.executable}
import json, pathlib, sys
told = sys.stdin.read()
name = json.loads(told)["ServerURL"] if sys.argv[1] == "store" else told.strip()
file = pathlib.Path(__file__).with_name(name.replace("/", "_"))
if sys.argv[1] == "store":
    file.write_text(told)
elif not file.exists():
    sys.exit("credentials not found in native keychain")
elif sys.argv[1] == "get":
    print(file.read_text())
else:
    file.unlink()
"""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with docker's command and ours, who has never logged in anywhere."""

    docker: Docker
    server: Server

    @property
    def config(self) -> Path:
        return self.docker.home / ".docker" / "config.json"

    @property
    def helpers(self) -> Path:
        return self.docker.home / "bin"

    def ask(self, program: str, *arguments: str, stdin: str = "") -> Outcome:
        """Run docker or authproxy, with the helpers of this person on the PATH."""
        variables = environment(
            self.docker.home,
            DOCKER_HOST=self.docker.daemon.socket,
            DOCKER_CONFIG=str(self.config.parent),
            PATH=f"{self.helpers}:{DEBIAN_PATH}",
        )
        return run(program, *arguments, env=variables, stdin=stdin)

    def registry(self, *arguments: str, stdin: str = "") -> Outcome:
        """Run `authproxy registry …`."""
        return self.ask(AUTHPROXY, "registry", *arguments, stdin=stdin)

    def login(self, password: str = ALICE.password) -> Outcome:
        """Log in as alice with our command."""
        options = ["-u", ALICE.name, "--password-stdin", "--ca", str(self.server.ca)]
        return self.registry("login", self.server.host, *options, stdin=password + "\n")

    def use_helper(self) -> None:
        """Let docker's configuration name a credential helper."""
        self.helpers.mkdir()
        (self.helpers / "docker-credential-test").write_text(HELPER)
        (self.helpers / "docker-credential-test").chmod(0o755)
        self.config.parent.mkdir(parents=True, exist_ok=True)
        self.config.write_text(json.dumps({"credsStore": "test", "detachKeys": "ctrl-e,e"}))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One of our own core: what is behind us makes no difference to a login."""
    with running_server(tmp_path_factory.mktemp("logins")) as running:
        for user in (ALICE, BOB):
            running.add_user(user.name, user.password)
        yield running


@pytest.fixture
def person(daemon: Daemon, server: Server) -> Person:
    return Person(daemon.docker(uuid4().hex), server)


@pytest.fixture(scope="module")
def image(daemon: Daemon, server: Server) -> Iterator[str]:
    """An image of alice's in the registry, and not at the daemon."""
    owner = daemon.docker(uuid4().hex)
    name = f"{server.host}/{ALICE.name}/registry-login:v1"
    assert owner.login(server.host, ALICE.name, ALICE.password).code == 0
    owner.make_image(name, mark="registry login")
    owner.must("push", name)
    owner.must("rmi", name)
    yield name
    shutil.rmtree(owner.home, ignore_errors=True)


@pytest.mark.parametrize("keeper", ["the file", "a helper"])
def test_docker_pulls_with_the_login_that_we_stored_until_we_forget_it(person: Person, image: str, keeper: str) -> None:
    if keeper == "a helper":
        person.use_helper()
    assert person.ask(binary("docker"), "pull", image).code != 0
    outcome = person.login()
    assert outcome.code == 0, str(outcome)
    assert f"logged in to {person.server.host} as alice; kept in " in outcome.out
    assert ("is stored unencrypted" in outcome.err) is (keeper == "the file")
    pulled = person.ask(binary("docker"), "pull", image)
    assert pulled.code == 0, str(pulled)
    assert person.ask(binary("docker"), "rmi", image).code == 0
    outcome = person.registry("logout", person.server.host)
    assert outcome.out == f"logged out of {person.server.host}\n"
    assert person.ask(binary("docker"), "pull", image).code != 0
    assert sorted(file.name for file in person.helpers.glob("localhost*")) == []


@pytest.mark.parametrize("keeper", ["the file", "a helper"])
def test_we_use_the_login_that_docker_stored_until_docker_forgets_it(person: Person, keeper: str) -> None:
    if keeper == "a helper":
        person.use_helper()
    host = person.server.host
    options = ["--username", ALICE.name, "--password-stdin"]
    stored = person.ask(binary("docker"), "login", host, *options, stdin=ALICE.password)
    assert stored.code == 0, str(stored)
    ping = ["ping", host, "--ca", str(person.server.ca)]
    assert "ok       login: the stored login is accepted" in person.registry(*ping).out
    assert person.ask(binary("docker"), "logout", host).code == 0
    assert "no login is stored" in person.registry(*ping).out


@pytest.mark.parametrize("keeper", ["the file", "a helper"])
def test_we_store_what_docker_stores(person: Person, keeper: str) -> None:
    if keeper == "a helper":
        person.use_helper()
    options = ["--username", ALICE.name, "--password-stdin"]
    assert person.ask(binary("docker"), "login", person.server.host, *options, stdin=ALICE.password).code == 0
    theirs = json.loads(person.config.read_text())
    assert person.login().code == 0
    ours = json.loads(person.config.read_text())
    for config in (theirs, ours):  # tokens differ in when they were made
        for entry in config["auths"].values():
            if "identitytoken" in entry:
                entry["identitytoken"] = entry["identitytoken"].partition(".")[0]
    assert ours == theirs
    assert person.config.stat().st_mode & 0o777 == 0o600


def test_docker_forgets_what_we_stored(person: Person) -> None:
    assert person.login().code == 0
    outcome = person.ask(binary("docker"), "logout", person.server.host)
    assert "Removing login credentials" in outcome.out
    assert person.registry("logout", person.server.host).out == f"not logged in to {person.server.host}\n"


@pytest.mark.parametrize("password", ["wrong", BOB.password], ids=["wrong", "another user's"])
def test_a_wrong_password_is_a_sentence_and_nothing_is_stored(person: Person, password: str) -> None:
    outcome = person.login(password)
    assert (outcome.code, outcome.out) == (1, "")
    [line] = outcome.err.splitlines()
    assert line == f"authproxy: {person.server.host} refuses the login of 'alice': the name or the password is wrong"
    assert not person.config.exists()


def test_a_certificate_that_nobody_knows_gets_no_password(person: Person) -> None:
    options = ["-u", ALICE.name, "--password-stdin"]
    outcome = person.registry("login", person.server.host, *options, stdin=ALICE.password)
    assert outcome.code == 1
    assert "CERTIFICATE_VERIFY_FAILED" in outcome.err
    assert f"authproxy registry ping {person.server.host}" in outcome.err
    assert not person.config.exists()
