"""A mount on its way to an upstream: the access it needs, and how it is changed if there are several upstreams."""

from dataclasses import replace

from authproxy import asgi
from authproxy.access import Access, pull
from authproxy.asgi import strip_fields
from authproxy.reference import Repository
from authproxy.route import Route


def accesses(route: Route) -> tuple[Access, ...]:
    """The accesses that a registry with its own tokens requires for a request: a mount also pulls from its source.

    Without that access CNCF Distribution refuses the whole upload, and does not open an ordinary one.
    """
    if route.mount is None or route.parameter("from") is None:
        return route.needs
    return (*route.needs, *map(pull, route.mount.sources or ()))


def without_mount(scope: asgi.Scope, route: Route) -> asgi.Scope:
    """The same request without the mount: an upload may always be started instead."""
    query = strip_fields(scope["query_string"], "mount", "from")
    return {**scope, "query_string": query, asgi.ROUTE: route.without_mount()}


def mount_from(scope: asgi.Scope, route: Route, sources: tuple[Repository, ...]) -> asgi.Scope:
    """The same request with these names of its sources; a query with `from` gets the first of them."""
    assert route.mount is not None
    query, pairs = scope["query_string"], route.query
    if route.parameter("from") is not None:
        query = b"&".join((strip_fields(query, "from"), b"from=" + sources[0].encode("ascii")))
        pairs = (*(pair for pair in pairs if pair[0] != "from"), ("from", str(sources[0])))
    mount = replace(route.mount, sources=sources)
    return {**scope, "query_string": query, asgi.ROUTE: replace(route, mount=mount, query=pairs)}
