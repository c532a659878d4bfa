"""Rows that change nothing: paths, blobs, manifests and lists, as far as they are read."""

from authproxy.oci.media_types import OCI_IMAGE, OCI_INDEX
from tests.peers.row import ABSENT, NOWHERE, A, both, page, ranged, row
from tests.peers.stock import ACCEPT
from tests.support.registry import sha512

PATHS = [
    row("the base without its slash", "GET", "/v2", "a redirect has no page"),
    *both("the base", "/v2/"),
    row("no such path", "GET", "/v2/{g}/a"),
    row("no such path, deeper", "GET", "/v2/{g}/a/b/c/d"),
    row("a name in capitals", "GET", "/v2/{g}/A/tags/list", "a wrong name, tag or digest is told"),
    row("a name that begins with a dot", "GET", "/v2/{g}/.a/tags/list", "a wrong name, tag or digest is told"),
    row("an escaped name", "GET", "/v2/{g}/%61/tags/list", "tags are sorted"),
    row("a long name", "GET", f"/v2/{'a' * 255}/tags/list"),
    row("too long a name", "GET", f"/v2/{'a' * 256}/tags/list", "a wrong name or digest is no fault of the server"),
    row("two slashes", "GET", "/v2/{g}//a/tags/list"),
    row("two slashes for HEAD", "HEAD", "/v2/{g}//a/tags/list", "a redirect has no page"),
    row("two slashes in front", "GET", "//v2/_catalog"),
    row("a parent folder", "GET", "/v2/{g}/a/../a/tags/list", "one address for one thing"),
    row("a slash at the end", "GET", "/v2/{g}/a/tags/list/", "a redirect has no page"),
    row("a slash after the catalog", "GET", "/v2/_catalog/", "a redirect has no page"),
    row("a slash after a manifest", "GET", f"{A}/manifests/v1/", "a redirect has no page"),
    row("sessions are not listed", "GET", f"{A}/blobs/uploads/", "uploads cannot be listed"),
]

BLOBS = [
    *both("a blob", f"{A}/blobs/{{hello}}"),
    *both("a large blob", f"{A}/blobs/{{large}}"),
    *both("a blob of nothing", f"{A}/blobs/{{empty}}"),
    *both("a blob that is not there", f"{A}/blobs/{ABSENT}"),
    *both("a blob of another repository", f"{NOWHERE}/blobs/{{hello}}"),
    *both("a manifest as a blob", f"{A}/blobs/{{oci}}"),
    *both("a digest too short", f"{A}/blobs/sha256:ab"),
    *both("a digest of an unknown algorithm", f"{A}/blobs/md5:{'0' * 32}"),
    *both("no digest at all", f"{A}/blobs/hello", "a wrong name, tag or digest is told"),
    *ranged("first bytes", f"{A}/blobs/{{hello}}", Range="bytes=0-3"),
    *ranged("open range", f"{A}/blobs/{{hello}}", Range="bytes=4-"),
    *ranged("suffix", f"{A}/blobs/{{hello}}", Range="bytes=-4"),
    *ranged("suffix longer than the blob", f"{A}/blobs/{{hello}}", Range="bytes=-400"),
    *ranged("end past the blob", f"{A}/blobs/{{hello}}", Range="bytes=4-400"),
    *ranged("range in a large blob", f"{A}/blobs/{{large}}", Range="bytes=1000-250000"),
    *ranged("range past the blob", f"{A}/blobs/{{hello}}", "a wrong range is answered in JSON", Range="bytes=400-"),
    *ranged("inverted range", f"{A}/blobs/{{hello}}", "a wrong range is answered in JSON", Range="bytes=5-0"),
    *ranged("malformed range", f"{A}/blobs/{{hello}}", "a wrong range is answered in JSON", Range="bytes=x"),
    *ranged(
        "range of a blob of nothing", f"{A}/blobs/{{empty}}", "a wrong range is answered in JSON", Range="bytes=0-"
    ),
    *ranged("end of nothing", f"{A}/blobs/{{empty}}", "the end of nothing is the whole", Range="bytes=-5"),
    *ranged("suffix of nothing", f"{A}/blobs/{{hello}}", "an empty range is none", Range="bytes=-0"),
    *ranged("range of nothing", f"{A}/blobs/{{hello}}", "an empty range is none", Range="bytes="),
    *ranged("two ranges", f"{A}/blobs/{{hello}}", "many ranges at once are the whole", Range="bytes=0-1,3-4"),
    *ranged("a unit that nobody knows", f"{A}/blobs/{{hello}}", "an unknown unit is the whole", Range="lines=1-2"),
    *ranged("If-Range of this blob", f"{A}/blobs/{{hello}}", Range="bytes=1-2", If_Range='"{hello}"'),
    *ranged("If-Range of another", f"{A}/blobs/{{hello}}", Range="bytes=1-2", If_Range='"{empty}"'),
    *both("If-None-Match", f"{A}/blobs/{{hello}}", "304 says of what", If_None_Match='"{hello}"'),
    *both("weak If-None-Match", f"{A}/blobs/{{hello}}", "304 says of what", If_None_Match='W/"{hello}"'),
    *both("If-None-Match of any", f"{A}/blobs/{{hello}}", "304 says of what", If_None_Match="*"),
    *both("If-None-Match of another", f"{A}/blobs/{{hello}}", If_None_Match='"{empty}"'),
    *both(
        "If-None-Match without quotes",
        f"{A}/blobs/{{hello}}",
        "If-None-Match as the standard has it",
        If_None_Match="{hello}",
    ),
]

MANIFESTS = [
    *(row for tag in ("v1", "v2", "v10", "list") for row in both(tag, f"{A}/manifests/{tag}", Accept=ACCEPT)),
    *(
        row
        for name in ("oci", "docker", "index", "list")
        for row in both(f"{name} by digest", f"{A}/manifests/{{{name}}}", Accept=ACCEPT)
    ),
    *both("a tag that is not there", f"{A}/manifests/v3", Accept=ACCEPT),
    *both("a digest that is not there", f"{A}/manifests/{ABSENT}", Accept=ACCEPT),
    *both("a blob as a manifest", f"{A}/manifests/{{hello}}", "a blob is no manifest", Accept=ACCEPT),
    *both("a manifest of another repository", f"{NOWHERE}/manifests/{{oci}}", Accept=ACCEPT),
    *both("sha512 that is not there", f"{A}/manifests/{sha512(b'no')}", Accept=ACCEPT),
    *both("a wrong tag", f"{A}/manifests/-v1", Accept=ACCEPT),
    *both("a tag of OCI's conformance suite", f"{A}/manifests/.INVALID_MANIFEST_NAME", Accept=ACCEPT),
    *both("a long tag", f"{A}/manifests/{'t' * 128}", Accept=ACCEPT),
    *both("too long a tag", f"{A}/manifests/{'t' * 129}", Accept=ACCEPT),
    *both("a digest too short", f"{A}/manifests/sha256:ab", "a blob is no manifest", Accept=ACCEPT),
    *both("Docker's list for who takes none", f"{A}/manifests/list", "Accept does not change content"),
    *both("an index for who takes images", f"{A}/manifests/v10", "Accept does not change content", Accept=OCI_IMAGE),
    *both("an image for who takes an index", f"{A}/manifests/v1", "Accept does not change content", Accept=OCI_INDEX),
    *both("If-None-Match", f"{A}/manifests/v1", "304 says of what", Accept=ACCEPT, If_None_Match='"{oci}"'),
    *both(
        "weak If-None-Match",
        f"{A}/manifests/v1",
        "If-None-Match as the standard has it",
        Accept=ACCEPT,
        If_None_Match='W/"{oci}"',
    ),
    *both(
        "If-None-Match of what is not there",
        f"{A}/manifests/{ABSENT}",
        "304 only for what is there",
        Accept=ACCEPT,
        If_None_Match=f'"{ABSENT}"',
    ),
    *both("If-None-Match of another", f"{A}/manifests/v1", Accept=ACCEPT, If_None_Match='"{docker}"'),
]

LISTS = [
    *both("referrers of nothing", f"{A}/referrers/{ABSENT}", "referrers are listed"),
    *both("referrers of no digest", f"{A}/referrers/v1", "referrers are listed"),
    page("tags", f"{A}/tags/list", "tags are sorted"),
    page("one tag", "/v2/{g}/a-b/tags/list"),
    page("tags of nobody", f"{NOWHERE}/tags/list"),
    page("tags of blobs alone", "/v2/{g}/a/b/tags/list", "a repository without tags has none"),
    row("HEAD of tags", "HEAD", f"{A}/tags/list", "HEAD for every GET"),
    page("a page of tags", f"{A}/tags/list", "tags come in pages", n="2"),
    page("the next page of tags", f"{A}/tags/list", "tags come in pages", n="2", last="v1"),
    page("the last page of tags", f"{A}/tags/list", "tags come in pages", n="9", last="v10"),
    page("tags after one that is none", f"{A}/tags/list", "tags come in pages", last="v"),
    page("a page of no tags", f"{A}/tags/list", "tags come in pages", n="0"),
    page("a wrong n of tags", f"{A}/tags/list", "a wrong n is told", n="x"),
    page("a negative n of tags", f"{A}/tags/list", "a wrong n is told", n="-1"),
    page("the catalog", "/v2/_catalog", "the catalog is in the order of bytes", last="{g}/"),
    page("a page of the catalog", "/v2/_catalog", n="1", last="{g}/"),
    page("two of the catalog", "/v2/_catalog", "the catalog is in the order of bytes", n="2", last="{g}/"),
    page("the last of the catalog", "/v2/_catalog", n="2", last="zz"),
    page("a page of nothing", "/v2/_catalog", n="0"),
    page("too large a page", "/v2/_catalog", n="1001"),
    page("a wrong n of the catalog", "/v2/_catalog", "a wrong n is told", n="x"),
    page("a negative n of the catalog", "/v2/_catalog", "a wrong n is told", n="-1"),
    row("HEAD of the catalog", "HEAD", "/v2/_catalog", "HEAD for every GET"),
]

READING = [*PATHS, *BLOBS, *MANIFESTS, *LISTS]
