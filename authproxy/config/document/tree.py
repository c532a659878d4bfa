"""YAML as the operator wrote it: every scalar is text, every key and value knows its line.

YAML 1.1 would make `no` a boolean and `5000:30` a number whatever the key needs. Here a scalar stays text (null and the
empty scalar are None), and the model decides its type. A duplicate key is an error; anchors, aliases and merge keys
(`<<`) work, but aliases can't make a small file huge.

    Document ── root: Node
    Node ─┬─ MapNode    keys in their order, each with its own place
          ├─ ListNode
          └─ TextNode   text or None
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeAlias

import yaml

from authproxy.config.document.syntax_hints import explain_slip
from authproxy.errors import StartError
from authproxy.files.text import FileIsUtf16, read_content

Plain: TypeAlias = "dict[str, Plain] | list[Plain] | str | None"
KeyPath: TypeAlias = tuple[str | int, ...]

# How many nodes aliases may add to those that the text itself has. A usual file adds a few dozen.
MAX_ALIASED_NODES = 10_000

_TAG = "tag:yaml.org,2002:"
_KNOWN_TAGS = frozenset(
    _TAG + name for name in ("str", "int", "float", "bool", "null", "timestamp", "value", "merge", "map", "seq")
)
_TEXTS = (_TAG + "str", _TAG + "timestamp")  # a date stays text, unless the model asks for a date


class DocumentError(StartError):
    """A file that cannot be read or has faults: one line for each fault, `file:line: what is wrong; the fix`."""


class Place(NamedTuple):
    """Where something was written: `config.yml:12`, or a source without lines such as `REGISTRY_HTTP_ADDR`."""

    name: str
    line: int = 0  # from 1; 0 if the source has no lines

    def __str__(self) -> str:
        return f"{self.name}:{self.line}" if self.line else self.name


@dataclass(frozen=True, slots=True)
class TextNode:
    """A scalar, untyped. None is YAML's null: an empty value, `null` or `~`, unquoted."""

    text: str | None
    place: Place
    # Whether it is text in YAML 1.1 too, for code that needs to know how another program reads the file.
    is_text: bool = field(default=True, compare=False)


@dataclass(frozen=True, slots=True)
class ListNode:
    """A sequence."""

    items: tuple["Node", ...]
    place: Place


class Entry(NamedTuple):
    """One key's value, and the place of the key."""

    value: "Node"
    place: Place


@dataclass(frozen=True, slots=True)
class MapNode:
    """A mapping with text keys, in the order of the file."""

    entries: Mapping[str, Entry]
    place: Place


Node: TypeAlias = MapNode | ListNode | TextNode


@dataclass(frozen=True, slots=True)
class Document:
    """One parsed file, or the merge of several sources."""

    name: str
    root: Node

    def to_plain(self) -> Plain:
        """Nested dictionaries and lists of text and None, for a pydantic model to validate."""
        return to_plain(self.root)

    def find(self, path: KeyPath) -> Node | None:
        """The node at a path of keys and indexes, or None."""
        node: Node = self.root
        for step in path:
            child = _step(node, step)
            if child is None:
                return None
            node = child.value
        return node

    def place_of(self, path: KeyPath) -> Place:
        """Where the key at `path` is written; if there is none, its nearest parent."""
        node, place = self.root, self.root.place
        for step in path:
            child = _step(node, step)
            if child is None:
                break
            node, place = child
        return place

    def line_of(self, path: KeyPath) -> int:
        """The line, from 1, of the key at `path` or of its nearest parent; 0 if the source has no lines."""
        return self.place_of(path).line


def read_document(path: Path) -> Document:
    """Read and parse a UTF-8 file. Raises DocumentError, also if the file cannot be read."""
    return parse_document(read_text(path), str(path))


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, without a byte order mark. Raises DocumentError."""
    try:
        return read_content(path).decode("utf-8")
    except FileIsUtf16 as exc:
        raise DocumentError(str(exc)) from exc
    except OSError as exc:
        raise DocumentError(f"{path}: cannot be read: {exc.strerror or exc}") from exc
    except UnicodeDecodeError as exc:
        line = exc.object.count(b"\n", 0, exc.start) + 1
        raise DocumentError(f"{path}:{line}: a byte that is not UTF-8; save the file as UTF-8") from exc


def parse_document(text: str, name: str) -> Document:
    """Parse one YAML document; `name` is the name of the file in places and errors. Raises DocumentError.

    An empty text is a document whose root is None.
    """
    try:
        composed = yaml.compose(text, Loader=yaml.SafeLoader)
        if composed is None:
            return Document(name, TextNode(None, Place(name, 1)))
        return Document(name, _Converter(name, len(text) + MAX_ALIASED_NODES).convert(composed))
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        why = explain_slip(text, exc) or " ".join(part for part in (exc.problem, exc.context) if part)
        raise DocumentError(f"{Place(name, mark.line + 1 if mark else 0)}: not valid YAML: {why}") from exc
    except yaml.reader.ReaderError as exc:
        line = text.count("\n", 0, exc.position) + 1
        raise DocumentError(f"{name}:{line}: a control character that YAML does not allow; remove it") from exc
    except RecursionError as exc:
        raise DocumentError(f"{name}: nested too deeply to be read") from exc


def to_plain(node: Node) -> Plain:
    """The values below a node without their places."""
    match node:
        case MapNode():
            return {key: to_plain(entry.value) for key, entry in node.entries.items()}
        case ListNode():
            return [to_plain(item) for item in node.items]
        case TextNode():
            return node.text


def _step(node: Node, step: str | int) -> Entry | None:
    match node:
        case MapNode() if isinstance(step, str):
            return node.entries.get(step)
        case ListNode() if isinstance(step, int) and 0 <= step < len(node.items):
            return Entry(node.items[step], node.items[step].place)
        case _:
            return None


def _checked(text: str, place: Place) -> str:
    """The text. Raises DocumentError if it cannot be written as UTF-8: a surrogate, which an escape can make."""
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        code = ord(text[exc.start])
        raise DocumentError(f"{place}: the escape \\u{code:04x} is half of a character; write the character") from exc
    return text


@dataclass(slots=True)
class _Converter:
    """PyYAML's nodes → ours. Counts them, so that aliases of aliases end in an error before they fill the memory."""

    name: str
    budget: int  # nodes that may still be made
    open: set[int] = field(default_factory=set)  # ids of the nodes being converted: an alias to one is a circle

    def convert(self, node: yaml.Node) -> Node:
        place = self._place(node)
        self.budget -= 1
        if self.budget < 0:
            raise DocumentError(f"{place}: aliases make the file too large; write the values out")
        if id(node) in self.open:
            raise DocumentError(f"{place}: an alias to a value that contains it; write the value out")
        if node.tag not in _KNOWN_TAGS:
            raise DocumentError(
                f"{place}: unknown tag {node.tag}; remove it, or write a value that begins with ! in quotes"
            )
        self.open.add(id(node))
        try:
            match node:
                case yaml.MappingNode():
                    return MapNode(self._entries(node), place)
                case yaml.SequenceNode():
                    return ListNode(tuple(self.convert(item) for item in node.value), place)
                case _:
                    text = None if node.tag == _TAG + "null" else _checked(str(node.value), place)
                    return TextNode(text, place, is_text=node.tag in _TEXTS)
        finally:
            self.open.remove(id(node))

    def _entries(self, node: yaml.MappingNode) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        merged: dict[str, Entry] = {}
        for key_node, value_node in node.value:
            place = self._place(key_node)
            if key_node.tag == _TAG + "merge":
                for key, entry in self._merged(value_node).items():
                    merged.setdefault(key, entry)
                continue
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == _TAG + "null":
                raise DocumentError(
                    f"{place}: a key must be plain text; put one that begins with {{ or [ in quotes, and fill in a"
                    " template ({{ … }}) first"
                )
            _checked(key_node.value, place)
            if earlier := entries.get(key_node.value):
                raise DocumentError(
                    f"{place}: {key_node.value}: duplicate key, the first is in line {earlier.place.line}; keep one"
                )
            entries[key_node.value] = Entry(self.convert(value_node), place)
        return entries | {key: entry for key, entry in merged.items() if key not in entries}

    def _merged(self, node: yaml.Node) -> dict[str, Entry]:
        """The entries of `<<`: a mapping, or several of which the first wins (YAML 1.1, "Merge Key")."""
        converted = self.convert(node)
        sources = converted.items if isinstance(converted, ListNode) else (converted,)
        found: dict[str, Entry] = {}
        for source in sources:
            if not isinstance(source, MapNode):
                raise DocumentError(f"{self._place(node)}: << takes a mapping or a list of mappings")
            for key, entry in source.entries.items():
                found.setdefault(key, entry)
        return found

    def _place(self, node: yaml.Node) -> Place:
        return Place(self.name, node.start_mark.line + 1)
