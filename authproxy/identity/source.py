"""Where users come from: what every source can do, and what a source of local users can do besides.

Asked for a name and a password, a source gives one of four answers, because the first source that knows the name
decides: a principal; `REFUSED`, it knows the name and the password is wrong; `UNKNOWN`, the next source is asked; or it
raises `SourceUnavailable`, and then nobody decides.
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

    The log gets `reason`, which may name hosts; clients do not.
    """

    message = "the users of this registry cannot be looked up at the moment"

    def __init__(self, reason: str = "", *, retry_after_s: int = RETRY_AFTER_S) -> None:
        super().__init__(headers=[("Retry-After", str(retry_after_s))])
        self.reason = reason


class SourceAnswer(Enum):
    """What a source answers if it has no principal for a name and a password."""

    REFUSED = "refused"
    UNKNOWN = "unknown"


class Source(Protocol):
    """One place that knows users: a file, or a service that may be out of reach."""

    kind: str  # `Principal.source` of its users, and its name in the log

    async def authenticate(self, name: str, password: str, client: str = "") -> Principal | SourceAnswer:
        """Who this is; `client` is the address that asks.

        Raises TooManyRequests if passwords cannot be checked in time. Raises SourceUnavailable if the source cannot be
        asked and may know the name; a name that it cannot know (of another prefix, say) is UNKNOWN all the same.
        REFUSED and UNKNOWN take the same time, or time tells which names exist.
        """

    async def find(self, name: str) -> Principal | None:
        """The user as of now, without a password; None if nobody logs in here under this name.

        Raises SourceUnavailable as `authenticate` does.
        """


class LocalUsers(Source, Protocol):
    """A source that is at hand: it is always available, and what it says of a user holds for users of any source.

    UNKNOWN takes no time, whatever the password: `Directory` adds the time.
    """

    @property
    def costs(self) -> Sequence[int]:
        """The bcrypt cost of each password here, sorted: what an unknown user has to look like. Empty: no bcrypt."""

    def find_entry(self, name: str) -> UserEntry | None:
        """The user's groups, and whether the user is shut out; None if nothing is said here."""

    def refresh(self) -> None:
        """Read again what has changed. Raises as `files.reload.Reloadable`."""
