"""The sections of CNCF Distribution's config.yml, `version: 0.1`, as far as they are in force here.

`http.workers` and `http.trustedproxies` are ours. Keys of Distribution's that are not here: `later.py`.
"""

import re
from pathlib import Path
from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from authproxy.config.explain import conflict
from authproxy.config.scalars import Address, BaseUrl, Boolean, Integer, IPNetwork, ListenAddress, Url
from authproxy.config.schema import Section

# What CNCF Distribution 3 accepts by default. None is symmetric: a verifier that holds only public keys must not take
# an HMAC, whose "key" would be that public text.
SigningAlgorithm = Literal["EdDSA", "ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]
SIGNING_ALGORITHMS: tuple[SigningAlgorithm, ...] = get_args(SigningAlgorithm)

# RFC 9110 §5.1 and §5.5: a token, and a value without control characters.
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


def _checked_headers(headers: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    for name, values in headers.items():
        if _HEADER_NAME.fullmatch(name) is None:
            raise ValueError(f"{name!r} is not the name of a header")
        if not all(_HEADER_VALUE.fullmatch(value) for value in values):
            raise ValueError(f"a value of {name} has characters that no header may hold")
    return headers


def _at_least_one(value: int) -> int:
    if value < 1:
        raise ValueError("too few; allowed: 1 or more")
    return value


class Log(Section):
    """What is told on standard error."""

    level: Annotated[
        Literal["error", "warn", "info", "debug"], BeforeValidator(lambda v: v.lower() if isinstance(v, str) else v)
    ] = "info"
    """The least important messages that are still logged: `error`, `warn`, `info` or `debug`, each with all before it.
    Default `info`, which has a line for each request. No level shows credentials."""


class Tls(Section):
    """TLS 1.2 and 1.3 on `http.addr`. Both keys belong together; without any, plain HTTP is spoken."""

    certificate: Path
    """The PEM file of the server's certificate, followed by its intermediate certificates."""

    key: Path
    """The PEM file of the certificate's private key, without a passphrase."""


class Http(Section):
    """How the registry is reached."""

    addr: ListenAddress = Address("", 5000)
    """The address to listen on: `host:port`, `:port` for every interface, or `"[IPv6 address]:port"` in quotes.
    Default `:5000`. A host name stands for all its addresses; port 0 is one that the kernel chooses."""

    host: BaseUrl | None = None
    """The URL that clients reach the registry by, `https://registry.example`, for a registry behind another name than
    the one it is asked for. `Location`s and the token realm are built from it. Default: scheme and host of each
    request."""

    secret: SecretStr | None = None
    """The secret that signs the addresses of upload sessions. Every node behind one load balancer needs the same one.
    Default: derived from the secret in `token.keys`; without `token` made at random at the start, good for one server
    until it restarts."""

    relativeurls: Boolean = False
    """Whether a `Location` is a mere path instead of a URL. Default `false`."""

    headers: Annotated[dict[str, tuple[str, ...]], AfterValidator(_checked_headers)] = Field(default_factory=dict)
    """Headers that are added to every answer, each with the list of its values:
    `X-Content-Type-Options: [nosniff]`. Default: none."""

    # As in Distribution a section with nothing in it is none: so a variable can take it away.
    tls: Annotated[Tls | None, BeforeValidator(lambda v: v or None)] = None

    workers: Annotated[Integer, AfterValidator(_at_least_one)] = 1
    """Processes that share the port. Default 1, which is also the least."""

    trustedproxies: tuple[IPNetwork, ...] = ()
    """Addresses and networks of proxies in front of us whose `X-Forwarded-For`, `-Proto` and `-Host` are believed:
    `[10.0.0.0/8, "::1"]`. Default: none, and what any peer claims is dropped. `0.0.0.0/0` believes everybody."""


class Filesystem(Section):
    """Content in a folder, in CNCF Distribution's layout."""

    rootdirectory: Path = Path("/var/lib/registry")
    """The folder above `docker/registry/v2`. Default `/var/lib/registry`."""


class Delete(Section):
    """Whether content may be deleted."""

    enabled: Boolean = False
    """Whether manifests, tags and blobs may be deleted through the API. Default `false`: such a request is 405."""


class Storage(Section):
    """Where content lies. Needed, unless `upstream` has it: with both, `upstream` is used."""

    filesystem: Filesystem | None = None

    delete: Delete = Delete()


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


class Auth(Section):
    """How callers prove who they are: exactly one of `none`, `htpasswd` and `token`.

    Without this section and without `token` the registry is open, and a warning says so.
    """

    none: AuthNone | None = None

    htpasswd: AuthHtpasswd | None = None

    token: AuthToken | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        present = [name for name in ("none", "htpasswd", "token") if getattr(self, name) is not None]
        if not present:
            raise conflict("no kind is named; write one of htpasswd, token, none", ())
        if len(present) > 1:
            raise conflict("one kind only; remove the others", *((name,) for name in present))
        return self
