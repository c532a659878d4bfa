"""One step at a time: actors that stop before each request to the storage, and go on in the order that a seed decides.

A step is one request to the storage. Between two of its steps any other actor may take any number of its own; an actor
may stop for good, or until all others have ended, and time may jump meanwhile.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextvars import ContextVar
from typing import Any, TypeAlias

Act: TypeAlias = Callable[[], Coroutine[Any, Any, object]]

# Steps of one run after which something waits for ever.
MAX_STEPS = 20_000

# The steps of a run among which its switches, holds, crashes and jumps are.
EARLY = 80

# How far time jumps, in seconds: past every fence, and past the age at which a push may overwrite a tag.
JUMP_S = 100.0

_actor: ContextVar[int | None] = ContextVar("actor", default=None)


class Crashed(BaseException):
    """The actor's process has been killed: nothing of it runs on."""


class Schedule:
    """The order of the steps of one run, from a seed. Time is virtual, in seconds.

    Priorities, as in probabilistic concurrency testing: the actor of the highest one runs on until it is lowered, at a
    few random steps of the run. So a bug that needs a few switches is found soon. An actor may also be held until all
    others have ended, however long they sleep.
    """

    def __init__(
        self,
        seed: int,
        *,
        switches: int = 4,
        crashes: float = 0.1,
        jumps: float = 0.3,
        holds: float = 0.3,
        early: int = EARLY,
    ) -> None:
        self.random = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self.now = 1000.0
        self.steps = 0
        self._lowered_at = {self.random.randrange(1, early) for _ in range(self.random.randint(1, switches))}
        self._crash_at = self.random.randrange(1, early) if self.random.random() < crashes else -1
        self._jump_at = self.random.randrange(1, early) if self.random.random() < jumps else -1
        self._hold_at = self.random.randrange(1, early) if self.random.random() < holds else -1
        self._held: set[int] = set()
        self._priorities: list[float] = []
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._asleep: dict[int, float] = {}
        self._at_step: dict[int, Callable[[], None]] = {}
        self._parked = asyncio.Event()
        self._is_over = False
        self.crashed: set[int] = set()

    def clock_s(self) -> float:
        """The virtual time."""
        return self.now

    async def turn(self) -> None:
        """Stop before a request until it is this actor's turn. Outside a run, go on at once."""
        actor = _actor.get()
        if actor is None:
            return
        if self._is_over:
            raise Crashed
        future = asyncio.get_running_loop().create_future()
        self._waiting[actor] = future
        self._parked.set()
        await future
        if (at_step := self._at_step.pop(actor, None)) is not None:
            at_step()

    def at_next_step(self, call: Callable[[], None]) -> None:
        """Call this when the current actor makes its next step."""
        if (actor := _actor.get()) is None:
            call()
        else:
            self._at_step[actor] = call

    async def sleep(self, seconds: float) -> None:
        """Wait for virtual time to pass."""
        actor = _actor.get()
        assert actor is not None
        self._asleep[actor] = self.now + seconds
        await self.turn()
        self._asleep.pop(actor, None)

    async def run(self, acts: Sequence[Act]) -> None:
        """Run the actors until each has ended or crashed. Raises the first error of an actor."""
        self._priorities = [self.random.random() for _ in acts]
        tasks = [asyncio.create_task(self._act(number, act)) for number, act in enumerate(acts)]
        try:
            await self._go_on(tasks)
        finally:
            self._is_over = True
            for future in self._waiting.values():
                future.set_exception(Crashed())
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _act(self, number: int, act: Act) -> None:
        _actor.set(number)
        try:
            await self.turn()
            await act()
        finally:
            self._parked.set()

    async def _go_on(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        while True:
            while (running := self._running(tasks)) > len(self._ready()) + len(self.crashed & self._waiting.keys()):
                self._parked.clear()
                await self._parked.wait()
                await asyncio.sleep(0)
            for task in tasks:
                if task.done() and task.exception() is not None:
                    raise task.exception() or AssertionError
            if not (ready := self._ready()):
                return
            assert self.steps < MAX_STEPS, "the run does not end"
            self._step(ready, running)

    def _running(self, tasks: Sequence[asyncio.Task[None]]) -> int:
        return sum(not task.done() for task in tasks)

    def _ready(self) -> list[int]:
        return sorted(self._waiting.keys() - self.crashed)

    def _step(self, ready: list[int], running: int) -> None:
        self.steps += 1
        self.now += 0.001
        if self.steps == self._jump_at:
            self.now += JUMP_S
        if self._held.issuperset(ready):
            self._held.clear()
        free = [actor for actor in ready if actor not in self._held]
        self.now = max(self.now, min(self._asleep.get(actor, 0.0) for actor in free))
        awake = [actor for actor in free if self._asleep.get(actor, 0.0) <= self.now]
        chosen = max(awake, key=self._priorities.__getitem__)
        if self.steps == self._hold_at and running > 1:
            self._held.add(chosen)
            return
        if self.steps in self._lowered_at:
            self._priorities[chosen] = min(self._priorities) - 1
            chosen = max(awake, key=self._priorities.__getitem__)
        if self.steps == self._crash_at and running > 1:
            self.crashed.add(chosen)
            return
        self._waiting.pop(chosen).set_result(None)


Turn: TypeAlias = Callable[[], Awaitable[None]]
