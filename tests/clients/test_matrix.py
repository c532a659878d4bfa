"""Every client, with every kind of credentials, at every deed: the table is tests/clients/matrix/table.py."""

from collections.abc import Iterator

import pytest

from tests.clients.matrix.stage import Stage, drivers
from tests.clients.matrix.table import DONE_SOMEHOW, Answer, Cell, Verb, cells
from tests.clients.matrix.words import without_name, words
from tests.clients.matrix.world import World, running_world
from tests.support.daemon import Daemon

CELLS = list(cells())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One server for all clients."""
    with running_world(tmp_path_factory.mktemp("matrix") / "server") as running:
        yield running


@pytest.fixture(scope="module")
def stage(
    request: pytest.FixtureRequest, world: World, daemon: Daemon, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    """All cells that this run has chosen, two clients at a time."""
    chosen = {item.name for item in request.session.items}
    played = [cell for cell in CELLS if f"test_cell[{cell}]" in chosen]
    with Stage(world, played, drivers(world.setting, daemon, tmp_path_factory.mktemp("clients"))) as running:
        yield running


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_cell(world: World, stage: Stage, cell: Cell) -> None:
    played, verb, answer = stage.played(cell), cell.row.verb, cell.row.answer
    said = str(played.outcome)
    assert (played.outcome.code == 0) == (answer in DONE_SOMEHOW), said
    assert words(cell).search(played.outcome.text), said
    if answer not in DONE_SOMEHOW or verb is Verb.PULL:
        assert played.before == played.after is not None, said
    else:
        assert (played.before is None, played.after is None) == (verb is not Verb.DELETE, verb is Verb.DELETE), said
    if answer in (Answer.MOUNTED, Answer.COPIED):
        assert world.was_mounted(cell.target) == (answer is Answer.MOUNTED), said
    if played.twin is not None:
        assert played.twin.before is played.twin.after is None
        assert played.twin.outcome.code == played.outcome.code
        assert without_name(played.twin.outcome, cell.missing) == without_name(played.outcome, cell.target)
