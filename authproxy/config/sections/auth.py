"""`auth`: how callers prove who they are, CNCF Distribution's section."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, model_validator

from authproxy.config.document.messages import conflict
from authproxy.config.document.scalars import Boolean, Url
from authproxy.config.document.schema import Section

# What CNCF Distribution 3 accepts by default. None is symmetric: a verifier that holds only public keys must not take
# an HMAC, whose "key" would be that public text.
SigningAlgorithm = Literal["EdDSA", "ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]
SIGNING_ALGORITHMS: tuple[SigningAlgorithm, ...] = get_args(SigningAlgorithm)

KINDS = ("none", "htpasswd", "token", "silly")

# A path that is safe in a header's quoted text: RFC 3986's characters, from the root on.
_PATH = re.compile(r"/[A-Za-z0-9/._~!$&'()*+,;=:@%-]*")


def _rooted(path: str) -> str:
    if _PATH.fullmatch(path) is None:
        raise ValueError("not the path of a URL; allowed: a slash and what may follow, such as /auth/token")
    return path


class AuthNone(Section):
    """`auth: none` says that the registry is open on purpose, and silences the warning at the start."""


class AuthHtpasswd(Section):
    """Users of an htpasswd file.

    With this alone every request is challenged for Basic credentials, and every user may do everything unless
    `policies` says otherwise. Beside `token` it is one of the identity sources.
    """

    realm: str
    """What clients show when they ask for the password."""

    path: Path
    """The htpasswd file; bcrypt entries only. A change is in force within two seconds."""


class AuthToken(Section):
    """Tokens of another token server: they are verified here, and there is no `/token`. Not together with `token`.

    `rootcertbundle` or `jwks` is needed, and both may be.
    """

    realm: Url
    """The URL of the token server, where clients are sent."""

    service: str
    """The audience (`aud`) that a token must have, and the service that clients ask the token server for."""

    issuer: str
    """The issuer (`iss`) that a token must have."""

    autoredirect: Boolean = False
    """Whether clients are sent to `autoredirectpath` on the host that they asked, instead of `realm`: for a proxy in
    front that leads there. Default `false`. Scheme and host are those of `Location`s: `http.host` says them, or a proxy
    in `http.trustedproxies`."""

    autoredirectpath: Annotated[str, AfterValidator(_rooted)] = "/auth/token"
    """Where `autoredirect` sends clients. Default `/auth/token`."""

    rootcertbundle: Path | None = None
    """A PEM file of certificates: a token's key must be one of theirs, or its `x5c` chain must end in one.
    Default: none."""

    jwks: Path | None = None
    """A JSON Web Key Set file: a token's `kid` must name one of its keys. Default: none."""

    signingalgorithms: tuple[SigningAlgorithm, ...] = SIGNING_ALGORITHMS
    """Algorithms that a token may be signed with. Default: EdDSA and the ES, RS and PS families; HMAC never."""

    @model_validator(mode="after")
    def _has_keys(self) -> Self:
        if self.rootcertbundle is None and self.jwks is None:
            raise conflict("no key to verify tokens with; give one of the two", ("rootcertbundle",), ("jwks",))
        return self


class AuthSilly(Section):
    """No protection at all: every request that has any `Authorization` header may do everything.

    Others get a Bearer challenge. It is for tests, and a warning at the start says so.
    """

    realm: str
    """The `realm` of the challenge."""

    service: str
    """The `service` of the challenge."""


class Auth(Section):
    """How callers prove who they are: exactly one of `none`, `htpasswd`, `token` and `silly`.

    Without this section and without `token` the registry is open, and a warning says so.
    """

    none: AuthNone | None = None

    htpasswd: AuthHtpasswd | None = None

    token: AuthToken | None = None

    silly: AuthSilly | None = None

    @property
    def kind(self) -> str:
        """The one that is there."""
        return next(name for name in KINDS if getattr(self, name) is not None)

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        present = [name for name in KINDS if getattr(self, name) is not None]
        if not present:
            raise conflict("no kind is named; write one of htpasswd, token, none", ())
        if len(present) > 1:
            raise conflict("one kind only; remove the others", *((name,) for name in present))
        return self
