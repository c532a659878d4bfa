"""Checks passwords outside the event loop, and remembers successes for a while without keeping the passwords.

bcrypt is slow on purpose. It runs in a thread of its own, which takes only the CPU time that nothing else needs, behind
a bounded queue in which clients take turns. A check that is already running is waited for and not begun twice. A
success is remembered under a keyed hash of name, password and the entry's hash, so that a change of the entry forgets
it at once. See docs/decisions/0020-hash-passwords-with-what-is-left-over.md.
"""

import asyncio
import hashlib
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TypeVar

from authproxy.budget import (
    KNOWN_CLIENT_S,
    MAX_KNOWN_CLIENTS,
    MAX_PASSWORDS_OF_ONE_NAME,
    MAX_PASSWORDS_WAITING,
    client_network,
)
from authproxy.clock import Clock
from authproxy.errors import TooManyRequests
from authproxy.identity.bcrypt_hash import check_password, stand_in
from authproxy.identity.password_queue import Turn, Turns

T = TypeVar("T")

# More threads would compete for the interpreter lock, with each other and with everything else.
THREADS = 1
# Linux's lowest priority: a fiftieth of the share of a thread with the default one.
NICENESS = 19
# Between two checks, rest for this share of the time of the first: a priority decides who gets a core, but not how much
# the threads of one core slow each other down, or its caches.
REST = 0.5
MAX_WAIT_S = 5.0
RETRY_AFTER_S = 3
# Since the last use. An attacker who reads this process's memory could guess remembered passwords faster than bcrypt.
REMEMBER_S = 3600.0
MAX_REMEMBERED = 10_000


class _Check:
    """A check that waits or runs."""

    __slots__ = ("done", "hashed", "password", "turn", "until")

    def __init__(self, password: str, hashed: str, turn: Turn, until: float) -> None:
        self.password = password
        self.hashed = hashed
        self.turn = turn
        self.until = until  # no caller waits longer
        self.done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()  # cancelled: it never began


class Passwords:
    """Checks passwords against bcrypt hashes for one process.

    `check` computes one bcrypt in a thread, and `sleep` pauses that; `now` counts seconds and never goes back.
    """

    def __init__(
        self,
        *,
        check: Callable[[str, str], bool] = check_password,
        now: Clock = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
        threads: int = THREADS,
        max_waiting: int = MAX_PASSWORDS_WAITING,
        max_of_one_name: int = MAX_PASSWORDS_OF_ONE_NAME,
        max_wait_s: float = MAX_WAIT_S,
        remember_s: float = REMEMBER_S,
        max_remembered: int = MAX_REMEMBERED,
    ) -> None:
        self._check = check
        self._now = now
        self._sleep = sleep
        self._rests_until = 0.0  # only for the threads
        self._idle_threads = threads
        self._turns = Turns(threads + max_waiting, max_of_one_name)
        self._max_wait_s = max_wait_s
        self._remember_s = remember_s
        self._max_remembered = max_remembered
        self._secret = os.urandom(32)  # of this process alone: remembered hashes are useless elsewhere
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="bcrypt", initializer=_yield_to_others)
        self._checks: dict[bytes, _Check] = {}
        self._of_turn: dict[Turn, bytes] = {}  # the keys of `_checks`
        self._remembered: dict[bytes, float] = {}  # until when; the first is the next to be forgotten
        self._known: dict[str, float] = {}  # the same for clients from which logins have succeeded

    async def verify(self, name: str, password: str, hashed: str, client: str = "") -> bool:
        """Whether the password matches the entry's hash. The check counts for the caller's address, `client`.

        Raises TooManyRequests if too many others wait, or if the check does not end in time. A caller that is
        cancelled leaves the check running: others may wait for the same one.
        """
        key = self._key(name, password, hashed)
        network = client_network(client)
        if self._now() < self._remembered.get(key, 0.0):
            self._remember(key, network)
            return True
        check = self._checks.get(key) or self._join(name, key, password, hashed, network)
        await asyncio.wait([check.done], timeout=max(0.0, check.until - self._now()))
        if not check.done.done() and check.turn in self._of_turn:
            self._turn_away(check.turn)
        if not check.done.done() or check.done.cancelled():
            is_late = self._now() >= check.until
            message = "logins cannot be checked in time" if is_late else "too many logins are being checked"
            raise TooManyRequests(message, retry_after_s=RETRY_AFTER_S)
        return check.done.result()

    async def waste(self, name: str, password: str, cost: int, client: str = "") -> None:
        """Take as long as a refusal of `verify`, for a user that does not exist. Raises TooManyRequests too."""
        await self.verify(name, password, stand_in(cost), client)

    async def close(self) -> None:
        """Begin no more checks. Running ones end, but are not waited for."""
        for turn in list(self._of_turn):
            self._turn_away(turn)
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _join(self, name: str, key: bytes, password: str, hashed: str, network: str) -> _Check:
        is_known = self._now() < self._known.get(network, 0.0)
        joined = self._turns.join(network, name, is_known=is_known)
        if joined is None:
            raise TooManyRequests("too many logins are being checked", retry_after_s=RETRY_AFTER_S)
        if joined.displaced is not None:
            self._forget(joined.displaced)
        check = self._checks[key] = _Check(password, hashed, joined.turn, self._now() + self._max_wait_s)
        self._of_turn[joined.turn] = key
        self._begin()
        return check

    def _begin(self) -> None:
        """Begin as many checks as there are idle threads."""
        while self._idle_threads and (turn := self._turns.begin()) is not None:
            key = self._of_turn.pop(turn)
            check = self._checks[key]
            self._idle_threads -= 1
            job = asyncio.wrap_future(self._executor.submit(self._check_rested, check.password, check.hashed))
            job.add_done_callback(partial(self._finish, key, check))

    def _finish(self, key: bytes, check: _Check, job: asyncio.Future[bool]) -> None:
        del self._checks[key]
        self._turns.leave(check.turn)
        self._idle_threads += 1
        if job.cancelled():
            check.done.cancel()
        elif (error := job.exception()) is not None:
            check.done.set_exception(error)
        else:
            check.done.set_result(job.result())
            if job.result():  # even if no caller waits for it any more
                self._remember(key, check.turn.client)
        self._begin()

    def _turn_away(self, turn: Turn) -> None:
        """Refuse a check that has not begun."""
        self._turns.leave(turn)
        self._forget(turn)

    def _forget(self, turn: Turn) -> None:
        self._checks.pop(self._of_turn.pop(turn)).done.cancel()

    def _check_rested(self, password: str, hashed: str) -> bool:
        """In a thread: a check, after a rest if another one has just ended."""
        if (rest_s := self._rests_until - self._now()) > 0:
            self._sleep(rest_s)
        begun = self._now()
        try:
            return self._check(password, hashed)
        finally:
            ended = self._now()
            self._rests_until = ended + REST * (ended - begun)

    def _remember(self, key: bytes, network: str) -> None:
        now = self._now()
        _put_last(self._remembered, key, now + self._remember_s, most=self._max_remembered)
        _put_last(self._known, network, now + KNOWN_CLIENT_S, most=MAX_KNOWN_CLIENTS)

    def _key(self, name: str, password: str, hashed: str) -> bytes:
        digest = hashlib.blake2b(key=self._secret, digest_size=32)
        for part in (name, password, hashed):
            content = part.encode("utf-8", "surrogatepass")
            digest.update(
                len(content).to_bytes(8, "big") + content
            )  # lengths, so that no two triples are encoded alike
        return digest.digest()


def _put_last(times: dict[T, float], key: T, until: float, *, most: int) -> None:
    """Note a time; if there are too many, forget the oldest one."""
    times.pop(key, None)
    times[key] = until
    if len(times) > most:
        del times[next(iter(times))]


def _yield_to_others() -> None:
    """Let this thread run only when no other wants to. Only Linux has priorities for threads."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
