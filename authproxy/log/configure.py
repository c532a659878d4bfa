"""The log: one line an event, on standard error, in one of three forms.

    text      time=2026-01-02T03:04:05.678901Z level=info event=request user=alice service=registry     (logfmt)
    json      {"time": "…", "level": "info", "msg": "request", "user": "alice", "service": "registry"}
    logstash  {"@timestamp": "…", "@version": "1", "type": "log", "level": "info", "message": "request", …}

The names of the last two are those that CNCF Distribution's formatters write, so that what reads its log reads ours.
Nothing in an event begins a line of its own or speaks to the reader's terminal: paths and names come from anybody.
"""

import functools
import json
import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import structlog
from structlog.processors import CallsiteParameter, CallsiteParameterAdder
from structlog.typing import BindableLogger, EventDict, Processor, WrappedLogger

from authproxy.clock import Clock
from authproxy.log.excerpt import excerpt
from authproxy.log.line_writer import LineWriter

if TYPE_CHECKING:
    from asyncio import Task

# CNCF Distribution's names (log.level) to the standard library's numbers.
LEVELS = {"error": logging.ERROR, "warn": logging.WARNING, "info": logging.INFO, "debug": logging.DEBUG}

# An event's fields, `event` (what happened) and `level` among them, to its line without the end of line.
Renderer: TypeAlias = Callable[[Mapping[str, object]], str]

# The values of an event whose fields are known beforehand, texts in a tuple and then numbers, to its line.
EventRenderer: TypeAlias = Callable[..., str]

# The longest text of a line but for tracebacks, in characters: a policy that doesn't load may have much to say.
MAX_FIELD = 4096

# What every line begins with, behind its time.
_FIRST = frozenset({"level", "event"})

# What logfmt takes without quotes: printable ASCII but for the space, `"`, `=` and the backslash.
_is_bare = re.compile(r"[!#-<>-\[\]-~]*").fullmatch


class LogSettings(Protocol):
    """What the operator says of the log: the section `log` of the configuration."""

    @property
    def level(self) -> str:
        """The least important level that is told, one of `LEVELS`."""

    @property
    def formatter(self) -> str:
        """`text`, `json` or `logstash`."""

    @property
    def fields(self) -> Mapping[str, str]:
        """Fields that every line ends with."""

    @property
    def reportcaller(self) -> bool:
        """Whether a line names the place in the code that it comes from."""


@dataclass(frozen=True, slots=True)
class _Defaults:
    """The log of a process that nobody has configured."""

    level: str = "info"
    formatter: str = "text"
    fields: Mapping[str, str] = field(default_factory=dict)
    reportcaller: bool = False


def make_renderer(settings: LogSettings, now: Clock = time.time) -> Renderer:
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


def configure(settings: LogSettings) -> None:
    """Set up the process's log. Called once in each process, before anything is served."""
    render = make_renderer(settings)
    lines = LineWriter(notice=partial(_notice, render))
    callers: list[Processor] = [_CALLER, _join_caller] if settings.reportcaller else []
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            *callers,
            _bound_texts,
            structlog.processors.format_exc_info,
            _Render(render),
        ],
        wrapper_class=_never_raising(structlog.make_filtering_bound_logger(LEVELS[settings.level]), lines),
        logger_factory=_Logger(lines),
        cache_logger_on_first_use=True,
    )
    # What libraries say goes the same way; their chatter below a warning does not.
    logging.raiseExceptions = False
    logging.basicConfig(level=logging.WARNING, handlers=[_LibraryHandler(render, lines)], force=True)


def renderer() -> Renderer:
    """The process's renderer, as `configure` left it: time, fixed fields, escapes and form included.

    For what writes so many lines that a logger costs too much; everybody else logs with structlog.
    """
    last = structlog.get_config()["processors"][-1]
    return last.render if isinstance(last, _Render) else make_renderer(_Defaults())


def writer() -> LineWriter:
    """Where the process's finished lines go, as `configure` left it."""
    factory = structlog.get_config()["logger_factory"]
    return factory.lines if isinstance(factory, _Logger) else LineWriter()


def tell_of_fault(task: "Task[None]") -> None:
    """Log why a task that runs beside the requests has ended, where it should not have: for its `add_done_callback`."""
    if not task.cancelled() and (fault := task.exception()):
        structlog.get_logger(__name__).error("a background task ended", task=task.get_name(), exc_info=fault)


def event_renderer(event: str, texts: Sequence[str], numbers: Sequence[str]) -> EventRenderer:
    """The process's renderer for one kind of event at the level info.

    It is called with a tuple, the values of `texts`, and then with those of `numbers`.
    """
    render = renderer()
    return (
        render.of_event(event, texts, numbers)
        if isinstance(render, _Text)
        else _by_mapping(render, event, texts, numbers)
    )


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

        # The same few clients ask for the same few things.
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
        # Everything past ASCII is escaped; of the control characters JSON leaves DEL alone.
        return encode(line).replace("\x7f", "\\u007f")

    return render


def _apart(static: Mapping[str, str], taken: tuple[str, ...]) -> dict[str, str]:
    """The operator's fields; one that has the name of ours is told as `fields.<name>`, as CNCF Distribution does."""
    return {f"fields.{key}" if key in taken else key: value for key, value in static.items()}


def _timestamps(now: Clock) -> Callable[[], str]:
    """RFC 3339 in UTC with microseconds. What changes once a second is made once a second."""
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
    """A value, in quotes where it needs them; what no line may hold as Python escapes it."""
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
    """As Python escapes it. By hand: the codec of that name is a file, which can't be opened where no descriptor is."""
    if (short := _SHORT_ESCAPES.get(character)) is not None:
        return short
    code = ord(character)
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 - digits


_SHORT_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


# Users, paths and methods come again and again; the longest of them that is remembered, in characters.
_MAX_REMEMBERED = 256
_remembered_quoted = functools.lru_cache(maxsize=4096)(_quoted)


def _needs_quotes(value: str) -> bool:
    return any(character in value for character in ' "=\\')


def _logfmt_key(key: str) -> str:
    return "".join(c if c.isprintable() and not _needs_quotes(c) else "_" for c in key)


class _Render:
    """The last of structlog's processors: what it returns is written."""

    def __init__(self, render: Renderer) -> None:
        self.render = render

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> str:
        del logger, method
        return self.render(event)


class _Logger:
    """The end of structlog's chain: a logger and, for it has no state of its own, the factory of loggers too."""

    def __init__(self, lines: LineWriter) -> None:
        self.lines = lines

    def __call__(self, *names: object) -> "_Logger":
        del names
        return self

    def msg(self, line: str) -> None:
        self.lines.write(f"{line}\n")

    debug = info = warn = warning = err = error = fatal = failure = critical = exception = log = msg


def _never_raising(base: type[BindableLogger], lines: LineWriter) -> type[BindableLogger]:
    """A logger whose faults (a value that has no text, a source that can't be opened) cost their line, and no more."""

    class Logger(base):  # type: ignore[misc,valid-type]  # structlog makes it
        def _proxy_to_logger(self, method_name: str, event: str | None = None, *args: Any, **fields: Any) -> Any:
            try:
                return super()._proxy_to_logger(method_name, event, *args, **fields)
            except Exception:  # noqa: BLE001 - whatever it is, it must not reach what the line is about
                lines.lose()
                return None

    return Logger


def _notice(render: Renderer, lost: int) -> str:
    return render({"event": "log lines were lost", "level": "error", "lines": lost})


class _LibraryHandler(logging.Handler):
    """Records of the standard library's logging, in the same form."""

    def __init__(self, render: Renderer, lines: LineWriter) -> None:
        super().__init__()
        self._render = render
        self._lines = lines
        self._formatter = logging.Formatter()

    def emit(self, record: logging.LogRecord) -> None:
        """See logging."""
        try:
            fields = {"event": record.getMessage(), "level": record.levelname.lower(), "logger": record.name}
            if record.exc_info:
                fields["exception"] = self._formatter.formatException(record.exc_info)
            line = self._render(fields)
        except Exception:  # noqa: BLE001 - as above
            self._lines.lose()
        else:
            self._lines.write(f"{line}\n")


def _bound_texts(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Cut what is longer than any text of our own: a client chose it. Tracebacks come later, and stay whole."""
    del logger, method
    for key, value in event.items():
        if isinstance(value, str) and len(value) > MAX_FIELD:
            event[key] = excerpt(value, MAX_FIELD)
    return event


_CALLER = CallsiteParameterAdder(
    {CallsiteParameter.PATHNAME, CallsiteParameter.LINENO, CallsiteParameter.FUNC_NAME},
    additional_ignores=[__name__],
)


def _join_caller(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """`file` and `func`, as CNCF Distribution names them."""
    del logger, method
    event["file"] = f"{event.pop('pathname')}:{event.pop('lineno')}"
    event["func"] = event.pop("func_name")
    return event
