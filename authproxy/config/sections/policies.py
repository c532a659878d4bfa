"""`policies`: who may do what. All of it is ours."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from authproxy.config.document.messages import conflict
from authproxy.config.document.schema import Section
from authproxy.config.mode import Mode

if TYPE_CHECKING:
    from authproxy.config.settings import Settings


class Policies(Section):
    """Who may do what. Needs `token` or `auth.htpasswd`."""

    path: Path
    """A policy file, or a folder in which every `*.yaml` is one. A change is in force within two seconds."""


# Sections without effect unless callers are identified.
NEED_KNOWN_CALLERS = ("identities", "policies", "audit")
# Sections about our own users: without effect if another token server has the users.
NEED_OWN_USERS = ("identities", "policies")


def check_known_callers(settings: "Settings") -> None:
    """Sections about callers need a mode in which callers are identified here."""
    if settings.mode in (Mode.OPEN, Mode.SILLY) and (unused := _present(settings, NEED_KNOWN_CALLERS)):
        raise conflict("without token or auth.htpasswd no caller is identified; add one of them", *unused)
    if settings.mode is Mode.VERIFY and (unused := _present(settings, NEED_OWN_USERS)):
        raise conflict("auth.token leaves users and their rights to another token server; remove this", *unused)


def _present(settings: "Settings", names: Iterable[str]) -> list[tuple[str]]:
    return [(name,) for name in names if getattr(settings, name)]
