"""Who may do one thing: each kind of caller that the rules, the users files or the repository's own name speak of."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from authproxy.access import Access
from authproxy.policy.decide import Decision, decide
from authproxy.policy.model import ANONYMOUS, SIGNED_IN, Effect, PolicySet, SubjectKey
from authproxy.principal import ANONYMOUS as NOBODY
from authproxy.principal import Principal

# No source gives this name, and no glob can hold it.
_SOMEBODY = "\0"


@dataclass(frozen=True, slots=True)
class Answer:
    """What is decided for callers who are this, and nothing more that the rules know of."""

    who: SubjectKey
    decision: Decision


@dataclass(frozen=True, slots=True)
class Answers:
    """Who may; and whom a deny keeps from it, whatever else they are."""

    allowed: tuple[Answer, ...]
    denied: tuple[Answer, ...]


def who_can(policies: PolicySet, access: Access, users: Mapping[str, frozenset[str]]) -> Answers:
    """Ask for all kinds of callers. `users` are known names with their groups.

    Where everybody who is signed in may, only those who may not are named beside them.
    """
    keys = {SIGNED_IN, *_named(policies), *_placed(policies, access)}
    keys.update(SubjectKey("user", name) for name in users)
    keys.update(SubjectKey("group", group) for groups in users.values() for group in groups)
    keys = {key for key in keys if key.kind in ("user", "group", "claim")}
    answers = [Answer(ANONYMOUS, decide(policies, NOBODY, access))]
    anybody = Answer(SIGNED_IN, decide(policies, Principal(_SOMEBODY), access))
    answers.append(anybody)
    answers += [Answer(key, decide(policies, _caller(key, users), access)) for key in sorted(keys)]
    allowed = (answer for answer in answers if answer.decision.allowed)
    return Answers(
        tuple(one for one in allowed if one.who in (ANONYMOUS, SIGNED_IN) or not anybody.decision.allowed),
        tuple(one for one in answers if one.decision.rule is not None and one.decision.rule.effect is Effect.DENY),
    )


def _caller(key: SubjectKey, users: Mapping[str, frozenset[str]]) -> Principal:
    match key.kind:
        case "user":
            return Principal(key.name, users.get(key.name, frozenset()))
        case "group":
            return Principal(_SOMEBODY, frozenset({key.name}))
        case _:
            return Principal(_SOMEBODY, claims={key.claim: key.name})


def _named(policies: PolicySet) -> Iterator[SubjectKey]:
    for rule in policies.rules:
        yield from rule.subjects.any_of


def _placed(policies: PolicySet, access: Access) -> Iterator[SubjectKey]:
    """Callers whose name, group or claim stands in the repository's name where a rule has a placeholder."""
    if access.type != "repository":
        return
    segments = access.name.split("/")
    for rule in policies.rules:
        for glob in rule.resources.repositories:
            for placeholder, value in glob.fillers(segments):
                kind = "claim" if placeholder.claim else placeholder.kind
                yield SubjectKey(kind, value, placeholder.claim)
