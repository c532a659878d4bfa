"""The request target for an upstream: the path and the query as the edge has read them.

Two readers of one text may read it in two ways. So escapes in the path are undone, as the edge undid them; and where a
request changes something, its query is written from the fields that registries know. A reading request and one to an
upload session keep theirs byte for byte: a registry may put any field into its `Link` and `Location`.
"""

from urllib.parse import unquote_to_bytes, urlencode

from authproxy.route import Kind, Route

# OCI Distribution 1.1, "Pushing blobs" and "Pushing manifests", with `tag`, `digest` and `digest-algorithm` of its next
# version. containerd names with `ns` the registry that it means, wherever it asks.
_KNOWN = {
    (Kind.UPLOADS, "POST"): frozenset({"digest", "digest-algorithm", "from", "mount", "ns"}),
    (Kind.MANIFEST, "PUT"): frozenset({"digest", "ns", "tag"}),
    (Kind.MANIFEST, "DELETE"): frozenset({"ns"}),
    (Kind.BLOB, "DELETE"): frozenset({"ns"}),
}


def sent_path(raw_path: bytes) -> bytes:
    """The path of a request that has been parsed as a Route: none of its characters needs an escape."""
    return unquote_to_bytes(raw_path) if b"%" in raw_path else raw_path


def sent_query(route: Route, query_string: bytes) -> bytes:
    """The query of a request whose fields are those of the route, but for what was taken off a session's."""
    known = _KNOWN.get((route.kind, route.method))
    if not query_string or known is None:
        return query_string
    return urlencode([pair for pair in route.query if pair[0] in known], safe=":/").encode("ascii")
