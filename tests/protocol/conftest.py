"""Where the tables run: the core in memory over both drivers and under other names, and the whole over real HTTP.

The last two are asked for (`--over-https`), since servers for all tests take long: `make test` does, `make check`
does not.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx
import pytest

from authproxy import asgi
from authproxy.proxy.renaming import RenamedBackend, Renaming
from authproxy.proxy.router import Branch, Router
from authproxy.registry.options import Rules
from authproxy.storage.driver import Driver
from authproxy.storage.filesystem.driver import FilesystemDriver
from authproxy.storage.memory import MemoryDriver
from tests.support.registry import connect
from tests.support.served import Nursery, Served

IN_MEMORY = ("filesystem", "memory")
RENAMED = "renamed"

# A name as long as may be has no room for what is put before it. A mount without a source is an upload there, since the
# registry behind might choose a repository that leads no client there (docs/decisions/0027).
NOT_RENAMED = (
    "OCI 1.1 Pulling manifests: 255 characters are a name]",
    "OCI 1.1 Mounting a blob from another repository: without from: from wherever it is]",
)
SERVED = "https"


def pytest_configure(config: pytest.Config) -> None:
    """A test that is no table says by a mark which section of which specification it holds us to."""
    config.addinivalue_line("markers", "section(name): the section of a specification that a test holds us to")
    config.addinivalue_line("markers", "leaves_the_same: each row of a table leaves what all of them begin with")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what cannot hold under other names."""
    out = [
        item for item in items if f"{RENAMED}-" in item.name and item.name.partition(f"{RENAMED}-")[2] in NOT_RENAMED
    ]
    config.hook.pytest_deselected(items=out)
    items[:] = [item for item in items if item not in out]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """What is about bytes on a connection has nothing to say without one."""
    return True if collection_path.name == "test_wire.py" and not _is_served(config) else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test at each place; one that reaches into the storage by itself, not behind a running server's back."""
    if "place" not in metafunc.fixturenames:
        return
    places = list(IN_MEMORY)
    if "driver" not in metafunc.definition.obj.__annotations__ and _is_served(metafunc.config):
        places += [RENAMED, SERVED]
    mark = metafunc.definition.get_closest_marker("section")
    ids = [f"{mark.args[0]}-{place}" if mark else place for place in places]
    metafunc.parametrize("place", places, ids=ids)


@pytest.fixture
async def driver(place: str, tmp_path: Path) -> AsyncIterator[Driver]:
    made: Driver = MemoryDriver() if place == "memory" else FilesystemDriver(tmp_path / "root", threads=4)
    yield made
    await made.close()


@pytest.fixture(scope="session")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """Where servers come from."""
    made = Nursery(tmp_path_factory.mktemp("nursery") / "home")
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for all rows of a table that leave the same."""
    with nursery.server(tmp_path_factory.mktemp("shared") / "root") as server:
        yield server


@pytest.fixture
async def registry(
    place: str, driver: Driver, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an empty registry; a server's may hold what the other rows leave, where that is always the same."""
    if place == SERVED and request.node.get_closest_marker("leaves_the_same"):
        shared: Served = request.getfixturevalue("shared")
        async with shared.client() as client:
            yield client
        shared.check()
    elif place == SERVED:
        home: Nursery = request.getfixturevalue("nursery")
        with home.server(tmp_path / "root") as server:
            async with server.client() as client:
                yield client
    else:
        async with connect(driver, around=_around(place)) as client:
            yield client


@pytest.fixture
async def undeletable(
    place: str, driver: Driver, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[httpx.AsyncClient]:
    """The same storage, with deletes disabled."""
    if place == SERVED:
        home: Nursery = request.getfixturevalue("nursery")
        with home.server(tmp_path / "root", {"REGISTRY_STORAGE_DELETE_ENABLED": "false"}) as server:
            async with server.client() as client:
                yield client
    else:
        async with connect(driver, Rules(), around=_around(place)) as client:
            yield client


def _is_served(config: pytest.Config) -> bool:
    return bool(config.getoption("--over-https"))


def _around(place: str) -> Callable[[asgi.App], asgi.App] | None:
    """What stands before the core: nothing, or the router, behind which every repository has another name."""
    return _renamed if place == RENAMED else None


def _renamed(core: asgi.App) -> asgi.App:
    renaming = Renaming(add="mirror/")
    return Router([Branch("", RenamedBackend(core, renaming), core, renaming)], max_entries=1000)
