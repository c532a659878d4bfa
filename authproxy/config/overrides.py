"""REGISTRY_* variables: each replaces the value at one key path, in the order of their names.

`REGISTRY_HTTP_TLS_KEY` is http.tls.key; the value is YAML. CNCF Distribution, `configuration/parser.go`: a part of the
name is a key in upper case, or an index of a list, so a key with `_` in it cannot be set.

`REGISTRY_HTTP_SECRET_FILE` names a file that contains http.secret, as with the secrets of Docker's own images. If a
real key ends in `file`, such as audit.file, the variable is that key's.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from authproxy.config.document.edit import placed, with_value
from authproxy.config.document.messages import dotted
from authproxy.config.document.schema import at, below, fields_of, is_path, is_scalar, section_of
from authproxy.config.document.tree import (
    Document,
    DocumentError,
    Entry,
    KeyPath,
    ListNode,
    MapNode,
    Node,
    Place,
    TextNode,
    read_text,
)
from authproxy.config.document.tree import parse_document as parse
from authproxy.config.places import CONFIGURATION_PATH
from authproxy.config.settings import Settings
from authproxy.config.unsupported import is_set_aside, may_follow

PREFIX = "REGISTRY_"
IN_FILE = "_FILE"

# Longest value, in characters, that an error shows.
MAX_SHOWN = 80

_INDEX = re.compile(r"[0-9]{1,4}")

# In these, `auth: htpasswd` and `storage: filesystem` are short for a map with one empty section.
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
    """The document with the variables applied, and the names of those that match no key.

    Raises DocumentError if a value is not YAML, a file cannot be read, or an index leaves a gap.
    """
    unknown: list[str] = []
    document = expand_kinds(document)
    # A variable with _FILE is applied in the place of the variable without it.
    for name in sorted(environ, key=lambda name: (name.removesuffix(IN_FILE), name)):
        if not name.startswith(PREFIX) or name == CONFIGURATION_PATH:
            continue
        key = name.removeprefix(PREFIX)
        if (path := key_path(key.split("_"), document)) is not None:
            value = _value(name, path, environ[name])
        elif (path := _key_path_of_file(key, document)) is not None:
            value = _value_in_file(name, path, environ)
        else:
            unknown.append(name)
            continue
        document = expand_kinds(Document(document.name, with_value(document.root, path, value)))
    return document, sorted(unknown)


def key_path(parts: list[str], document: Document) -> KeyPath | None:
    """The key path of a variable, from the parts of its name, or None if there is no such key.

    In a free map, a key that the document already has keeps the document's spelling.
    """
    path: KeyPath = ()
    annotation: Any = Settings
    for part in parts:
        step = _next(part, path, annotation, document.find(path))
        if step is None:
            return None
        path, annotation = (*path, step), below(annotation, step)
    return path


def _key_path_of_file(key: str, document: Document) -> KeyPath | None:
    """The key path whose value a file has, or None. Not for sections: REGISTRY_AUTH_FILE is podman's own."""
    path = key_path(key.removesuffix(IN_FILE).split("_"), document) if key.endswith(IN_FILE) else None
    return None if path is None or section_of(at(Settings, path)) else path


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


def _value(name: str, path: KeyPath, text: str) -> Node:
    try:
        return placed(parse(text, name).root, Place(name))
    except DocumentError:
        # The parser's own message may quote the value, which may be a secret.
        annotation = at(Settings, path)
        takes_list = section_of(annotation) is None and below(annotation, 0) is not None
        is_short = len(text) <= MAX_SHOWN and text.isprintable() and not set(text) & set("\"'\\")
        shown = text if is_short and "Secret" not in repr(annotation) and is_public(path) else "…"
        example = f'["{shown}"]' if takes_list or _is_header(path) else f'"{shown}"'
        raise DocumentError(
            f"{name}: the value is not valid YAML; put it in quotes, inside the shell's quotes: {name}='{example}'"
        ) from None


def _is_header(path: KeyPath) -> bool:
    """Whether it is a map of headers, whose entries are lists."""
    return path[:2] == ("http", "headers")


def is_public(path: KeyPath) -> bool:
    """Whether the model has the key, so that its annotation says whether it is a secret."""
    return at(Settings, path) is not None


def _value_in_file(name: str, path: KeyPath, environ: Mapping[str, str]) -> Node:
    """The file's content without its last newline: text for a key that takes one value, otherwise YAML."""
    variable, file, key = name.removesuffix(IN_FILE), environ[name], dotted(path)
    if variable in environ:
        raise DocumentError(f"{variable} and {name}: both set {key}; remove one of them")
    annotation = at(Settings, path)
    if is_path(annotation):
        # Otherwise a private key would be taken for a path, and be in the message that there is no such file.
        raise DocumentError(f"{name}: {key} is itself the path of a file; write {variable}={file}")
    if not file:
        raise DocumentError(f"{name}: no file is named; write the path of a file that contains {key}")
    place = Place(f"{name} ({file})")
    try:
        text = read_text(Path(file)).removesuffix("\n").removesuffix("\r")
    except DocumentError as exc:
        raise DocumentError(f"{name}: {exc}") from None
    if not text:
        # An empty value would count as absent: the default would be in force, not the intended secret.
        raise DocumentError(f"{place}: the file is empty; write {key} into it")
    if is_scalar(annotation):
        return TextNode(text, place)
    try:
        return placed(parse(text, str(place)).root, place)
    except DocumentError:
        raise DocumentError(f"{place}: the file is not valid YAML, which {key} needs") from None
