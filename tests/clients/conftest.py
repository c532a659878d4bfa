"""The registry that the clients meet: once on our own core, once in front of a real `docker-registry`."""

import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.daemon import Daemon, running_daemon
from tests.support.peers import running_docker_registry
from tests.support.people import ALICE, BOB, FROZEN_RULE
from tests.support.server import Server, running_server

# Two seconds are promised; the rest is for a busy machine.
RELOADED_WITHIN_S = 10.0


@pytest.fixture(scope="session", params=["core", "upstream"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The running server, with users alice and bob beside the admin."""
    folder = tmp_path_factory.mktemp(request.param)
    settings = {}
    with ExitStack() as stack:
        if request.param == "upstream":
            settings["REGISTRY_UPSTREAM_URL"] = stack.enter_context(running_docker_registry(folder / "peer"))
        running = stack.enter_context(running_server(folder / "server", settings))
        (running.folder / "policies" / "frozen.yaml").write_text(FROZEN_RULE)
        for user in (ALICE, BOB):
            running.add_user(user.name, user.password)
        deadline = time.monotonic() + RELOADED_WITHIN_S
        while "policies loaded" not in running.output:
            assert time.monotonic() < deadline, running.output
            time.sleep(0.05)
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
