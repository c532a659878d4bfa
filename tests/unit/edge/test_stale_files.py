"""Requests while this node can't check who may do what: one that is current passes without a wait."""

import pytest

from authproxy.asgi import Receive, Scope, Send
from authproxy.edge.stale_files import RefuseStaleFiles
from authproxy.errors import Unavailable


class Files:
    def __init__(self, *, current: bool, blind: bool = False) -> None:
        self.current, self.blind = current, blind
        self.looks = 0

    def is_current(self) -> bool:
        return self.current

    async def look_first(self) -> None:
        self.looks += 1

    def is_blind(self) -> bool:
        return self.blind


class Passed(Exception):
    pass


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    raise Passed


async def receive() -> dict[str, object]:
    return {}


async def send(message: object) -> None:
    del message


@pytest.mark.parametrize(
    ("files", "expected", "looks"),
    [
        (Files(current=True), Passed, 0),
        (Files(current=False), Passed, 1),
        (Files(current=False, blind=True), Unavailable, 1),
    ],
    ids=["current", "looked at first", "blind"],
)
async def test_a_request(files: Files, expected: type[Exception], looks: int) -> None:
    with pytest.raises(expected):
        await RefuseStaleFiles(app, files)({"type": "http"}, receive, send)
    assert files.looks == looks
