"""Passwords checked off the event loop, and remembered for a while without being kept.

bcrypt is slow on purpose. It runs in a thread of its own, which takes only what everything else on the machine leaves
over, behind a bounded queue; a check that is already under way is waited for and not begun twice; and a success
is remembered under a keyed hash of name, password and the entry's hash, so that changing the entry forgets it at once.
See docs/decisions/0020-hash-passwords-with-what-is-left-over.md.
"""

import asyncio
import hashlib
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import NamedTuple

from authproxy.clock import Clock
from authproxy.errors import TooManyRequests
from authproxy.identity.bcrypt_hash import check_password, stand_in

# More would keep each other from the interpreter lock, and everything else with them.
THREADS = 1
# The least that Linux knows: a fiftieth of the share of a thread that has not asked for less.
NICENESS = 19
# Of two checks in a row the second waits for this share of what the first one took: priorities say who gets a core, not
# how much the two halves of one, or its caches, are worth to whoever has the other.
REST = 0.5
# At 75 ms a check the last of the queue waits 3.7 s where the machine has nothing else to do.
MAX_WAITING = 32
# Different passwords for one name at a time: guesses at one user leave the queue to all others.
MAX_OF_ONE_NAME = 8
MAX_WAIT_S = 5.0
RETRY_AFTER_S = 3
# Since the last use. What is remembered could be guessed at quicker than bcrypt by whoever reads this process's memory.
REMEMBER_S = 3600.0
MAX_REMEMBERED = 10_000


class _Check(NamedTuple):
    """A check that waits or runs."""

    job: Future[bool]
    done: asyncio.Future[bool]  # the same, for the event loop
    until: float  # nobody waits longer


class Passwords:
    """Checks passwords against bcrypt hashes for one process.

    `check` computes one bcrypt in a thread, which `sleep` halts; `now` counts seconds and never goes back.
    """

    def __init__(
        self,
        *,
        check: Callable[[str, str], bool] = check_password,
        now: Clock = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
        threads: int = THREADS,
        max_waiting: int = MAX_WAITING,
        max_of_one_name: int = MAX_OF_ONE_NAME,
        max_wait_s: float = MAX_WAIT_S,
        remember_s: float = REMEMBER_S,
        max_remembered: int = MAX_REMEMBERED,
    ) -> None:
        self._check = check
        self._now = now
        self._sleep = sleep
        self._rests_until = 0.0  # the threads' alone
        self._max_running = threads + max_waiting
        self._max_of_one_name = max_of_one_name
        self._max_wait_s = max_wait_s
        self._remember_s = remember_s
        self._max_remembered = max_remembered
        self._secret = os.urandom(32)  # of this process alone: what is remembered is of no use elsewhere
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="bcrypt", initializer=_yield_to_others)
        self._running: dict[bytes, _Check] = {}
        self._of_name: Counter[str] = Counter()  # how many of them are for one name
        self._remembered: dict[bytes, float] = {}  # the key, and when it is forgotten; the first is the next to go

    async def verify(self, name: str, password: str, hashed: str) -> bool:
        """Whether the password fits the entry's hash.

        Raises TooManyRequests where too many others wait, or where it cannot be told in time. A caller that is
        cancelled leaves the check running: others may wait for the same one.
        """
        key = self._key(name, password, hashed)
        if self._now() < self._remembered.get(key, 0.0):
            self._remember(key)
            return True
        check = self._running.get(key) or self._begin(name, key, password, hashed)
        await asyncio.wait([check.done], timeout=max(0.0, check.until - self._now()))
        if not check.done.done() or check.done.cancelled():
            check.job.cancel()  # has no effect on one that has begun: whoever comes back finds that it is known
            raise TooManyRequests("logins cannot be checked in time", retry_after_s=RETRY_AFTER_S)
        return check.done.result()

    async def waste(self, name: str, password: str, cost: int) -> None:
        """Take as long as `verify` takes to refuse, for a user that does not exist. Raises TooManyRequests too."""
        await self.verify(name, password, stand_in(cost))

    async def close(self) -> None:
        """Let running checks end without waiting for them, begin no more."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _begin(self, name: str, key: bytes, password: str, hashed: str) -> _Check:
        if len(self._running) >= self._max_running or self._of_name[name] >= self._max_of_one_name:
            raise TooManyRequests("too many logins are being checked", retry_after_s=RETRY_AFTER_S)
        job = self._executor.submit(self._check_rested, password, hashed)
        check = self._running[key] = _Check(job, asyncio.wrap_future(job), self._now() + self._max_wait_s)
        self._of_name[name] += 1

        def finish(done: asyncio.Future[bool]) -> None:
            del self._running[key]
            self._of_name[name] -= 1
            if not self._of_name[name]:
                del self._of_name[name]
            if not done.cancelled() and done.exception() is None and done.result():
                self._remember(key)

        check.done.add_done_callback(finish)
        return check

    def _check_rested(self, password: str, hashed: str) -> bool:
        """In a thread: a check, after a rest where one has just been made."""
        if (rest_s := self._rests_until - self._now()) > 0:
            self._sleep(rest_s)
        begun = self._now()
        try:
            return self._check(password, hashed)
        finally:
            ended = self._now()
            self._rests_until = ended + REST * (ended - begun)

    def _remember(self, key: bytes) -> None:
        self._remembered.pop(key, None)  # so that it becomes the last to go
        self._remembered[key] = self._now() + self._remember_s
        if len(self._remembered) > self._max_remembered:
            del self._remembered[next(iter(self._remembered))]

    def _key(self, name: str, password: str, hashed: str) -> bytes:
        digest = hashlib.blake2b(key=self._secret, digest_size=32)
        for part in (name, password, hashed):
            content = part.encode("utf-8", "surrogatepass")
            digest.update(len(content).to_bytes(8, "big") + content)  # lengths, so that no two triples look alike
        return digest.digest()


def _yield_to_others() -> None:
    """Let this thread run when no other wants to. Linux alone has priorities for threads."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
