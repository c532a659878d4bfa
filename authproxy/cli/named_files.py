"""The files and folders that a configuration names, looked at without a server."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from authproxy.errors import StartError

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
    named |= _password_files(settings)
    for key, path in named.items():
        place = loaded.sources.get(key, loaded.origin)
        try:
            path.stat()
        except (FileNotFoundError, NotADirectoryError):
            yield f"{place}: {key}: there is no {path} here; no server starts without it"
        except OSError as exc:
            yield f"{place}: {key}: {path} cannot be read by this account: {exc.strerror}"
        else:
            if not os.access(path, os.R_OK):
                yield f"{place}: {key}: {path} cannot be read by this account; the server's has to"


def unusable_folders(loaded: "Loaded") -> Iterator[str]:
    """Folders that this account cannot use as the server has to, each with its key.

    Another account, on another machine, may. Raises StartError for one that is not a folder.
    """
    from authproxy.doctor.machine.files import find_closed

    settings = loaded.settings
    is_read_only = settings.storage is not None and settings.storage.maintenance.readonly.enabled
    folders = dict.fromkeys(settings.storage_folders.items(), os.R_OK if is_read_only else os.W_OK)
    if settings.token is not None:
        keys = settings.token.keys
        folders["token.keys", keys] = os.R_OK if os.access(keys, os.F_OK) else os.W_OK
    never_made = {"audit.file.path"}
    if is_read_only:
        never_made.add("storage.filesystem.rootdirectory")
    if settings.audit is not None and settings.audit.file is not None:
        folders["audit.file.path", settings.audit.file.path.parent] = os.W_OK
    for (key, path), wanted in folders.items():
        place = loaded.sources.get(key, loaded.origin)
        nearest = next((one for one in (path, *path.parents) if os.access(one, os.F_OK)), path)
        if nearest.is_file():
            raise StartError(f"{place}: {key}: {nearest} is not a folder; name a folder")
        if key in never_made and nearest != path and find_closed(nearest) is None:
            yield f"{place}: {key}: there is no folder {path} here, and no start makes it"
        elif (closed := find_closed(path, wanted)) is not None:
            use = "read" if wanted == os.R_OK else "written"
            yield f"{place}: {key}: {path} cannot be {use} by this account: {closed} is closed to it"


def check_passwords(settings: "Settings") -> None:
    """Raise StartError if a password for an upstream, which is here, is not a line of text."""
    from authproxy.proxy.credentials import read_password

    for path in _password_files(settings).values():
        if _is_readable(path) or (os.access(path, os.R_OK) and path.is_dir()):
            read_password(path)


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


def _password_files(settings: "Settings") -> "dict[str, Path]":
    from pathlib import Path

    from authproxy.config.document.schema import leaves

    return {
        ".".join(map(str, key)): path
        for key, path in leaves(settings)
        if key[-1] == "passwordfile" and isinstance(path, Path)
    }


def _is_readable(path: "Path") -> bool:
    return os.access(path, os.R_OK) and path.is_file()  # in this order: is_file raises below a closed folder
