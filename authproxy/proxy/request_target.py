"""The request target for an upstream: the path and the query as the edge has read them.

Two parsers may read one text differently. So escapes in the path are decoded, as the edge decoded them; and if a
request changes something, its query is written from the fields that registries know. A reading request and one to an
upload session keep theirs byte for byte: a registry may put any field into its `Link` and `Location`.
"""

from urllib.parse import unquote_to_bytes, urlencode

from authproxy.route import Kind, Route

# OCI Distribution 1.1, "Pushing blobs" and "Pushing manifests", with `tag`, `digest` and `digest-algorithm` of its next
# version. containerd sends the name of the intended registry in `ns`, with every request.
_KNOWN = {
    (Kind.UPLOADS, "POST"): frozenset({"digest", "digest-algorithm", "from", "mount", "ns"}),
    (Kind.MANIFEST, "PUT"): frozenset({"digest", "ns", "tag"}),
    (Kind.MANIFEST, "DELETE"): frozenset({"ns"}),
    (Kind.BLOB, "DELETE"): frozenset({"ns"}),
}


def sent_path(raw_path: bytes) -> bytes:
    """The path of a request that was parsed as a Route: none of its characters needs an escape."""
    return unquote_to_bytes(raw_path) if b"%" in raw_path else raw_path


def sent_query(route: Route, query_string: bytes) -> bytes:
    """The query for the upstream: all of it, or only known fields of the route where the request changes something."""
    known = _KNOWN.get((route.kind, route.method))
    if not query_string or known is None:
        return query_string
    return urlencode([pair for pair in route.query if pair[0] in known], safe=":/").encode("ascii")
