"""`identities`: the sources of users. All of it is ours."""

from pathlib import Path
from typing import Self

from pydantic import model_validator

from authproxy.config.document.messages import conflict
from authproxy.config.document.schema import Section, fields_of


class HtpasswdSource(Section):
    """Names and passwords of an htpasswd file."""

    path: Path
    """The htpasswd file; bcrypt entries only. A change is in force within two seconds."""


class UsersSource(Section):
    """Groups of users, disabled and expired users, robots, and passwords."""

    path: Path
    """The users file (YAML). A change is in force within two seconds."""


class Identity(Section):
    """One identity source: exactly one of its keys."""

    htpasswd: HtpasswdSource | None = None

    users: UsersSource | None = None

    @model_validator(mode="after")
    def _check_one_kind(self) -> Self:
        kinds = fields_of(type(self))
        if sum(getattr(self, kind) is not None for kind in kinds) != 1:
            raise conflict(f"each entry takes exactly one of: {', '.join(kinds)}", ())
        return self
