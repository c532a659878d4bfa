"""docker_auth's ACL, decided as its own code does: entry by entry, patterns filled in and then matched.

It shares nothing with the importer: a glob is a port of the steps of Go's `path.Match`, and a
regular expression is searched by RE2.
"""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from ipaddress import ip_address, ip_network
from typing import Any

import re2  # type: ignore[import-untyped]  # it has no annotations

QUIET = re2.Options()
QUIET.log_errors = False


@cache
def _compiled(text: str) -> Any:
    return re2.compile(text, QUIET)


class BadPattern(Exception):
    pass


@dataclass(frozen=True)
class Request:
    account: str
    type: str
    name: str
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    service: str = "registry"
    address: str = "10.1.2.3"


def granted(config: Mapping[str, Any], request: Request, asked: Sequence[str]) -> list[str]:
    """The actions that the server would put into the token."""
    users = config.get("users") or {}
    if not request.account and users.get("") is None:
        return []  # the login fails
    for entry in config["acl"]:
        if matches(entry["match"], request):
            return list(asked) if entry["actions"] == ["*"] else [one for one in asked if one in entry["actions"]]
    return []


def matches(match: Mapping[str, Any], request: Request) -> bool:
    if "ip" in match and ip_address(request.address) not in ip_network(match["ip"], strict=False):
        return False
    for placed in _replacements(match, request):
        if all(
            match_string(str(match[key]), getattr(request, key), placed)
            for key in ("account", "type", "name", "service")
            if key in match
        ) and all(
            any(match_string(pattern, value, _fields(request)) for value in request.labels.get(label, ()))
            for label, pattern in (match.get("labels") or {}).items()
        ):
            return True
    return False


def _fields(request: Request) -> dict[str, str]:
    quoted = {key: quote_meta(getattr(request, key)) for key in ("account", "type", "name", "service")}
    return {f"${{{key}}}": value for key, value in quoted.items()}


def _replacements(match: Mapping[str, Any], request: Request) -> Iterator[dict[str, str]]:
    fields = _fields(request)
    for key in ("account", "type", "name", "service"):
        for whole, source, index in re.findall(r"(\$\{(.+?):(\d+)\})", str(match.get(key, ""))):
            if source in ("account", "type", "name", "service") and str(match.get(source, "")).startswith("/"):
                found = _compiled(match[source][1:-1]).search(getattr(request, source))
                if found and int(index) <= len(found.groups()):
                    fields[whole] = found.group(int(index)) or ""
    text = "".join(str(match.get(key, "")) for key in ("account", "type", "name", "service"))
    labels = sorted(set(re.findall(r"\$\{labels:([^{}]+)\}", text)))
    for values in itertools.product(*(request.labels.get(label, ()) for label in labels)):
        yield fields | {f"${{labels:{label}}}": value for label, value in zip(labels, values, strict=True)}


def quote_meta(text: str) -> str:
    return re.sub(r"[\\.+*?()|\[\]{}^$]", lambda found: "\\" + found[0], text)


def match_string(pattern: str, text: str, placed: Mapping[str, str]) -> bool:
    filled = re.sub("|".join(map(re.escape, placed)), lambda found: placed[found[0]], pattern)
    if len(filled) > 2 and filled[0] == filled[-1] == "/":
        try:
            return _compiled(filled[1:-1]).search(text) is not None
        except re2.error:
            return False
    try:
        return path_match(filled, text)
    except BadPattern:
        return False


def path_match(pattern: str, text: str) -> bool:
    """Go's path.Match by going through all choices. Raises BadPattern where the pattern is met and is none."""
    if not pattern:
        return not text
    head, rest = pattern[0], pattern[1:]
    if head == "*":
        ends = range(len(text.partition("/")[0]) + 1)
        return any(path_match(rest, text[end:]) for end in ends)
    if head == "[":
        rest, is_in = _class(rest, text[:1])
        return bool(text) and is_in and path_match(rest, text[1:])
    if head == "?":
        return bool(text) and text[0] != "/" and path_match(rest, text[1:])
    if head == "\\":
        if not rest:
            raise BadPattern
        head, rest = rest[0], rest[1:]
    return text[:1] == head and path_match(rest, text[1:])


def _class(rest: str, character: str) -> tuple[str, bool]:
    is_negated = rest.startswith("^")
    rest = rest[is_negated:]
    is_in, count = False, 0
    while not (rest.startswith("]") and count):
        low, rest = _escape(rest)
        high = low
        if rest.startswith("-"):
            high, rest = _escape(rest[1:])
        is_in |= low <= character <= high
        count += 1
    return rest[1:], is_in != is_negated


def _escape(rest: str) -> tuple[str, str]:
    if not rest or rest[0] in "-]":
        raise BadPattern
    if rest[0] == "\\":
        rest = rest[1:]
    if len(rest) < 2:
        raise BadPattern
    return rest[0], rest[1:]
