"""What the commands about policies print with `--json`. `rule` is a rule's place and name, as messages have it."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from authproxy.access import Access
    from authproxy.policy.cases import Report
    from authproxy.policy.check import Finding
    from authproxy.policy.decide import Decision
    from authproxy.policy.diff import Change
    from authproxy.policy.explain import Explanation
    from authproxy.policy.model import SubjectKey
    from authproxy.policy.rule_atoms import Atom
    from authproxy.policy.shared_names import Sharing
    from authproxy.policy.who_can import Answer, Answers
    from authproxy.principal import Principal


def explained(principal: "Principal", explanations: Iterable["Explanation"], *, allowed: bool | None) -> Any:
    """Decisions about one caller. `allowed`: all of them are; None where one cannot be said."""
    return {
        "user": principal.name,
        "groups": sorted(principal.groups),
        "claims": dict(principal.claims),
        "robot": principal.is_robot,
        "allowed": allowed,
        "decisions": [
            {
                "access": str(one.access),
                **({} if one.tag is None else {"tag": one.tag}),
                **_decided(one.decision),
                "near": [{"rule": str(near.rule), "why_not": near.why_not} for near in one.near],
            }
            for one in explanations
        ],
    }


def who(access: "Access", tag: str | None, answers: "Answers", unknown: Iterable[str]) -> Any:
    """Who may do something."""
    return {
        "access": str(access),
        **({} if tag is None else {"tag": tag}),
        "allowed": [_answer(one) for one in answers.allowed],
        "perhaps": [_answer(one) for one in answers.perhaps],
        "denied": [_answer(one) for one in answers.denied],
        "unknown_users": list(unknown),
    }


def checked(rules: int, findings: Iterable["Finding"], shared: Iterable["Sharing"]) -> Any:
    """What is wrong with rules, and which names are shared."""
    return {
        "rules": rules,
        "findings": [
            {"file": one.file, "line": one.line, "subject": one.subject, "message": one.sentence} for one in findings
        ],
        "shared_names": [
            {
                "rule": str(one.rule),
                "kind": one.kind,
                "name": one.name,
                "repositories": one.space,
                "other": one.other,
                "message": str(one),
            }
            for one in shared
        ],
    }


def tested(report: "Report", rules: int) -> Any:
    """The outcome of the cases."""
    return {
        "cases": len(report.outcomes),
        "failed": [
            {"place": one.case.place, "case": str(one.case), "faults": list(one.faults), "why": one.case.why}
            for one in report.failed
        ],
        "rules": rules,
        "untested": [str(rule) for rule in report.untested],
    }


def changed(changes: Iterable["Change"]) -> Any:
    """The difference of two sets of rules."""
    return {
        "changes": [
            {
                "gains": one.gains,
                "action": str(one.action),
                "within": [_atom(atom) for atom in one.within],
                "denied": [_atom(atom) for atom in one.denied],
                "allowed": [_atom(atom) for atom in one.allowed],
                "but_denied": [_atom(atom) for atom in one.but_denied],
            }
            for one in changes
        ]
    }


def _decided(decision: "Decision") -> Mapping[str, Any]:
    return {
        "allowed": decision.allowed,
        "rule": None if decision.rule is None else str(decision.rule),
        "reason": decision.reason,
    }


def _answer(answer: "Answer") -> Mapping[str, Any]:
    return {"who": _key(answer.who), **_decided(answer.decision)}


def _key(key: "SubjectKey") -> Mapping[str, str]:
    parts = {"kind": key.kind, "name": key.name, "claim": key.claim}
    return {name: text for name, text in parts.items() if text}


def _atom(atom: "Atom") -> Mapping[str, Any]:
    return {
        "who": _key(atom.key),
        "repositories": None if atom.glob is None else atom.glob.text,
        "tags": None if atom.tag is None else atom.tag.text,
        "when": atom.when or None,
    }
