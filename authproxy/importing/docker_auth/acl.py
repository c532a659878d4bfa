"""Reads docker_auth's `acl:`, a list of entries of which the first match decides.

    acl:
      - match: {account: "/.+/", name: "${account}/*"}
        actions: ["*"]                # exactly this: all requested actions; []: none
        comment: Own space.

This module reads the texts only; `entry.py` interprets them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from authproxy.config.document.tree import MapNode, Node, TextNode
from authproxy.importing.nodes import entries_of, items_of, text_of, texts_of, wrong

_FIELDS = ("account", "type", "name", "service", "ip")


@dataclass(frozen=True, slots=True)
class Written:
    """One entry as written in the file."""

    line: int
    fields: Mapping[str, str]  # the present ones of account, type, name, service and ip
    labels: Mapping[str, str]
    actions: tuple[str, ...]
    comment: str
    unknown: tuple[str, ...]  # keys of `match` that docker_auth ignores
    empty: tuple[str, ...]  # keys without a value, which it treats as absent
    beside: tuple[str, ...] = ()  # other keys next to `match`, which it ignores


def read_acl(node: Node | None) -> tuple[Written, ...]:
    """The entries in order. Raises DocumentError if docker_auth would not start, or would crash."""
    return tuple(_written(item) for item in items_of(node, "acl"))


def _written(node: Node) -> Written:
    if not isinstance(node, MapNode):
        raise wrong(node, "acl: this is not an entry; allowed: {match: {…}, actions: […]}")
    entries = dict(node.entries)
    for key in ("match", "actions"):
        if key not in entries or _is_empty(entries[key].value):
            raise wrong(node, f"acl: this entry has no {key}, which docker_auth fails on; write it or remove the entry")
    match = entries_of(entries["match"].value, "match")
    fields = {key: value.value for key, value in match.items() if key in _FIELDS}
    labels = entries_of(match["labels"].value, "labels") if "labels" in match else {}
    comment = entries["comment"].value if "comment" in entries else None
    return Written(
        line=node.place.line,
        fields={key: text_of(value, key) for key, value in fields.items() if not _is_empty(value)},
        labels={key: text_of(value.value, key) for key, value in labels.items()},
        actions=texts_of(entries["actions"].value, "actions"),
        comment=text_of(comment, "comment") if comment and not _is_empty(comment) else "",
        unknown=tuple(sorted(match.keys() - {*_FIELDS, "labels"})),
        beside=tuple(sorted(entries.keys() - {"match", "actions", "comment"})),
        empty=tuple(key for key, value in fields.items() if _is_empty(value)),
    )


def _is_empty(node: Node) -> bool:
    return isinstance(node, TextNode) and node.text is None
