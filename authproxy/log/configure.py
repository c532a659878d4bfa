"""Sets up the log of a process: one line for each event, on standard error. The formats are in `formats.py`."""

import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from structlog.processors import CallsiteParameter, CallsiteParameterAdder
from structlog.typing import BindableLogger, EventDict, Processor, WrappedLogger

from authproxy.log.excerpt import excerpt
from authproxy.log.formats import EventRenderer, FormatSettings, Renderer, make_event_renderer, make_renderer
from authproxy.log.line_writer import LineWriter

if TYPE_CHECKING:
    from asyncio import Task

# CNCF Distribution's names (log.level) to the standard library's numbers.
LEVELS = {"error": logging.ERROR, "warn": logging.WARNING, "info": logging.INFO, "debug": logging.DEBUG}

# The longest text of a line except tracebacks, in characters: a policy that doesn't load may have many faults.
MAX_FIELD = 4096


class LogSettings(FormatSettings, Protocol):
    """The operator's settings: the section `log` of the configuration."""

    @property
    def level(self) -> str:
        """The lowest level that is logged, one of `LEVELS`."""

    @property
    def reportcaller(self) -> bool:
        """Whether a line has its place in the code."""


@dataclass(frozen=True, slots=True)
class _Defaults:
    """The settings of a process without `configure_log`."""

    level: str = "info"
    formatter: str = "text"
    fields: Mapping[str, str] = field(default_factory=dict)
    reportcaller: bool = False


def log_to_stderr() -> None:
    """For commands: only warnings and errors, beside what the command prints."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def configure_log(settings: LogSettings) -> None:
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
    # Records of libraries are written to the same log, from warnings on.
    logging.raiseExceptions = False
    logging.basicConfig(level=logging.WARNING, handlers=[_LibraryHandler(render, lines)], force=True)


def renderer() -> Renderer:
    """The process's renderer, set by `configure_log`: for the time, fixed fields, escapes and the format.

    For writers of so many lines that a logger costs too much; all others log with structlog.
    """
    last = structlog.get_config()["processors"][-1]
    return last.render if isinstance(last, _Render) else make_renderer(_Defaults())


def writer() -> LineWriter:
    """The writer of the process's finished lines, set by `configure_log`."""
    factory = structlog.get_config()["logger_factory"]
    return factory.lines if isinstance(factory, _Logger) else LineWriter()


def log_task_fault(task: "Task[None]") -> None:
    """Log the fault that ended a task beside the requests: for its `add_done_callback`."""
    if not task.cancelled() and (fault := task.exception()):
        structlog.get_logger(__name__).error("a background task ended", task=task.get_name(), exc_info=fault)


def event_renderer(event: str, texts: Sequence[str], numbers: Sequence[str]) -> EventRenderer:
    """The process's renderer for one kind of event at the level info: see `make_event_renderer`."""
    return make_event_renderer(renderer(), event, texts, numbers)


class _Render:
    """The last of structlog's processors: its result is written."""

    def __init__(self, render: Renderer) -> None:
        self.render = render

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> str:
        del logger, method
        return self.render(event)


class _Logger:
    """The end of structlog's chain: a logger and, since it has no state of its own, also the factory of loggers."""

    def __init__(self, lines: LineWriter) -> None:
        self.lines = lines

    def __call__(self, *names: object) -> "_Logger":
        del names
        return self

    def msg(self, line: str) -> None:
        self.lines.write(f"{line}\n")

    debug = info = warn = warning = err = error = fatal = failure = critical = exception = log = msg


def _never_raising(base: type[BindableLogger], lines: LineWriter) -> type[BindableLogger]:
    """A logger whose faults (a value without a text, a source file that can't be opened) only lose their line."""

    class Logger(base):  # type: ignore[misc,valid-type]  # structlog makes it
        def _proxy_to_logger(self, method_name: str, event: str | None = None, *args: Any, **fields: Any) -> Any:
            try:
                return super()._proxy_to_logger(method_name, event, *args, **fields)
            except Exception:  # noqa: BLE001 - no fault of the log may reach the code that logs
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
    """Cut texts that are longer than any of ours: a client chose them. Tracebacks are added later, and not cut."""
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
    """Join the caller's place to `file` and `func`, CNCF Distribution's names."""
    del logger, method
    event["file"] = f"{event.pop('pathname')}:{event.pop('lineno')}"
    event["func"] = event.pop("func_name")
    return event
