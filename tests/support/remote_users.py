"""A source of users that can be out of reach, kept in memory: no kind of network source exists yet."""

from dataclasses import dataclass, field

from authproxy.identity.source import SourceAnswer, SourceUnavailable
from authproxy.principal import Principal


@dataclass
class RemoteUsers:
    """`passwords` by name. It can only know names that begin with `prefix`; while `is_down` it answers for no other."""

    passwords: dict[str, str] = field(default_factory=dict)
    kind: str = "remote"
    prefix: str = ""
    groups: frozenset[str] = frozenset()
    is_down: bool = False
    reason: str = "ldap.internal:636: connection refused"
    asked: list[str] = field(default_factory=list)

    async def authenticate(self, name: str, password: str, client: str = "") -> Principal | SourceAnswer:
        """See Source."""
        del client
        principal = await self.find(name)
        if principal is None:
            return SourceAnswer.UNKNOWN
        return principal if self.passwords[name] == password else SourceAnswer.REFUSED

    async def find(self, name: str) -> Principal | None:
        """See Source."""
        self.asked.append(name)
        if not name.startswith(self.prefix):
            return None
        if self.is_down:
            raise SourceUnavailable(self.reason)
        if name not in self.passwords:
            return None
        return Principal(name, self.groups, source=self.kind, stamp=f"{self.kind} {name}")
