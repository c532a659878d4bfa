"""The account that serves: named on the command line, or by the variable of the container image."""

import os
import pwd
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from authproxy.doctor.finding import Finding, Level
from authproxy.errors import StartError
from authproxy.server.privileges import VARIABLE, acting_as, parse_account


@dataclass(frozen=True, slots=True)
class ServingAccount:
    """Who opens the ports, who uses the files, and the name of the latter; None: the account that runs this."""

    ports: tuple[int, int] | None
    files: tuple[int, int] | None
    name: str
    groups: tuple[int, ...] = ()
    hands_over: bool = False

    def judge(self) -> Finding:
        """Which account everything is checked as."""
        if self.files is None and os.geteuid() == 0:
            what = "checked as root, which can read and write everything; the server may run as another user"
            return Finding(Level.WARNING, "account", what, "--as NAME: the account that serves")
        return Finding(Level.OK, "account", f"checked as {self.name}")

    @property
    def as_starter(self) -> AbstractContextManager[None]:
        """With the rights of the account that opens the ports."""
        return nullcontext() if self.ports is None else acting_as(*self.ports, self.groups)

    @property
    def as_server(self) -> AbstractContextManager[None]:
        """With the rights of the account that serves."""
        return nullcontext() if self.files is None else acting_as(*self.files, self.groups)


def find_account(named: str | None, environ: Mapping[str, str]) -> ServingAccount:
    """`named`: a user's name, or UID:GID. Raises StartError if there is no such user, or the caller is not root."""
    if named is not None:
        if os.geteuid() != 0:
            raise StartError(f"--as {named}: only root can check as another account; run this as {named}, or by sudo")
        uid, gid, groups = _parse(named)
        return _tried(ServingAccount((uid, gid), (uid, gid), named, groups))
    if (stated := environ.get(VARIABLE)) and os.geteuid() == 0:
        return _tried(ServingAccount(None, parse_account(stated), f"{stated} ({VARIABLE})", hands_over=True))
    return ServingAccount(None, None, own_name())


def _tried(account: ServingAccount) -> ServingAccount:
    """Raises StartError if root may not change accounts, as in some containers."""
    try:
        with account.as_server:
            return account
    except PermissionError as error:
        raise StartError(
            f"cannot check as {account.name}: {error.strerror}: that needs CAP_SETGID and CAP_SETUID"
        ) from error


def _parse(named: str) -> tuple[int, int, tuple[int, ...]]:
    if ":" in named:
        return *parse_account(named, "--as"), ()
    try:
        user = pwd.getpwuid(int(named)) if named.isdecimal() else pwd.getpwnam(named)
    except KeyError:
        raise StartError(f"--as {named}: there is no such user here; give a name, or UID:GID in numbers") from None
    return user.pw_uid, user.pw_gid, tuple(os.getgrouplist(user.pw_name, user.pw_gid))


def own_name() -> str:
    """The name of the account that this process acts as; its number if it has no name."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
