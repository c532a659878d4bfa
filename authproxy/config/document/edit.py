"""Makes changed copies of a document's tree, which is itself frozen."""

from dataclasses import replace

from authproxy.config.document.tree import DocumentError, Entry, KeyPath, ListNode, MapNode, Node, Place, TextNode


def with_value(node: Node | None, path: KeyPath, value: Node) -> Node:
    """The tree with `value` at `path`. Missing maps are made; a list takes an existing index, or the next one.

    Raises DocumentError, with the value's place, if the path leads through something else.
    """
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(node, TextNode) and node.text is None:
        node = None
    if isinstance(step, str) and isinstance(node, MapNode | None):
        entries = dict(node.entries) if node else {}
        old = entries.get(step)
        place = old.place if old and rest else value.place
        entries[step] = Entry(with_value(old.value if old else None, rest, value), place)
        return MapNode(entries, node.place if node else value.place)
    if isinstance(step, int) and isinstance(node, ListNode | None):
        items = list(node.items) if node else []
        if step > len(items):
            raise DocumentError(f"{value.place}: the list has {len(items)} entries, so the next index is {len(items)}")
        items[step : step + 1] = [with_value(items[step] if step < len(items) else None, rest, value)]
        return ListNode(tuple(items), node.place if node else value.place)
    lacking = "entries" if isinstance(step, int) else "keys"
    raise DocumentError(f"{value.place}: its parent has no {lacking}: {node.place if node else ''}")


def without(node: Node, path: KeyPath) -> Node:
    """The tree without the key at `path`, which must have only map keys; the same tree if there is no such key."""
    if not isinstance(node, MapNode) or not isinstance(path[0], str) or path[0] not in node.entries:
        return node
    step, rest = path[0], path[1:]
    entries = dict(node.entries)
    if rest:
        entries[step] = entries[step]._replace(value=without(entries[step].value, rest))
    else:
        del entries[step]
    return MapNode(entries, node.place)


def placed(node: Node, place: Place) -> Node:
    """The same values, all with one place."""
    match node:
        case MapNode():
            return MapNode({key: Entry(placed(e.value, place), place) for key, e in node.entries.items()}, place)
        case ListNode():
            return ListNode(tuple(placed(item, place) for item in node.items), place)
        case TextNode():
            return replace(node, place=place)


def from_values(value: object, place: Place) -> Node:
    """A tree of a program's own values: text, paths, numbers, booleans, dictionaries, lists and None."""
    match value:
        case dict():
            return MapNode({str(key): Entry(from_values(child, place), place) for key, child in value.items()}, place)
        case list() | tuple():
            return ListNode(tuple(from_values(item, place) for item in value), place)
        case None:
            return TextNode(None, place)
        case bool():
            return TextNode(str(value).lower(), place)
        case _:
            return TextNode(str(value), place)
