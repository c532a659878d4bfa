"""`auth`: how callers prove who they are, CNCF Distribution's section."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, model_validator

from authproxy.config.document.messages import conflict
from authproxy.config.document.scalars import Boolean, Url
from authproxy.config.document.schema import Section

# Those that CNCF Distribution 3 accepts by default. None is symmetric: a verifier that has only public keys must not
# accept an HMAC, whose "key" would be that public text.
SigningAlgorithm = Literal["EdDSA", "ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]
SIGNING_ALGORITHMS: tuple[SigningAlgorithm, ...] = get_args(SigningAlgorithm)

KINDS = ("none", "htpasswd", "token", "silly")

# An absolute path that is safe in a header's quoted text: only RFC 3986's characters.
_PATH = re.compile(r"/[A-Za-z0-9/._~!$&'()*+,;=:@%-]*")


def _rooted(path: str) -> str:
    if _PATH.fullmatch(path) is None:
        raise ValueError("not the path of a URL; allowed: a path such as /auth/token")
    return path


class AuthNone(Section):
    """`auth: none` makes the registry open on purpose, without the warning at the start."""


class AuthHtpasswd(Section):
    """Users of an htpasswd file.

    With this alone, every request needs Basic credentials, and every user may do everything unless `policies` is set.
    Together with `token` it is one of the identity sources.
    """

    realm: str
    """The name that clients show when they ask for the password."""

    path: Path
    """The htpasswd file; bcrypt entries only. A change is in force within two seconds."""


class AuthToken(Section):
    """Tokens of another token server: they are verified here, and there is no `/token`. Not together with `token`.

    At least one of `rootcertbundle` and `jwks` is needed.
    """

    realm: Url
    """The URL of the token server, for the challenge."""

    service: str
    """The audience (`aud`) that a token must have, and the `service` of the challenge."""

    issuer: str
    """The issuer (`iss`) that a token must have."""

    autoredirect: Boolean = False
    """Whether the challenge names `autoredirectpath` on the host of the request, instead of `realm`: for a proxy in
    front that forwards this path to the token server. Default `false`. Scheme and host are those of `Location`s: from
    `http.host`, or from a proxy in `http.trustedproxies`."""

    autoredirectpath: Annotated[str, AfterValidator(_rooted)] = "/auth/token"
    """The path for `autoredirect`. Default `/auth/token`."""

    rootcertbundle: Path | None = None
    """A PEM file of certificates: a token's key must be the key of one, or its `x5c` chain must end in one.
    Default: none."""

    jwks: Path | None = None
    """A JSON Web Key Set file: a token's `kid` must name one of its keys. Default: none."""

    signingalgorithms: tuple[SigningAlgorithm, ...] = SIGNING_ALGORITHMS
    """Algorithms that a token may be signed with. Default: EdDSA and the ES, RS and PS families; HMAC never."""

    @model_validator(mode="after")
    def _check_keys(self) -> Self:
        if self.rootcertbundle is None and self.jwks is None:
            raise conflict("no key to verify tokens with; set one of the two", ("rootcertbundle",), ("jwks",))
        return self


class AuthSilly(Section):
    """No protection: every request with any `Authorization` header may do everything.

    Others get a Bearer challenge. It is for tests; the start prints a warning.
    """

    realm: str
    """The `realm` of the challenge."""

    service: str
    """The `service` of the challenge."""


class Auth(Section):
    """How callers prove who they are: exactly one of `none`, `htpasswd`, `token` and `silly`.

    Without this section and without `token` the registry is open, with a warning at the start.
    """

    none: AuthNone | None = None

    htpasswd: AuthHtpasswd | None = None

    token: AuthToken | None = None

    silly: AuthSilly | None = None

    @property
    def kind(self) -> str:
        """The kind that is set."""
        return next(name for name in KINDS if getattr(self, name) is not None)

    @model_validator(mode="after")
    def _check_one_kind(self) -> Self:
        present = [name for name in KINDS if getattr(self, name) is not None]
        if not present:
            raise conflict("no kind is named; write one of htpasswd, token, none", ())
        if len(present) > 1:
            raise conflict("one kind only; remove the others", *((name,) for name in present))
        return self
