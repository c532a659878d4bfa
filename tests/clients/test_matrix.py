"""Every client, with every kind of credentials, at every deed: the table is tests/clients/matrix/table.py."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.matrix.containerd import ContainerdDriver
from tests.clients.matrix.driver import Login, perform
from tests.clients.matrix.gohttp import read_challenge
from tests.clients.matrix.oras import OrasDriver
from tests.clients.matrix.recording import as_text
from tests.clients.matrix.stage import Stage, drivers
from tests.clients.matrix.table import CANNOT, DONE_SOMEHOW, ROWS, Answer, Cell, Credentials, Lack, Verb, cells
from tests.clients.matrix.words import without_name, words
from tests.clients.matrix.world import World, running_world
from tests.support.daemon import Daemon
from tests.support.people import ALICE

CELLS = list(cells())
RECORDED = Path(__file__).with_name("matrix") / "recorded"
# By the name of the file: with what, what, where, and for a mount from where.
RECORDINGS = {
    "anonymous-pull": (Credentials.ANONYMOUS, Verb.PULL, "public/app", None),
    "anonymous-pull-denied": (Credentials.ANONYMOUS, Verb.PULL, "bob/app", None),
    "right-pull": (Credentials.RIGHT, Verb.PULL, "alice/app", None),
    "right-push-denied": (Credentials.RIGHT, Verb.PUSH, "bob/app", None),
    "right-mount": (Credentials.RIGHT, Verb.MOUNT, "alice/recorded-mount", "alice/base"),
    "wrong-push-refused": (Credentials.WRONG, Verb.PUSH, "alice/app", None),
    "ended-pull-refused": (Credentials.ENDED, Verb.PULL, "alice/app", None),
    "refreshed-push": (Credentials.REFRESHED, Verb.PUSH, "alice/recorded-push", None),
}


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


@pytest.mark.parametrize("name", RECORDINGS)
def test_replayed_client_sends_what_the_real_one_was_recorded_to_send(world: World, name: str) -> None:
    credentials, verb, repository, source = RECORDINGS[name]
    driver = ContainerdDriver(world.setting)
    perform(driver, world.logins[credentials], verb, repository, source)
    assert as_text(driver.talk, world.setting) == (RECORDED / f"containerd-{name}.txt").read_text()


@pytest.mark.parametrize("kind", [ContainerdDriver, OrasDriver])
def test_token_that_is_renewed_was_refused_before(
    world: World, kind: type[ContainerdDriver] | type[OrasDriver]
) -> None:
    driver = kind(world.setting)
    assert driver.pull(world.logins[Credentials.RENEWED], "alice/app").code == 0
    first = driver.talk[0].answer
    assert (first.status, read_challenge(first)["error"]) == (401, "invalid_token")


@pytest.mark.parametrize("lack", CANNOT, ids=str)
def test_what_a_client_cannot_do_leaves_a_row_out(lack: Lack) -> None:
    assert any(lack.covers(Cell(lack.client, row)) for row in ROWS)


def test_login_of_docker_leaves_the_refresh_token_that_the_table_gives_it(world: World, daemon: Daemon) -> None:
    docker, host = daemon.docker("matrix-login"), world.setting.server.host
    assert docker.login(host, ALICE.name, ALICE.password).code == 0
    config = json.loads((docker.home / ".docker" / "config.json").read_text())
    kept = config["auths"][host]["identitytoken"]
    assert config == json.loads(Login(ALICE.name, refresh_token=kept).as_config(host))
