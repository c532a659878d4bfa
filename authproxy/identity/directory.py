"""All identity sources as one: who logs in, who still exists, in which groups."""

import hmac
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import is_
from typing import ClassVar

from authproxy.clock import Clock
from authproxy.files.reload import DoesNotLoad
from authproxy.identity.bcrypt_hash import DEFAULT_COST
from authproxy.identity.entry import Entry
from authproxy.identity.passwords import Passwords
from authproxy.identity.source import Answer, Source
from authproxy.principal import Principal


class Directory:
    """An ordered list of sources. The first that has a password for a name decides; groups of all of them add up.

    Who is a robot by any of them is one. A user whom any source calls disabled, or expired at `now` (seconds since
    1970), does not exist for `authenticate` and `find`. `key` is the same on every node and worker, or an unknown user
    could be told from a known one by asking twice.
    """

    part: ClassVar = "users"
    takes_access_away: ClassVar = True

    def __init__(self, sources: Sequence[Source], *, passwords: Passwords, key: bytes, now: Clock = time.time) -> None:
        self._sources = tuple(sources)
        self._passwords = passwords
        self._key = key
        self._now = now
        self._completed: dict[str, _Completed] = {}  # of users who were asked for

    async def authenticate(self, name: str, password: str, client: str = "") -> Principal | None:
        """Who this is, or None. Raises TooManyRequests where passwords cannot be checked in time.

        `client` is the address that asks: addresses take turns where many passwords wait.

        Every refusal of a name with a password takes one bcrypt, whether the name exists or not.
        """
        if not name or not password:
            return None
        for source in self._sources:
            match await source.authenticate(name, password, client):
                case Principal() as principal:
                    return self._complete(principal)
                case Answer.REFUSED:
                    return None
                case Answer.UNKNOWN:
                    continue
        await self._passwords.waste(name, password, self._cost_for_unknown(name), client)
        return None

    async def find(self, name: str) -> Principal | None:
        """The user as of now, or None. Takes no password, so it proves nothing about who asks."""
        for source in self._sources:
            principal = await source.find(name) if name else None
            if principal is not None:
                return self._complete(principal)
        return None

    def refresh(self) -> None:
        """See `files.reload.Reloadable`. Every source is read, whatever the others do."""
        faults: list[Exception] = []
        for source in self._sources:
            try:
                source.refresh()
            except Exception as exc:  # noqa: BLE001 - raised below
                faults.append(exc)
        if faults:  # what could not be read counts for more than what is wrong
            raise min(faults, key=lambda fault: isinstance(fault, DoesNotLoad))

    def _complete(self, principal: Principal) -> Principal | None:
        """The principal as all sources together know it, or None where one of them shuts the user out."""
        entries = [entry for source in self._sources if (entry := source.find_entry(principal.name)) is not None]
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
        """The cost that this name's entry would have had: always the same for a name, spread as the real ones are."""
        costs = sorted(cost for source in self._sources for cost in source.costs)
        if not costs:
            return DEFAULT_COST
        digest = hmac.digest(self._key, b"cost of\n" + name.encode("utf-8", "surrogatepass"), "sha256")
        return costs[int.from_bytes(digest[:8], "big") % len(costs)]


@dataclass(frozen=True, slots=True)
class _Completed:
    """A user as all sources know them, the same value as long as what they say is the same."""

    principal: Principal
    before: Principal
    entries: list[Entry]

    def was_made_of(self, before: Principal, entries: list[Entry]) -> bool:
        return self.before is before and len(self.entries) == len(entries) and all(map(is_, self.entries, entries))
