"""The registry that the clients meet: once on our own core, once in front of a real `docker-registry`."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.daemon import Daemon, running_daemon
from tests.support.peers import running_docker_registry
from tests.support.people import ALICE, BOB, FROZEN_RULE
from tests.support.server import Server, running_server


@pytest.fixture(scope="session")
def core(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Our own core."""
    with _running(tmp_path_factory.mktemp("core"), {}) as running:
        yield running


@pytest.fixture(scope="session")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """We in front of a `docker-registry`."""
    folder = tmp_path_factory.mktemp("upstream")
    with (
        running_docker_registry(folder / "peer") as url,
        _running(folder, {"REGISTRY_UPSTREAM_URL": url}) as running,
    ):
        yield running


@pytest.fixture(scope="session", params=["core", "upstream"])
def server(request: pytest.FixtureRequest) -> Server:
    """The running server, with users alice and bob beside the admin: each of the two, which go on side by side."""
    running: Server = request.getfixturevalue(request.param)
    return running


@contextmanager
def _running(folder: Path, settings: Mapping[str, str]) -> Iterator[Server]:
    with running_server(folder / "server", settings) as running:
        (running.folder / "policies" / "frozen.yaml").write_text(FROZEN_RULE)
        for user in (ALICE, BOB):
            running.add_user(user.name, user.password)
        running.wait_until(lambda: "policies loaded" in running.output)
        yield running


@pytest.fixture(scope="session")
def daemon() -> Iterator[Daemon]:
    """A Docker daemon of our own for the whole run."""
    with running_daemon() as running:
        yield running


@pytest.fixture
def repository(request: pytest.FixtureRequest) -> str:
    """A repository of alice's that no other test uses."""
    words = request.node.originalname.removeprefix("test_").replace("_", "-")
    return f"{ALICE.name}/{request.module.__name__.rpartition('_')[2]}/{words}"
