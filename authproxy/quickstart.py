"""The embedded default, `authproxy serve --embedded`: a working registry out of an empty folder, and no file to write.

    data/registry/     blobs and manifests, in CNCF Distribution's layout
    data/htpasswd      the users' passwords (bcrypt)        made on the first start, with the user `admin`
    data/users.yaml    the users' groups                     made on the first start
    data/keys/         the keys that sign tokens
    data/state/        whose tokens are revoked
    data/*.key         the keys of the CA and of the server's certificate
    certs/             an own CA and a server certificate    made on the first start, and kept: own_certificate.py
    policies/          who may do what                       made where there is none

Every value can be overridden by a REGISTRY_… variable.
"""

import datetime as dt
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from authproxy.config.embedded import Layout
from authproxy.errors import StartError
from authproxy.files.atomic import make_private_folder, write_private
from authproxy.files.owner_rights import rights_at
from authproxy.files.text import read_content
from authproxy.identity.accounts import add_user
from authproxy.own_certificate import keep_certificate
from authproxy.policy import DEFAULT_POLICY

if TYPE_CHECKING:
    from authproxy.config.settings import Settings

ADMIN = "admin"
ADMINS = "admins"
PASSWORD_VARIABLE = "AUTHPROXY_ADMIN_PASSWORD"  # noqa: S105 - the variable's name
PASSWORD_FILE_VARIABLE = "AUTHPROXY_ADMIN_PASSWORD_FILE"  # noqa: S105 - the variable's name


def prepare(layout: Layout, environ: Mapping[str, str], *, now: dt.datetime, hosts: Sequence[str] = ()) -> str | None:
    """Make what is missing. Returns the admin's password where one was made up, to be shown once.

    What exists is left as it is, except for our certificate, which is kept valid for this machine and for `hosts`.
    Its key may move, so read `Layout.key` again. Raises StartError where a folder cannot be written or the given
    password is no good.
    """
    try:
        make_private_folder(layout.data)
        made_up = None if layout.htpasswd.exists() else _add_admin(layout, environ)
        keep_certificate(layout, hosts, now=now)
        if not _has_policies(layout.policies):
            with rights_at(layout.policies) as place:
                place.path.mkdir(exist_ok=True)
            write_private(layout.policies / "default.yaml", DEFAULT_POLICY.encode(), mode=0o644)
    except OSError as exc:
        raise StartError(
            f"cannot write {exc.filename or layout.data}: {exc.strerror};"
            f" start in a folder that you may write (data/, certs/ and policies/ go there)"
        ) from exc
    return made_up


def add_first_user(settings: "Settings", environ: Mapping[str, str]) -> Path | None:
    """Make the htpasswd file that a configuration names, if it is missing and a variable gives the admin's password.

    Returns the new file, or None. Without a users file the admin has no groups. Raises StartError.
    """
    htpasswd = next((source.htpasswd.path for source in settings.sources if source.htpasswd), None)
    if htpasswd is None or htpasswd.exists() or not (password := _given_password(environ)):
        return None
    users = next((source.users.path for source in settings.sources if source.users), None)
    try:
        add_user(htpasswd, users, ADMIN, password, [ADMINS] if users else [])
    except StartError:
        if htpasswd.exists():
            return None  # by another server on the same volume, which started at the same time
        raise
    return htpasswd


def _add_admin(layout: Layout, environ: Mapping[str, str]) -> str | None:
    given = _given_password(environ)
    password = given or secrets.token_urlsafe(15)
    add_user(layout.htpasswd, layout.users, ADMIN, password, [ADMINS])
    return None if given else password


def _given_password(environ: Mapping[str, str]) -> str | None:
    password, path = environ.get(PASSWORD_VARIABLE), environ.get(PASSWORD_FILE_VARIABLE)
    if password and path:
        raise StartError(f"{PASSWORD_VARIABLE} and {PASSWORD_FILE_VARIABLE}: both give a password; remove one of them")
    if password:
        return password
    if not path:
        return None
    try:
        password = read_content(Path(path)).decode("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as exc:
        raise StartError(f"{PASSWORD_FILE_VARIABLE}: cannot read {path}: {exc}") from exc
    if not password:
        raise StartError(f"{PASSWORD_FILE_VARIABLE}: {path} is empty; its first line is the password")
    return password


def _has_policies(folder: Path) -> bool:
    return any(path.suffix in (".yaml", ".yml") for path in folder.glob("*"))
