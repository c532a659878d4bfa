"""Passwords checked off the event loop, and remembered for a short while without being kept.

bcrypt is slow on purpose. It runs in a few threads of its own, behind a bounded queue; a check that is already under
way is waited for and not begun twice; and a success is remembered under a keyed hash of name, password and the entry's
hash, so that changing the entry forgets it at once. See docs/decisions/0009-check-passwords-off-the-loop.md.
"""

import asyncio
import hashlib
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from authproxy.clock import Clock
from authproxy.errors import TooManyRequests
from authproxy.identity.bcrypt_hash import check_password, stand_in

THREADS = 2
# At 75 ms a check and two threads the last of the queue waits 2.4 s: less than clients do.
MAX_WAITING = 64
RETRY_AFTER_S = 3
REMEMBER_S = 300.0
MAX_REMEMBERED = 10_000


class Passwords:
    """Checks passwords against bcrypt hashes for one process.

    `check` computes one bcrypt in a thread; `now` counts seconds and never goes back.
    """

    def __init__(
        self,
        *,
        check: Callable[[str, str], bool] = check_password,
        now: Clock = time.monotonic,
        threads: int = THREADS,
        max_waiting: int = MAX_WAITING,
        remember_s: float = REMEMBER_S,
        max_remembered: int = MAX_REMEMBERED,
    ) -> None:
        self._check = check
        self._now = now
        self._max_running = threads + max_waiting
        self._remember_s = remember_s
        self._max_remembered = max_remembered
        self._secret = os.urandom(32)  # of this process alone: what is remembered is of no use elsewhere
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="bcrypt")
        self._running: dict[bytes, asyncio.Future[bool]] = {}
        self._remembered: dict[bytes, float] = {}  # the key, and when it is forgotten; the oldest first

    async def verify(self, name: str, password: str, hashed: str) -> bool:
        """Whether the password fits the entry's hash. Raises TooManyRequests where too many others wait.

        A caller that is cancelled leaves the check running: others may wait for the same one.
        """
        key = self._key(name, password, hashed)
        if self._now() < self._remembered.get(key, 0.0):
            return True
        running = self._running.get(key)
        if running is None:
            running = self._begin(key, password, hashed)
        return await asyncio.shield(running)

    async def waste(self, name: str, password: str, cost: int) -> None:
        """Take as long as `verify` takes to refuse, for a user that does not exist. Raises TooManyRequests too."""
        await self.verify(name, password, stand_in(cost))

    async def close(self) -> None:
        """Let running checks end without waiting for them, begin no more."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _begin(self, key: bytes, password: str, hashed: str) -> asyncio.Future[bool]:
        if len(self._running) >= self._max_running:
            raise TooManyRequests("too many logins are being checked", retry_after_s=RETRY_AFTER_S)
        running = asyncio.get_running_loop().run_in_executor(self._executor, self._check, password, hashed)
        self._running[key] = running

        def finish(done: asyncio.Future[bool]) -> None:
            del self._running[key]
            if not done.cancelled() and done.exception() is None and done.result():
                self._remember(key)

        running.add_done_callback(finish)
        return running

    def _remember(self, key: bytes) -> None:
        self._remembered.pop(key, None)  # so that it becomes the youngest
        self._remembered[key] = self._now() + self._remember_s
        if len(self._remembered) > self._max_remembered:
            del self._remembered[next(iter(self._remembered))]

    def _key(self, name: str, password: str, hashed: str) -> bytes:
        digest = hashlib.blake2b(key=self._secret, digest_size=32)
        for part in (name, password, hashed):
            content = part.encode("utf-8", "surrogatepass")
            digest.update(len(content).to_bytes(8, "big") + content)  # lengths, so that no two triples look alike
        return digest.digest()
