"""The files of users that a configuration names, looked at without a server."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from authproxy.config.load import Loaded
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


def missing_files(loaded: "Loaded") -> Iterator[str]:
    """Files without which a server does not start, each with its key. They may exist on the machine that serves."""
    settings = loaded.settings
    named = {
        f"identities.{number}.{kind}.path": file.path
        for number, source in enumerate(settings.identities)
        for kind, file in (("htpasswd", source.htpasswd), ("users", source.users))
        if file is not None
    }
    if settings.policies is not None:
        named["policies.path"] = settings.policies.path
    for key, path in named.items():
        if not path.exists():
            place = loaded.sources.get(key, loaded.origin)
            yield f"{place}: {key}: there is no {path} here; no server starts without it"


def check_policies(settings: "Settings") -> None:
    """Raise StartError if the policies, which can be read here, are not valid."""
    from authproxy.policy.load import load_policies

    section = settings.policies
    if section is not None and os.access(section.path, os.R_OK):
        load_policies(section.path)


def check_pair(settings: "Settings") -> None:
    """Raise StartError if the certificate and the key, which can be read here, are no pair."""
    from authproxy.server.tls_context import load_tls

    tls = settings.http.tls
    if tls is not None and _is_readable(tls.certificate) and _is_readable(tls.key):
        load_tls(tls.certificate, tls.key)


def _is_readable(path: "Path") -> bool:
    return path.is_file() and os.access(path, os.R_OK)
