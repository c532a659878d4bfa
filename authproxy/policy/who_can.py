"""Who may perform an action: every kind of caller in the rules, the users files or the repository's name."""

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from authproxy.access import Access
from authproxy.policy.decide import Decision
from authproxy.policy.glob_containment import NAMED
from authproxy.policy.model import ANONYMOUS, SIGNED_IN, Effect, PolicySet, SubjectKey
from authproxy.policy.serve_time import decide_in_full
from authproxy.principal import ANONYMOUS as NOBODY
from authproxy.principal import Principal

# No source has this name, and no glob can match it.
_SOMEBODY = "\0"


@dataclass(frozen=True, slots=True)
class Answer:
    """The decision for callers with only this attribute, of all that rules can match."""

    who: SubjectKey
    decision: Decision


@dataclass(frozen=True, slots=True)
class Answers:
    """Callers who may; who may depending on conditions; and to whom a deny applies in any case."""

    allowed: tuple[Answer, ...]
    perhaps: tuple[Answer, ...]
    denied: tuple[Answer, ...]


def who_can(
    policies: PolicySet,
    access: Access,
    users: Iterable[Principal],
    *,
    tag: str | None = None,
    are_all_users: bool = False,
) -> Answers:
    """Decide for all kinds of callers. `users` are the known users; `tag` as for `decide_in_full`.

    If all signed-in callers may, only the exceptions are listed besides. `are_all_users`: there are no others, so a
    name in a rule or in the repository's name is listed only if a user has it.
    """
    known = {user.name: user for user in users}
    keys = {*_named(policies), *_placed(policies, access)}
    keys.update(SubjectKey("group", group) for user in known.values() for group in user.groups)
    keys.update(SubjectKey("user", name) for name in known)
    if are_all_users:
        keys = {key for key in keys if key.kind not in NAMED or _exists(key, known)}
    keys = {_as_known(key, known) for key in keys if key.kind not in ("anonymous", "signed-in", "everyone")}
    callers = {ANONYMOUS: NOBODY, SIGNED_IN: Principal(_SOMEBODY)} | {key: _caller(key, known) for key in sorted(keys)}
    strict, open_ = _with_conditions_failing(policies), _with_conditions_holding(policies)
    surely = [Answer(key, decide_in_full(strict, caller, access, tag=tag)) for key, caller in callers.items()]
    at_most = [Answer(key, decide_in_full(open_, caller, access, tag=tag)) for key, caller in callers.items()]
    allowed = _without_those_of_all(surely)
    certain = {answer.who for answer in surely if answer.decision.allowed}
    return Answers(
        allowed,
        tuple(answer for answer in _without_those_of_all(at_most) if answer.who not in certain),
        tuple(one for one in at_most if one.decision.rule is not None and one.decision.rule.effect is Effect.DENY),
    )


def _without_those_of_all(answers: list[Answer]) -> tuple[Answer, ...]:
    """The allowed callers; without users, groups and claims if all signed-in callers are allowed."""
    allowed = tuple(answer for answer in answers if answer.decision.allowed)
    is_for_all = any(answer.who == SIGNED_IN for answer in allowed)
    return tuple(answer for answer in allowed if answer.who in (ANONYMOUS, SIGNED_IN) or not is_for_all)


def _with_conditions_failing(policies: PolicySet) -> PolicySet:
    """The least that the rules can allow: conditional denies apply, conditional allows do not."""
    return PolicySet(
        tuple(
            replace(rule, condition=None)
            for rule in policies.rules
            if rule.condition is None or rule.effect is Effect.DENY
        )
    )


def _with_conditions_holding(policies: PolicySet) -> PolicySet:
    """The most that the rules can allow."""
    kept = (rule for rule in policies.rules if rule.condition is None or rule.effect is Effect.ALLOW)
    return PolicySet(tuple(replace(rule, condition=None) for rule in kept))


def find_unknown_users(policies: PolicySet, names: Container[str]) -> tuple[str, ...]:
    """The users and robots that rules name and that are none of these."""
    return tuple(sorted({key.name for key in _named(policies) if key.kind in NAMED and key.name not in names}))


def _exists(key: SubjectKey, known: Mapping[str, Principal]) -> bool:
    return key.name in known and (key.kind == "user" or known[key.name].is_robot)


def _as_known(key: SubjectKey, known: Mapping[str, Principal]) -> SubjectKey:
    """A user known to be a robot is listed as one, once."""
    is_robot = key.kind == "user" and key.name in known and known[key.name].is_robot
    return SubjectKey("robot", key.name) if is_robot else key


def _caller(key: SubjectKey, known: Mapping[str, Principal]) -> Principal:
    match key.kind:
        case "user":
            return known.get(key.name, Principal(key.name))
        case "robot":
            return replace(known.get(key.name, Principal(key.name)), is_robot=True)
        case "any-robot":
            return Principal(_SOMEBODY, is_robot=True)
        case "group":
            return Principal(_SOMEBODY, frozenset({key.name}))
        case _:
            return Principal(_SOMEBODY, claims={key.claim: key.name})


def _named(policies: PolicySet) -> Iterator[SubjectKey]:
    for rule in policies.rules:
        yield from rule.subjects.any_of


def _placed(policies: PolicySet, access: Access) -> Iterator[SubjectKey]:
    """Callers whose name, group or claim is in the repository's name at the place of a placeholder."""
    if access.type != "repository":
        return
    segments = access.name.split("/")
    for rule in policies.rules:
        for glob in rule.resources.repositories:
            for placeholder, value in glob.fillers(segments):
                kind = "claim" if placeholder.claim else placeholder.kind
                name = placeholder.name_of(value) if kind == "user" else value
                yield SubjectKey(kind, name, placeholder.claim)
