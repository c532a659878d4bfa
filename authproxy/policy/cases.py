"""Test cases in policy files: who requests what, the expected decision, and which rules no case covers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from authproxy.access import parse_scopes
from authproxy.policy.decide import Decision, expand
from authproxy.policy.model import Effect, PolicySet, Rule
from authproxy.policy.request import RequestFacts
from authproxy.policy.retention import RetentionRule
from authproxy.policy.retention_cases import RetentionCase, find_retention_faults
from authproxy.policy.serve_time import decide_in_full
from authproxy.principal import Principal


@dataclass(frozen=True, slots=True)
class Case:
    """One request and the decision that the rules of all files together must make."""

    principal: Principal
    scope: str  # one scope; each of its actions must get the expected decision
    expected: Effect
    rule: str | None  # the name of a rule that must be among the deciding ones
    why: str
    file: str
    line: int  # where the case begins, from 1
    at: float | None = None  # in seconds since 1970; None: conditions about the time are undecidable
    tag: str | None = None  # None: unknown, as when a token is issued
    request: RequestFacts | None = None  # None: conditions about the request are undecidable

    @property
    def place(self) -> str:
        """`policies/default.yaml:30`."""
        return f"{self.file}:{self.line}"

    def __str__(self) -> str:
        tag = "" if self.tag is None else f" with tag {self.tag}"
        return f"{self.principal.name or 'anonymous'} asks {self.scope}{tag}"


@dataclass(frozen=True, slots=True)
class CaseResult:
    """The result of a case: `faults` has a sentence for each action with another decision or another deciding rule."""

    case: Case | RetentionCase
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """The results of all cases, in order, and the rules that decided none of them.

    An entry of retention is tested by a case about a repository that it concerns.
    """

    outcomes: tuple[CaseResult, ...]
    untested: tuple[Rule | RetentionRule, ...]

    @property
    def failed(self) -> tuple[CaseResult, ...]:
        """The cases that failed."""
        return tuple(outcome for outcome in self.outcomes if outcome.faults)


def run_cases(
    policies: PolicySet,
    cases: Iterable[Case],
    retention: Sequence[RetentionRule] = (),
    retention_cases: Sequence[RetentionCase] = (),
) -> Report:
    """Run each case."""
    names = {rule.name for rule in policies.rules}
    deciding: set[str] = set()
    outcomes = []
    for case in cases:
        faults = []
        if case.rule is not None and case.rule not in names:
            faults.append(f'there is no rule "{case.rule}"')
        for access in (single for wanted in parse_scopes([case.scope]) for single in expand(wanted)):
            decision = decide_in_full(policies, case.principal, access, tag=case.tag, now=case.at, request=case.request)
            deciding.update(rule.name for rule in decision.rules)
            if fault := _find_fault(case, decision):
                faults.append(f"{access.action}: {fault}")
        outcomes.append(CaseResult(case, tuple(faults)))
    outcomes += [CaseResult(case, tuple(find_retention_faults(case, retention, policies))) for case in retention_cases]
    untested: list[Rule | RetentionRule] = [rule for rule in policies.rules if rule.name not in deciding]
    untested += [rule for rule in retention if not any(rule.concerns(case.repository) for case in retention_cases)]
    return Report(tuple(outcomes), tuple(untested))


def _find_fault(case: Case, decision: Decision) -> str | None:
    reason = decision.reason if decision.rules else f"denied: {decision.reason}"
    if decision.allowed is not (case.expected is Effect.ALLOW):
        return f"expected {case.expected}, but it is {reason}"
    if case.rule is not None and case.rule not in {rule.name for rule in decision.rules}:
        return f'expected the rule "{case.rule}" to decide, but it is {reason}'
    return None
