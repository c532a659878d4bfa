"""zot's access control, decided as its own code does: the longest glob that matches, its grants, then the admins.

It shares nothing with the importer: JSON is read by the standard library, and a glob is matched by going through all
choices, as the comments of the doublestar library say it.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Caller:
    name: str
    groups: frozenset[str] = frozenset()


# What the conditions of the tests say.
CONDITIONS: Mapping[str, Callable[[Caller, str], bool]] = {
    'req.user.username == "ann"': lambda caller, _: caller.name == "ann",
    "req.repository.startsWith('a/')": lambda _, repository: repository.startswith("a/"),
    '"devs" in req.user.groups': lambda caller, _: "devs" in caller.groups,
    'req.user.username == "req.repository"': lambda caller, _: caller.name == "req.repository",
    'req.method == "GET"': lambda *_: True,
}


def may(config: dict[str, Any], caller: Caller, action: str, repository: str) -> set[bool]:
    """The answer; both where two globs are as long, of which chance takes one."""
    control = config["http"]["accessControl"]
    matching = [text for text in control["repositories"] if doublestar(text, repository)]
    longest = max(map(len, matching), default=0)
    answers = set()
    for section in [control["repositories"][text] for text in matching if len(text) == longest] or [{}]:
        admin = control.get("adminPolicy")
        grants = [*section.get("policies", ()), *([admin] if admin else [])]
        is_permitted = (
            any(action in grant["actions"] and _is_about(grant, caller, repository) for grant in grants)
            or (bool(caller.name) and action in section.get("defaultPolicy", ()))
            or (not caller.name and action in section.get("anonymousPolicy", ()))
        )
        answers.add(is_permitted)
    return answers


def _is_about(grant: dict[str, Any], caller: Caller, repository: str) -> bool:
    who = caller.name in grant.get("users", ()) or not caller.groups.isdisjoint(grant.get("groups", ()))
    return who and all(CONDITIONS[one["expression"]](caller, repository) for one in grant.get("conditions", ()))


def doublestar(pattern: str, name: str) -> bool:
    if found := re.search(r"\{([^{}]*)\}", pattern):
        head, tail = pattern[: found.start()], pattern[found.end() :]
        return any(doublestar(head + choice + tail, name) for choice in found[1].split(","))
    return _segments(pattern.split("/"), name.split("/"))


def _segments(patterns: list[str], names: list[str]) -> bool:
    if not patterns:
        return not names
    if patterns[0] == "**":
        return any(_segments(patterns[1:], names[i:]) for i in range(len(names) + 1))
    return bool(names) and _segment(patterns[0], names[0]) and _segments(patterns[1:], names[1:])


def _segment(pattern: str, name: str) -> bool:
    if not pattern:
        return not name
    if pattern[0] == "*":
        return any(_segment(pattern[1:], name[i:]) for i in range(len(name) + 1))
    if pattern[0] == "[":
        inside, closing, rest = pattern[1:].partition("]")
        if not closing:
            return False  # malformed: it matches nothing
        characters = {chr(c) for low, high in re.findall("(.)-(.)", inside) for c in range(ord(low), ord(high) + 1)}
        is_in = name[:1] in characters | set(re.sub("(.)-(.)", "", inside.lstrip("!^")))
        return bool(name) and is_in != (inside[0] in "!^") and _segment(rest, name[1:])
    return bool(name) and pattern[0] in ("?", name[0]) and _segment(pattern[1:], name[1:])
