"""Places for requests in flight, a queue for them, and each caller's share of them."""

import asyncio
from collections.abc import Iterable
from typing import NamedTuple

from authproxy import asgi, budget
from authproxy.errors import TooManyRequests
from authproxy.http.client.slow_clients import Transfer

# How often to look for stalled transfers while requests wait, in seconds.
LOOK_EVERY_S = 1.0


class RequestQueue:
    """A number of places, assigned in the order of requests. While requests wait, stalled transfers are ended."""

    def __init__(self, places: int) -> None:
        self._places = asyncio.Semaphore(places)
        self._inside: set[Transfer] = set()
        self._waiting = 0
        self._timer: asyncio.TimerHandle | None = None

    async def enter(self, transfer: Transfer | None, timeout_s: float) -> None:
        """Take a place; `transfer` may be ended for others. Raises TimeoutError if none became free in time."""
        if self._places.locked():
            self._waiting += 1
            if self._timer is None:
                self._look()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._places.acquire()
            finally:
                self._waiting -= 1
        else:
            await self._places.acquire()  # at once
        if transfer is not None:
            self._inside.add(transfer)

    def leave(self, transfer: Transfer | None) -> None:
        """Give the place back."""
        if transfer is not None:
            self._inside.discard(transfer)
        self._places.release()

    def _look(self) -> None:
        self._timer = None
        if not self._waiting:
            return
        for transfer in choose_stalled(self._inside, self._waiting):
            transfer.end()
        self._timer = asyncio.get_running_loop().call_later(LOOK_EVERY_S, self._look)


def choose_stalled(transfers: Iterable[Transfer], wanted: int) -> list[Transfer]:
    """The transfers that have stalled for longest, of those that have for too long: at most `wanted`."""
    times = [(transfer.stalled_s(), transfer) for transfer in transfers]
    stalled = [row for row in times if row[0] > budget.MAY_STALL_FOR_S]
    return [transfer for _, transfer in sorted(stalled, key=lambda row: row[0], reverse=True)[:wanted]]


class Caller(NamedTuple):
    """Whose share a request counts against: that of the user `subject`, or without a login that of the `network`.

    A guest has not logged in where others do; in an open registry no caller is a guest.
    """

    subject: str
    network: str = ""
    is_guest: bool = False

    @classmethod
    def of(cls, scope: asgi.Scope) -> "Caller":
        """The caller of a request."""
        grant = scope.get(asgi.GRANT)
        if grant is not None and grant.subject:
            return cls(grant.subject)
        return cls("", budget.client_network(scope[asgi.CLIENT_VIEW].client), is_guest=grant is not None)


class CallerQueues:
    """The requests in flight to one upstream, which has `places` for them, by caller.

    One caller may use a part of the places, and all guests together another part.
    """

    def __init__(self, places: int) -> None:
        self._places = max(int(places * budget.CALLER_SHARE), 1)
        self._queues: dict[Caller, tuple[RequestQueue, int]] = {}  # and the number of requests inside or waiting
        self._guests = RequestQueue(max(int(places * budget.GUESTS_SHARE), 1))

    async def enter(self, caller: Caller, transfer: Transfer, timeout_s: float) -> None:
        """Take one of the caller's places. Raises TooManyRequests if none became free in time."""
        queue, users = self._queues.get(caller) or (RequestQueue(self._places), 0)
        self._queues[caller] = queue, users + 1
        try:
            await queue.enter(transfer, timeout_s)
            try:
                if caller.is_guest:
                    await self._guests.enter(transfer, timeout_s)
            except BaseException:
                queue.leave(transfer)
                raise
        except BaseException as exc:
            self._forget(caller)
            if isinstance(exc, TimeoutError):
                raise _too_many(caller, self._places) from exc
            raise

    def leave(self, caller: Caller, transfer: Transfer) -> None:
        """Give the place back."""
        if caller.is_guest:
            self._guests.leave(transfer)
        self._queues[caller][0].leave(transfer)
        self._forget(caller)

    def _forget(self, caller: Caller) -> None:
        queue, users = self._queues.pop(caller)
        if users > 1:
            self._queues[caller] = queue, users - 1


def _too_many(caller: Caller, places: int) -> TooManyRequests:
    who = "your user" if caller.subject else "your address, or all clients without a login together,"
    return TooManyRequests(
        f"too many requests are in flight for {who} (at most {places} for one user or address); wait until some end",
        retry_after_s=budget.RETRY_AFTER_S,
    )
