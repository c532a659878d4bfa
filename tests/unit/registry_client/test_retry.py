import socket
import ssl

import httpx
import pytest

from authproxy.registry_client import retry as again
from authproxy.registry_client.retry import ATTEMPTS, MAX_PAUSE_S, is_permanent, pause_s, send_with_retries


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(again, "FIRST_PAUSE_S", 0.001)


class Answers:
    """What comes back, in turn."""

    def __init__(self, *turns: int | Exception) -> None:
        self.turns = list(turns)
        self.sent = 0

    async def send(self) -> httpx.Response:
        turn = self.turns[min(self.sent, len(self.turns) - 1)]
        self.sent += 1
        if isinstance(turn, Exception):
            raise turn
        return httpx.Response(turn, headers={"retry-after": "0"} if turn == 429 else {})


BROKEN = httpx.RemoteProtocolError("broke off")


@pytest.mark.parametrize(
    ("turns", "status", "sent"),
    [
        ((200,), 200, 1),
        ((404,), 404, 1),
        ((401,), 401, 1),
        ((429, 500, 502, 503, 200), 200, 5),
        ((503,), 503, ATTEMPTS),
        ((BROKEN, BROKEN, 200), 200, 3),
    ],
)
async def test_what_passes_is_tried_again(turns: tuple[int | Exception, ...], status: int, sent: int) -> None:
    answers = Answers(*turns)
    assert (await send_with_retries(answers.send)).status_code == status
    assert answers.sent == sent


def caused(cause: OSError) -> httpx.TransportError:
    error = httpx.ConnectError("no")
    error.__cause__ = RuntimeError("in between")
    error.__cause__.__cause__ = cause
    return error


LASTING = [caused(ssl.SSLCertVerificationError("bad")), caused(socket.gaierror(socket.EAI_NONAME, "unknown"))]
TRANSIENT = [
    BROKEN,
    caused(ConnectionResetError()),
    caused(ConnectionRefusedError()),
    caused(socket.gaierror(socket.EAI_AGAIN, "later")),
]


@pytest.mark.parametrize(("errors", "sent"), [(LASTING, 1), (TRANSIENT, ATTEMPTS)], ids=["lasting", "passing"])
async def test_what_would_fail_in_the_same_way_is_tried_once(errors: list[httpx.TransportError], sent: int) -> None:
    for error in errors:
        answers = Answers(error)
        with pytest.raises(httpx.TransportError):
            await send_with_retries(answers.send)
        assert answers.sent == sent
        assert is_permanent(error) is (sent == 1)


def test_pauses_grow_are_at_random_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(again, "FIRST_PAUSE_S", 0.5)
    for attempt, longest in ((1, 0.5), (2, 1.0), (3, 2.0), (30, MAX_PAUSE_S)):
        pauses = {pause_s(attempt, None) for _ in range(20)}
        assert len(pauses) > 1
        assert all(longest / 2 <= pause <= longest for pause in pauses)


@pytest.mark.parametrize(("said", "pause"), [("0", 0), ("7", 7), ("100000", MAX_PAUSE_S)])
def test_registry_says_how_long_to_wait(said: str, pause: float) -> None:
    assert pause_s(1, said) == pause


@pytest.mark.parametrize("said", ["Wed, 21 Oct 2026 07:28:00 GMT", "-1", "", "²"])
def test_what_is_no_number_of_seconds_is_no_pause(said: str) -> None:
    assert pause_s(1, said) <= again.FIRST_PAUSE_S
