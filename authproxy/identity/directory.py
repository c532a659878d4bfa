"""The directory joins all identity sources: who logs in, who still exists, in which groups.

See docs/decisions/0035-let-sources-be-unreachable.md.
"""

import hmac
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from operator import is_
from typing import ClassVar

from authproxy.clock import Clock
from authproxy.errors import CredentialsRefused
from authproxy.files.reload import DoesNotLoad
from authproxy.identity.bcrypt_hash import DEFAULT_COST
from authproxy.identity.passwords import Passwords
from authproxy.identity.source import LocalUsers, Source, SourceAnswer, SourceUnavailable
from authproxy.identity.user_entry import UserEntry
from authproxy.log.alarms import sound
from authproxy.principal import Principal


class UserShutOut(Exception):
    """Why a user whose password is right may not log in. For the log and the audit log, never for clients."""


class Directory:
    """Two ordered lists of sources: local users are asked first, so that an outage locks none of them out.

    The first source that knows the name decides. If a source that may know it is unavailable, the login fails: a later
    source could have another person of that name. Groups of the source and of all local entries add up.

    A user is a robot if any of them says so. A user whose local entries have one that is disabled, or expired at `now`
    (seconds since 1970), does not exist for `authenticate` and `find`. `key` must be the same on every node and worker,
    or two attempts would distinguish an unknown user from a known one.
    """

    part: ClassVar = "users"
    takes_access_away: ClassVar = True

    def __init__(
        self,
        local: Sequence[LocalUsers],
        remote: Sequence[Source] = (),
        *,
        passwords: Passwords,
        key: bytes,
        now: Clock = time.time,
    ) -> None:
        self._local = tuple(local)
        self._remote = tuple(remote)
        self._passwords = passwords
        self._key = key
        self._now = now
        self._completed: dict[str, _Completed] = {}  # of users that were looked up

    async def authenticate(self, name: str, password: str, client: str = "") -> Principal | None:
        """The user with this name and password, or None.

        Raises TooManyRequests if passwords cannot be checked in time, SourceUnavailable if a source that may know the
        name cannot be asked. A disabled or expired user with the right password is a CredentialsRefused: a caller sees
        the same as for None, and its cause is the reason for the log.

        `client` is the address of the caller: addresses take turns if many passwords wait.

        With local users, every refusal of a name and a password takes one bcrypt, whether the name exists or not.
        """
        if not name or not password:
            return None
        for source in self._local:
            match await source.authenticate(name, password, client):
                case Principal() as principal:
                    return self._admit(principal)
                case SourceAnswer.REFUSED:
                    return None
                case SourceAnswer.UNKNOWN:
                    continue
        if (known := await self._authenticate_remotely(name, password, client)) is not None:
            return self._admit(known)
        if self._local:
            await self._passwords.waste(name, password, self._cost_for_unknown(name), client)
        return None

    async def find(self, name: str) -> Principal | None:
        """The user as of now, or None. Without a password it proves nothing about the caller.

        Raises SourceUnavailable as `authenticate` does.
        """
        if not name:
            return None
        for source in self._local:
            if (principal := await source.find(name)) is not None:
                return self._complete(principal)
        for remote in self._remote:
            with _sounding(remote):
                found = await remote.find(name)
            if found is not None:
                return self._complete(found)
        return None

    def refresh(self) -> None:
        """See `files.reload.Reloadable`. Reads every source, even if others fail."""
        faults: list[Exception] = []
        for source in self._local:
            try:
                source.refresh()
            except Exception as exc:  # noqa: BLE001 - raised below
                faults.append(exc)
        if faults:  # a file that can't be read matters more than a malformed one
            raise min(faults, key=lambda fault: isinstance(fault, DoesNotLoad))

    async def _authenticate_remotely(self, name: str, password: str, client: str) -> Principal | None:
        for source in self._remote:
            with _sounding(source):
                answer = await source.authenticate(name, password, client)
            match answer:
                case Principal():
                    return answer
                case SourceAnswer.REFUSED:
                    return None
                case SourceAnswer.UNKNOWN:
                    continue
        return None

    def _admit(self, principal: Principal) -> Principal:
        """The principal with everything that local entries add. Raises CredentialsRefused from UserShutOut."""
        completed = self._complete(principal)
        if completed is not None:
            return completed
        now = self._now()
        entries = (source.find_entry(principal.name) for source in self._local)
        reasons = (entry.find_shut_out(now) for entry in entries if entry is not None)
        raise CredentialsRefused from UserShutOut(next(filter(None, reasons), "the user is disabled or has expired"))

    def _complete(self, principal: Principal) -> Principal | None:
        """The principal with everything that local entries add, or None if one of them is disabled or expired."""
        entries = [entry for source in self._local if (entry := source.find_entry(principal.name)) is not None]
        now = self._now()
        if any(entry.is_shut_out(now) for entry in entries):
            return None
        known = self._completed.get(principal.name)
        if known is not None and known.was_made_of(principal, entries):
            return known.principal
        completed = replace(
            principal,
            groups=principal.groups.union(*(entry.groups for entry in entries)),
            is_robot=any(entry.is_robot for entry in entries),
        )
        self._completed[principal.name] = _Completed(completed, principal, entries)
        return completed

    def _cost_for_unknown(self, name: str) -> int:
        """The bcrypt cost for an unknown name: always the same for one name, distributed like the real costs."""
        costs = sorted(cost for source in self._local for cost in source.costs)
        if not costs:
            return DEFAULT_COST
        digest = hmac.digest(self._key, b"cost of\n" + name.encode("utf-8", "surrogatepass"), "sha256")
        return costs[int.from_bytes(digest[:8], "big") % len(costs)]


@contextmanager
def _sounding(source: Source) -> Iterator[None]:
    """Log an outage with its reason; clients learn only that there is one."""
    try:
        yield
    except SourceUnavailable as exc:
        sound("identity source unavailable", reason=exc.reason, source=source.kind)
        raise


@dataclass(frozen=True, slots=True)
class _Completed:
    """A user with the data of all sources: the same value as long as the data is the same."""

    principal: Principal
    before: Principal
    entries: list[UserEntry]

    def was_made_of(self, before: Principal, entries: list[UserEntry]) -> bool:
        return self.before is before and len(self.entries) == len(entries) and all(map(is_, self.entries, entries))
