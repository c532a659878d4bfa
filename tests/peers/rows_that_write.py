"""Rows that write: upload sessions, mounts, manifests and deletes, and what is to be read after them."""

from authproxy.oci.media_types import OCI_IMAGE
from tests.peers.differences import GONE_BY_ALL_NAMES
from tests.peers.row import ABSENT, NOWHERE, A, put, row, session
from tests.peers.stock import ACCEPT, BLOBS, MANIFESTS, REFUSED
from tests.support.registry import sha256, sha512

UPLOADS = f"{A}/blobs/uploads/"
NOBODY = f"{UPLOADS}00000000-0000-0000-0000-000000000000"
HELLO = {"digest": "{hello}"}
HELLO_512 = {"digest": sha512(BLOBS["hello"])}
WORLD = b" world"
_UNNEEDED = b"hello again"
OCI, INDEX = ((MANIFESTS[name].content, MANIFESTS[name].media_type) for name in ("oci", "index"))


def _at(place: str) -> dict[str, str]:
    return {"Content-Range": place, "Content-Type": "application/octet-stream"}


# fmt: off
PATHS = [
    row("a method that the base has not", "POST", "/v2/", "the base takes GET and HEAD alone"),
    row("PUT of a blob", "PUT", f"{A}/blobs/{{hello}}"),
    row("POST of a manifest", "POST", f"{A}/manifests/v1"),
    row("DELETE of the tags", "DELETE", f"{A}/tags/list"),
    row("uploads without the slash", "POST", f"{A}/blobs/uploads", "uploads without the slash"),
]

_INDEX = row("an index", "PUT", f"{NOWHERE}/manifests/v1", headers={"Content-Type": INDEX[1]},
             body=MANIFESTS["nothing"].content)
_EMPTIED = (
    row("a blob alone", "POST", "/v2/{g}/z/blobs/uploads/", query={"mount": "{hello}", "from": "{g}/a"}),
    row("it is deleted", "DELETE", "/v2/{g}/z/blobs/{hello}"),
)

OPENINGS = [
    row("a session", "POST", UPLOADS),
    row("a session with a hint", "POST", UPLOADS, query={"digest-algorithm": "sha512"}),
    row("a hint that nobody knows", "POST", UPLOADS, "an unknown algorithm is refused at once",
        query={"digest-algorithm": "md5"}),
    row("a whole blob", "POST", UPLOADS, "a whole blob in one POST", query=HELLO, body=BLOBS["hello"]),
    row("a whole blob of another digest", "POST", UPLOADS, "a whole blob in one POST", query=HELLO, body=b"other"),
    row("a whole blob of no digest", "POST", UPLOADS, "a whole blob in one POST", query={"digest": "x"}, body=b"x"),
    row("a mount", "POST", "/v2/{g}/a-b/blobs/uploads/", query={"mount": "{hello}", "from": "{g}/a"}),
    row("a mount from wherever it is", "POST", "/v2/{g}/a/b/blobs/uploads/", "a mount from wherever it is",
        query={"mount": "{large}"}),
    row("a mount of what is nowhere, from wherever it is", "POST", UPLOADS, query={"mount": ABSENT}),
    row("a mount of what is here", "POST", UPLOADS, query={"mount": "{hello}", "from": "{g}/a"}),
    row("a mount of what is nowhere", "POST", UPLOADS, query={"mount": ABSENT, "from": "{g}/a-b"}),
    row("a mount from nowhere", "POST", UPLOADS, query={"mount": "{hello}", "from": "{g}/nowhere"}),
    row("a mount of no digest", "POST", UPLOADS, query={"mount": "x", "from": "{g}/a"}),
    row("a mount from no name", "POST", UPLOADS, query={"mount": "{hello}", "from": "A"}),
    row("the blob after the mount", "GET", "/v2/{g}/a-b/blobs/{hello}", before=(
        row("a mount", "POST", "/v2/{g}/a-b/blobs/uploads/", query={"mount": "{hello}", "from": "{g}/a"}),)),
]

SESSIONS = [
    session("status of a new one", "GET", chunks=()),
    session("status", "GET"),
    session("HEAD of the status", "HEAD"),
    session("status after two chunks", "GET", chunks=(b"hello", WORLD)),
    session("status at an old address", "GET", "an old address stays good", is_old_address=True),
    session("a chunk at an old address", "PATCH", "an old address stays good", is_old_address=True, body=WORLD),
    session("the end at an old address", "PUT", "an old address stays good", is_old_address=True, query=HELLO,
            body=WORLD),
    session("cancelled at an old address", "DELETE", "an old address stays good", is_old_address=True),
    session("a chunk", "PATCH", body=WORLD),
    session("a chunk of nothing", "PATCH"),
    session("a chunk at its place", "PATCH", body=WORLD, headers=_at("5-10")),
    session("a first chunk at its place", "PATCH", chunks=(), body=b"hello", headers=_at("0-4")),
    session("a chunk too far", "PATCH", "a chunk has its place", body=WORLD, headers=_at("7-12")),
    session("a chunk for the second time", "PATCH", "a chunk has its place", body=b"hello", headers=_at("0-4")),
    session("a chunk at no place", "PATCH", "a chunk has its place", body=WORLD, headers=_at("x")),
    session("a chunk of another length", "PATCH", "a chunk has its length", body=WORLD, headers=_at("5-20")),
    session("the end", "PUT", chunks=(BLOBS["hello"],), query=HELLO),
    session("the end with the last chunk", "PUT", query=HELLO, body=WORLD),
    session("the end with all of it", "PUT", chunks=(), query=HELLO, body=BLOBS["hello"]),
    session("the end of nothing", "PUT", chunks=(), query={"digest": "{empty}"}),
    session("the end by sha512", "PUT", "sha512 names its blob", query=HELLO_512, body=WORLD),
    session("the end with the last chunk at its place", "PUT", query=HELLO, body=WORLD, headers=_at("5-10")),
    session("the end with a chunk too far", "PUT", "a place comes before a digest", query={"digest": "{config}"},
            body=WORLD, headers=_at("7-12")),
    session("the end with a chunk too far and a good digest", "PUT", "a chunk has its place", query=HELLO, body=WORLD,
            headers=_at("7-12")),
    session("the end of something else", "PUT", query={"digest": "{config}"}, body=WORLD),
    session("the end of something else by sha512", "PUT", query={"digest": sha512(b"")}, body=WORLD),
    session("the end with a digest too short", "PUT", query={"digest": "sha256:ab"}, body=WORLD),
    session("the end with an unknown algorithm", "PUT", query={"digest": "md5:" + "0" * 32}, body=WORLD),
    session("the end without a digest", "PUT", body=WORLD),
    session("cancelled", "DELETE", "a cancelled session has no name"),
    session("POST to a session", "POST", "a session takes no POST"),
    session("status after the end", "GET", before=(session("the end", "PUT", query=HELLO, body=WORLD),)),
    session("a chunk after the end", "PATCH", before=(session("the end", "PUT", query=HELLO, body=WORLD),), body=b"x"),
    session("status after a wrong digest", "GET", "a wrong digest ends the session",
            before=(session("the end", "PUT", query={"digest": "{config}"}),)),
    session("status after a wrong digest and a chunk", "GET", "an unknown session is unknown",
            before=(session("the end", "PUT", query={"digest": "{config}"}, body=WORLD),)),
    session("status after no digest", "GET", before=(session("the end", "PUT"),)),
    session("the end with a digest too short after a cancel", "PUT", "a malformed digest is told first",
            query={"digest": "sha256:ab"}, before=(session("cancelled", "DELETE", "a cancelled session has no name"),)),
    session("cancelled twice", "DELETE", before=(session("cancelled", "DELETE"),)),
    session("status in another repository", "GET", "an unknown session is unknown", foreign="a-b"),
    session("a chunk in another repository", "PATCH", "an unknown session is unknown", foreign="a-b", body=b"x"),
    session("the end in another repository", "PUT", "an unknown session is unknown", foreign="a-b", query=HELLO),
    session("cancelled in another repository", "DELETE", "an unknown session is unknown", foreign="a-b"),
    *(row(f"{method} of a session that never was", method, NOBODY, "an unknown session is unknown", query=HELLO)
      for method in ("GET", "PATCH", "PUT", "DELETE")),
    row("a session with another kind of id", "GET", f"{UPLOADS}xyz", "an unknown session is unknown"),
]

_BY_512 = (session("the end by sha512", "PUT", query=HELLO_512, body=WORLD),)
SHA_512 = [
    row("a blob by its sha512", "GET", f"{A}/blobs/{HELLO_512['digest']}", "sha512 names its blob", before=_BY_512,
        chunks=(b"hello",)),
]

MANIFESTS_PUT = [
    *(put(f"{name} by tag", "new", (document.content, document.media_type))
      for name, document in MANIFESTS.items() if name not in ("annotated", "bare")),
    *(put(f"{name} by digest", f"{{{name}}}", (document.content, document.media_type))
      for name, document in MANIFESTS.items() if name not in ("annotated", "bare")),
    put("annotations and unknown fields", "new", (MANIFESTS["annotated"].content, OCI_IMAGE)),
    put("a tag that is set to another", "v2", OCI),
    put("a parameter of the type", "new", (OCI[0], f"{OCI_IMAGE}; charset=utf-8")),
    put("no type", "new", (OCI[0], ""), "a manifest says what it is"),
    put("a digest of something else", ABSENT, OCI),
    put("by sha512", sha512(OCI[0]), OCI, "sha512 names a manifest"),
    put("by a sha512 of something else", sha512(b""), OCI),
    put("a wrong tag", "-new", OCI, "a wrong name, tag or digest is told"),
    put("missing blobs", "new", OCI, "what is missing is not found", repository=NOWHERE),
    put("missing manifests", "new", INDEX, "what is missing is not found", repository=NOWHERE),
    *(put(what, "new", sent) for what, sent in REFUSED.items() if what not in ("no schemaVersion", "too large")),
    put("no schemaVersion", "new", REFUSED["no schemaVersion"], "a wrong schemaVersion is told"),
    put("too large", "new", REFUSED["too large"], "a manifest over the limit is too large"),
    row("the catalog with a repository of an index alone", "GET", "/v2/_catalog", "indexes alone make a repository",
        query={"last": "{g}/b"}, before=(_INDEX,)),
    row("the manifest after its push", "GET", f"{A}/manifests/new", headers={"Accept": ACCEPT},
        before=(put("annotations", "new", (MANIFESTS["annotated"].content, OCI_IMAGE)),)),
]

_UNTAGGED = (
    put("an index beside it", "{nothing}", (MANIFESTS["nothing"].content, INDEX[1]), repository="/v2/{g}/a-b"),
    row("a manifest", "DELETE", "/v2/{g}/a-b/manifests/{bare}"),
)

DELETES = [
    row("a blob by its sha256 after its delete by sha512", "GET", f"{A}/blobs/{sha256(_UNNEEDED)}", GONE_BY_ALL_NAMES,
        chunks=(b"hello",), foretold=GONE_BY_ALL_NAMES,
        before=(session("the end by sha512", "PUT", query={"digest": sha512(_UNNEEDED)}, body=_UNNEEDED[5:]),
                row("it is deleted", "DELETE", f"{A}/blobs/{sha512(_UNNEEDED)}"))),
    row("the catalog after the last blob", "GET", "/v2/_catalog", "a repository that was emptied is not listed",
        query={"last": "{g}/b"}, before=_EMPTIED),
    row("the tags after the last blob, asked before and after", "GET", "/v2/{g}/z/tags/list",
        before=(_EMPTIED[0], row("the tags", "GET", "/v2/{g}/z/tags/list"), _EMPTIED[1])),
    row("the tags after the last index", "GET", f"{NOWHERE}/tags/list", "a repository that was emptied has no name",
        before=(_INDEX, row("it is deleted", "DELETE", f"{NOWHERE}/manifests/{{nothing}}"))),
    row("a blob", "DELETE", "/v2/{g}/a/b/blobs/{hello}"),
    row("a blob that a manifest needs", "DELETE", f"{A}/blobs/{{hello}}", "what a manifest needs stays"),
    row("a blob that is not there", "DELETE", f"{A}/blobs/{ABSENT}"),
    row("a blob of another repository", "DELETE", "/v2/{g}/a-b/blobs/{hello}"),
    row("a blob by a digest too short", "DELETE", f"{A}/blobs/sha256:ab"),
    row("a manifest", "DELETE", f"{A}/manifests/{{index}}"),
    row("a manifest of a list", "DELETE", f"{A}/manifests/{{docker}}", "what a manifest needs stays"),
    row("a manifest that is not there", "DELETE", f"{A}/manifests/{ABSENT}"),
    row("a tag", "DELETE", f"{A}/manifests/v1", "a tag can be deleted"),
    row("a tag that is not there", "DELETE", f"{A}/manifests/v3", "a tag can be deleted"),
    row("the blob after its delete", "GET", "/v2/{g}/a/b/blobs/{hello}",
        before=(row("a blob", "DELETE", "/v2/{g}/a/b/blobs/{hello}"),)),
    row("the blob elsewhere after its delete", "GET", f"{A}/blobs/{{hello}}",
        before=(row("a blob", "DELETE", "/v2/{g}/a/b/blobs/{hello}"),)),
    row("the manifest after its delete", "GET", f"{A}/manifests/{{index}}", headers={"Accept": ACCEPT},
        before=(row("a manifest", "DELETE", f"{A}/manifests/{{index}}"),)),
    row("its tag after the delete", "GET", f"{A}/manifests/v10", headers={"Accept": ACCEPT},
        before=(row("a manifest", "DELETE", f"{A}/manifests/{{index}}"),)),
    row("the tags after the delete", "GET", f"{A}/tags/list", "tags are sorted",
        before=(row("a manifest", "DELETE", f"{A}/manifests/{{index}}"),)),
    row("the tags after the last delete", "GET", "/v2/{g}/a-b/tags/list", "a repository that was emptied has no name",
        before=(row("a manifest", "DELETE", "/v2/{g}/a-b/manifests/{bare}"),)),
    row("the tags after the last tag's manifest", "GET", "/v2/{g}/a-b/tags/list", "no tags are an empty list",
        before=_UNTAGGED),
    row("the catalog after that", "GET", "/v2/_catalog", "the catalog is in the order of bytes",
        query={"last": "{g}/a", "n": "2"}, before=_UNTAGGED),
    row("the catalog after the last delete", "GET", "/v2/_catalog", "a repository that was emptied is not listed",
        query={"last": "{g}/a"},
        before=(row("a manifest", "DELETE", "/v2/{g}/a-b/manifests/{bare}"),)),
]
# fmt: on
