"""`http.maintenance`: while a file exists every request is turned away, with a message and when to come back."""

from collections.abc import Awaitable
from pathlib import Path
from typing import ClassVar

import structlog

from authproxy.asgi import App, Receive, Scope, Send
from authproxy.errors import StartError, Unavailable

log = structlog.get_logger(__name__)

# Of the file's text: a client prints it on one line.
MAX_MESSAGE_CHARACTERS = 1000


class Maintenance:
    """The file, as it was when it was last looked at. A `watch.Reloadable`.

    `reason` is what clients are told, None while there is no maintenance: the file's text, or `message` where it has
    none or cannot be read.
    """

    part: ClassVar = "maintenance"
    takes_access_away: ClassVar = False

    def __init__(self, file: Path, *, message: str, retry_after_s: int) -> None:
        """Look at once, so that a start under maintenance serves nobody. Raises StartError where it can't be told."""
        self.retry_after_s = retry_after_s
        self.reason: str | None = None
        self._file = file
        self._message = message
        try:
            self.refresh()
        except OSError as exc:
            raise StartError(
                f"http.maintenance.file: cannot tell whether {file} is there: {exc.strerror}; name another path"
            ) from exc

    def refresh(self) -> None:
        """See `watch.Reloadable`. Where nobody can tell whether the file is there, all stays as it was."""
        before, self.reason = self.reason, self._look()
        if (before is None) != (self.reason is None):
            log.warning("maintenance has ended" if self.reason is None else "maintenance", file=str(self._file))

    def _look(self) -> str | None:
        try:
            with self._file.open(encoding="utf-8-sig", errors="replace") as file:
                return file.read(MAX_MESSAGE_CHARACTERS).strip() or self._message
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (PermissionError, IsADirectoryError):  # it is there
            return self._message


class MaintenanceMode:
    """Pass on while there is no maintenance, else raise Unavailable."""

    def __init__(self, app: App, maintenance: Maintenance) -> None:
        self.app = app
        self.maintenance = maintenance

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass on, without a frame of its own."""
        if (reason := self.maintenance.reason) is not None:
            raise Unavailable(reason, headers=[("Retry-After", str(self.maintenance.retry_after_s))])
        return self.app(scope, receive, send)
