"""Our credentials for the upstream: the same for every caller, instead of the caller's own.

They are sent only to the addresses of the upstream, never to the target of a redirect.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Protocol

import structlog

from authproxy.access import Access
from authproxy.errors import StartError
from authproxy.files.reload import Reloaded
from authproxy.http.client.challenge import format_basic

log = structlog.get_logger(__name__)

# A larger file can't be a password: it is the wrong file.
_MAX_PASSWORD_BYTES = 16 * 1024


class Credentials(Protocol):
    """Makes the `Authorization` of requests."""

    async def authorization(self, needs: Sequence[Access]) -> bytes:
        """The header's value for a request that needs these accesses. Raises GatewayFailed if none is available."""

    def forget(self, needs: Sequence[Access]) -> bool:
        """The upstream refused the value. Returns whether `authorization` may return another one."""


class FixedBasic(Reloaded[bytes]):
    """A user, and a password from a file. Raises StartError if the file cannot be used."""

    part: ClassVar = "upstream password"
    takes_access_away: ClassVar = False

    def __init__(self, username: str, passwordfile: Path) -> None:
        self._username = username
        self._file = passwordfile
        super().__init__(passwordfile)

    def __repr__(self) -> str:
        return f"FixedBasic({self._username!r}, {str(self._file)!r})"

    @property
    def value(self) -> bytes:
        """The header's value."""
        return self.current

    async def authorization(self, needs: Sequence[Access]) -> bytes:
        """See Credentials: the same for all requests."""
        del needs
        return self.current

    def forget(self, needs: Sequence[Access]) -> bool:
        """See Credentials: there is no other value."""
        del needs
        return False

    def _changed(self) -> None:
        log.info("upstream password reloaded", file=str(self._file))

    def _load(self) -> bytes:
        return format_basic(self._username, read_password(self._file)).encode()


def read_password(path: Path) -> str:
    """The file's only line. Raises StartError."""
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_PASSWORD_BYTES + 1)
        password = content.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except OSError as exc:
        raise StartError(f"upstream.passwordfile: cannot read {path}: {exc.strerror}") from exc
    except UnicodeDecodeError:
        raise StartError(f"upstream.passwordfile: {path} is not UTF-8 text") from None
    if not password or not password.isprintable() or len(content) > _MAX_PASSWORD_BYTES:
        raise StartError(f"upstream.passwordfile: {path} must contain one line, the password")
    return password
