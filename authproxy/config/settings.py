"""The settings: an attribute path is a key path.

CNCF Distribution's sections and our own, one module each. The docstring below a field is its entry in
docs/reference/configuration.md. `Settings.mode` decides what the keys mean together.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Literal, Self

from pydantic import model_validator

from authproxy.config.document.schema import Section
from authproxy.config.mode import Mode
from authproxy.config.sections.audit import Audit
from authproxy.config.sections.auth import Auth
from authproxy.config.sections.health import Health
from authproxy.config.sections.http import Http
from authproxy.config.sections.identities import HtpasswdSource, Identity
from authproxy.config.sections.limits import Limits
from authproxy.config.sections.log import Log
from authproxy.config.sections.policies import Policies, check_known_callers
from authproxy.config.sections.state import State, check_state
from authproxy.config.sections.storage import Storage, check_storage
from authproxy.config.sections.token import Token, check_token
from authproxy.config.sections.upstream import Upstream, check_upstream
from authproxy.config.sections.upstreams import UpstreamEntry, check_upstreams, keeps_in_storage
from authproxy.config.sections.validation import Catalog, Policy, Tags, Validation

# What each section needs of the others, and what it excludes. The first failed check is reported.
CHECKS: tuple[Callable[["Settings"], None], ...] = (
    check_upstreams,
    check_storage,
    check_upstream,
    check_token,
    check_state,
    check_known_callers,
)


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

    state: State | None = None

    identities: tuple[Identity, ...] = ()
    """The sources of users, asked in this order, after `auth.htpasswd`. Default: none."""

    policies: Policies | None = None

    audit: Audit | None = None

    limits: Limits = Limits()

    upstream: Upstream | None = None

    upstreams: tuple[UpstreamEntry, ...] = ()
    """Several registries behind this edge, chosen by the repository: entries with `match`. Instead of `upstream`,
    which is the same as one entry with `match: '**'`. Default: none."""

    @property
    def has_core(self) -> bool:
        """Whether our own registry serves any repository, with its content in `storage`."""
        return keeps_in_storage(self.upstreams) if self.upstreams else self.upstream is None

    @property
    def storage_folders(self) -> dict[str, Path]:
        """The folders on this machine in which the core keeps content, by key; empty without a core, or in memory."""
        return self.storage.folders if self.has_core and self.storage is not None else {}

    @property
    def state_folder(self) -> tuple[str, Path] | None:
        """The folder in which state is kept, and the key that names it. None: there is none that lasts."""
        if self.state is not None:
            return "state.filesystem.rootdirectory", self.state.filesystem.rootdirectory
        if self.storage_folders:
            return next(iter(self.storage_folders.items()))
        if self.token is not None and self.token.state is not None:
            return "token.state", self.token.state
        return None

    @property
    def mode(self) -> Mode:
        """Who identifies callers, and who decides what they may do."""
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
    def _check_sections(self) -> Self:
        """Refuse a configuration that is weaker than it looks: a section without effect protects nothing."""
        for check in CHECKS:
            check(self)
        return self
