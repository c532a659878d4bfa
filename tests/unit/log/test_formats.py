"""The formats of a line of the log: what their readers know, whatever is in it."""

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.config.sections.log import Log
from authproxy.log.formats import make_renderer

NOW = 1_767_323_045.678901  # 2026-01-02T03:04:05.678901Z
REQUEST = {"event": "request", "level": "info", "user": "alice", "status": 200, "ms": 1.5}


def line(event: Mapping[str, object], **section: object) -> str:
    return make_renderer(Log.model_validate(section), now=lambda: NOW)(event)


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
    render = make_renderer(Log(), now=lambda: next(times))
    assert [render({"event": "e"})[:32] for _ in range(3)] == [
        "time=1970-01-01T00:00:00.999999Z",
        "time=1970-01-01T00:00:01.000000Z",
        "time=1970-01-01T00:00:01.500000Z",
    ]
