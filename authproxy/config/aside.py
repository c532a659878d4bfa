"""Setting aside the keys of `later.py`, so that the model sees only what is in force."""

from typing import NamedTuple

from authproxy.config.deprecated import old_names_below
from authproxy.config.document.edit import without
from authproxy.config.document.messages import Fault, dotted, unknown_key
from authproxy.config.document.schema import at
from authproxy.config.document.tree import Document, KeyPath, MapNode, TextNode, to_plain
from authproxy.config.settings import Settings
from authproxy.config.unsupported import LATER

# Keys that only lead to keys of `later.py`: nothing in the model stands below them. The deepest come first.
GROUPS: tuple[KeyPath, ...] = tuple(
    sorted(
        {row.path[:end] for row in LATER for end in range(1, len(row.path)) if at(Settings, row.path[:end]) is None},
        key=lambda path: (-len(path), path),
    )
)


class Aside(NamedTuple):
    """A document without the keys that are not in force, and what they were."""

    document: Document
    faults: list[Fault]  # keys that must not be passed over
    passed_over: list[str]  # the others that ask for something: "redis (config.yml:3): what holds here; what to do"


def set_aside(document: Document) -> Aside:
    """Take the keys that are not in force out of a document."""
    root, faults, passed_over = document.root, [], []
    for row in LATER:
        node = document.find(row.path)
        if node is None:
            continue
        place = document.place_of(row.path)
        if row.stops and not row.is_harmless(to_plain(node)):
            faults.append(Fault(place, f"{place}: {row.key}: not supported here: {row.here}"))
        elif not row.is_harmless(to_plain(node)):
            passed_over.append((place, f"{row.key} ({place}): {row.here}"))
        root = without(root, row.path)
    rest = Document(document.name, root)
    for path in GROUPS:
        faults += _leftovers(rest, path)
        rest = Document(document.name, without(rest.root, path))
    return Aside(rest, faults, [told for _, told in sorted(passed_over)])


def may_follow(path: KeyPath) -> tuple[str, ...]:
    """The keys of `later.py`, and old names, that stand directly below a path."""
    found = (str(row.path[len(path)]) for row in LATER if row.path[: len(path)] == path and len(row.path) > len(path))
    return tuple(dict.fromkeys((*found, *old_names_below(path))))


def is_set_aside(path: KeyPath) -> bool:
    """Whether a row of `later.py` covers the path."""
    return any(path[: len(row.path)] == row.path for row in LATER)


def _leftovers(document: Document, path: KeyPath) -> list[Fault]:
    """The faults below a group: what is there and stands in no row."""
    match document.find(path):
        case MapNode() as node:
            return [unknown_key((*path, key), entry.place, may_follow(path)) for key, entry in node.entries.items()]
        case None | TextNode(text=None):
            return []
        case _:
            place, allowed = document.place_of(path), ", ".join(may_follow(path))
            return [Fault(place, f"{place}: {dotted(path)}: keys below it wanted here; allowed: {allowed}")]
