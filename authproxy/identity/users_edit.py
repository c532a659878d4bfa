"""Edits users.yaml as text: one user's lines change, everything else is kept byte for byte, comments included.

PyYAML gives the marks where nodes begin and end; text is inserted or removed between them. The result is parsed again,
and must have exactly the intended content: a file in a form that this cannot edit is refused, never damaged.
"""

from collections.abc import Mapping
from typing import Any

import yaml

from authproxy.config.document.tree import parse_document
from authproxy.errors import StartError
from authproxy.identity.expiry import to_scalar
from authproxy.identity.user_entry import UserEntry
from authproxy.identity.users import parse_users

_INDENT = "  "


def with_user(text: str, entry: UserEntry, name_of_file: str) -> str:
    """The file's text with this user's `entry`. Raises StartError if the file cannot be read or edited."""
    before = parse_users(parse_document(text, name_of_file))
    wanted = {**before, entry.name: entry}
    if before == wanted:
        return text
    pairs = _user_pairs(text)
    if pairs is None:
        return _checked(_with_section(text, wanted), wanted, name_of_file)
    old = next((pair for pair in pairs if pair[0].value == entry.name), None)
    if old is not None:
        start, end = old[0].start_mark.index, _end_of(text, old[1])
        return _checked(text[:start] + _dump(entry) + text[end:], wanted, name_of_file)
    indent = pairs[0][0].start_mark.column
    end = _end_of_line(text, _end_of(text, pairs[-1][1]))
    return _checked(text[:end] + "\n" + " " * indent + _dump(entry) + text[end:], wanted, name_of_file)


def without_user(text: str, name: str, name_of_file: str) -> str:
    """The file's text without this user. Raises StartError if the file cannot be read or edited."""
    before = parse_users(parse_document(text, name_of_file))
    wanted = {key: entry for key, entry in before.items() if key != name}
    if before == wanted:
        return text
    pairs = _user_pairs(text)
    if pairs is None or len(pairs) == 1:
        return _checked(_with_section(text, wanted), wanted, name_of_file)
    old = next(pair for pair in pairs if pair[0].value == name)
    start = text.rfind("\n", 0, old[0].start_mark.index) + 1
    end = _end_of_line(text, _end_of(text, old[1])) + 1
    return _checked(text[:start] + text[end:], wanted, name_of_file)


def _user_pairs(text: str) -> list[tuple[yaml.Node, yaml.Node]] | None:
    """The (name, item) nodes if `users` is a block mapping, with lines of its own for each user; otherwise None."""
    users = _find_users(text)
    if users is None or not isinstance(users[1], yaml.MappingNode) or users[1].flow_style or not users[1].value:
        return None
    return list(users[1].value)


def _find_users(text: str) -> tuple[yaml.Node, yaml.Node] | None:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        return None
    return next((pair for pair in root.value if pair[0].value == "users"), None)


def _with_section(text: str, wanted: Mapping[str, UserEntry]) -> str:
    """The text with the whole section written again: it is missing, empty, or in braces."""
    lines = [f"{_INDENT}{_dump(entry)}" for entry in wanted.values()]
    section = "users:\n" + "\n".join(lines) if lines else "users: {}"
    found = _find_users(text)
    if found is None:
        return f"{text.rstrip()}\n{section}\n".lstrip("\n")
    return text[: found[0].start_mark.index] + section + text[_end_of(text, found[1]) :]


def _end_of(text: str, node: yaml.Node) -> int:
    """Where a node's own text ends: PyYAML's end mark of a block is after the blank lines and comments that follow."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end_of(text, last[1] if isinstance(last, tuple) else last)
    start, end = int(node.start_mark.index), int(node.end_mark.index)
    return start + len(text[start:end].rstrip())


def _end_of_line(text: str, index: int) -> int:
    end = text.find("\n", index)
    return len(text) if end < 0 else end


def _dump(entry: UserEntry) -> str:
    """The user on one line: `alice: {groups: [team]}`."""
    item: dict[str, Any] = {"groups": sorted(entry.groups)}
    if entry.is_robot:
        item["robot"] = True
    if entry.disabled:
        item["disabled"] = True
    if entry.expires is not None:
        item["expires"] = to_scalar(entry.expires)
    if entry.hashed is not None:
        item["password"] = entry.hashed
    line = yaml.safe_dump(
        {entry.name: item}, default_flow_style=True, sort_keys=False, allow_unicode=True, width=float("inf")
    ).strip()
    return line[1:-1]  # the braces of the outer mapping


def _checked(text: str, wanted: Mapping[str, UserEntry], name_of_file: str) -> str:
    if parse_users(parse_document(text, name_of_file)) != wanted:
        raise StartError(f"{name_of_file}: this command cannot edit the file in its present form; edit it by hand")
    return text
