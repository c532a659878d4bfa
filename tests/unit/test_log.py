"""The log: one line an event, whatever is in it."""

from collections.abc import Iterator

import pytest
import structlog

from authproxy import log


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def lines(capsys: pytest.CaptureFixture[str], level: str, **fields: object) -> list[str]:
    log.configure(level)
    logger = structlog.get_logger("a test's own")
    logger.info("something", **fields)
    logger.debug("a detail")
    return capsys.readouterr().err.splitlines()


def test_an_event_is_one_line_that_begins_with_its_time(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = lines(capsys, "info", user="alice", status=200)
    assert line.startswith("time=")
    assert line.endswith("level=info event=something user=alice status=200")


@pytest.mark.parametrize(("level", "count"), [("error", 0), ("warn", 0), ("info", 1), ("debug", 2)])
def test_the_level_decides_what_is_told(capsys: pytest.CaptureFixture[str], level: str, count: int) -> None:
    assert len(lines(capsys, level)) == count


def test_no_text_begins_a_line_of_its_own_or_speaks_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = lines(capsys, "info", path="/v2/a\nlevel=info event=forged\r\x1b[31m\x9b")
    assert line.isprintable()


def test_a_fault_is_told_with_its_cause(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("info")
    try:
        int("the cause")
    except ValueError:
        structlog.get_logger("a test's own").exception("fault")
    assert "ValueError: invalid literal" in capsys.readouterr().err
