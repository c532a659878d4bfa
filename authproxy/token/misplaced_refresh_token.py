"""What clients send as a password after somebody else's login: a refresh token of ours, or nothing.

`docker login` stores an identity token, which is our refresh token, and no password. Clients that read its file without
knowing such tokens send the token as a password, or an empty one. Neither is worth a bcrypt, and both deserve a reason.

The reason is no oracle. A password is called a refresh token only where our own signature is right, so the reader of
the answer holds a token that we gave out. Whether its user still exists, or it is still good, makes no difference.
"""

from typing import Protocol

from authproxy.errors import CredentialsRefused
from authproxy.principal import Principal
from authproxy.token.grant import Identities

_FIX = "sign in with this client itself, by name and password"
REFRESH_TOKEN = f"this is a refresh token of ours, sent as a password, as docker login stored it; {_FIX}"
EMPTY = f"the password is empty, as clients send it that find a docker login without one; {_FIX}"


class Recognizer(Protocol):
    """Knows refresh tokens."""

    def is_ours(self, text: str) -> bool:
        """Whether this is one that we signed, be it good or not."""


class RefuseMisplacedRefreshTokens:
    """The same identities; what cannot be a password is refused with the reason before it is checked."""

    def __init__(self, identities: Identities, refresh_tokens: Recognizer) -> None:
        self._identities = identities
        self._refresh_tokens = refresh_tokens

    async def authenticate(self, name: str, password: str, client: str) -> Principal | None:
        """See Identities. Raises CredentialsRefused as well."""
        if not password:
            raise CredentialsRefused(EMPTY)
        if self._refresh_tokens.is_ours(password):
            raise CredentialsRefused(REFRESH_TOKEN)
        return await self._identities.authenticate(name, password, client)

    async def find(self, name: str) -> Principal | None:
        """See Identities."""
        return await self._identities.find(name)
