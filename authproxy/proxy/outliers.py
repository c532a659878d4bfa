"""How the addresses of one upstream stand, and which of them is asked next. Pure functions; times are seconds."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

# So many failures in a row, and an address is left out: a lost packet is none, a machine that is down is one soon.
EJECT_AFTER = 3

# For how long it is left out, doubled each time that it comes back and fails at once.
FIRST_EJECTION_S = 10.0
LAST_EJECTION_S = 300.0


@dataclass(frozen=True, slots=True)
class AddressHealth:
    """What requests and health checks have found out about one address."""

    failures: int = 0  # of requests, in a row
    ejections: int = 0  # since the last request that went well
    ejected_until: float = 0.0
    is_well: bool = True  # as far as health checks say, where there are any

    def after_success(self) -> "AddressHealth":
        """A request was answered."""
        return AddressHealth(is_well=self.is_well) if self.failures or self.ejections else self

    def after_failure(self, now: float) -> "AddressHealth":
        """A request was not answered. One more is enough for an address that has just been given another chance."""
        failures = self.failures + 1
        if failures < EJECT_AFTER and not self.ejections:
            return replace(self, failures=failures)
        if now < self.ejected_until:  # a request that was under way already says nothing new
            return self
        out_s = min(FIRST_EJECTION_S * 2**self.ejections, LAST_EJECTION_S)
        return replace(self, failures=failures, ejections=self.ejections + 1, ejected_until=now + out_s)

    def is_out(self, now: float) -> bool:
        """Whether it is left out while there is another."""
        return not self.is_well or now < self.ejected_until


def choose(
    standings: Sequence[AddressHealth], in_flight: Sequence[int], now: float, tried: Collection[int]
) -> int | None:
    """The address to ask, by its index, or None where all have been tried.

    The one with the fewest requests in flight of those that are not out; where all are out, the one that comes back
    first: a request is better tried than refused. Of equals the first, so callers turn the list.
    """
    left = [index for index in range(len(standings)) if index not in tried]
    if standing := [index for index in left if not standings[index].is_out(now)]:
        return min(standing, key=in_flight.__getitem__)
    return min(left, key=lambda index: (not standings[index].is_well, standings[index].ejected_until), default=None)
