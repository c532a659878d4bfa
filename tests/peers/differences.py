"""Where our answers differ from CNCF Distribution 2.8's on purpose, each with its reason.

An entry says which aspects of an answer it explains, and for which requests and answers. What no entry explains is a
fault, of ours or of the table. The rows of tests/peers/rows.py show for each entry that it still holds.

"Bug" is what Distribution does against its own documentation or a specification, "quirk" what no specification asks.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.peers.call import COMPARED, LISTS, Answer, Pair

ALL = frozenset({"status", "body", *COMPARED})

_UNCLEAN = re.compile(r"//|/\.\.?/|.+/$")


@dataclass(frozen=True, slots=True)
class Difference:
    """One accepted difference. `aspects`: what it explains of an answer, its status, headers and body."""

    name: str
    reason: str
    applies: Callable[[Pair], bool]
    aspects: frozenset[str] = field(default=ALL)


def _is(ours: int, theirs: int, *codes: str) -> Callable[[Pair], bool]:
    """Both statuses, and one of these for our error code; an answer to HEAD cannot show it."""
    return lambda pair: (
        pair.statuses == (ours, theirs) and (pair.call.method == "HEAD" or bool({*codes} & {*pair.ours.codes}))
    )


def _reads(pair: Pair, *kinds: str) -> bool:
    return pair.call.method in ("GET", "HEAD") and pair.call.is_below(*kinds)


def _writes_manifest(pair: Pair) -> bool:
    return pair.call.method == "PUT" and pair.call.is_below("manifests")


def _asks_for(pair: Pair, word: str) -> bool:
    return word in (pair.call.parameter("digest") or pair.call.path.rpartition("/")[2])


def _is_list(pair: Pair, *suffixes: str) -> bool:
    return pair.call.session is None and pair.call.path.endswith(suffixes or LISTS)


def _entries(answer: Answer, key: str) -> list[str]:
    found = json.loads(answer.body)[key] if answer.status == 200 and answer.body else None
    return list(found or [])


def _by_path(name: str) -> tuple[str, ...]:
    """Distribution's order of the catalog: `a/b` before `a-b`, as a walk through folders finds them."""
    return tuple(name.split("/"))


def _is_catalog_in_its_order(pair: Pair) -> bool:
    if not _is_list(pair, "/_catalog") or pair.statuses != (200, 200):
        return False
    ours, theirs = _entries(pair.ours, "repositories"), _entries(pair.theirs, "repositories")
    return ours == sorted(ours) and theirs == sorted(theirs, key=_by_path) and len(ours) == len(theirs)


def _is_catalog_with_more(pair: Pair) -> bool:
    if not _is_list(pair, "/_catalog") or pair.statuses != (200, 200) or _is_catalog_in_its_order(pair):
        return False
    ours, theirs = _entries(pair.ours, "repositories"), _entries(pair.theirs, "repositories")
    is_page = pair.call.parameter("n") is not None  # then one that 2.8 does not list makes room for another
    return ours == sorted(ours) and ours != theirs and (is_page or {*theirs} < {*ours}) and len(theirs) <= len(ours)


def _is_text(answer: Answer) -> bool:
    """Distribution's router speaks plain text: "404 page not found", "Method not allowed"."""
    return answer.headers.get("content-type") == "text/plain; charset=utf-8"


def _accept(pair: Pair) -> str:
    return pair.call.headers.get("Accept", "")


def _accepts_all(pair: Pair) -> bool:
    """Whether the client takes every type there is, so that 2.8 has no reason to convert or to refuse."""
    return all(word in _accept(pair) for word in ("oci.image.manifest", "oci.image.index", "manifest.v2", "list.v2"))


def _is_page(query: Sequence[tuple[str, str]], ours: list[str], whole: list[str]) -> bool:
    """Whether ours is the right part of the whole list."""
    fields = dict(query)
    rest = sorted(tag for tag in whole if tag > fields.get("last", ""))
    return ours == (rest[: int(fields["n"])] if fields.get("n") else rest)


# fmt: off
DIFFERENCES: tuple[Difference, ...] = (
    # The form of every answer.
    Difference(
        "JSON has no charset", "RFC 8259 §11 defines no such parameter of application/json",
        lambda pair: pair.ours.headers.get("content-type") == "application/json"
        and pair.theirs.headers.get("content-type") == "application/json; charset=utf-8",
        frozenset({"Content-Type"}),
    ),
    Difference(
        "a list ends without a line break", "RFC 8259 §2: white space around JSON says nothing",
        lambda pair: _is_list(pair) and pair.statuses == (200, 200),
        frozenset({"Content-Length"}),
    ),
    Difference(
        "errors of the router are JSON", "OCI 1.1 'Error Codes': a body of an error is the JSON that clients can read",
        lambda pair: pair.ours.status == pair.theirs.status and _is_text(pair.theirs) and pair.call.method != "HEAD",
        frozenset({"Content-Type", "body"}),
    ),
    Difference(
        "errors of the router are JSON, also for HEAD", "OCI 1.1 'Error Codes'; the type is that of the body of GET",
        lambda pair: pair.ours.status == pair.theirs.status and _is_text(pair.theirs) and pair.call.method == "HEAD",
        frozenset({"Content-Type"}),
    ),
    Difference(
        "blobs are immutable", "RFC 8246: what a digest names never changes, so a cache need not ask again",
        lambda pair: pair.ours.headers.get("cache-control") == "max-age=31536000, immutable",
        frozenset({"Cache-Control"}),
    ),
    Difference(
        "a redirect has no page", "RFC 9110 §15.4.2 only suggests a note, and no client of a registry shows one",
        lambda pair: pair.statuses == (301, 301),
        frozenset({"Content-Type", "Content-Length", "body"}),
    ),
    # Paths, names and methods.
    Difference(
        "the base takes GET and HEAD alone", "quirk: Distribution answers 200 to every method; OCI 1.1 end-1 is GET",
        lambda pair: pair.call.path == "/v2/" and _is(405, 200, "UNSUPPORTED")(pair),
    ),
    Difference(
        "HEAD for every GET", "RFC 9110 §9.1: GET and HEAD are for every server; Distribution refuses HEAD of lists",
        lambda pair: _is_list(pair) and pair.call.method == "HEAD" and pair.theirs.status == 405,
    ),
    Difference(
        "HEAD is allowed where GET is", "RFC 9110 §9.1, in the words of Allow",
        lambda pair: pair.theirs.status == 405 and "HEAD" in pair.ours.headers.get("allow", ""),
        frozenset({"Allow"}),
    ),
    Difference(
        "a wrong name, tag or digest is told", "OCI 1.1 'Error Codes': NAME_INVALID, DIGEST_INVALID (and Distribution's"
        " TAG_INVALID); its router knows no such path",
        lambda pair: _is(400, 404, "NAME_INVALID", "TAG_INVALID", "DIGEST_INVALID")(pair) and _is_text(pair.theirs)
        and not pair.call.is_below("referrers"),
    ),
    Difference(
        "a wrong name or digest is no fault of the server", "bug: Distribution answers 500 UNKNOWN to a name of more"
        " than 255 characters and to a malformed digest of a manifest",
        _is(400, 500, "NAME_INVALID", "DIGEST_INVALID"),
    ),
    Difference(
        "one address for one thing", "CVE-2020-29662: a second spelling is a way around rules; no client uses one",
        lambda pair: pair.theirs.status == 301 and bool(_UNCLEAN.search(pair.call.path.removeprefix("/v2")))
        and pair.ours.status in (400, 404),
    ),
    Difference(
        "uploads without the slash", "RFC 9110 §15.4.2: after a 301 clients repeat a POST as GET, so it would fail",
        lambda pair: pair.call.path.endswith("/blobs/uploads") and pair.theirs.status == 301,
    ),
    Difference(
        "uploads cannot be listed", "RFC 9110 §15.5.6: the method is wrong; quirk: 404 for a session with no name",
        lambda pair: pair.call.path.endswith("/blobs/uploads/") and _is(405, 404, "UNSUPPORTED")(pair),
    ),
    # Upload sessions.
    Difference(
        "an unknown session is unknown", "OCI 1.1 code-3 BLOB_UPLOAD_UNKNOWN; Distribution says BLOB_UPLOAD_INVALID"
        " where its own signature is missing or of another repository or moment",
        lambda pair: pair.statuses == (404, 404) and pair.ours.codes == ("BLOB_UPLOAD_UNKNOWN",)
        and pair.theirs.codes == ("BLOB_UPLOAD_INVALID",),
        frozenset({"body"}),
    ),
    Difference(
        "an old address stays good", "PROTOCOL §1, GET session: an older Location is answered, never 404",
        lambda pair: pair.call.is_old_address and pair.theirs.codes in (("BLOB_UPLOAD_INVALID",), ())
        and pair.theirs.status == 404,
    ),
    Difference(
        "a session takes no POST", "quirk: Distribution opens another session there; OCI 1.1 has no such request",
        lambda pair: pair.call.session is not None and pair.call.method == "POST" and pair.ours.status == 405,
    ),
    Difference(
        "a wrong digest ends the session", "quirk: Distribution means to end it, and does where the request had a body",
        lambda pair: pair.call.session is not None and pair.call.session.was_refused
        and pair.ours.status == 404 and pair.theirs.status != 404,
    ),
    Difference(
        "a malformed digest is told first", "OCI 1.1 code-4 DIGEST_INVALID; Distribution looks for the session first",
        lambda pair: pair.call.session is not None and pair.call.method == "PUT"
        and _is(400, 404, "DIGEST_INVALID")(pair),
    ),
    Difference(
        "a cancelled session has no name", "Docker V2 'Canceling an Upload': 204 without headers",
        lambda pair: pair.call.session is not None and pair.call.method == "DELETE" and pair.statuses == (204, 204),
        frozenset({"Docker-Upload-UUID"}),
    ),
    Difference(
        "a chunk has its place", "OCI 1.1 'Pushing a blob in chunks': out of order MUST be 416; 2.8 takes any",
        lambda pair: pair.call.session is not None and "Content-Range" in pair.call.headers
        and pair.ours.codes == ("RANGE_INVALID",) and pair.theirs.is_success,
    ),
    Difference(
        "a chunk has its length", "PROTOCOL §1, PATCH session: a length that is not the body's is SIZE_INVALID",
        lambda pair: pair.call.session is not None and "Content-Range" in pair.call.headers
        and pair.ours.codes == ("SIZE_INVALID",) and pair.theirs.is_success,
    ),
    Difference(
        "a place comes before a digest", "OCI 1.1 'Pushing a blob in chunks': 416, and the session lives on",
        lambda pair: pair.call.method == "PUT" and "Content-Range" in pair.call.headers
        and pair.ours.codes == ("RANGE_INVALID",) and pair.theirs.codes == ("DIGEST_INVALID",),
    ),
    Difference(
        "a whole blob in one POST", "OCI 1.1 'Single POST'; 2.8 takes no body there and opens a session",
        lambda pair: pair.call.method == "POST" and pair.call.parameter("digest") is not None
        and pair.statuses in ((201, 202), (400, 202)),
    ),
    Difference(
        "an unknown algorithm is refused at once", "OCI 1.1+dev 'digest-algorithm'; 2.8 does not look at it",
        lambda pair: pair.call.parameter("digest-algorithm") is not None and _is(400, 202, "DIGEST_INVALID")(pair),
    ),
    Difference(
        "a mount from wherever it is", "OCI 1.1 'Mounting a blob': a registry may find it without `from`",
        lambda pair: pair.call.parameter("mount") is not None and pair.call.parameter("from") is None
        and pair.statuses == (201, 202),
    ),
    # Digests of other algorithms.
    Difference(
        "sha512 names its blob", "OCI 1.1 'Pulling blobs': the digest asked for; Distribution answers with its sha256",
        lambda pair: (_asks_for(pair, "sha512:") and not pair.call.is_below("manifests")
        and pair.ours.status == pair.theirs.status and pair.ours.is_success),
        frozenset({"Docker-Content-Digest", "ETag", "Location"}),
    ),
    Difference(
        "sha512 names a manifest", "OCI 1.1 'Pushing manifests': any registered algorithm; Distribution refuses it",
        lambda pair: _asks_for(pair, "sha512:") and _writes_manifest(pair) and pair.ours.status != 400
        and pair.theirs.codes == ("DIGEST_INVALID",),
    ),
    # Manifests.
    Difference(
        "what is missing is not found", "OCI 1.1 'Pushing manifests': 404; Distribution answers 400 with the same code",
        lambda pair: _writes_manifest(pair) and _is(404, 400, "MANIFEST_BLOB_UNKNOWN")(pair),
        frozenset({"status", "body"}),
    ),
    Difference(
        "a manifest over the limit is too large", "OCI 1.1 'Pushing manifests': 413",
        lambda pair: _writes_manifest(pair) and _is(413, 400, "SIZE_INVALID")(pair),
        frozenset({"status", "body"}),
    ),
    Difference(
        "a manifest says what it is", "OCI 1.1 'Pushing manifests': Content-Type is a SHOULD, and mediaType decides",
        lambda pair: _writes_manifest(pair) and "Content-Type" not in pair.call.headers and pair.ours.status != 400
        and pair.theirs.codes == ("MANIFEST_INVALID",),
    ),
    Difference(
        "a wrong schemaVersion is told", "bug: Distribution answers 500 to a manifest that has none",
        lambda pair: _writes_manifest(pair) and _is(400, 500, "MANIFEST_INVALID")(pair),
    ),
    Difference(
        "Accept does not change content", "OCI 1.1 'Pulling manifests' and PROTOCOL §1: the stored bytes; Distribution"
        " converts to schema 1, picks from lists, or answers 404",
        lambda pair: _reads(pair, "manifests") and not _accepts_all(pair) and pair.ours.status in (200, 304),
    ),
    Difference(
        "a blob is no manifest", "bug: Distribution answers 500 UNKNOWN where the digest is that of a blob",
        lambda pair: _reads(pair, "manifests") and _is(404, 500, "MANIFEST_UNKNOWN")(pair),
    ),
    Difference(
        "304 only for what is there", "bug: Distribution compares the digest with the path before it looks for it",
        lambda pair: _reads(pair, "manifests") and "If-None-Match" in pair.call.headers
        and _is(404, 304, "MANIFEST_UNKNOWN")(pair),
    ),
    Difference(
        "304 says of what", "RFC 9110 §15.4.5: ETag as in the 200; what else there is of use costs nothing",
        lambda pair: pair.statuses == (304, 304),
        frozenset({"Accept-Ranges", "ETag", "Docker-Content-Digest"}),
    ),
    Difference(
        "If-None-Match as the standard has it", "RFC 9110 §13.1.2: weak comparison, lists and *; bare digests as well",
        lambda pair: _reads(pair, "manifests", "blobs") and "If-None-Match" in pair.call.headers
        and pair.statuses == (304, 200),
    ),
    Difference(
        "a tag can be deleted", "OCI 1.1 'Deleting tags': 202, and 404 for an unknown one; 2.8 refuses tags",
        lambda pair: pair.call.method == "DELETE" and pair.call.is_below("manifests") and ":" not in pair.call.path
        and pair.theirs.codes == ("DIGEST_INVALID",) and pair.ours.status in (202, 404),
    ),
    Difference(
        "referrers are listed", "OCI 1.1 'Listing Referrers'; 2.8 was before it",
        lambda pair: pair.call.is_below("referrers") and pair.theirs.status == 404 and pair.ours.status in (200, 400),
    ),
    # Blobs.
    Difference(
        "a wrong range is answered in JSON", "OCI 1.1 'Error Codes' and RFC 9110 §15.5.17; bug: Distribution announces"
        " the length of the blob and sends nothing",
        lambda pair: _reads(pair, "blobs") and _is(416, 416, "RANGE_INVALID")(pair),
        ALL - {"status"},
    ),
    Difference(
        "an empty range is none", "RFC 9110 §14.1.2: a suffix of no bytes is unsatisfiable",
        lambda pair: _reads(pair, "blobs") and pair.call.headers.get("Range") in ("bytes=-0", "bytes=")
        and pair.ours.status == 416 and pair.theirs.is_success,
    ),
    Difference(
        "many ranges at once are the whole", "RFC 9110 §14.2 allows it; no client of a registry asks for several",
        lambda pair: _reads(pair, "blobs") and "," in pair.call.headers.get("Range", "")
        and pair.statuses == (200, 206),
    ),
    Difference(
        "an unknown unit is the whole", "RFC 9110 §14.2: a unit that is not understood is left out",
        lambda pair: _reads(pair, "blobs") and not pair.call.headers.get("Range", "bytes").startswith("bytes")
        and pair.statuses == (200, 416),
    ),
    # Lists.
    Difference(
        "tags are sorted", "OCI 1.1 'Listing Tags': in lexical order; 2.8 gives them as it finds them",
        lambda pair: _is_list(pair, "/tags/list") and pair.statuses == (200, 200)
        and _entries(pair.ours, "tags") == sorted(_entries(pair.theirs, "tags")) != [],
        frozenset({"body"}),
    ),
    Difference(
        "no tags are an empty list", "PROTOCOL §1, tags: [], never null",
        lambda pair: _is_list(pair, "/tags/list") and pair.statuses == (200, 200)
        and _entries(pair.ours, "tags") == [] == _entries(pair.theirs, "tags"),
        frozenset({"body"}),
    ),
    Difference(
        "tags come in pages", "OCI 1.1 'Listing Tags': n, last and Link; 2.8 knows neither",
        lambda pair: _is_list(pair, "/tags/list") and pair.statuses == (200, 200)
        and bool({"n", "last"} & {name for name, _ in pair.call.query})
        and _is_page(pair.call.query, _entries(pair.ours, "tags"), _entries(pair.theirs, "tags")),
        frozenset({"body", "Link"}),
    ),
    Difference(
        "a wrong n is told", "PROTOCOL §1, tags and catalog: 400 PAGINATION_NUMBER_INVALID; 2.8 takes none for it",
        lambda pair: _is_list(pair) and pair.ours.codes == ("PAGINATION_NUMBER_INVALID",) and pair.theirs.status != 400,
    ),
    Difference(
        "a repository without tags has none", "PROTOCOL §1, tags: an empty list; Distribution forgets the repository",
        lambda pair: _is_list(pair, "/tags/list") and pair.statuses == (200, 404) and not _entries(pair.ours, "tags"),
    ),
    Difference(
        "the catalog is in the order of bytes", "PROTOCOL §1, catalog: sorted; Distribution's order is that of folders",
        _is_catalog_in_its_order,
        frozenset({"body", "Link"}),
    ),
    Difference(
        "indexes alone make a repository", "quirk: 2.8 lists what has blobs; 3.x has it right (PROTOCOL §5)",
        _is_catalog_with_more,
        frozenset({"body", "Link"}),
    ),
)
# fmt: on
