"""Clients take turns at having passwords checked, and nobody's guesses keep others out of the queue."""

import pytest

from authproxy.identity.password_queue import Turn, Turns

KNOWN = "K"


def join(turns: Turns, client: str, name: str = "") -> Turn | None:
    """As a client that has logged in before where its name begins so. `name`: by default another each time."""
    joined = turns.join(
        client, name or f"{client}{id(object())}{len(vars(turns)['_waiting'])}", is_known=client[0] == KNOWN
    )
    return joined and joined.turn


def served(turns: Turns) -> str:
    """The clients in the order of their turns, each check ending before the next begins."""
    order = []
    while (turn := turns.begin()) is not None:
        order.append(turn.client)
        turns.leave(turn)
    return " ".join(order)


@pytest.mark.parametrize(
    ("came", "expected"),
    [
        ("A A A A B", "A B A A A"),
        ("A A A B B C", "A B C A B A"),
        ("A B C", "A B C"),
        ("A B C K", "K A B C"),
        ("A B K K L", "K A K B L"),
        ("A A A A K1 K2 K1", "K1 A K2 A K1 A A"),
    ],
    ids=[
        "one with a single check comes after the first of the crowd",
        "round after round",
        "in the order of their coming",
        "one that is known comes first",
        "and then every other time",
        "in turns among themselves",
    ],
)
def test_order(came: str, expected: str) -> None:
    turns = Turns(99, 99)
    for client in came.split():
        assert join(turns, client) is not None
    assert served(turns) == expected


def test_who_comes_later_does_not_wait_for_those_that_others_had_before() -> None:
    turns = Turns(99, 99)
    for _ in range(20):
        join(turns, "A")
    for _ in range(5):
        turn = turns.begin()
        assert turn is not None
        turns.leave(turn)
    join(turns, "B")
    assert served(turns).split()[:2] == ["B", "A"]


@pytest.mark.parametrize(
    ("waiting", "newcomer", "displaced"),
    [
        ("A A A B", "C", "A"),
        ("A B B B", "C", "B"),
        ("A A B B", "A", None),
        ("A A B C", "B", None),
        ("A B C D", "E", None),
        ("A B C D", KNOWN, "D"),
        ("A B B C", KNOWN, "B"),
        ("K K K K", "A", "K"),
        ("K K K K", KNOWN, None),
        ("K1 K2 A B", KNOWN, "B"),
        ("K1 K2 K3 A", KNOWN, None),
        ("K A B C", KNOWN, None),
        ("K K A K", KNOWN, None),
    ],
    ids=[
        "of the client with most",
        "whichever that is",
        "not for one with as many",
        "nor where it would not become fairer",
        "nor where each has one",
        "but for one that is known",
        "the client with most again",
        "known ones have no more than others",
        "not even for themselves",
        "a stranger first",
        "but not those who have their part of the queue",
        "who has their own part displaces no stranger",
        "however many of their own there are",
    ],
)
def test_where_the_queue_is_full_the_newest_of_the_client_with_most_goes(
    waiting: str, newcomer: str, displaced: str | None
) -> None:
    turns = Turns(4, 99)
    all_waiting = [join(turns, client) for client in waiting.split()]
    joined = turns.join(newcomer, "new", is_known=newcomer == KNOWN)
    assert (joined and joined.displaced and joined.displaced.client) == displaced
    if joined is not None:
        newest = [turn for turn in all_waiting if turn is not None and turn.client == displaced][-1]
        assert joined.displaced is newest


def test_a_check_that_runs_is_never_displaced() -> None:
    turns = Turns(2, 99)
    join(turns, "A")
    turns.begin()
    join(turns, "B")
    assert join(turns, "C") is None


def test_guesses_of_one_client_at_a_name_leave_others_the_name_and_the_queue() -> None:
    turns = Turns(99, 3)
    guesses = [join(turns, "A", "alice") for _ in range(4)]
    assert guesses[3] is None
    joined = turns.join("B", "alice", is_known=False)
    assert joined is not None
    assert joined.displaced is guesses[2]
    assert join(turns, "A", "bob") is not None


def test_of_a_name_a_known_client_takes_no_more_than_a_part_from_strangers() -> None:
    turns = Turns(99, 8)
    for client in "ABCDEFGH":
        assert join(turns, client, "alice") is not None
    joined = [turns.join(KNOWN, "alice", is_known=True) for _ in range(3)]
    assert [one and one.displaced and one.displaced.client for one in joined] == ["H", "G", None]
    assert joined[2] is None


def test_who_leaves_makes_room() -> None:
    turns = Turns(1, 99)
    turn = join(turns, "A")
    assert turn is not None
    turns.leave(turn)
    assert join(turns, "B") is not None
