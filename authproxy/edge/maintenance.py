"""`http.maintenance`: while a file exists, every request gets a 503 with a message and a `Retry-After`."""

from collections.abc import Awaitable
from pathlib import Path
from typing import ClassVar

import structlog

from authproxy.asgi import App, Receive, Scope, Send
from authproxy.errors import StartError, Unavailable
from authproxy.files.reload import Reloaded

log = structlog.get_logger(__name__)

# The limit of the file's text: a client prints it on one line.
MAX_MESSAGE_CHARACTERS = 1000


class MaintenanceFile(Reloaded[str | None]):
    """The file, as of the last check.

    `current` is the message that clients get: the file's text, or `message` if it has none or cannot be read; None
    while there is no maintenance.
    """

    part: ClassVar = "maintenance"
    takes_access_away: ClassVar = False

    def __init__(self, file: Path, *, message: str, retry_after_s: int) -> None:
        """Check at once, so that a start during maintenance serves no request. Raises StartError if the check fails."""
        self.retry_after_s = retry_after_s
        self._file = file
        self._message = message
        self._is_on = False
        try:
            super().__init__(file)
        except OSError as exc:
            raise StartError(
                f"http.maintenance.file: cannot tell whether {file} exists: {exc.strerror}; name another path"
            ) from exc

        self._changed()

    @property
    def reason(self) -> str | None:
        """See `current`."""
        return self.current

    def _look(self) -> object:
        return object()  # equal to no other: the file is read at every check, because a chmod shows only then

    def _changed(self) -> None:
        is_on = self.current is not None
        if is_on != self._is_on:
            self._is_on = is_on
            log.warning("maintenance" if is_on else "maintenance has ended", file=str(self._file))

    def _load(self) -> str | None:
        try:
            with self._file.open(encoding="utf-8-sig", errors="replace") as file:
                return file.read(MAX_MESSAGE_CHARACTERS).strip() or self._message
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (PermissionError, IsADirectoryError):  # it exists
            return self._message


class MaintenanceMode:
    """Pass on while there is no maintenance; otherwise raise Unavailable."""

    def __init__(self, app: App, maintenance: MaintenanceFile) -> None:
        self.app = app
        self.maintenance = maintenance

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass on without a coroutine of its own."""
        if (reason := self.maintenance.reason) is not None:
            raise Unavailable(reason, headers=[("Retry-After", str(self.maintenance.retry_after_s))])
        return self.app(scope, receive, send)
