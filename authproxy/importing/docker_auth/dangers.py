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
            yield f"{key}: {text} inserts a label's value unescaped: a value with * is a pattern there"
        elif "${account:1}" in text and key == "name" and domain_of(written.fields.get("account", "")):
            yield f"{key}: {text} inserts a part of the user's name unescaped: a name with * is a pattern there"
    for key in written.empty:
        yield f'{key} has no value, which matches everything; callers without credentials are account: ""'
    for key in written.unknown:
        yield f"match.{key} is ignored there, so the entry matches more than it says; here it allows nothing"


def nothings_in(written: Written, *, has_anonymous: bool) -> Iterator[str]:
    """A sentence for each reason why the entry matches nothing, in docker_auth and here."""
    if written.actions and written.fields.get("account") == "" and not has_anonymous:
        yield 'is about callers without credentials, but there is no user "": it matches no caller'
    for key, text in [*written.fields.items(), *((f"label {key}", text) for key, text in written.labels.items())]:
        if key == "ip" or (len(text) >= _LEAST_REGEX and text[0] == text[-1] == "/"):
            continue
        if re.search(r"(?<!\$)\{(account|type|name|service|labels:[^{}]*)\}", text):
            yield f"{key}: {text} has braces without $, which are literal: no repository matches"
        elif key == "name" and re.search(r"[A-Z]", re.sub(r"\$\{[^{}]*\}", "", text)):
            yield f"{key}: {text} has capitals, which no repository name has"
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
            yield 'actions ["*"] without type or name: everything that is requested, including the list of repositories'
    elif "*" in written.actions:
        yield "* among other actions is just a word: a client that requests * gets a token for everything"


def _regex(key: str, text: str) -> Iterator[str]:
    body = text[1:-1]
    if "(?i" in body:
        yield f"{key}: {text} ignores case, but Alice and alice are two users"
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
        yield f"{key}: {text} is searched, and leaves open how the text {what}: it matches more than it seems to"


def _glob(key: str, text: str) -> Iterator[str]:
    if "**" in text:
        yield f"{key}: {text} has **, which only means * there: it stops at a slash"


def _listed(written: Written) -> str:
    return ", ".join(written.actions)
