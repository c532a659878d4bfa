"""The log of a process: one line an event, whatever is in it."""

import json
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest
import structlog

from authproxy.config.sections.log import Log
from authproxy.log import configure as log
from authproxy.log import formats


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    yield
    logging.basicConfig(force=True)


def settings(level: str = "info", **more: object) -> Log:
    return Log.model_validate({"level": level, **more})


def lines(capsys: pytest.CaptureFixture[str], section: Log, **fields: object) -> list[str]:
    log.configure_log(section)
    logger = structlog.get_logger("a test's own")
    logger.info("something", **fields)
    logger.debug("a detail")
    return capsys.readouterr().err.splitlines()


FORMS = ["text", "json", "logstash"]


def test_an_event_is_one_line_that_begins_with_its_time(capsys: pytest.CaptureFixture[str]) -> None:
    (written,) = lines(capsys, settings(), user="alice", status=200)
    assert written.startswith("time=")
    assert written.endswith("level=info event=something user=alice status=200")


@pytest.mark.parametrize(("level", "count"), [("error", 0), ("warn", 0), ("info", 1), ("debug", 2)])
def test_the_level_decides_what_is_told(capsys: pytest.CaptureFixture[str], level: str, count: int) -> None:
    assert len(lines(capsys, settings(level))) == count


@pytest.mark.parametrize("formatter", FORMS)
def test_a_fault_is_told_with_its_cause_in_one_line(capsys: pytest.CaptureFixture[str], formatter: str) -> None:
    log.configure_log(settings(formatter=formatter))
    try:
        int("the cause")
    except ValueError:
        structlog.get_logger("a test's own").exception("fault")
    (written,) = capsys.readouterr().err.splitlines()
    assert "ValueError: invalid literal" in written


def test_the_caller_is_told_where_that_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    (written,) = lines(capsys, settings(reportcaller="true", formatter="json"))
    entry = json.loads(written)
    assert entry["func"] == "lines"
    assert entry["file"].rpartition(":")[0] == __file__


@pytest.mark.parametrize("formatter", FORMS)
def test_what_a_library_says_has_the_same_form(capsys: pytest.CaptureFixture[str], formatter: str) -> None:
    log.configure_log(settings(formatter=formatter, fields={"service": "registry"}))
    logging.getLogger("a.library").warning("something\nodd: %s", 7)
    logging.getLogger("a.library").info("chatter")
    try:
        int("the cause")
    except ValueError:
        logging.getLogger("a.library").exception("it broke")
    odd, broke = capsys.readouterr().err.splitlines()
    assert "something\\nodd: 7" in odd
    assert "a.library" in odd
    assert "registry" in odd
    assert "ValueError: invalid literal" in broke


@pytest.mark.parametrize("formatter", FORMS)
@pytest.mark.parametrize(
    "fields", [{}, {"service": "100%s sure"}, {"user": "its own"}], ids=["none", "one", "the same"]
)
def test_an_event_of_known_fields_is_told_as_any_other(
    monkeypatch: pytest.MonkeyPatch, formatter: str, fields: dict[str, str]
) -> None:
    monkeypatch.setattr(formats, "_timestamps", lambda _: lambda: "now")
    log.configure_log(settings(formatter=formatter, fields=fields))
    values = [("alice", "/v2/a b", 200, 0.1), ("", 'x"\n=%s', 0, 12.0), ("ä", "a" * 300, -1, 1e-9)]
    render = log.event_renderer("a request", ["user", "path"], ["status", "ms"])
    for user, path, status, ms in values * 2:
        about: dict[str, object] = {"event": "a request", "user": user, "path": path, "status": status, "ms": ms}
        assert render((user, path), status, ms) == log.renderer()(about)


class Unspeakable:
    """A value that has no text."""

    def __repr__(self) -> str:
        raise RuntimeError

    __str__ = __repr__


@pytest.mark.parametrize("formatter", FORMS)
def test_a_line_that_cannot_be_made_is_lost_and_harms_nobody(
    capsys: pytest.CaptureFixture[str], formatter: str
) -> None:
    log.configure_log(settings(formatter=formatter))
    structlog.get_logger("a test's own").info("something", value=Unspeakable())
    logging.getLogger("a.library").warning("%d", "no number")
    assert log.writer().lost == 2
    structlog.get_logger("a test's own").info("goes on")
    lost, goes_on = capsys.readouterr().err.splitlines()
    assert "log lines were lost" in lost
    assert "goes on" in goes_on


def test_no_line_needs_a_file_to_be_made() -> None:
    """Python reads the codec `unicode_escape` from one, at its first use: there may be no descriptor left then."""
    script = (
        "import resource, sys\n"
        "from authproxy.log import configure as log\n"
        "from authproxy.config.sections.log import Log\n"
        "import structlog\n"
        "log.configure_log(Log.model_validate({'level': 'info'}))\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))\n"
        "try:\n"
        "    open('/dev/null')\n"
        "except OSError:\n"
        "    structlog.get_logger().exception('a\\n\\x1b\\u2028\\U000e0001b')\n"
        "assert log.writer().lost == 0\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert r'event="a\n\x1b\u2028\U000e0001b"' in ran.stderr
    assert "Too many open files" in ran.stderr


def test_the_renderer_of_the_process_is_the_configured_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert "event=e" in log.renderer()({"event": "e"})
    log.configure_log(settings(formatter="json", fields={"service": "registry"}))
    assert json.loads(log.renderer()({"event": "e"}))["service"] == "registry"
    assert capsys.readouterr().err == ""
