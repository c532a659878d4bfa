"""Recognizes a configuration inside another file: a Kubernetes ConfigMap or Secret, the values of a Helm chart."""

from collections.abc import Collection, Iterator

from authproxy.config.document.tree import DocumentError, Entry, MapNode, Node, TextNode, parse_document
from authproxy.errors import StartError

# A wrapped configuration is a few keys deep.
_MAX_DEPTH = 6
_MAX_LOOKED_AT = 1000


def check_not_wrapped(root: Node, keys: Collection[str], name: str) -> None:
    """Raise DocumentError, with the place, if a map with all these keys is below a key of the file.

    For a file `name` that lacks the keys itself. The map may be keys, or the text of another file.
    """
    for count, (path, entry) in enumerate(_below(root, (), _MAX_DEPTH)):
        if count >= _MAX_LOOKED_AT:
            return
        node: Node | None = entry.value
        is_text = False
        if isinstance(node, TextNode) and node.text and "\n" in node.text:
            node, is_text = _parsed(node), True
        if isinstance(node, MapNode) and all(key in node.entries for key in keys):
            form = "as a text" if is_text else "as keys"
            kind = _kind(root)
            raise DocumentError(
                f"{entry.place}: the file is wrapped{f' in a {kind}' if kind else ''}: the content is below"
                f" {' → '.join(path)}, {form}; write it into a file of its own, and name that instead of {name}"
            )


def _below(node: Node, path: tuple[str, ...], depth: int) -> Iterator[tuple[tuple[str, ...], Entry]]:
    if not isinstance(node, MapNode) or depth == 0:
        return
    for key, entry in node.entries.items():
        yield (*path, key), entry
        yield from _below(entry.value, (*path, key), depth - 1)


def _parsed(node: TextNode) -> Node | None:
    try:
        return parse_document(node.text or "", "").root
    except StartError:
        return None


def _kind(root: Node) -> str:
    entry = root.entries.get("kind") if isinstance(root, MapNode) and "apiVersion" in root.entries else None
    return entry.value.text or "" if entry is not None and isinstance(entry.value, TextNode) else ""
