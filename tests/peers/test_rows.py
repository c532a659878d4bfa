"""Each kind of call, once, to us and to a real `docker-registry`: they differ where a row says so, and nowhere else."""

from operator import attrgetter

import pytest

from tests.peers import rows_that_write
from tests.peers.call import Call, Session
from tests.peers.differences import DIFFERENCES
from tests.peers.row import FORM, Row
from tests.peers.rows_that_read import READING
from tests.peers.stock import Shelf
from tests.peers.twins import Twins

WRITING = [
    *rows_that_write.OPENINGS,
    *rows_that_write.SESSIONS,
    *rows_that_write.SHA_512,
    *rows_that_write.MANIFESTS_PUT,
    *rows_that_write.PATHS,
]
REMOVING = rows_that_write.DELETES


@pytest.fixture(scope="module")
def shelf(twins: Twins) -> Shelf:
    """What rows that only read share."""
    filled = Shelf(twins)
    filled.fill()
    return filled


def ask(shelf: Shelf, row: Row, session: Session | None) -> set[str]:
    """Send a row's call: the names of the differences that showed."""
    _, found = shelf.twins.send(row.call(shelf.words(), session))
    return {entry.name for entry in found} - FORM


def check(shelf: Shelf, row: Row) -> None:
    session = None
    if row.chunks is not None:
        session, _ = shelf.twins.open_session(shelf.twins.name("a"))
        for chunk in row.chunks:
            shelf.twins.send(Call("PATCH", body=chunk, session=session))
    for earlier in row.before:
        ask(shelf, earlier, session)
    assert ask(shelf, row, session) == row.differences


@pytest.mark.parametrize("row", READING, ids=attrgetter("what"))
def test_reading(shelf: Shelf, row: Row) -> None:
    check(shelf, row)


@pytest.mark.parametrize("row", WRITING, ids=attrgetter("what"))
def test_writing(shelf: Shelf, row: Row) -> None:
    """On the same shelf: these rows make sessions, blobs and tags of their own, and take nothing away."""
    check(shelf, row)


@pytest.mark.parametrize("row", REMOVING, ids=attrgetter("what"))
def test_removing(twins: Twins, row: Row) -> None:
    shelf = Shelf(twins)
    shelf.fill()
    check(shelf, row)


def test_every_difference_is_shown_by_a_row(twins: Twins) -> None:
    """One that no row shows may be no difference any more."""
    shown = FORM.union(*(row.differences for row in [*READING, *WRITING, *REMOVING]))
    assert {entry.name for entry in DIFFERENCES} == shown


def test_every_difference_of_form_shows(twins: Twins) -> None:
    """Rows do not list them, so they are looked for over all rows: this test runs after them."""
    assert twins.applied.keys() >= FORM
