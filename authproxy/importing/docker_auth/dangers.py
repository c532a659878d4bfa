"""Warnings about entries of docker_auth's ACL that rarely mean what was intended. They are imported unchanged."""

import re
from collections.abc import Iterator

from authproxy.importing.docker_auth.acl import Written
from authproxy.importing.docker_auth.path_match import Malformed, parse_path_match
from authproxy.importing.docker_auth.pattern import domain_of
from authproxy.importing.plain_regex import parse_plain_regex
from authproxy.importing.shapes import Wild

_LEAST_REGEX = 3
_WHOLE = ((Wild.ANY,), (Wild.SOME,))


def dangers_in(written: Written, *, has_anonymous: bool) -> Iterator[str]:
    """A sentence for each warning."""
    yield from _subjects(written, has_anonymous=has_anonymous)
    yield from _actions(written)
    patterns = [*written.fields.items(), *((f"label {key}", text) for key, text in written.labels.items())]
    for key, text in patterns:
        if key == "ip":
            continue
        if len(text) >= _LEAST_REGEX and text[0] == text[-1] == "/":
            yield from _regex(key, text)
        else:
            yield from _glob(key, text)
        if "${labels:" in text and key == "name":
            yield f"{key}: {text} puts a label's value in as it is: one with * is a pattern there"
        elif "${account:1}" in text and key == "name" and domain_of(written.fields.get("account", "")):
            yield f"{key}: {text} puts a part of the user's name in as it is: one with * is a pattern there"
    for key in written.empty:
        yield f'{key} has no value, which matches everything; nobody is meant by account: "" alone'
    for key in written.unknown:
        yield f"match.{key} is passed over there, so the entry matches more than it says; here it allows nothing"


def nothings_in(written: Written, *, has_anonymous: bool) -> Iterator[str]:
    """A sentence for each reason why the entry matches nothing, in docker_auth and here."""
    if written.actions and written.fields.get("account") == "" and not has_anonymous:
        yield 'is about callers without credentials, but no user "" is there: it matches nobody'
    for key, text in [*written.fields.items(), *((f"label {key}", text) for key, text in written.labels.items())]:
        if key == "ip" or (len(text) >= _LEAST_REGEX and text[0] == text[-1] == "/"):
            continue
        if re.search(r"(?<!\$)\{(account|type|name|service|labels:[^{}]*)\}", text):
            yield f"{key}: {text} has braces without $, which stand for themselves: no repository matches"
        elif key == "name" and re.search(r"[A-Z]", re.sub(r"\$\{[^{}]*\}", "", text)):
            yield f"{key}: {text} has capitals, which no repository's name has"
        try:
            parse_path_match(text)
        except Malformed as exc:
            yield f"{key}: {text} matches nothing: {exc}"


def _subjects(written: Written, *, has_anonymous: bool) -> Iterator[str]:
    if not written.actions:
        return
    account = written.fields.get("account")
    if account == "":
        if has_anonymous:
            yield f"gives {_listed(written)} to callers without credentials"
    elif account is None and not written.labels:
        what = written.fields.get("name", "everything")
        who = "everybody, with or without credentials" if has_anonymous else "every user"
        yield f"gives {_listed(written)} on {what} to {who}"


def _actions(written: Written) -> Iterator[str]:
    if written.actions == ("*",):
        if "type" not in written.fields and "name" not in written.fields:
            yield 'actions ["*"] without type or name: whatever is asked for, the list of all repositories too'
    elif "*" in written.actions:
        yield "* beside other actions is no more than a word: a client that asks for * gets a token for everything"


def _regex(key: str, text: str) -> Iterator[str]:
    body = text[1:-1]
    if "(?i" in body:
        yield f"{key}: {text} passes over case: Alice and alice are two users"
    shapes = parse_plain_regex(body)
    if shapes is not None and all(shape in _WHOLE for shape in shapes):
        return
    open_ends = [
        end
        for end, is_there in (
            ("begins", body.startswith(("^", "\\A", ".*", "(^"))),
            ("ends", body.endswith(("$", "\\z", ".*", "$)"))),
        )
        if not is_there
    ]
    if open_ends:
        what = " and ".join(open_ends)
        yield f"{key}: {text} is searched, and does not say how the text {what}: more matches than it seems"


def _glob(key: str, text: str) -> Iterator[str]:
    if "**" in text:
        yield f"{key}: {text} has **, which is no more than * there: it stops at a slash"


def _listed(written: Written) -> str:
    return ", ".join(written.actions)
