"""The log: one line an event, whatever is in it and whichever form it has."""

import json
import logging
import subprocess
import sys
from collections.abc import Iterator, Mapping

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from authproxy.config.sections.log import Log
from authproxy.log import setup as log

NOW = 1_767_323_045.678901  # 2026-01-02T03:04:05.678901Z
REQUEST = {"event": "request", "level": "info", "user": "alice", "status": 200, "ms": 1.5}


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    yield
    logging.basicConfig(force=True)


def settings(level: str = "info", **more: object) -> Log:
    return Log.model_validate({"level": level, **more})


def line(event: Mapping[str, object], **section: object) -> str:
    return log.make_renderer(Log.model_validate(section), now=lambda: NOW)(event)


def lines(capsys: pytest.CaptureFixture[str], section: Log, **fields: object) -> list[str]:
    log.configure(section)
    logger = structlog.get_logger("a test's own")
    logger.info("something", **fields)
    logger.debug("a detail")
    return capsys.readouterr().err.splitlines()


FORMS = {
    "text": "time=2026-01-02T03:04:05.678901Z level=info event=request user=alice status=200 ms=1.5 service=registry",
    "json": '{"time": "2026-01-02T03:04:05.678901Z", "level": "info", "msg": "request", "user": "alice",'
    ' "status": 200, "ms": 1.5, "service": "registry"}',
    "logstash": '{"@timestamp": "2026-01-02T03:04:05.678901Z", "@version": "1", "type": "log", "level": "info",'
    ' "message": "request", "user": "alice", "status": 200, "ms": 1.5, "service": "registry"}',
}


@pytest.mark.parametrize("formatter", FORMS)
def test_a_form_is_what_its_readers_know(formatter: str) -> None:
    assert line(REQUEST, formatter=formatter, fields={"service": "registry"}) == FORMS[formatter]


VALUES = {
    "plain": ("/v2/a/manifests/latest", "/v2/a/manifests/latest"),
    "nothing": ("", ""),
    "None": (None, ""),
    "yes": (True, "true"),
    "past ASCII": ("müller", "müller"),
    "with a space": ("a b", '"a b"'),
    "an equals sign": ("a=b", '"a=b"'),
    "quotes": ('say "a"', '"say \\"a\\""'),
    "a backslash": ("a\\nb", '"a\\\\nb"'),
    "a line feed": ("a\nb", '"a\\nb"'),
    "an escape of a terminal": ("\x1b[31m\x9b", '"\\x1b[31m\\x9b"'),
    "a line separator": ("a\u2028b", '"a\\u2028b"'),
}


@pytest.mark.parametrize(("value", "written"), VALUES.values(), ids=list(VALUES))
def test_a_value_is_quoted_where_logfmt_needs_it(value: object, written: str) -> None:
    assert line({"event": "e", "key": value}).endswith(f" event=e key={written}")


@pytest.mark.parametrize("formatter", FORMS)
@given(text=st.text())
def test_no_text_begins_a_line_of_its_own_or_speaks_to_the_terminal(formatter: str, text: str) -> None:
    assert line({"event": text, "path": text}, formatter=formatter, fields={"service": text}).isprintable()


@given(text=st.text())
def test_json_reads_back_as_what_it_was(text: str) -> None:
    assert json.loads(line({"event": text, "path": text}, formatter="json")) == {
        "time": "2026-01-02T03:04:05.678901Z",
        "level": "info",
        "msg": text,
        "path": text,
    }


@pytest.mark.parametrize(
    ("formatter", "key"), [("text", "time"), ("text", "event"), ("json", "msg"), ("logstash", "@version")]
)
def test_a_field_of_the_operators_that_has_a_name_of_ours_is_told_apart(formatter: str, key: str) -> None:
    written = line({"event": "e"}, formatter=formatter, fields={key: "mine"})
    assert (f"fields.{key}=mine" if formatter == "text" else f'"fields.{key}": "mine"') in written


@pytest.mark.parametrize("formatter", FORMS)
def test_an_events_own_field_comes_before_the_operators_of_the_same_name(formatter: str) -> None:
    written = line({"event": "e", "service": "its own"}, formatter=formatter, fields={"service": "fixed", "a": "b"})
    assert "its own" in written
    assert "fixed" not in written
    assert written.endswith("a=b" if formatter == "text" else '"a": "b"}')


def test_a_key_of_the_operators_cannot_break_the_line() -> None:
    assert line({"event": "e"}, fields={"a b=\n": "c"}).endswith(" event=e a_b__=c")


def test_seconds_are_told_anew_when_they_change() -> None:
    times = iter([0.999999, 1.0, 1.5])
    render = log.make_renderer(settings(), now=lambda: next(times))
    assert [render({"event": "e"})[:32] for _ in range(3)] == [
        "time=1970-01-01T00:00:00.999999Z",
        "time=1970-01-01T00:00:01.000000Z",
        "time=1970-01-01T00:00:01.500000Z",
    ]


def test_an_event_is_one_line_that_begins_with_its_time(capsys: pytest.CaptureFixture[str]) -> None:
    (written,) = lines(capsys, settings(), user="alice", status=200)
    assert written.startswith("time=")
    assert written.endswith("level=info event=something user=alice status=200")


@pytest.mark.parametrize(("level", "count"), [("error", 0), ("warn", 0), ("info", 1), ("debug", 2)])
def test_the_level_decides_what_is_told(capsys: pytest.CaptureFixture[str], level: str, count: int) -> None:
    assert len(lines(capsys, settings(level))) == count


@pytest.mark.parametrize("formatter", FORMS)
def test_a_fault_is_told_with_its_cause_in_one_line(capsys: pytest.CaptureFixture[str], formatter: str) -> None:
    log.configure(settings(formatter=formatter))
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
    log.configure(settings(formatter=formatter, fields={"service": "registry"}))
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
    monkeypatch.setattr(log, "_timestamps", lambda _: lambda: "now")
    log.configure(settings(formatter=formatter, fields=fields))
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
    log.configure(settings(formatter=formatter))
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
        "from authproxy.log import setup as log\n"
        "from authproxy.config.sections.log import Log\n"
        "import structlog\n"
        "log.configure(Log.model_validate({'level': 'info'}))\n"
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
    log.configure(settings(formatter="json", fields={"service": "registry"}))
    assert json.loads(log.renderer()({"event": "e"}))["service"] == "registry"
    assert capsys.readouterr().err == ""
