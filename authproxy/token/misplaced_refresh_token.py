"""Refuses a refresh token, or nothing, sent as a password by a client that reads another client's login.

`docker login` stores an identity token, which is our refresh token, and no password. Clients that read its file without
knowing such tokens send the token as a password, or an empty one. Neither needs a bcrypt, and both get a reason.

The reason is no oracle. A password is called a refresh token only if our own signature on it is right, so the caller
already has a token that we issued. Whether its user still exists, or it is still valid, makes no difference.
"""

from typing import Protocol

from authproxy.errors import CredentialsRefused
from authproxy.principal import Principal
from authproxy.token.grant import Identities

_FIX = "sign in with this client itself, by name and password"
REFRESH_TOKEN = f"the password is a refresh token, as docker login stored it; {_FIX}"
EMPTY = f"the password is empty, as sent by clients that find a docker login without one; {_FIX}"


class Recognizer(Protocol):
    """Recognizes refresh tokens."""

    def is_ours(self, text: str) -> bool:
        """Whether we signed this token, valid or not."""


class RefuseMisplacedRefreshTokens:
    """Identities that refuse, before any check and with the reason, what cannot be a password."""

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
