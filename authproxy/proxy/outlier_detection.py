"""The health of the addresses of one upstream, and which of them gets the next request. Pure; times are seconds."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

# Failures in a row after which an address is ejected: one lost packet does not count, a machine that is down soon does.
EJECT_AFTER = 3

# How long it is ejected, doubled each time that it fails again right after its return.
FIRST_EJECTION_S = 10.0
LAST_EJECTION_S = 300.0


@dataclass(frozen=True, slots=True)
class AddressHealth:
    """The results of requests and health checks for one address."""

    failures: int = 0  # of requests, in a row
    ejections: int = 0  # since the last successful request
    ejected_until: float = 0.0
    is_well: bool = True  # by health checks, if there are any

    def after_success(self) -> "AddressHealth":
        """A request was answered."""
        return AddressHealth(is_well=self.is_well) if self.failures or self.ejections else self

    def after_failure(self, now: float) -> "AddressHealth":
        """A request was not answered. After an ejection one failure is enough for the next."""
        failures = self.failures + 1
        if failures < EJECT_AFTER and not self.ejections:
            return replace(self, failures=failures)
        if now < self.ejected_until:  # a request from before the ejection: no news
            return self
        out_s = min(FIRST_EJECTION_S * 2**self.ejections, LAST_EJECTION_S)
        return replace(self, failures=failures, ejections=self.ejections + 1, ejected_until=now + out_s)

    def is_out(self, now: float) -> bool:
        """Whether it is not used while there is another."""
        return not self.is_well or now < self.ejected_until


def choose(health: Sequence[AddressHealth], in_flight: Sequence[int], now: float, tried: Collection[int]) -> int | None:
    """The index of the address to use, or None if all have been tried.

    The one with the fewest requests in flight, of those that are not out; if all are out, the one that returns first:
    trying is better than refusing. Of equal ones the first, so callers rotate the list.
    """
    left = [index for index in range(len(health)) if index not in tried]
    if usable := [index for index in left if not health[index].is_out(now)]:
        return min(usable, key=in_flight.__getitem__)
    return min(left, key=lambda index: (not health[index].is_well, health[index].ejected_until), default=None)
