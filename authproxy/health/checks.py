"""All health checks of one process, running beside the requests.

They run first at the start, not an interval later as in CNCF Distribution: otherwise an unhealthy server would serve
for ten seconds.
"""

import asyncio
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

import structlog

from authproxy.health.check import Check, CheckFailed, CheckState

log = structlog.get_logger(__name__)


class Checks:
    """Runs checks and knows which of them fail. The second check of a name is called `<name> (2)`."""

    def __init__(self, checks: Iterable[Check]) -> None:
        self._checks: dict[str, Check] = {}
        for check in checks:
            names = itertools.chain([check.name], (f"{check.name} ({number})" for number in itertools.count(2)))
            name = next(name for name in names if name not in self._checks)
            self._checks[name] = replace(check, name=name)
        self._states = dict.fromkeys(self._checks, CheckState())
        self._failing: Mapping[str, str] = MappingProxyType({})

    def __repr__(self) -> str:
        return f"Checks({list(self._checks)}, failing={list(self._failing)})"

    def __bool__(self) -> bool:
        """Whether there is anything to check."""
        return bool(self._checks)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all checks."""
        return tuple(self._checks)

    @property
    def failing(self) -> Mapping[str, str]:
        """The failing checks, each with its reason; empty if none fails. Never changed, only replaced."""
        return self._failing

    def results(self) -> dict[tuple[str, ...], float]:
        """Each check by its name: 1 if it passes, 0 if it fails."""
        return {(name,): float(name not in self._failing) for name in self._checks}

    async def run(self) -> None:
        """Run every check at its interval until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for check in self._checks.values():
                tasks.create_task(self._watch(check), name=f"health check {check.name}")

    async def _watch(self, check: Check) -> None:
        """Run a check at its interval. While a run hangs it fails, and no second one starts: each may hold a thread."""
        while True:
            probing = asyncio.ensure_future(_outcome(check))
            try:
                while not (await asyncio.wait([probing], timeout=check.timeout_s))[0]:
                    self._note(check, f"no result within {check.timeout_s:g} s")
                self._note(check, probing.result())
            finally:
                probing.cancel()
            await asyncio.sleep(check.interval_s)

    def _note(self, check: Check, failure: str | None) -> None:
        state = self._states[check.name] = self._states[check.name].after(failure)
        if check.is_failing(state):
            if check.name not in self._failing:
                log.error("unhealthy", check=check.name, reason=state.reason)
            self._failing = MappingProxyType({**self._failing, check.name: state.reason})
        elif check.name in self._failing:
            log.warning("healthy again", check=check.name)
            self._failing = MappingProxyType({name: why for name, why in self._failing.items() if name != check.name})


async def _outcome(check: Check) -> str | None:
    """The failure, or None."""
    try:
        await check.probe()
    except CheckFailed as exc:
        return str(exc)
    except Exception as exc:  # a fault in a probe must not end the loop, and is not a sign of health
        log.exception("health check broke", check=check.name)
        return f"the check itself failed: {type(exc).__name__}"
    return None
