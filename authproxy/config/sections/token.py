"""`token`: our own token server. All of it is ours."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator

from authproxy.config.document.messages import conflict
from authproxy.config.document.scalars import Boolean, Duration, Url, format_duration
from authproxy.config.document.schema import Section

if TYPE_CHECKING:
    from authproxy.config.settings import Settings

# Clients assume 60 seconds for a token without expires_in, and Docker's specification has 60 as the minimum.
MIN_LIFETIME = timedelta(seconds=60)


def _long_enough(value: timedelta) -> timedelta:
    if value < MIN_LIFETIME:
        raise ValueError(f"too short; allowed: {format_duration(MIN_LIFETIME)} or more")
    return value


class Token(Section):
    """Our own token server at `/token`. Not together with `auth.token`; needs `policies`."""

    issuer: str = "authproxy"
    """The issuer (`iss`) of the tokens. Default `authproxy`."""

    service: str = "authproxy"
    """The audience (`aud`) of the tokens, and the `service` of the challenge. Default `authproxy`."""

    realm: Url | None = None
    """The URL of `/token` that the challenge names. Default: `/token` on the host of the request."""

    lifetime: Annotated[Duration, AfterValidator(_long_enough)] = timedelta(minutes=5)
    """How long a token is valid, as a duration such as `5m`. Default `5m`; at least `1m`, because clients take less for
    a minute. A removed user can still use a token for this long."""

    refresh: Boolean = True
    """Whether `docker login` and other clients that ask for one get a refresh token, which they store instead of the
    password. Default `true`. With `false` they store the password, so that clients that don't know such tokens can use
    the stored login, and refresh tokens issued earlier are refused: all users have to log in again."""

    algorithm: Literal["ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "EdDSA"] = "ES256"
    """The algorithm of new keys: the first one, and those of `authproxy key rotate`; existing keys keep theirs. Default
    `ES256`. CNCF Distribution 2.8 can't verify `EdDSA`."""

    kid: Literal["rfc7638", "libtrust"] = "rfc7638"
    """How tokens name the key that signed them: by its RFC 7638 thumbprint, or by libtrust's fingerprint, for CNCF
    Distribution 2.8 without `x5c`. Default `rfc7638`. We accept tokens with either."""

    x5c: Literal["none", "leaf", "chain"] = "none"
    """The certificates in a token's header, for registries that verify by a `rootcertbundle`: `none`, the key's own
    (`leaf`), or that and the authority's (`chain`). Default `none`. The authority `ca.pem` is made in `token.keys`; a
    registry that has it still verifies tokens after keys change. A registry with only `jwks` refuses tokens with them.
    """

    keys: Path
    """The folder of the signing keys, shared by all nodes. If it is missing, it is made with a first key."""

    state: Path | None = None
    """A folder for the revocations of `authproxy token revoke`, shared by all nodes. If it is missing, it is made. Our
    own registry keeps them in its storage, and needs this only beside nodes of 0.2.0: then they are in both. Default:
    none; without our own registry and without `state`, tokens can't be revoked."""


def check_token(settings: "Settings") -> None:
    """`token` excludes every `auth` but `auth.htpasswd`, and needs `policies`."""
    if settings.token is None:
        return
    if settings.auth is not None and settings.auth.htpasswd is None:
        raise conflict("these exclude each other; remove one of them", ("token",), ("auth", settings.auth.kind))
    if settings.policies is None:
        raise conflict("token needs policies, which say who may do what; write policies: {path: …}", ("token",))
