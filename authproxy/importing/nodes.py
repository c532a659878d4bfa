"""Reads files of other systems node by node; a wrong node raises a sentence with file, line and fix."""

import re
from pathlib import Path

from authproxy.config.document.tree import (
    Document,
    DocumentError,
    Entry,
    ListNode,
    MapNode,
    Node,
    Place,
    TextNode,
    parse_document,
    read_text,
)


def read_foreign(path: Path) -> Document:
    """Read a YAML or JSON file. Raises DocumentError."""
    text = read_text(path)
    if text.lstrip().startswith("{"):
        # JSON is YAML except for tabs between tokens and surrogate pairs of escapes.
        text = _ESCAPE.sub(_one_character, text.replace("\t", " "))
    return parse_document(text, str(path))


_ESCAPE = re.compile(r"\\(?:u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|.)", re.DOTALL)


def _one_character(found: re.Match[str]) -> str:
    if found[1] is None:
        return found[0]
    return bytes.fromhex(found[1] + found[2]).decode("utf-16-be")


def _checked(text: str, place: Place) -> str:
    if any("\ud800" <= c <= "\udfff" for c in text):
        raise DocumentError(f"{place}: half of a character, written as an escape; write the whole character")
    return text


def wrong(node: Node, what: str) -> DocumentError:
    """The error about a wrong node."""
    return DocumentError(f"{node.place}: {what}")


def entries_of(node: Node | None, key: str) -> dict[str, Entry]:
    """The entries of a map by key; empty if the node is missing or empty."""
    match node:
        case None | TextNode(text=None):
            return {}
        case MapNode():
            return {_checked(name, entry.place): entry for name, entry in node.entries.items()}
        case _:
            raise wrong(node, f"{key}: this is not a map; allowed: keys below it")


def items_of(node: Node | None, key: str) -> tuple[Node, ...]:
    """The items of a list; empty if the node is missing or empty."""
    match node:
        case None | TextNode(text=None):
            return ()
        case ListNode():
            return node.items
        case _:
            raise wrong(node, f"{key}: this is not a list; allowed: a list")


def texts_of(node: Node | None, key: str) -> tuple[str, ...]:
    """The items of a list of texts."""
    return tuple(text_of(item, key) for item in items_of(node, key))


def text_of(node: Node, key: str) -> str:
    """The text of a node with one value."""
    if isinstance(node, TextNode) and node.text is not None:
        return _checked(node.text, node.place)
    raise wrong(node, f"{key}: this is not a text; allowed: one value")


def value_of(entries: dict[str, Entry], key: str) -> Node | None:
    """The node of a key; None if it is missing."""
    return entries[key].value if key in entries else None
