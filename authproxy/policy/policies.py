"""The policies of a running server: asked at any time, swapped in one piece when their files change."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

import structlog

from authproxy.access import Access
from authproxy.clock import Clock
from authproxy.files.reload import Reloaded
from authproxy.policy.decide import Decision, decide, expand
from authproxy.policy.load import load_policies
from authproxy.policy.model import Action, PolicySet
from authproxy.policy.request import RequestFacts
from authproxy.policy.serve_time import decide_served
from authproxy.policy.token_attributes import Carried, carried
from authproxy.principal import Principal

log = structlog.get_logger(__name__)


class Policies(Reloaded[PolicySet]):
    """What is in force now, from `path`: a policy file or a folder of them.

    Raises PolicyError where nothing loads at the start. From then on there is always something in force.
    """

    part: ClassVar = "policies"
    takes_access_away: ClassVar = True

    def __init__(self, path: Path, *, now: Clock = time.time) -> None:
        self._path = path
        self._now = now
        super().__init__(path, pattern="*.y*ml")

    def decide(self, principal: Principal, access: Access, request: RequestFacts | None = None) -> Decision:
        """Decide one access by the rules in force."""
        return decide(self.current, principal, access, now=self._now(), request=request)

    def decided(
        self, principal: Principal, accesses: Iterable[Access], request: RequestFacts | None = None
    ) -> tuple[tuple[Access, Decision], ...]:
        """Each single action that `accesses` stand for, once and in their order, and what the same rules say of it."""
        policies, now = self.current, self._now()
        singles = dict.fromkeys(single for access in accesses for single in expand(access))
        return tuple([(single, decide(policies, principal, single, now=now, request=request)) for single in singles])

    def granted(
        self, principal: Principal, accesses: Iterable[Access], request: RequestFacts | None = None
    ) -> frozenset[Access]:
        """Those of `accesses` that are allowed, all decided by the same rules.

        `*` on a repository is answered with the single actions that are allowed, and is itself never granted.
        """
        return frozenset(access for access, decision in self.decided(principal, accesses, request) if decision.allowed)

    def carried(self, principal: Principal, accesses: Iterable[Access]) -> Carried:
        """What a token for these accesses must carry of its caller, for `decide_served` to decide as for the caller."""
        return carried(self.current, principal, accesses)

    def asks_for_tag(self, action: Action, repository: str) -> bool:
        """Whether there is more to decide about this action there than a token says. Cheap, for every request."""
        return self.current.asks_for_tag(action, repository)

    def decide_served(
        self,
        principal: Principal,
        action: Action,
        repository: str,
        tag: str | None,
        request: RequestFacts | None = None,
    ) -> Decision:
        """Decide one action of a request by the rules in force: see `served.decide_served`."""
        return decide_served(self.current, principal, action, repository, tag=tag, now=self._now(), request=request)

    def __repr__(self) -> str:
        return f"Policies({str(self._path)!r}, rules={len(self.current.rules)})"

    def _load(self) -> PolicySet:
        return load_policies(self._path)

    def _changed(self) -> None:
        log.info("policies loaded", path=str(self._path), rules=len(self.current.rules))
