"""The two registries that are compared: `authproxy serve` with a config.yml, and Debian's `docker-registry`."""

from collections.abc import Iterator

import pytest

from tests.peers.call import OURS, THEIRS
from tests.peers.twins import Side, Twins
from tests.support.peers import running_docker_registry, running_open_server


@pytest.fixture(scope="package")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twins]:
    """Both, over plain HTTP and open to everybody: what they answer is then the registry's alone."""
    folder = tmp_path_factory.mktemp("twins")
    with running_docker_registry(folder / "theirs") as peer, running_open_server(folder / "ours") as server:
        ours, theirs = Side(OURS, server.host), Side(THEIRS, peer.removeprefix("http://"), hangs_up=True)
        yield Twins(ours, theirs)
        ours.close()
        theirs.close()
