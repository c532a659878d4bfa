"""The registries that images move between: others' and ours, and the command as its users start it."""

import base64
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from typer.testing import CliRunner

from authproxy.cli import app
from tests.support.daemon import Daemon, running_daemon
from tests.support.peers import running_docker_registry
from tests.support.program import Outcome, environment, run
from tests.support.server import ADMIN, ADMIN_PASSWORD, AUTHPROXY, running_server

HTPASSWD_USER, HTPASSWD_PASSWORD = "hugo", "a password: with a colon"


@dataclass(frozen=True, slots=True)
class Registry:
    """A running registry, and how one signs in there."""

    host: str
    user: str | None = None
    password: str = ""
    ca: Path | None = None

    @property
    def port(self) -> int:
        return int(self.host.rpartition(":")[2])


@dataclass(frozen=True, slots=True)
class Images:
    """`authproxy images …` of one person, whose docker has stored the logins for some registries.

    It runs in this process, which saves the second that a start takes; `process` starts it as its users do.
    """

    home: Path
    ca: Path | None = None

    def __call__(self, verb: str, *arguments: object, stdin: str = "", **settings: str) -> Outcome:
        """Run it to its end, good or bad; what it raises is a fault of the test."""
        _, *argv = self.command(verb, *arguments)
        variables = self.environment(**settings)
        result = CliRunner().invoke(app, argv, input=stdin, env=dict.fromkeys(os.environ) | variables)
        if not isinstance(result.exception, SystemExit | None):
            raise result.exception
        return Outcome(tuple(argv), result.exit_code, result.stdout, result.stderr)

    def process(self, verb: str, *arguments: object, stdin: str = "", **settings: str) -> Outcome:
        """The same in a process of its own."""
        return run(*self.command(verb, *arguments), env=self.environment(**settings), stdin=stdin, cwd=self.home)

    def must(self, verb: str, *arguments: object, **settings: str) -> str:
        """The same for what has to end well: what it printed."""
        outcome = self(verb, *arguments, **settings)
        assert outcome.code == 0, str(outcome)
        return outcome.out

    def objects(self, verb: str, *arguments: object, **settings: str) -> list[Any]:
        """The same with `--json`: the objects."""
        return [json.loads(line) for line in self.must(verb, "--json", *arguments, **settings).splitlines()]

    def list(self, registry: Registry, *arguments: object) -> list[str]:
        """What a registry holds."""
        return self.must("list", *arguments, registry.host).splitlines()

    def command(self, verb: str, *arguments: object) -> tuple[str, ...]:
        """The program and its arguments."""
        trust = [] if self.ca is None else ["--ca", str(self.ca)]
        return AUTHPROXY, "images", verb, *trust, *map(str, arguments)

    def environment(self, **settings: str) -> dict[str, str]:
        """Its variables."""
        return environment(self.home, COLUMNS="200", **settings)

    def store_logins(self, *registries: Registry) -> None:
        """Have docker's configuration hold them."""
        (self.home / ".docker").mkdir(exist_ok=True)
        auths = {
            each.host: {"auth": base64.b64encode(f"{each.user}:{each.password}".encode()).decode()}
            for each in registries
            if each.user is not None
        }
        (self.home / ".docker" / "config.json").write_text(json.dumps({"auths": auths}))


@pytest.fixture(scope="session")
def daemon() -> Iterator[Daemon]:
    """A Docker daemon of our own for the whole run."""
    with running_daemon() as running:
        yield running


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A `docker-registry` that is open to everybody, over HTTP."""
    with running_docker_registry(tmp_path_factory.mktemp("plain")) as url:
        yield Registry(url.removeprefix("http://"))


@pytest.fixture(scope="session")
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Another one."""
    with running_docker_registry(tmp_path_factory.mktemp("second")) as url:
        yield Registry(url.removeprefix("http://"))


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A `docker-registry` with a password file."""
    folder = tmp_path_factory.mktemp("guarded")
    hashed = bcrypt.hashpw(HTPASSWD_PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    (folder / "htpasswd").write_text(f"{HTPASSWD_USER}:{hashed}\n")
    more = f'auth: {{htpasswd: {{realm: r, path: "{folder}/htpasswd"}}}}\n'
    with running_docker_registry(folder, more) as url:
        yield Registry(url.removeprefix("http://"), HTPASSWD_USER, HTPASSWD_PASSWORD)


@pytest.fixture(scope="session")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Our own: TLS, tokens, its core."""
    with running_server(tmp_path_factory.mktemp("ours")) as server:
        yield Registry(server.host, ADMIN, ADMIN_PASSWORD, server.ca)


@pytest.fixture(scope="session")
def fronted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Our own in front of a `docker-registry`."""
    folder = tmp_path_factory.mktemp("fronted")
    with (
        running_docker_registry(folder / "peer") as url,
        running_server(folder / "server", {"REGISTRY_UPSTREAM_URL": url}) as server,
    ):
        yield Registry(server.host, ADMIN, ADMIN_PASSWORD, server.ca)


@pytest.fixture
def images(tmp_path: Path, plain: Registry, guarded: Registry, ours: Registry, fronted: Registry) -> Images:
    """Somebody who is signed in everywhere, and believes the authorities of our servers."""
    home = tmp_path / "home"
    home.mkdir()
    assert ours.ca is not None
    assert fronted.ca is not None
    (home / "ca.pem").write_bytes(ours.ca.read_bytes() + fronted.ca.read_bytes())
    images = Images(home, home / "ca.pem")
    images.store_logins(plain, guarded, ours, fronted)
    return images
