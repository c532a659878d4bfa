"""A request under /v2/, parsed once into a frozen value (OCI Distribution 1.1, "Endpoints").

    /v2/                                    BASE
    /v2/_catalog                            CATALOG
    /v2/<name>/tags/list                    TAGS
    /v2/<name>/manifests/<tag or digest>    MANIFEST
    /v2/<name>/blobs/<digest>               BLOB
    /v2/<name>/blobs/uploads/               UPLOADS
    /v2/<name>/blobs/uploads/<session>      UPLOAD
    /v2/<name>/referrers/<digest>           REFERRERS
    /v2/<name>/_authproxy/content/manifests MANIFESTS ("Extensions": no client of another registry needs it)

A name may itself contain the words `blobs`, `tags` or `manifests`; the last one in the path decides.
"""

import functools
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from urllib.parse import parse_qsl, unquote_to_bytes

from authproxy.access import CATALOG, Access, delete, pull, push
from authproxy.digest import Digest, parse_digest
from authproxy.errors import (
    DigestInvalid,
    EndpointUnknown,
    ManifestUnknown,
    NameInvalid,
    QueryTooLong,
    TagInvalid,
    Unsupported,
)
from authproxy.reference import Repository, Tag, parse_reference, parse_repository, parse_tag

# Far more fields than any client sends, including tags to set (`?tag=`). A longer query is an attack on memory.
MAX_QUERY_FIELDS = 64


class Kind(StrEnum):
    """What a path addresses."""

    BASE = "base"
    CATALOG = "catalog"
    TAGS = "tags"
    MANIFEST = "manifest"
    BLOB = "blob"
    UPLOADS = "uploads"
    UPLOAD = "upload"
    REFERRERS = "referrers"
    MANIFESTS = "manifests"


METHODS = {
    Kind.BASE: ("GET", "HEAD"),
    Kind.CATALOG: ("GET", "HEAD"),
    Kind.TAGS: ("GET", "HEAD"),
    Kind.MANIFEST: ("GET", "HEAD", "PUT", "DELETE"),
    Kind.BLOB: ("GET", "HEAD", "DELETE"),
    Kind.UPLOADS: ("POST",),
    Kind.UPLOAD: ("GET", "HEAD", "PATCH", "PUT", "DELETE"),
    Kind.REFERRERS: ("GET", "HEAD"),
    Kind.MANIFESTS: ("GET", "HEAD"),
}


@dataclass(frozen=True, slots=True)
class Mount:
    """`?mount=<digest>&from=<repository>`: use a blob that the registry already has."""

    digest: Digest
    sources: tuple[Repository, ...] | None  # where to look, in order; None: the registry chooses


@dataclass(frozen=True, slots=True)
class Route:
    """One request under /v2/: every field has been validated, so it is safe in a path or a query."""

    kind: Kind
    method: str
    needs: tuple[Access, ...] = ()  # all must be granted; empty: any valid token
    repository: Repository | None = None  # None for /v2/ and the catalog
    reference: Tag | Digest | None = None  # blobs and referrers: always a Digest
    session: str | None = None  # uploads; its form belongs to the registry that made it
    mount: Mount | None = None
    query: tuple[tuple[str, str], ...] = ()

    def parameter(self, name: str) -> str | None:
        """The first value of a query parameter, or None."""
        return next((value for key, value in self.query if key == name), None)

    @property
    def tags(self) -> tuple[Tag, ...]:
        """The tags that a request for a manifest names: the one in its path, or those of a push by digest, `?tag=`.

        Each once. A malformed `?tag=` is left out: the backend answers that.
        """
        if not isinstance(self.reference, Digest):
            return () if self.reference is None else (self.reference,)
        if (self.kind, self.method) != (Kind.MANIFEST, "PUT"):
            return ()
        return tuple(dict.fromkeys(_valid_tags(value for key, value in self.query if key == "tag")))

    def without_mount(self) -> "Route":
        """The same request as an ordinary start of an upload."""
        query = tuple(pair for pair in self.query if pair[0] not in ("mount", "from"))
        return replace(self, mount=None, query=query)


# A session's id is opaque: CNCF Distribution's pattern for it, with a limit on its length.
_SESSION = re.compile(r"[A-Za-z0-9_.=-]{1,255}")

# The list of all manifests of a repository, below its path.
MANIFEST_LIST = "_authproxy/content/manifests"

# Greedy names: the last word in the path decides.
_PATHS = (
    (Kind.TAGS, re.compile(r"(?P<name>.+)/tags/list", re.DOTALL)),
    (Kind.UPLOADS, re.compile(r"(?P<name>.+)/blobs/uploads/?", re.DOTALL)),
    (Kind.UPLOAD, re.compile(r"(?P<name>.+)/blobs/uploads/(?P<last>[^/]+)", re.DOTALL)),
    (Kind.MANIFEST, re.compile(r"(?P<name>.+)/manifests/(?P<last>[^/]+)", re.DOTALL)),
    (Kind.BLOB, re.compile(r"(?P<name>.+)/blobs/(?P<last>[^/]+)", re.DOTALL)),
    (Kind.REFERRERS, re.compile(r"(?P<name>.+)/referrers/(?P<last>[^/]+)", re.DOTALL)),
    (Kind.MANIFESTS, re.compile(rf"(?P<name>.+)/{MANIFEST_LIST}", re.DOTALL)),
)


def parse_route(method: str, raw_path: bytes, query_string: bytes) -> Route:
    """Read a request line below /v2/. The routes of GET and HEAD are cached: clients repeat the same few.

    Percent-escapes are decoded once, as every registry does. Raises NameInvalid, TagInvalid, DigestInvalid,
    ManifestUnknown (a read of a manifest by neither tag nor digest), EndpointUnknown (no such path), Unsupported (a
    method that the path does not support) and QueryTooLong.
    """
    if method in ("GET", "HEAD") and len(raw_path) + len(query_string) <= MAX_REMEMBERED:
        return _parse_remembered(method, raw_path, query_string)
    return _parse(method, raw_path, query_string)


def _parse(method: str, raw_path: bytes, query_string: bytes) -> Route:
    query = _parse_query(query_string)
    path = _unescape(raw_path).removeprefix("/v2/")
    if path == "":
        return _checked(Route(Kind.BASE, method, query=query))
    if path == "_catalog":
        return _checked(Route(Kind.CATALOG, method, (CATALOG,), query=query))
    for kind, pattern in _PATHS:
        if match := pattern.fullmatch(path):
            return _parse_below_repository(kind, method, match, query)
    raise EndpointUnknown(detail={"path": path[:300]})


# Longest path with its query, in bytes, that is cached: a repository name and a digest fit.
MAX_REMEMBERED = 400
_parse_remembered = functools.lru_cache(maxsize=4096)(_parse)


def _parse_below_repository(kind: Kind, method: str, match: re.Match[str], query: tuple[tuple[str, str], ...]) -> Route:
    repository = parse_repository(match["name"])
    route = Route(kind, method, _needs(kind, method, repository), repository, query=query)
    match kind:
        case Kind.MANIFEST:
            route = replace(route, reference=_parse_reference(method, match["last"]))
        case Kind.BLOB | Kind.REFERRERS:
            route = replace(route, reference=parse_digest(match["last"]))
        case Kind.UPLOAD if _SESSION.fullmatch(match["last"]):
            route = replace(route, session=match["last"])
        case Kind.UPLOAD:
            raise EndpointUnknown(detail={"session": match["last"][:300]})
        case Kind.UPLOADS:
            route = replace(route, mount=_parse_mount(route))
        case _:
            pass
    return _checked(route)


def _parse_reference(method: str, text: str) -> Tag | Digest:
    """The tag or digest of a manifest. Nothing else names a manifest, so a read of anything else is 404.

    OCI's conformance suite 1.1.1 wants it for GET and HEAD of `.INVALID_MANIFEST_NAME`; a write there is 400.
    """
    try:
        return parse_reference(text)
    except (TagInvalid, DigestInvalid) as exc:
        if method in ("GET", "HEAD"):
            raise ManifestUnknown(
                f"no manifest has this reference, which is neither a tag nor a digest: {exc}", detail=exc.detail
            ) from exc
        raise


def _needs(kind: Kind, method: str, repository: Repository) -> tuple[Access, ...]:
    """The access that each call needs (Docker token authentication). Cancelling one's own upload is part of a push."""
    if method in ("GET", "HEAD"):
        return (pull(repository),)
    if method == "DELETE" and kind is not Kind.UPLOAD:
        return (delete(repository),)
    return (pull(repository), push(repository))


def _parse_mount(route: Route) -> Mount | None:
    """None if there is no mount or a malformed one: it is an ordinary upload then, which is always allowed.

    A repeated field is malformed too: a registry behind us might read the other value.
    """
    digests = [value for key, value in route.query if key == "mount"]
    sources = [value for key, value in route.query if key == "from"]
    if len(digests) != 1 or len(sources) > 1:
        return None
    try:
        return Mount(parse_digest(digests[0]), tuple(parse_repository(source) for source in sources) or None)
    except (DigestInvalid, NameInvalid):
        return None


def _valid_tags(texts: Iterable[str]) -> Iterator[Tag]:
    for text in texts:
        with suppress(TagInvalid):
            yield parse_tag(text)


def _checked(route: Route) -> Route:
    allowed = METHODS[route.kind]
    if route.method not in allowed:
        raise Unsupported(f"{route.method} is not supported here", headers=[("Allow", ", ".join(allowed))])
    return route


def _unescape(raw_path: bytes) -> str:
    # Every grammar below is ASCII, so the replacement of bytes that are not UTF-8 shows in messages only.
    return unquote_to_bytes(raw_path).decode("utf-8", "replace")


def _parse_query(query_string: bytes) -> tuple[tuple[str, str], ...]:
    if not query_string:
        return ()
    try:
        return tuple(
            parse_qsl(query_string.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MAX_QUERY_FIELDS)
        )
    except ValueError:
        raise QueryTooLong(f"a query has at most {MAX_QUERY_FIELDS} fields") from None
