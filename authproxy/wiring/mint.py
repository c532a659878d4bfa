"""Tokens of our own key ring for a registry behind us: the token package's issuer as the proxy wants it."""

from collections.abc import Sequence

from authproxy.access import Access
from authproxy.config.settings import Token as Section
from authproxy.principal import Principal
from authproxy.proxy.bearer import Token
from authproxy.token.issuer import Issuer
from authproxy.token.jose_header import HeaderStyle
from authproxy.token.keyring import KeyRing

# The subject of these tokens. Who asked stands in our log and audit, beside the request's id.
SUBJECT = "authproxy"


class RingMinter:
    """See `proxy.bearer.Minter`."""

    def __init__(self, keyring: KeyRing, issuer: Issuer) -> None:
        self.keyring = keyring
        self._issuer = issuer

    @classmethod
    def open(cls, section: Section, service: str) -> "RingMinter":
        """With the keys, the issuer, the lifetime and the header of our own tokens, for another audience.

        Raises StartError where the keys cannot be used.
        """
        style = HeaderStyle(section.kid, section.x5c)
        keyring = KeyRing.open(section.keys, algorithm=section.algorithm, style=style)
        lifetime_s = int(section.lifetime.total_seconds())
        return cls(keyring, Issuer(keyring, section.issuer, service, lifetime_s, style=style))

    def mint(self, needs: Sequence[Access]) -> Token:
        """See Minter. Raises Unavailable where no key signs."""
        issued = self._issuer.issue(Principal(SUBJECT), needs)
        return Token(issued.token, issued.expires_in)
