"""Who makes room for whom where connections are used up."""

import asyncio
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from authproxy.asgi import Receive, Scope, Send, respond
from authproxy.budget import LOOK_AGAIN_S, MEASURE_EVERY_S, SLOW_BYTES_S, max_connections
from authproxy.http.server.connection_limit import LOG_EVERY_S, Admission, Candidate, Place, choose
from authproxy.http.server.options import DEFAULT, Options
from tests.support.http1 import Serving, Tls, read_until, running

HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n"


class Time:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass(eq=False)
class Fake:
    """A connection in one state: quiet since a time, or busy and waiting for its client or not."""

    quiet_since: float | None = None
    waits_for_client: bool = False
    moved: int | None = 0
    evicted: bool = False

    def count_moved(self) -> int | None:
        return self.moved

    def evict(self) -> None:
        self.evicted = True


@dataclass
class Held:
    """An admission with a clock of the test's."""

    most: int
    time: Time = field(default_factory=Time)

    def __post_init__(self) -> None:
        self.admission = Admission(self.most, self.time)

    def come(self, client: str | None, holder: Fake) -> Fake | None:
        """A connection comes; None where it is refused."""
        place = self.admission.admit(client)
        if place is None:
            return None
        place.holder = holder
        return holder

    def fill(self, client: str | None, count: int, make: Callable[[], Fake]) -> list[Fake]:
        come = [self.come(client, make()) for _ in range(count)]
        assert None not in come
        return [fake for fake in come if fake is not None]


@pytest.mark.parametrize(
    ("descriptors", "most"), [(256, 96), (1024, 480), (65_536, 16_384), (2**30, 16_384), (10, 1), (-1, 16_384)]
)
def test_half_of_the_descriptors_after_the_reserve_are_for_connections(descriptors: int, most: int) -> None:
    assert max_connections(descriptors) == most


def names(chosen: list[Place], places: dict[str, Place]) -> list[str]:
    return [name for place in chosen for name, known in places.items() if known is place]


@pytest.mark.parametrize(
    ("candidates", "count", "expected"),
    [
        ("A1 A2 A3 B0", 2, "A1 A2"),
        ("A1 A2 A3 B0", 3, "A1 A2 B0"),
        ("A5 B4 C3", 1, "C3"),
        ("-0 A5", 1, "A5"),
        ("-1 -0 A5", 2, "A5 -0"),
        ("A5", 3, "A5"),
        ("", 1, ""),
    ],
    ids=[
        "of the client with most, the longest quiet first",
        "with as many each, the longest quiet of all",
        "one each",
        "a proxy's last",
        "then the longest quiet of a proxy's",
        "no more than there are",
        "none",
    ],
)
def test_choose(candidates: str, count: int, expected: str) -> None:
    places = {name: Place() for name in candidates.split()}
    listed = [Candidate(None if n[0] == "-" else n[0], float(n[1]), place) for n, place in places.items()]
    assert names(choose(listed, count), places) == expected.split()


def test_silent_connections_of_one_client_keep_nobody_out() -> None:
    held = Held(most=10)
    silent = [held.come("A", Fake(quiet_since=float(i))) for i in range(100)]
    assert None not in silent
    assert len(held.admission) == 5  # its share
    others = [held.come(f"B{i}", Fake()) for i in range(8)]
    assert None not in others
    assert len(held.admission) == 10
    assert [fake for fake in silent if fake is not None and not fake.evicted] == silent[-2:]


def test_busy_connections_are_never_ended_and_the_newcomer_is_refused() -> None:
    held = Held(most=4)
    busy = held.fill("A", 2, Fake) + held.fill("B", 2, Fake)
    assert held.come("C", Fake()) is None
    assert not any(fake.evicted for fake in busy)
    assert held.admission.refused == {"budget": 1, "share": 0}


def test_a_client_has_no_more_than_its_share_where_there_is_room_for_others() -> None:
    held = Held(most=4)
    held.fill("A", 2, Fake)
    assert held.come("A", Fake()) is None
    assert held.admission.refused == {"budget": 0, "share": 1}
    assert held.come("B", Fake()) is not None


def test_proxies_have_no_share_and_make_room_last() -> None:
    held = Held(most=6)
    proxy = held.fill(None, 5, lambda: Fake(quiet_since=1.0))
    client = held.fill("A", 1, lambda: Fake(quiet_since=500.0))
    held.fill(None, 1, Fake)
    assert client[0].evicted
    assert not any(fake.evicted for fake in proxy)
    held.fill("B", 1, Fake)
    assert [fake.evicted for fake in proxy].count(True) == 1


def test_where_a_look_found_nobody_the_next_newcomers_are_refused_without_one() -> None:
    held = Held(most=2)
    busy = held.fill("A", 1, Fake) + held.fill("B", 1, Fake)
    assert held.come("C", Fake()) is None
    busy[0].quiet_since = 5.0
    assert held.come("C", Fake()) is None
    held.time.now += LOOK_AGAIN_S
    assert held.come("C", Fake()) is not None


def test_a_slow_client_makes_room_only_where_nobody_is_quiet() -> None:
    held = Held(most=4)
    slow = held.fill("A", 2, lambda: Fake(waits_for_client=True))
    quick = held.fill("B", 1, lambda: Fake(waits_for_client=True))
    quiet = held.fill("C", 1, lambda: Fake(quiet_since=1.0))
    held.time.now += MEASURE_EVERY_S
    assert held.come("D", Fake(waits_for_client=True)) is not None  # measured for the first time
    assert quiet[0].evicted
    held.time.now += MEASURE_EVERY_S
    quick[0].moved = int(2 * MEASURE_EVERY_S * SLOW_BYTES_S)
    slow[0].moved = 500
    assert held.come("D", Fake()) is not None
    assert [slow[0].evicted, slow[1].evicted, quick[0].evicted] == [False, True, False]
    assert held.admission.ended == {"idle": 1, "slow": 1}
    slow[0].waits_for_client = False  # it has begun to wait for us
    assert held.come("E", Fake()) is None


def test_where_the_system_does_not_tell_nobody_is_slow() -> None:
    held = Held(most=2)
    held.fill("A", 1, lambda: Fake(waits_for_client=True, moved=None))
    held.fill("B", 1, lambda: Fake(waits_for_client=True, moved=None))
    for _ in range(3):
        held.time.now += MEASURE_EVERY_S
        assert held.come("C", Fake()) is None


def test_a_proxys_connection_counts_against_the_client_that_it_names() -> None:
    held = Held(most=4)
    for expected in (True, True, False):
        place = held.admission.admit(None)
        assert place is not None
        place.holder = Fake()
        assert held.admission.count_against(place, "A") is expected
        if not expected:
            place.free()
    assert len(held.admission) == 2


def test_a_place_is_freed_once_and_its_client_forgotten() -> None:
    held = Held(most=4)
    place = held.admission.admit("A")
    assert place is not None
    place.free()
    place.free()
    assert len(held.admission) == 0
    assert vars(held.admission)["_of_client"] == {}


def test_a_flood_is_one_line_a_minute() -> None:
    with capture_logs() as lines:
        held = Held(most=4)
        for _ in range(1000):
            held.come("A", Fake(quiet_since=1.0))
        assert [line["ended_or_refused"] for line in lines] == [1]
        held.time.now += LOG_EVERY_S
        held.come("A", Fake(quiet_since=1.0))
    assert [line["ended_or_refused"] for line in lines] == [1, 998]
    assert (lines[1]["client"], lines[1]["of_client"]) == ("A", 1)


# On real connections


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    """/wait never ends, /body reads it, /much sends more than sockets hold, all else is answered at once."""
    match scope["path"]:
        case "/wait":
            await asyncio.Event().wait()
        case "/body":
            while (await receive()).get("more_body"):
                pass
        case "/much":
            await respond(send, 200, [("Content-Length", str(len(MUCH)))], MUCH)
            return
    await respond(send, 200, [("Content-Length", "2")], b"ok")


def is_loopback(address: str) -> bool:
    return address == "127.0.0.1"


BEHIND_LOOPBACK = Options(sends_preamble=is_loopback, is_proxy=is_loopback)

MUCH = bytes(32 * 1024 * 1024)


@contextmanager
def limited(most: int, tls: Tls | None = None, options: Options = DEFAULT) -> Iterator[Serving]:
    """A server that holds so many connections, each of which may be this test's alone."""
    with running(Serving(answer, tls, options)) as server:
        admission = Admission(most, server.loop.time)
        admission.share = most
        server.call(lambda: setattr(server.loop, "admission", admission))
        yield server


def count(server: Serving) -> int:
    return server.call(lambda: len(server.loop.admission))


def ask(server: Serving, path: str = "/") -> None:
    assert server.ask(b"GET %b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % path.encode()).startswith(
        b"HTTP/1.1 200"
    )


def is_ended(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except (ConnectionResetError, ssl.SSLError):
        return True


def say_nothing(server: Serving) -> socket.socket:
    return server.connect(plain=True)


def break_off_in_the_head(server: Serving) -> socket.socket:
    client = server.connect()
    client.sendall(HEAD)
    return client


def be_between_two_requests(server: Serving) -> socket.socket:
    client = server.connect()
    client.sendall(HEAD + b"\r\n")
    assert read_until(client, b"ok").startswith(b"HTTP/1.1 200")
    return client


def leave_an_end_unread(server: Serving) -> socket.socket:
    client = server.connect()
    client.sendall(HEAD + b"Connection: close\r\n\r\n")
    assert read_until(client, b"ok").startswith(b"HTTP/1.1 200")
    return client


QUIET = [say_nothing, break_off_in_the_head, be_between_two_requests, leave_an_end_unread]


@pytest.mark.parametrize("do", QUIET, ids=lambda do: do.__name__)
def test_a_quiet_connection_makes_room(maybe_tls: Tls | None, do: Callable[[Serving], socket.socket]) -> None:
    with limited(1, maybe_tls) as server, do(server) as quiet:
        server.wait(lambda: len(server.loop.admission) == 1)
        ask(server)
        if do is not leave_an_end_unread:
            assert is_ended(quiet)
        assert server.call(lambda: server.loop.admission.ended["idle"]) == 1
        server.wait(lambda: len(server.loop.admission) == 0)


def test_a_proxy_that_sends_no_preamble_makes_room() -> None:
    with limited(1, options=BEHIND_LOOPBACK) as server, server.connect() as quiet:
        server.wait(lambda: len(server.loop.admission) == 1)
        with server.connect() as client:
            client.sendall(b"PROXY UNKNOWN\r\n" + HEAD + b"Connection: close\r\n\r\n")
            assert read_until(client, b"ok").startswith(b"HTTP/1.1 200")
        assert is_ended(quiet)


def test_clients_behind_a_proxy_have_a_share_each() -> None:
    with ExitStack() as stack, limited(8, options=BEHIND_LOOPBACK) as server:
        server.call(lambda: setattr(server.loop.admission, "share", 2))

        def come(client: str) -> bool:
            connection = stack.enter_context(server.connect())
            connection.sendall(f"PROXY TCP4 {client} 10.0.0.1 5 6\r\nGET /wait HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            connection.settimeout(0.3)
            try:
                return not is_ended(connection)
            except TimeoutError:
                return True

        assert [come("192.0.2.1") for _ in range(3)] == [True, True, False]
        assert come("192.0.2.2")


def test_a_request_that_is_being_answered_stays_and_the_newcomer_goes(maybe_tls: Tls | None) -> None:
    with limited(1, maybe_tls) as server, server.connect() as busy:
        busy.sendall(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
        server.wait(lambda: server.connections and server.connections[0].quiet_since is None)
        with server.connect(plain=True) as refused:
            assert is_ended(refused)
        assert count(server) == 1
        busy.settimeout(0.1)
        with pytest.raises(TimeoutError):
            busy.recv(1)


def count_stuck(server: Serving) -> int:
    """In the loop: how many connections wait for clients that move nothing."""
    holders = [place.holder for place in vars(server.loop.admission)["_places"]]
    before = [holder.count_moved() for holder in holders]
    time.sleep(0.05)
    return sum(h.waits_for_client and h.count_moved() == b for h, b in zip(holders, before, strict=True))


@pytest.mark.parametrize(
    "request_",
    [b"GET /much HTTP/1.1\r\nHost: a\r\n\r\n", b"PUT /body HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n1"],
    ids=["reads nothing", "sends nothing"],
)
def test_a_client_that_does_not_get_on_makes_room(maybe_tls: Tls | None, request_: bytes) -> None:
    with limited(1, maybe_tls) as server, server.connect() as slow:
        slow.sendall(request_)
        server.wait(lambda: count_stuck(server))
        with server.connect(plain=True) as refused:  # for it all are measured for the first time
            assert is_ended(refused)
        server.later(MEASURE_EVERY_S)
        ask(server)
        assert server.call(lambda: server.loop.admission.ended) == {"idle": 0, "slow": 1}
