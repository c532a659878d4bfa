"""What tests log with, where they configure nothing else."""

import sys
from contextlib import suppress

import structlog

# A command in a test logs to the stderr of that test, which is closed after it.
structlog.reset_defaults()
_FACTORY = structlog.get_config()["logger_factory"]


def log_plainly() -> None:
    """Undo what a test, or an application in it, has configured.

    Tracebacks are plain: to colour the source of every frame takes 0.1 s each time.
    """
    structlog.reset_defaults()
    plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure([*structlog.get_config()["processors"][:-1], plain])
    _forget_cached_loggers()


def is_plain() -> bool:
    """Whether nothing else has been configured since."""
    config = structlog.get_config()
    return config["logger_factory"] is _FACTORY and not config["cache_logger_on_first_use"]


def _forget_cached_loggers() -> None:
    """An application's loggers keep what was configured when they were first used, for good; nothing else undoes it."""
    for name, module in list(sys.modules.items()):
        if name.startswith("authproxy."):
            with suppress(KeyError):
                del vars(vars(module)["log"])["bind"]
