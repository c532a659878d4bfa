"""The three formats of a line of the log.

    text      time=2026-01-02T03:04:05.678901Z level=info event=request user=alice service=registry     (logfmt)
    json      {"time": "…", "level": "info", "msg": "request", "user": "alice", "service": "registry"}
    logstash  {"@timestamp": "…", "@version": "1", "type": "log", "level": "info", "message": "request", …}

The field names of the last two are those of CNCF Distribution's formatters, so that readers of its log can read ours.
Nothing in an event can begin a line or reach a terminal as an escape sequence: paths and names come from clients.
"""

import functools
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeAlias

from authproxy.clock import Clock

# From an event's fields, including `event` (what happened) and `level`, to its line without the line break.
Renderer: TypeAlias = Callable[[Mapping[str, object]], str]

# From the values of an event with fixed fields, texts in a tuple and then numbers, to its line.
EventRenderer: TypeAlias = Callable[..., str]

# The first fields of every line, after its time.
_FIRST = frozenset({"level", "event"})

# Values that logfmt has without quotes: printable ASCII except the space, `"`, `=` and the backslash.
_is_bare = re.compile(r"[!#-<>-\[\]-~]*").fullmatch


class FormatSettings(Protocol):
    """The settings of the format: keys of the section `log`."""

    @property
    def formatter(self) -> str:
        """`text`, `json` or `logstash`."""

    @property
    def fields(self) -> Mapping[str, str]:
        """Fields at the end of every line."""


def make_renderer(settings: FormatSettings, now: Clock = time.time) -> Renderer:
    """The renderer of these settings. `now` is in seconds since 1970."""
    timestamp = _timestamps(now)
    match settings.formatter:
        case "json":
            return _json_renderer({}, {"time": timestamp}, "msg", settings.fields)
        case "logstash":
            return _json_renderer(
                {"@version": "1", "type": "log"}, {"@timestamp": timestamp}, "message", settings.fields
            )
        case _:
            return _Text(timestamp, settings.fields)


def make_event_renderer(render: Renderer, event: str, texts: Sequence[str], numbers: Sequence[str]) -> EventRenderer:
    """A renderer of the same format for one kind of event at the level info.

    Its arguments are a tuple with the values of `texts`, and then those of `numbers`.
    """
    if isinstance(render, _Text):
        return render.of_event(event, texts, numbers)
    return _by_mapping(render, event, texts, numbers)


class _Text:
    """logfmt."""

    def __init__(self, timestamp: Callable[[], str], static: Mapping[str, str]) -> None:
        named = _apart(static, ("time", "level", "event"))
        self._timestamp = timestamp
        self._fixed = {_logfmt_key(key): _logfmt(value) for key, value in named.items()}
        self._ending = "".join([f" {key}={value}" for key, value in self._fixed.items()])

    def __call__(self, fields: Mapping[str, object]) -> str:
        parts = [f"time={self._timestamp()} level={fields.get('level', 'info')} event={_logfmt(fields['event'])}"]
        for key, value in fields.items():
            if key not in _FIRST:
                parts.append(f" {key}={value if value.__class__ is int else _logfmt(value)}")
        if self._fixed.keys().isdisjoint(fields):
            parts.append(self._ending)
        else:
            parts += [f" {key}={value}" for key, value in self._fixed.items() if key not in fields]
        return "".join(parts)

    def of_event(self, event: str, texts: Sequence[str], numbers: Sequence[str]) -> EventRenderer:
        """The same line for an event that always has the same fields, in a fraction of the time."""
        if not self._fixed.keys().isdisjoint([*texts, *numbers]):
            return _by_mapping(self, event, texts, numbers)

        def join_texts(values: tuple[str, ...]) -> str:
            pairs = zip(texts, values, strict=True)
            return f"level=info event={_logfmt(event)}" + "".join([f" {key}={_logfmt(value)}" for key, value in pairs])

        # The same few clients send the same few requests.
        join_remembered = functools.lru_cache(maxsize=4096)(join_texts)
        template = f"time=%s %s{''.join([f' {key}=%s' for key in numbers])}{self._ending.replace('%', '%%')}"
        timestamp = self._timestamp

        def render(values: tuple[str, ...], *numbers: float) -> str:
            is_short = sum(map(len, values)) <= _MAX_REMEMBERED
            return template % (timestamp(), (join_remembered if is_short else join_texts)(values), *numbers)

        return render


def _by_mapping(render: Renderer, event: str, texts: Sequence[str], numbers: Sequence[str]) -> EventRenderer:
    keys = ("event", *texts, *numbers)
    return lambda values, *numbers: render(dict(zip(keys, (event, *values, *numbers), strict=True)))


def _json_renderer(
    fixed: Mapping[str, str], timed: Mapping[str, Callable[[], str]], message: str, static: Mapping[str, str]
) -> Renderer:
    static = _apart(static, (*fixed, *timed, "level", message))
    ((time_key, timestamp),) = timed.items()
    encode = json.JSONEncoder(default=str).encode

    def render(fields: Mapping[str, object]) -> str:
        line: dict[str, object] = {time_key: timestamp(), **fixed, "level": fields.get("level", "info")}
        line[message] = fields["event"]
        line |= {key: value for key, value in fields.items() if key not in _FIRST}
        for key, value in static.items():
            line.setdefault(key, value)
        # Everything past ASCII is escaped; of the control characters, JSON does not escape DEL.
        return encode(line).replace("\x7f", "\\u007f")

    return render


def _apart(static: Mapping[str, str], taken: tuple[str, ...]) -> dict[str, str]:
    """The operator's fields; one with a name of ours is written as `fields.<name>`, as in CNCF Distribution."""
    return {f"fields.{key}" if key in taken else key: value for key, value in static.items()}


def _timestamps(now: Clock) -> Callable[[], str]:
    """RFC 3339 in UTC with microseconds. The text of the second is made only once a second."""
    second, text = -1, ""

    def timestamp() -> str:
        nonlocal second, text
        microseconds = int(now() * 1_000_000)
        whole = microseconds // 1_000_000
        if whole != second:
            second, text = whole, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
        return f"{text}.{microseconds % 1_000_000:06d}Z"

    return timestamp


def _logfmt(value: object) -> str:
    """A value, in quotes if it needs them; characters that no line may contain are escaped as in Python."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    return _remembered_quoted(text) if len(text) <= _MAX_REMEMBERED else _quoted(text)


def _quoted(text: str) -> str:
    if _is_bare(text) or (text.isprintable() and not text.isascii() and not _needs_quotes(text)):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    if not escaped.isprintable():
        escaped = "".join(c if c.isprintable() else _escape(c) for c in escaped)
    return f'"{escaped}"'


def _escape(character: str) -> str:
    """A character, escaped as in Python; not by its codec, a file that can't be opened at the limit of descriptors."""
    if (short := _SHORT_ESCAPES.get(character)) is not None:
        return short
    code = ord(character)
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 - digits


_SHORT_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


# Users, paths and methods come again and again; the length, in characters, up to which they are cached.
_MAX_REMEMBERED = 256
_remembered_quoted = functools.lru_cache(maxsize=4096)(_quoted)


def _needs_quotes(value: str) -> bool:
    return any(character in value for character in ' "=\\')


def _logfmt_key(key: str) -> str:
    return "".join(c if c.isprintable() and not _needs_quotes(c) else "_" for c in key)
