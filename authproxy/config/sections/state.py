"""`state`: where our own state is kept, if not in the storage of our own registry. All of it is ours."""

from pathlib import Path
from typing import TYPE_CHECKING

from authproxy.config.document.messages import conflict
from authproxy.config.document.schema import Section

if TYPE_CHECKING:
    from authproxy.config.settings import Settings


class StateFilesystem(Section):
    """State in a folder of its own."""

    rootdirectory: Path
    """The folder, shared by all nodes; state is in `authproxy/` in it. If it is missing, it is made."""


class State(Section):
    """Where the revocations of tokens are kept. Needs `token`.

    Default: in the storage, beside the content of our own registry; in front of other registries in `token.state`.
    After a change users have to log in again, unless `authproxy/` was copied to the new place.
    """

    filesystem: StateFilesystem


def check_state(settings: "Settings") -> None:
    """`state` is for the revocations of tokens."""
    if settings.state is not None and settings.token is None:
        raise conflict("state keeps the revocations of tokens, and there is no token; remove it", ("state",))
