"""The addresses of one upstream: a request goes to one of them, and to another if the first fails and that is safe.

All of them are the same registry: they share their storage. Each process has its own record of their health.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import structlog

from authproxy.clock import Clock
from authproxy.http.client.address import Address
from authproxy.http.client.connection import UpstreamRequest
from authproxy.http.client.errors import Busy, Unreachable, Unsendable, UpstreamError
from authproxy.http.client.pool import Pool, UpstreamResponse
from authproxy.proxy.outlier_detection import AddressHealth, choose

log = structlog.get_logger(__name__)

# Statuses of a machine that cannot serve now, or of a balancer in front of one that is down: RFC 9110 §15.6.
UNAVAILABLE = (502, 503, 504)

LEAST_FAULT = 500


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """A request to each address at intervals: any status below 500 means that it is healthy.

    `threshold` failures in a row take it out, one good response brings it back. Times are seconds.
    """

    path: str = "/v2/"
    interval_s: float = 10
    timeout_s: float = 5
    threshold: int = 3


class AddressState(NamedTuple):
    """The state of an address, for monitoring."""

    url: str
    is_up: bool  # False: other addresses are used instead, if there are any
    in_flight: int  # requests
    failed: int  # requests that it did not answer, or answered with 502, 503 or 504


class Balancer:
    """The addresses of an upstream, one or more, with a pool for each."""

    def __init__(self, pools: Sequence[Pool], now: Clock) -> None:
        self._pools = tuple(pools)
        self._health = [AddressHealth()] * len(pools)
        self._failed = [0] * len(pools)
        self._now = now
        self._turn = 0

    def __repr__(self) -> str:
        return f"<Balancer {', '.join(pool.address.url for pool in self._pools)}>"

    async def ask(self, request: UpstreamRequest) -> tuple[Address, UpstreamResponse]:
        """Send a request to one of the addresses; returns the address and its response. Raises UpstreamError.

        If nothing can have been sent, another address is tried; for a repeatable request also if there was no response
        or a status of UNAVAILABLE. The response or error of the last one counts.
        """
        tried: set[int] = set()
        while True:
            index = self._choose(tried)
            tried.add(index)
            is_last = len(tried) == len(self._pools)
            pool = self._pools[index]
            try:
                answer = await pool.ask(request)
            except UpstreamError as exc:
                self._note(index, exc)
                if is_last or not _may_go_elsewhere(request, exc):
                    raise
                continue
            if answer.status not in UNAVAILABLE:
                self._succeed(index)
                return pool.address, answer
            self._fail(index, f"it answered {answer.status}")
            if is_last or not request.is_repeatable:
                return pool.address, answer
            answer.close()

    def states(self) -> tuple[AddressState, ...]:
        """The current state of each address. May be called in any thread."""
        now = self._now()
        return tuple(
            AddressState(pool.address.url, not health.is_out(now), pool.in_flight, failed)
            for pool, health, failed in zip(self._pools, self._health, self._failed, strict=True)
        )

    def close(self) -> None:
        """Close every connection. Requests in flight fail."""
        for pool in self._pools:
            pool.close()

    async def watch(self, check: HealthCheck) -> None:
        """Check the health of every address until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for index in range(len(self._pools)):
                tasks.create_task(self._watch(index, check), name=f"health of {self._pools[index].address.url}")

    def _choose(self, tried: Collection[int]) -> int:
        count = len(self._pools)
        if count == 1:
            return 0
        # Rotated by one each time, so that equal addresses alternate.
        self._turn = (self._turn + 1) % count
        order = [(self._turn + step) % count for step in range(count)]
        chosen = choose(
            [self._health[index] for index in order],
            [self._pools[index].in_flight for index in order],
            self._now(),
            [order.index(index) for index in tried],
        )
        assert chosen is not None  # `ask` ends with the last one
        return order[chosen]

    def _note(self, index: int, error: UpstreamError) -> None:
        """Count a failure, unless it says nothing about the address: no free connection, or an unsendable request."""
        if not isinstance(error, Busy | Unsendable):
            self._fail(index, repr(error))

    def _succeed(self, index: int) -> None:
        self._health[index] = self._health[index].after_success()

    def _fail(self, index: int, reason: str) -> None:
        self._failed[index] += 1
        before = self._health[index]
        after = self._health[index] = before.after_failure(self._now())
        if len(self._pools) > 1 and after.ejections > before.ejections:
            out_s = round(after.ejected_until - self._now())
            log.warning("address left out", upstream=self._pools[index].address.url, seconds=out_s, reason=reason)

    async def _watch(self, index: int, check: HealthCheck) -> None:
        failures = 0
        while True:
            reason = await _check_health(self._pools[index], check)
            failures = 0 if reason is None else failures + 1
            self._note_health(index, is_well=failures < check.threshold, reason=reason)
            await asyncio.sleep(check.interval_s)

    def _note_health(self, index: int, *, is_well: bool, reason: str | None) -> None:
        before, url = self._health[index], self._pools[index].address.url
        if is_well and not before.is_well:
            self._health[index] = AddressHealth()  # also forgets the failures of requests
            log.warning("address is well again", upstream=url)
        elif not is_well and before.is_well:
            self._health[index] = AddressHealth(before.failures, before.ejections, before.ejected_until, is_well=False)
            log.error("address is not well", upstream=url, reason=reason)


def _may_go_elsewhere(request: UpstreamRequest, error: UpstreamError) -> bool:
    """Whether a request that failed at one address may safely be sent to another."""
    return isinstance(error, Unreachable) or (request.is_repeatable and not isinstance(error, Busy | Unsendable))


async def _check_health(pool: Pool, check: HealthCheck) -> str | None:
    """Why an address is unhealthy, or None."""
    address = pool.address
    request = UpstreamRequest("GET", address.target(check.path.encode(), b""), [(b"host", address.authority.encode())])
    try:
        async with asyncio.timeout(check.timeout_s):
            answer = await pool.ask(request)
            try:
                async for _ in answer:
                    pass
            finally:
                answer.close()
    except TimeoutError:
        return f"no answer within {check.timeout_s:g} s"
    except UpstreamError as exc:
        return repr(exc)
    return f"it answered {answer.status}" if answer.status >= LEAST_FAULT else None
