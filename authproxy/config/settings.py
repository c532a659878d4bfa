"""The settings: an attribute path is a key path.

CNCF Distribution's sections (a module each) and our own. The sentences below a field are its entry in
docs/reference/configuration.md. What the keys mean together is decided at the end: `Settings.mode`.
"""

from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, model_validator

from authproxy.config.document.messages import conflict
from authproxy.config.document.scalars import Boolean, Duration, Url, format_duration
from authproxy.config.document.schema import Section
from authproxy.config.sections.audit import Audit
from authproxy.config.sections.auth import Auth
from authproxy.config.sections.health import Health
from authproxy.config.sections.http import Http
from authproxy.config.sections.limits import Limits
from authproxy.config.sections.log import Log
from authproxy.config.sections.storage import Storage
from authproxy.config.sections.upstream import Upstream
from authproxy.config.sections.upstreams import UpstreamEntry, check_entries, keeps_in_storage
from authproxy.config.sections.validation import Catalog, Policy, Tags, Validation

# Clients take a token without expires_in for one of 60 seconds, and Docker's specification names 60 as the least.
MIN_LIFETIME = timedelta(seconds=60)


class Mode(Enum):
    """Who says who somebody is and what they may do."""

    OPEN = "open"  # nobody is asked
    BASIC = "basic"  # Basic credentials on every request, from an htpasswd file
    VERIFY = "verify"  # tokens of a foreign token server
    ISSUE = "issue"  # tokens of our own /token
    SILLY = "silly"  # anything that looks like credentials


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
    """The URL of `/token` that the challenge names. Default: `/token` on the host that the client asked."""

    lifetime: Annotated[Duration, AfterValidator(_long_enough)] = timedelta(minutes=5)
    """How long a token is good, as a duration such as `5m`. Default `5m`; at least `1m`, since clients take less for a
    minute. A removed user can still use a token for this long."""

    refresh: Boolean = True
    """Whether `docker login` and others that ask for one get a refresh token, which they store in the place of the
    password. Default `true`. With `false` they store the password, clients that know no such tokens can use what they
    stored, and refresh tokens that were given out before are refused: everybody signs in once more."""

    algorithm: Literal["ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "EdDSA"] = "ES256"
    """What a key that is made signs with: the first one, and those of `authproxy key rotate`; keys that there are keep
    theirs. Default `ES256`. CNCF Distribution 2.8 verifies no `EdDSA`."""

    kid: Literal["rfc7638", "libtrust"] = "rfc7638"
    """How tokens name the key that signed them: by its RFC 7638 thumbprint, or by libtrust's fingerprint, for CNCF
    Distribution 2.8 without `x5c`. Default `rfc7638`. Both are understood here."""

    x5c: Literal["none", "leaf", "chain"] = "none"
    """The certificates in a token's header, for registries that verify by a `rootcertbundle`: `none`, the key's own
    (`leaf`), or that and the authority's (`chain`). Default `none`. The authority `ca.pem` is made in `token.keys`; a
    registry that holds it goes on verifying when keys change. Who has `jwks` alone refuses tokens with them.
    """

    keys: Path
    """The folder of the signing keys, shared by all nodes. It is made, with a first key, where it is missing."""

    state: Path | None = None
    """The folder of what `authproxy token revoke` says, shared by all nodes. It is made where it is missing. Default:
    none, and tokens cannot be revoked."""


class HtpasswdSource(Section):
    """Names and passwords of an htpasswd file."""

    path: Path
    """The htpasswd file; bcrypt entries only. A change is in force within two seconds."""


class UsersSource(Section):
    """Groups of users, and who is disabled."""

    path: Path
    """The users file (YAML). A change is in force within two seconds."""


class Identity(Section):
    """One identity source: exactly one of its keys."""

    htpasswd: HtpasswdSource | None = None

    users: UsersSource | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.htpasswd is None) == (self.users is None):
            raise conflict("one source an entry; write exactly one of htpasswd and users", ())
        return self


class Policies(Section):
    """Who may do what. Needs `token` or `auth.htpasswd`."""

    path: Path
    """A policy file, or a folder of which every `*.yaml` is one. A change is in force within two seconds."""


class Settings(Section):
    """The whole configuration."""

    version: Literal["0.1"]
    """The version of the configuration's format, the first line of the file: `version: 0.1`."""

    log: Log = Log()

    http: Http = Http()

    storage: Storage | None = None

    auth: Auth | None = None

    health: Health = Health()

    validation: Validation = Validation()

    policy: Policy = Policy()

    catalog: Catalog = Catalog()

    tags: Tags = Tags()

    token: Token | None = None

    identities: tuple[Identity, ...] = ()
    """Where users come from, asked in this order; `auth.htpasswd` comes before them. Default: none."""

    policies: Policies | None = None

    audit: Audit | None = None

    limits: Limits = Limits()

    upstream: Upstream | None = None

    upstreams: tuple[UpstreamEntry, ...] = ()
    """Several registries behind this edge, chosen by the repository: entries with `match`. In place of `upstream`,
    which is one that matches `**`. Default: none."""

    @property
    def has_core(self) -> bool:
        """Whether our own registry serves any repository, and `storage` so has content."""
        return keeps_in_storage(self.upstreams) if self.upstreams else self.upstream is None

    @property
    def mode(self) -> Mode:
        """Who says who somebody is and what they may do."""
        if self.token:
            return Mode.ISSUE
        if self.auth is None:
            return Mode.OPEN
        modes = {"htpasswd": Mode.BASIC, "token": Mode.VERIFY, "silly": Mode.SILLY, "none": Mode.OPEN}
        return modes[self.auth.kind]

    @property
    def sources(self) -> tuple[Identity, ...]:
        """Every identity source in the order in which it is asked: `auth.htpasswd`, then `identities`."""
        if self.auth and self.auth.htpasswd:
            return (Identity(htpasswd=HtpasswdSource(path=self.auth.htpasswd.path)), *self.identities)
        return self.identities

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        """Refuse what would be weaker than it reads: a section that nobody would look at is no protection."""
        self._check_backends()
        if self.token and self.auth and not self.auth.htpasswd:
            raise conflict("these exclude each other; remove one of them", ("token",), ("auth", self.auth.kind))
        unused = [(name,) for name in ("identities", "policies") if getattr(self, name)]
        untold = [("audit",)] if self.audit else []
        if self.mode in (Mode.OPEN, Mode.SILLY) and (unused or untold):
            raise conflict(
                "without token or auth.htpasswd nobody is asked who they are; add one of them", *unused, *untold
            )
        if self.mode is Mode.VERIFY and unused:
            raise conflict("auth.token leaves users and their rights to another token server; remove this", *unused)
        if self.mode is Mode.ISSUE and self.policies is None:
            raise conflict("token needs policies, which say who may do what; write policies: {path: …}", ("token",))
        return self

    def _check_backends(self) -> None:
        if self.upstream is not None and self.upstreams:
            raise conflict(
                "these exclude each other; write the first as an entry of the other, with match: '**'",
                ("upstream",),
                ("upstreams",),
            )
        check_entries(self.upstreams)
        if self.has_core:
            self._check_storage()
        if self.upstream is not None or any(entry.url for entry in self.upstreams):
            self._check_upstream()

    def _check_storage(self) -> None:
        if self.storage is None and self.upstreams:
            core = next(place for place, entry in enumerate(self.upstreams) if entry.backend)
            raise conflict("the core keeps its content in storage; write that section", ("upstreams", core, "backend"))
        if self.storage is None:
            raise conflict("neither says where content lies; write one of them", ("storage",), ("upstream",))
        if self.storage.filesystem is None and self.storage.inmemory is None:
            raise conflict("no driver is named; write filesystem: {rootdirectory: FOLDER}", ("storage",))
        if self.storage.inmemory is not None and self.http.workers > 1:
            raise conflict(
                "each worker would have a memory of its own; write workers: 1, or use storage.filesystem",
                ("storage", "inmemory"),
                ("http", "workers"),
            )

    def _check_upstream(self) -> None:
        """What would restrict our own registry restricts nothing behind an upstream."""
        without_effect: list[tuple[str, ...]] = []
        if not self.has_core and self.storage is not None and self.storage.maintenance.readonly.enabled:
            without_effect.append(("storage", "maintenance", "readonly"))
        if self.validation.manifests.urls.allow or self.validation.manifests.urls.deny:
            without_effect.append(("validation", "manifests", "urls"))
        if self.policy.repository.classes:
            without_effect.append(("policy", "repository", "classes"))
        if without_effect:
            raise conflict(
                "what is pushed goes to the upstream unseen; remove this, and restrict it there",
                *without_effect,
                ("upstreams" if self.upstreams else "upstream",),
            )
