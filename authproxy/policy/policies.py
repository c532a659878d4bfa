"""The policies of a running server: always available, replaced atomically when their files change."""

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
from authproxy.policy.serve_time import allows_every_tag, decide_served
from authproxy.policy.token_attributes import Carried, carried
from authproxy.principal import Principal

log = structlog.get_logger(__name__)


class Policies(Reloaded[PolicySet]):
    """The rules in force, from `path`: a policy file or a folder of them.

    Raises PolicyError if they do not load at the start. Later the last valid policies stay in force.
    """

    part: ClassVar = "policies"
    takes_access_away: ClassVar = True

    def __init__(self, path: Path, *, now: Clock = time.time) -> None:
        self._path = path
        self._now = now
        super().__init__(path, pattern="*.y*ml")

    def decide(self, principal: Principal, access: Access, request: RequestFacts | None = None) -> Decision:
        """Decide one access by the current rules."""
        return decide(self.current, principal, access, now=self._now(), request=request)

    def decided(
        self, principal: Principal, accesses: Iterable[Access], request: RequestFacts | None = None
    ) -> tuple[tuple[Access, Decision], ...]:
        """Each distinct single action of `accesses`, in order, with its decision by one version of the rules."""
        policies, now = self.current, self._now()
        singles = dict.fromkeys(single for access in accesses for single in expand(access))
        return tuple([(single, decide(policies, principal, single, now=now, request=request)) for single in singles])

    def granted(
        self, principal: Principal, accesses: Iterable[Access], request: RequestFacts | None = None
    ) -> frozenset[Access]:
        """The allowed accesses, all decided by one version of the rules.

        `*` on a repository becomes the allowed single actions and is never granted itself.
        """
        return frozenset(access for access, decision in self.decided(principal, accesses, request) if decision.allowed)

    def carried(self, principal: Principal, accesses: Iterable[Access]) -> Carried:
        """The caller's attributes that a token for these accesses must carry for `decide_served`."""
        return carried(self.current, principal, accesses)

    def asks_for_tag(self, action: Action, repository: str) -> bool:
        """Whether a rule must be evaluated for this action when it is served. Cheap enough for every request."""
        return self.current.asks_for_tag(action, repository)

    def decide_served(
        self,
        principal: Principal,
        action: Action,
        repository: str,
        tag: str | None,
        request: RequestFacts | None = None,
    ) -> Decision:
        """Decide one action of a request by the current rules: see `serve_time.decide_served`."""
        return decide_served(self.current, principal, action, repository, tag=tag, now=self._now(), request=request)

    def allows_every_tag(
        self, principal: Principal, action: Action, repository: str, request: RequestFacts | None = None
    ) -> bool:
        """See `serve_time.allows_every_tag`."""
        return allows_every_tag(self.current, principal, action, repository, now=self._now(), request=request)

    def __repr__(self) -> str:
        return f"Policies({str(self._path)!r}, rules={len(self.current.rules)})"

    def _load(self) -> PolicySet:
        return load_policies(self._path)

    def _changed(self) -> None:
        log.info("policies loaded", path=str(self._path), rules=len(self.current.rules))
