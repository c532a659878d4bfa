"""The Protocol of an identity source, and that of a source of local users, which can do more.

For a name and a password, a source has one of four answers, because the first source that knows the name decides: a
principal; `REFUSED`, it knows the name, and the password is wrong; `UNKNOWN`, the next source is asked; or it raises
`SourceUnavailable`, and the login fails.
"""

from collections.abc import Sequence
from enum import Enum
from typing import Protocol

from authproxy.errors import Unavailable
from authproxy.identity.user_entry import UserEntry
from authproxy.principal import Principal

RETRY_AFTER_S = 5


class SourceUnavailable(Unavailable):
    """A source that may know the name cannot be asked now: 503 with `Retry-After`, at `/token` and at `/v2/`.

    `reason`, which may name hosts, is only for the log; clients do not get it.
    """

    message = "the users of this registry cannot be looked up at the moment"

    def __init__(self, reason: str = "", *, retry_after_s: int = RETRY_AFTER_S) -> None:
        super().__init__(headers=[("Retry-After", str(retry_after_s))])
        self.reason = reason


class SourceAnswer(Enum):
    """The answer of a source that has no principal for a name and a password."""

    REFUSED = "refused"
    UNKNOWN = "unknown"


class Source(Protocol):
    """A source of users: a file, or a service that may be unavailable."""

    kind: str  # `Principal.source` of its users, and its name in the log

    async def authenticate(self, name: str, password: str, client: str = "") -> Principal | SourceAnswer:
        """The user with this name and password; `client` is the address of the caller.

        Raises TooManyRequests if passwords cannot be checked in time. Raises SourceUnavailable if the source cannot be
        asked and may know the name; a name that it cannot know (with another prefix, say) is UNKNOWN even then.
        REFUSED and UNKNOWN must take the same time, or the time reveals which names exist.
        """

    async def find(self, name: str) -> Principal | None:
        """The user as of now, without a password; None if no user of this name can log in by this source.

        Raises SourceUnavailable as `authenticate` does.
        """


class LocalUsers(Source, Protocol):
    """A source that is always available, and whose entries apply to the users of every source.

    UNKNOWN takes no time, whatever the password: `Directory` adds the time.
    """

    @property
    def costs(self) -> Sequence[int]:
        """The bcrypt cost of each password here, sorted, for checks of unknown users. Empty: no bcrypt."""

    def find_entry(self, name: str) -> UserEntry | None:
        """The user's entry, or None."""

    def refresh(self) -> None:
        """Read changed files again. Raises as `files.reload.Reloadable`."""
