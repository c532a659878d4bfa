"""How long a connection waits: without a request, and for one that does not get on."""

from authproxy.http.server.timeouts import LOOK_S, STALL_S, Patience

KEEP_S = 120.0


def decide(patience: Patience, now: float, *, idle: bool = False, waits: bool = True, moved: bool = False) -> float:
    return patience.decide(now, is_idle=idle, waits=waits, has_moved=moved)


def test_a_first_request_has_as_long_as_a_next_one() -> None:
    patience = Patience(KEEP_S, now=1000.0)
    assert [decide(patience, now, idle=True) for now in (1000.0, 1100.0, 1120.0, 1500.0)] == [120.0, 20.0, 0.0, 0.0]
    patience.begin_idling(2000.0)
    assert [decide(patience, now, idle=True) for now in (2000.0, 2119.0, 2120.0)] == [120.0, 1.0, 0.0]


def test_a_body_that_stops_coming_ends_the_connection() -> None:
    patience, now = Patience(KEEP_S, now=0.0), 0.0
    while (rest := decide(patience, now)) > 0:
        assert rest <= LOOK_S
        now += rest
    assert now == STALL_S


def test_a_body_that_comes_slowly_never_does() -> None:
    patience = Patience(KEEP_S, now=0.0)
    assert all(decide(patience, now, moved=True) == LOOK_S for now in range(0, 10_000, 59))


def test_a_request_that_we_take_long_for_never_does() -> None:
    patience = Patience(KEEP_S, now=0.0)
    assert all(decide(patience, now, waits=False) == LOOK_S for now in range(0, 10_000, 59))


def test_the_time_that_we_took_is_not_the_clients() -> None:
    patience = Patience(KEEP_S, now=0.0)
    decide(patience, 5000.0, waits=False)
    assert decide(patience, 5000.0 + STALL_S - 1) == 1.0
    assert decide(patience, 5000.0 + STALL_S) == 0.0


def test_without_keep_alive_a_request_in_flight_is_waited_for_all_the_same() -> None:
    assert decide(Patience(0.0, now=0.0), 10.0) > 0
