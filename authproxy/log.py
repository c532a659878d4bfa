"""The log: one line an event, on standard error."""

import logging
import sys

import structlog
from structlog.typing import EventDict, WrappedLogger

# CNCF Distribution's names (log.level) to the standard library's numbers.
LEVELS = {"error": logging.ERROR, "warn": logging.WARNING, "info": logging.INFO, "debug": logging.DEBUG}


def configure(level: str) -> None:
    """Set up the process's log at one of `LEVELS`. Called once in each process, before anything is served."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _escape_control_characters,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=("time", "level", "event"), drop_missing=True),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    # What libraries say goes the same way; their chatter below a warning does not.
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format="level=%(levelname)s event=%(message)s", force=True
    )


def _escape_control_characters(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Paths and names come from anybody: none may begin a line of its own, or speak to the reader's terminal."""
    del logger, method
    for key, value in event.items():
        if isinstance(value, str) and not value.isprintable():
            event[key] = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in value)
    return event
