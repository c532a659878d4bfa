"""The signal that ends the process is noticed, and does what it did."""

import os
import signal
from types import FrameType

import pytest

from authproxy.server.drain import Drain


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_noticed_and_passed_on(number: signal.Signals) -> None:
    came: list[int] = []

    def handle(number: int, _: FrameType | None) -> None:
        came.append(number)

    before = signal.signal(number, handle)
    drain = Drain()
    assert [drain.has_begun] == [False]
    try:
        with drain.noticing():
            os.kill(os.getpid(), number)
            assert drain.has_begun
        assert came == [number]
        assert signal.getsignal(number) is handle
    finally:
        signal.signal(number, before)
