"""REGISTRY_* variables: each replaces the value at one key path, in the order of their names.

`REGISTRY_HTTP_TLS_KEY` is http.tls.key; the value is YAML. CNCF Distribution, `configuration/parser.go`: a part of the
name is a key in upper case, or an index of a list, so that a key with `_` in it cannot be reached.
"""

import re
from collections.abc import Mapping
from typing import Any

from authproxy.config.aside import is_set_aside, may_follow
from authproxy.config.document import Document, DocumentError, Entry, KeyPath, ListNode, MapNode, Node, Place, TextNode
from authproxy.config.document import parse_document as parse
from authproxy.config.edit import placed, with_value
from authproxy.config.model import Settings
from authproxy.config.schema import below, fields_of, section_of

PREFIX = "REGISTRY_"
CONFIGURATION_PATH = "REGISTRY_CONFIGURATION_PATH"  # where the file is, and no key of it

_INDEX = re.compile(r"[0-9]{1,4}")

# `auth: htpasswd` and `storage: filesystem` are short for a map with one empty section.
_KINDS: tuple[KeyPath, ...] = (("auth",), ("storage",))


def expand_kinds(document: Document) -> Document:
    """The document with `auth: KIND` and `storage: KIND` written out as `auth: {KIND: }`."""
    root = document.root
    for path in _KINDS:
        node = document.find(path)
        if isinstance(node, TextNode) and node.text:
            entry = Entry(TextNode(None, node.place), document.place_of(path))
            root = with_value(root, path, MapNode({node.text: entry}, entry.place))
    return Document(document.name, root)


def apply_overrides(document: Document, environ: Mapping[str, str]) -> tuple[Document, list[str]]:
    """The document with the variables applied, and the names of those that are no key.

    Raises DocumentError where a value is not YAML, or an index leaves a gap.
    """
    unknown: list[str] = []
    document = expand_kinds(document)
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name == CONFIGURATION_PATH:
            continue
        path = key_path(name.removeprefix(PREFIX).split("_"), document)
        if path is None:
            unknown.append(name)
            continue
        root = with_value(document.root, path, _value(name, environ[name]))
        document = expand_kinds(Document(document.name, root))
    return document, unknown


def key_path(parts: list[str], document: Document) -> KeyPath | None:
    """The key path that the parts of a variable's name stand for, or None where there is no such key.

    The document decides how the keys of free maps are written: where one is there already, as it stands there.
    """
    path: KeyPath = ()
    annotation: Any = Settings
    for part in parts:
        step = _next(part, path, annotation, document.find(path))
        if step is None:
            return None
        path, annotation = (*path, step), below(annotation, step)
    return path


def _next(part: str, path: KeyPath, annotation: Any, node: Node | None) -> str | int | None:
    """The key or index that `part` names below `path`, or None."""
    section = section_of(annotation)
    known: tuple[str, ...] = (*(fields_of(section) if section else ()), *may_follow(path))
    for key in known:
        if key.upper() == part:
            return key
    if section:
        return None
    if isinstance(node, ListNode) or below(annotation, 0) is not None:
        return int(part) if _INDEX.fullmatch(part) else None
    if not part or (below(annotation, part) is None and not is_set_aside(path)):
        return None
    present = node.entries if isinstance(node, MapNode) else {}
    return next((key for key in present if key.upper() == part), part.lower())


def _value(name: str, text: str) -> Node:
    try:
        return placed(parse(text, name).root, Place(name))
    except DocumentError:
        # YAML's own words may quote the value, which may be a secret.
        raise DocumentError(
            f"{name}: the value is not valid YAML; put it in quotes, inside those of the shell"
        ) from None
