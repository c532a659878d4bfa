"""Plays the cells: each client in its own order, two clients at a time, for the tests to look at afterwards."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Self

from tests.clients.matrix.commands import DockerDriver, SkopeoDriver, storage_driver
from tests.clients.matrix.containerd import ContainerdDriver
from tests.clients.matrix.curl import CurlDriver
from tests.clients.matrix.driver import Driver, Setting, perform
from tests.clients.matrix.oras import OrasDriver
from tests.clients.matrix.table import DONE_SOMEHOW, Cell, Client, Place, Verb
from tests.clients.matrix.world import World
from tests.support.daemon import Daemon
from tests.support.program import Outcome

# As many as there are processors where this is run.
AT_ONCE = 2
PLAYED_WITHIN_S = 600.0

Opening = Callable[[], AbstractContextManager[Driver]]


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a deed. `before` and `after`: the digest of the tag that it is about, None where there is none."""

    outcome: Outcome
    before: str | None
    after: str | None
    twin: "Played | None" = None  # the same deed at a repository that does not exist


class Stage:
    """Begins to play at once; leaving the block waits for the deeds that are being done, and leaves out the rest."""

    def __init__(self, world: World, cells: Iterable[Cell], openings: Mapping[Client, Opening]) -> None:
        self._world = world
        self._openings = openings
        self._futures: dict[Cell, Future[Played]] = {cell: Future() for cell in cells}
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self._is_over = False

    def __enter__(self) -> Self:
        for client in dict.fromkeys(cell.client for cell in self._futures):
            self._pool.submit(self._play_all, client)
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        self._pool.shutdown(cancel_futures=True)

    def played(self, cell: Cell) -> Played:
        """What came of a cell; waits for it."""
        return self._futures[cell].result(PLAYED_WITHIN_S)

    def _play_all(self, client: Client) -> None:
        futures = {cell: future for cell, future in self._futures.items() if cell.client is client}
        try:
            with self._openings[client]() as driver:
                for cell, future in futures.items():
                    if self._is_over:
                        return
                    future.set_result(self._play(driver, cell))
        except BaseException as error:  # noqa: BLE001 - whatever it is, the tests of this client have to show it
            for future in futures.values():
                if not future.done():
                    future.set_exception(error)

    def _play(self, driver: Driver, cell: Cell) -> Played:
        if cell.row.verb is Verb.DELETE and cell.row.answer in DONE_SOMEHOW:
            self._world.seed(cell.target)
        played = self._observe(driver, cell, cell.target)
        # What the caller may not see must look the same whether it exists or not.
        is_hidden = cell.row.place is Place.FOREIGN
        return replace(played, twin=self._observe(driver, cell, cell.missing)) if is_hidden else played

    def _observe(self, driver: Driver, cell: Cell, repository: str) -> Played:
        row, login = cell.row, self._world.logins[cell.row.credentials]
        before = self._world.digest(repository)
        outcome = perform(driver, login, row.verb, repository, row.source and f"{row.source}/base")
        return Played(outcome, before, self._world.digest(repository))


def drivers(setting: Setting, daemon: Daemon, folder: Path) -> dict[Client, Opening]:
    """How each client is made ready: all that takes time happens when the block is entered."""
    return {
        Client.DOCKER: partial(_docker, setting, daemon),
        Client.PODMAN: partial(storage_driver, "podman", setting),
        Client.BUILDAH: partial(storage_driver, "buildah", setting),
        Client.SKOPEO: partial(_skopeo, setting, folder / "skopeo"),
        Client.CURL: lambda: nullcontext(CurlDriver(setting, folder)),
        Client.CONTAINERD: lambda: nullcontext(ContainerdDriver(setting)),
        Client.ORAS: lambda: nullcontext(OrasDriver(setting)),
    }


@contextmanager
def _docker(setting: Setting, daemon: Daemon) -> Iterator[Driver]:
    driver = DockerDriver(setting, daemon)
    driver.prepare()
    yield driver


@contextmanager
def _skopeo(setting: Setting, folder: Path) -> Iterator[Driver]:
    driver = SkopeoDriver(setting, folder)
    driver.prepare()
    yield driver
