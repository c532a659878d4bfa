"""The entry of one user in one file."""

import datetime as dt
from dataclasses import dataclass, field

from authproxy.identity.expiry import format_expiry


@dataclass(frozen=True, slots=True)
class UserEntry:
    """A line of an htpasswd file, or an item of users.yaml."""

    name: str
    hashed: str | None = field(default=None, repr=False)  # bcrypt; None: this file has no password for the user
    groups: frozenset[str] = frozenset()
    disabled: bool = False
    expires: dt.datetime | None = None  # in UTC; the first moment at which the user has expired
    is_robot: bool = False  # an account for a machine

    def is_shut_out(self, now: float) -> bool:
        """Whether the user can neither log in nor renew a login at `now` (seconds since 1970)."""
        return self.find_shut_out(now) is not None

    def find_shut_out(self, now: float) -> str | None:
        """Why the user can't log in at `now`, in words for the log; None if the user can."""
        if self.disabled:
            return "the user is disabled"
        if self.expires is not None and now >= self.expires.timestamp():
            return f"the user has expired: {format_expiry(self.expires)}"
        return None
