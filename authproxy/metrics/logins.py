"""Counts all logins, in front of the user directory."""

from typing import Protocol

from authproxy.errors import CredentialsRefused, TooManyRequests
from authproxy.metrics.families import LOGINS
from authproxy.metrics.metrics import Metrics
from authproxy.principal import Principal


class Identities(Protocol):
    """Knows users."""

    async def authenticate(self, name: str, password: str, client: str) -> Principal | None:
        """The user with this name and password, from the address `client`, or None.

        Raises TooManyRequests; Unavailable if a source of users cannot be asked; CredentialsRefused with a reason for
        the client.
        """

    async def find(self, name: str) -> Principal | None:
        """The user if there is one who is enabled now, or None."""


class CountedLogins:
    """The same identities, whose results are counted."""

    def __init__(self, identities: Identities, metrics: Metrics) -> None:
        self.identities = identities
        self.metrics = metrics

    async def authenticate(self, name: str, password: str, client: str) -> Principal | None:
        """See Identities."""
        try:
            principal = await self.identities.authenticate(name, password, client)
        except TooManyRequests:
            self.metrics.count(LOGINS, "throttled")
            raise
        except CredentialsRefused:
            self.metrics.count(LOGINS, "refused")
            raise
        self.metrics.count(LOGINS, "refused" if principal is None else "accepted")
        return principal

    async def find(self, name: str) -> Principal | None:
        """See Identities."""
        return await self.identities.find(name)
