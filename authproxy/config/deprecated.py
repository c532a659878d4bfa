"""Keys of CNCF Distribution that have a new name: an old one counts if the new one is not set."""

from typing import NamedTuple

from authproxy.config.document.edit import with_value, without
from authproxy.config.document.messages import dotted
from authproxy.config.document.tree import Document, KeyPath, Node, TextNode

RENAMED: tuple[tuple[KeyPath, KeyPath], ...] = (
    (("loglevel",), ("log", "level")),
    (("storage", "cache", "layerinfo"), ("storage", "cache", "blobdescriptor")),
)


class Modern(NamedTuple):
    """A document without old names, and a notice for each: "loglevel (config.yml:2): the old name; write log.level"."""

    document: Document
    notices: list[str]


def modernize(document: Document) -> Modern:
    """Move the value of each old name to the new one; it keeps the place where it was written.

    Raises DocumentError if the new name's section is not a map.
    """
    root, notices = document.root, []
    for old, new in RENAMED:
        node = document.find(old)
        if _is_nothing(node):
            root = without(root, old)
            continue
        assert node is not None
        place = document.place_of(old)
        notices.append(f"{dotted(old)} ({place}): the old name; write {dotted(new)}")
        root = without(root, old)
        if _is_nothing(document.find(new)):
            root = with_value(root, new, node)
    return Modern(Document(document.name, root), notices)


def old_names_below(path: KeyPath) -> tuple[str, ...]:
    """The old keys directly below a path."""
    return tuple(str(old[-1]) for old, _ in RENAMED if old[:-1] == path)


def _is_nothing(node: Node | None) -> bool:
    return node is None or (isinstance(node, TextNode) and node.text in (None, ""))
