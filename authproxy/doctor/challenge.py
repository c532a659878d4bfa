"""What a registry's challenge asks its clients for."""

from collections.abc import Sequence
from dataclasses import dataclass

from authproxy.http.client.challenge import parse_challenge

BASIC, BEARER = "basic", "bearer"


@dataclass(frozen=True, slots=True)
class AuthRequirement:
    """The kinds of credentials, any of which will do. `realm` and `service` are those of tokens."""

    schemes: tuple[str, ...]  # in lower case
    realm: str = ""
    service: str | None = None

    def __str__(self) -> str:
        words = {BASIC: "a name and a password (Basic)", BEARER: f"tokens of {self.realm} (service {self.service!r})"}
        return " or ".join(words.get(scheme, f"credentials of the kind {scheme!r}") for scheme in self.schemes)


def find_wanted(challenges: Sequence[str]) -> AuthRequirement | None:
    """Read the `WWW-Authenticate` headers of a response, one challenge in each; None if they ask for nothing."""
    schemes = [word.lower() for word, _, _ in (value.strip().partition(" ") for value in challenges) if word]
    tokens = parse_challenge(challenges)
    usable = tuple(dict.fromkeys(scheme for scheme in schemes if scheme != BEARER or tokens is not None))
    if not usable:
        return None
    return AuthRequirement(usable) if tokens is None else AuthRequirement(usable, tokens.realm, tokens.service)
