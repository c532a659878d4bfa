"""What stands below /v2/ (OCI Distribution 1.1, "Endpoints")."""

from dataclasses import dataclass
from operator import attrgetter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.access import CATALOG, Access
from authproxy.digest import Digest
from authproxy.errors import QueryTooLong, RegistryError
from authproxy.reference import Repository
from authproxy.route import Kind, Mount, parse_route

HEX = "a" * 64
DIGEST = f"sha256:{HEX}"


@dataclass(frozen=True)
class Good:
    what: str
    method: str
    path: str
    kind: Kind
    repository: str | None = None
    reference: object = None
    session: str | None = None
    actions: str = "pull"


GOOD = [
    Good("base", "GET", "/v2/", Kind.BASE, actions=""),
    Good("tags", "GET", "/v2/a/tags/list", Kind.TAGS, "a"),
    Good("manifest by tag", "HEAD", "/v2/a/b/manifests/v1", Kind.MANIFEST, "a/b", "v1"),
    Good("manifest by digest", "GET", f"/v2/a/manifests/{DIGEST}", Kind.MANIFEST, "a", Digest("sha256", HEX)),
    Good("escaped colon", "GET", f"/v2/a/manifests/sha256%3A{HEX}", Kind.MANIFEST, "a", Digest("sha256", HEX)),
    Good("push of a manifest", "PUT", "/v2/a/manifests/v1", Kind.MANIFEST, "a", "v1", actions="pull push"),
    Good("delete of a manifest", "DELETE", "/v2/a/manifests/v1", Kind.MANIFEST, "a", "v1", actions="delete"),
    Good("blob", "GET", f"/v2/a/blobs/{DIGEST}", Kind.BLOB, "a", Digest("sha256", HEX)),
    Good("start of an upload", "POST", "/v2/a/blobs/uploads/", Kind.UPLOADS, "a", actions="pull push"),
    Good("start without the slash", "POST", "/v2/a/blobs/uploads", Kind.UPLOADS, "a", actions="pull push"),
    Good("chunk", "PATCH", "/v2/a/blobs/uploads/x-1", Kind.UPLOAD, "a", session="x-1", actions="pull push"),
    Good("status", "GET", "/v2/a/blobs/uploads/x-1", Kind.UPLOAD, "a", session="x-1"),
    Good("cancel is part of pushing", "DELETE", "/v2/a/blobs/uploads/x", Kind.UPLOAD, "a", None, "x", "pull push"),
    Good("referrers", "GET", f"/v2/a/referrers/{DIGEST}", Kind.REFERRERS, "a", Digest("sha256", HEX)),
    Good("all manifests", "GET", "/v2/a/b/_authproxy/content/manifests", Kind.MANIFESTS, "a/b"),
    Good("a name that holds a keyword", "GET", "/v2/a/manifests/b/tags/list", Kind.TAGS, "a/manifests/b"),
    Good("a name that ends in blobs/uploads", "GET", "/v2/a/blobs/uploads/tags/list", Kind.TAGS, "a/blobs/uploads"),
]


@pytest.mark.parametrize("row", GOOD, ids=attrgetter("what"))
def test_path(row: Good) -> None:
    route = parse_route(row.method, row.path.encode(), b"")
    assert (route.kind, route.repository, route.reference, route.session) == (
        row.kind,
        row.repository,
        row.reference,
        row.session,
    )
    assert route.needs == tuple(Access("repository", row.repository or "", action) for action in row.actions.split())


def test_the_catalog_needs_its_own_access() -> None:
    assert parse_route("GET", b"/v2/_catalog", b"n=5").needs == (CATALOG,)


REFUSED = [
    ("upper case in a name", "GET", "/v2/A/tags/list", "NAME_INVALID", 400),
    ("parent folder", "GET", "/v2/../../etc/tags/list", "NAME_INVALID", 400),
    ("escaped parent folder", "GET", "/v2/a/%2e%2e/b/tags/list", "NAME_INVALID", 400),
    ("empty component", "GET", "/v2/a//b/tags/list", "NAME_INVALID", 400),
    ("name of 256 characters", "GET", f"/v2/{'a' * 256}/tags/list", "NAME_INVALID", 400),
    ("line break in a name", "GET", "/v2/a%0a/tags/list", "NAME_INVALID", 400),
    ("bytes past ASCII", "GET", "/v2/%ff/tags/list", "NAME_INVALID", 400),
    ("tag that begins with a dot", "GET", "/v2/a/manifests/.x", "MANIFEST_UNKNOWN", 404),
    ("tag that begins with a dot, written", "PUT", "/v2/a/manifests/.x", "TAG_INVALID", 400),
    ("tag of 129 characters", "HEAD", f"/v2/a/manifests/{'t' * 129}", "MANIFEST_UNKNOWN", 404),
    ("tag of 129 characters, removed", "DELETE", f"/v2/a/manifests/{'t' * 129}", "TAG_INVALID", 400),
    ("unknown algorithm", "GET", "/v2/a/blobs/md5:abc", "DIGEST_INVALID", 400),
    ("hex in upper case", "GET", f"/v2/a/blobs/sha256:{'A' * 64}", "DIGEST_INVALID", 400),
    ("digest that is a path", "GET", f"/v2/a/blobs/sha256:..%2f{HEX}", "UNSUPPORTED", 404),
    ("sha512 of sha256's length", "GET", f"/v2/a/blobs/sha512:{HEX}", "DIGEST_INVALID", 400),
    ("catalog with a slash behind", "GET", "/v2/_catalog/", "UNSUPPORTED", 404),
    ("catalog with slashes before", "GET", "/v2//_catalog", "UNSUPPORTED", 404),
    ("unknown endpoint", "GET", "/v2/a/nothing/b", "UNSUPPORTED", 404),
    ("session with a space", "GET", "/v2/a/blobs/uploads/a%20b", "UNSUPPORTED", 404),
    ("method that the path does not take", "POST", "/v2/a/tags/list", "UNSUPPORTED", 405),
]


@pytest.mark.parametrize(("what", "method", "path", "code", "status"), REFUSED, ids=[row[0] for row in REFUSED])
def test_refused_path(what: str, method: str, path: str, code: str, status: int) -> None:
    with pytest.raises(RegistryError) as caught:
        parse_route(method, path.encode(), b"")
    assert (caught.value.code, caught.value.status) == (code, status)


MOUNTS = [
    ("whole", f"mount={DIGEST}&from=b/c", Mount(Digest("sha256", HEX), (Repository("b/c"),))),
    ("escaped", f"from=b%2Fc&mount=sha256%3A{HEX}", Mount(Digest("sha256", HEX), (Repository("b/c"),))),
    ("without a source", f"mount={DIGEST}", Mount(Digest("sha256", HEX), None)),
    ("with an empty source", f"mount={DIGEST}&from=", None),
    ("without a digest", "from=b", None),
    ("two sources", f"mount={DIGEST}&from=b&from=c", None),
    ("two digests", f"mount={DIGEST}&mount={DIGEST}&from=b", None),
    ("malformed digest", "mount=sha256:x&from=b", None),
    ("malformed source", f"mount={DIGEST}&from=../b", None),
]


@pytest.mark.parametrize(("what", "query", "mount"), MOUNTS, ids=[row[0] for row in MOUNTS])
def test_mount(what: str, query: str, mount: Mount | None) -> None:
    assert parse_route("POST", b"/v2/a/blobs/uploads/", query.encode()).mount == mount


def test_a_route_without_its_mount_has_lost_the_query_fields_too() -> None:
    route = parse_route("POST", b"/v2/a/blobs/uploads/", f"x=1&mount={DIGEST}&from=b".encode()).without_mount()
    assert (route.mount, route.query) == (None, (("x", "1"),))


def test_a_query_of_too_many_fields_is_refused() -> None:
    parse_route("GET", b"/v2/_catalog", b"&".join([b"n=1"] * 64))
    with pytest.raises(QueryTooLong):
        parse_route("GET", b"/v2/_catalog", b"&".join([b"n=1"] * 65))


@given(st.sampled_from(["GET", "PUT", "POST", "DELETE", "PATCH"]), st.binary(max_size=80), st.binary(max_size=40))
def test_nothing_but_a_route_or_our_error_comes_of_any_input(method: str, path: bytes, query: bytes) -> None:
    try:
        parse_route(method, b"/v2/" + path, query)
    except RegistryError as error:
        assert error.status in (400, 404, 405, 414)
