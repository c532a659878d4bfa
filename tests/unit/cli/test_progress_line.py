"""The line that says how far a command is."""

import io
import sys

import pytest

from authproxy.cli import progress_line
from authproxy.cli.progress_line import ProgressLine


class Terminal(io.StringIO):
    """Standard error on a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    line = ProgressLine()
    line.show(lambda: "read 1 blob")
    line.show(lambda: "too soon")
    line.end()
    assert terminal.getvalue() == "\r\x1b[Kread 1 blob\r\x1b[K"


def test_a_long_line_does_not_wrap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setenv("COLUMNS", "10")
    ProgressLine().show(lambda: "0123456789")
    assert terminal.getvalue() == "\r\x1b[K012345678"


def test_elsewhere_nothing_is_written(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_line, "SHOWN_EVERY_S", 0)
    line = ProgressLine()
    line.show(lambda: "read 1 blob")
    line.end()
    assert capsys.readouterr().err == ""
