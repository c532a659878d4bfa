"""The files of users that a configuration names, looked at without a server."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from authproxy.config.settings import Settings


def remarks_on_users(settings: "Settings") -> Iterator[str]:
    """What a start would warn of. Raises StartError for a file that would stop it.

    Files that are missing, or that this account may not read, are skipped: the doctor reports these.
    """
    from authproxy.identity.htpasswd import load_htpasswd
    from authproxy.identity.users import read_users

    for source in settings.sources:
        if source.users is not None and _is_readable(source.users.path):
            read_users(source.users.path)
        if source.htpasswd is not None and _is_readable(source.htpasswd.path):
            path = source.htpasswd.path
            yield from (f"{path}: {remark}; {remark.fix}" for remark in load_htpasswd(path).remarks())


def _is_readable(path: "Path") -> bool:
    return path.is_file() and os.access(path, os.R_OK)
