"""Where our answers differ from CNCF Distribution 2.8's on purpose, each with its reason.

An entry says which aspects of an answer it explains, and for which requests and answers. What no entry explains is a
fault, of ours or of the table. The rows of tests/peers/rows_that_*.py show for each entry that it still holds.

"Bug" is what Distribution does against its own documentation or a specification, "quirk" what no specification asks.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.peers.call import COMPARED, Pair
from tests.peers.relations import (
    UNCLEAN,
    accepts_all,
    answers,
    asks_for,
    entries,
    gets_blob,
    has_catalog,
    is_catalog_in_its_order,
    is_list,
    is_page,
    is_text,
    reads,
    writes_manifest,
)

GONE_BY_ALL_NAMES = "a blob is gone by all its names"

ALL = frozenset({"status", "body", *COMPARED})


@dataclass(frozen=True, slots=True)
class Difference:
    """One accepted difference. `aspects`: what it explains of an answer, its status, headers and body."""

    name: str
    reason: str
    applies: Callable[[Pair], bool]
    aspects: frozenset[str] = field(default=ALL)


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
        lambda pair: is_list(pair) and pair.statuses == (200, 200),
        frozenset({"Content-Length"}),
    ),
    Difference(
        "errors of the router are JSON", "OCI 1.1 'Error Codes': a body of an error is the JSON that clients can read",
        lambda pair: pair.ours.status == pair.theirs.status and is_text(pair.theirs) and pair.call.method != "HEAD",
        frozenset({"Content-Type", "body"}),
    ),
    Difference(
        "errors of the router are JSON, also for HEAD", "OCI 1.1 'Error Codes'; the type is that of the body of GET",
        lambda pair: pair.ours.status == pair.theirs.status and is_text(pair.theirs) and pair.call.method == "HEAD",
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
        lambda pair: pair.call.path == "/v2/" and answers(405, 200, "UNSUPPORTED")(pair),
    ),
    Difference(
        "HEAD for every GET", "RFC 9110 §9.1: GET and HEAD are for every server; Distribution refuses HEAD of lists",
        lambda pair: is_list(pair) and pair.call.method == "HEAD" and pair.theirs.status == 405,
    ),
    Difference(
        "HEAD is allowed where GET is", "RFC 9110 §9.1, in the words of Allow",
        lambda pair: pair.theirs.status == 405 and "HEAD" in pair.ours.headers.get("allow", ""),
        frozenset({"Allow"}),
    ),
    Difference(
        "a wrong name, tag or digest is told", "OCI 1.1 'Error Codes': NAME_INVALID, DIGEST_INVALID (and Distribution's"
        " TAG_INVALID); its router knows no such path",
        lambda pair: answers(400, 404, "NAME_INVALID", "TAG_INVALID", "DIGEST_INVALID")(pair) and is_text(pair.theirs)
        and not pair.call.is_below("referrers"),
    ),
    Difference(
        "a wrong name or digest is no fault of the server", "bug: Distribution answers 500 UNKNOWN to a name of more"
        " than 255 characters and to a malformed digest of a manifest",
        answers(400, 500, "NAME_INVALID", "DIGEST_INVALID"),
    ),
    Difference(
        "one address for one thing", "CVE-2020-29662: a second spelling is a way around rules; no client uses one",
        lambda pair: pair.theirs.status == 301 and bool(UNCLEAN.search(pair.call.path.removeprefix("/v2")))
        and pair.ours.status in (400, 404),
    ),
    Difference(
        "uploads without the slash", "RFC 9110 §15.4.2: after a 301 clients repeat a POST as GET, so it would fail",
        lambda pair: pair.call.path.endswith("/blobs/uploads") and pair.theirs.status == 301,
    ),
    Difference(
        "uploads cannot be listed", "RFC 9110 §15.5.6: the method is wrong; quirk: 404 for a session with no name",
        lambda pair: pair.call.path.endswith("/blobs/uploads/") and answers(405, 404, "UNSUPPORTED")(pair),
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
        "an old address stays good", "quirk: 2.8 signs a moment into each Location, so a lost answer ends the session",
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
        and answers(400, 404, "DIGEST_INVALID")(pair),
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
        "a chunk has its length", "OCI 1.1 code-9 SIZE_INVALID: a length that is not the body's; 2.8 does not look",
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
        lambda pair: pair.call.parameter("digest-algorithm") is not None and answers(400, 202, "DIGEST_INVALID")(pair),
    ),
    Difference(
        "a mount from wherever it is", "OCI 1.1 'Mounting a blob': a registry may find it without `from`",
        lambda pair: pair.call.parameter("mount") is not None and pair.call.parameter("from") is None
        and pair.statuses == (201, 202),
    ),
    # Digests of other algorithms.
    Difference(
        "sha512 names its blob", "OCI 1.1 'Pulling blobs': the digest asked for; Distribution answers with its sha256",
        lambda pair: (asks_for(pair, "sha512:") and not pair.call.is_below("manifests")
        and pair.ours.status == pair.theirs.status and pair.ours.is_success),
        frozenset({"Docker-Content-Digest", "ETag", "Location"}),
    ),
    Difference(
        "sha512 names a manifest", "OCI 1.1 'Pushing manifests': any registered algorithm; Distribution refuses it",
        lambda pair: asks_for(pair, "sha512:") and writes_manifest(pair) and pair.ours.status != 400
        and pair.theirs.codes == ("DIGEST_INVALID",),
    ),
    Difference(
        GONE_BY_ALL_NAMES, "OCI 1.1 'Deleting blobs': a blob is content; 2.8 forgets the one name and keeps the other",
        lambda pair: pair.call.foretold == GONE_BY_ALL_NAMES and answers(404, 200, "BLOB_UNKNOWN")(pair),
    ),
    # Manifests.
    Difference(
        "what is missing is not found", "OCI 1.1 'Pushing manifests': 404; Distribution answers 400 with the same code",
        lambda pair: writes_manifest(pair) and answers(404, 400, "MANIFEST_BLOB_UNKNOWN")(pair),
        frozenset({"status", "body"}),
    ),
    Difference(
        "a manifest over the limit is too large", "OCI 1.1 'Pushing manifests': 413",
        lambda pair: writes_manifest(pair) and answers(413, 400, "SIZE_INVALID")(pair),
        frozenset({"status", "body"}),
    ),
    Difference(
        "a manifest says what it is", "OCI 1.1 'Pushing manifests': Content-Type is a SHOULD, and mediaType decides",
        lambda pair: writes_manifest(pair) and "Content-Type" not in pair.call.headers and pair.ours.status != 400
        and pair.theirs.codes == ("MANIFEST_INVALID",),
    ),
    Difference(
        "a wrong schemaVersion is told", "bug: Distribution answers 500 to a manifest that has none",
        lambda pair: writes_manifest(pair) and answers(400, 500, "MANIFEST_INVALID")(pair),
    ),
    Difference(
        "Accept does not change content", "OCI 1.1 'Pulling manifests': the bytes that were pushed; Distribution"
        " converts to schema 1, picks from lists, or answers 404",
        lambda pair: reads(pair, "manifests") and not accepts_all(pair) and pair.ours.status in (200, 304),
    ),
    Difference(
        "a blob is no manifest", "bug: Distribution answers 500 UNKNOWN where the digest is that of a blob, or"
        " malformed",
        lambda pair: reads(pair, "manifests") and answers(404, 500, "MANIFEST_UNKNOWN")(pair),
    ),
    Difference(
        "304 only for what is there", "bug: Distribution compares the digest with the path before it looks for it",
        lambda pair: reads(pair, "manifests") and "If-None-Match" in pair.call.headers
        and answers(404, 304, "MANIFEST_UNKNOWN")(pair),
    ),
    Difference(
        "304 says of what", "RFC 9110 §15.4.5: ETag as in the 200; what else there is of use costs nothing",
        lambda pair: pair.statuses == (304, 304),
        frozenset({"Accept-Ranges", "ETag", "Docker-Content-Digest"}),
    ),
    Difference(
        "If-None-Match as the standard has it", "RFC 9110 §13.1.2: weak comparison, lists and *; bare digests as well",
        lambda pair: reads(pair, "manifests", "blobs") and "If-None-Match" in pair.call.headers
        and pair.statuses == (304, 200),
    ),
    Difference(
        "a tag can be deleted", "OCI 1.1 'Deleting tags': 202, and 404 for an unknown one; 2.8 refuses tags",
        lambda pair: pair.call.method == "DELETE" and pair.call.is_below("manifests") and ":" not in pair.call.path
        and pair.theirs.codes == ("DIGEST_INVALID",) and pair.ours.status in (202, 404),
    ),
    Difference(
        "what a manifest needs stays", "2.8 deletes what another manifest of the repository names, which is broken from"
        " then on; OCI 1.1 'Deleting Blobs': 405 where it can't be deleted",
        lambda pair: pair.call.method == "DELETE" and pair.call.is_below("blobs", "manifests")
        and answers(405, 202, "UNSUPPORTED")(pair) and b'"neededBy"' in pair.ours.body,
    ),
    Difference(
        "referrers are listed", "OCI 1.1 'Listing Referrers'; 2.8 was before it",
        lambda pair: pair.call.is_below("referrers") and pair.theirs.status == 404 and pair.ours.status in (200, 400),
    ),
    # Blobs.
    Difference(
        "HEAD has no range", "RFC 9110 §14.2: a server must ignore Range for every method but GET",
        lambda pair: pair.call.method == "HEAD" and "Range" in pair.call.headers and pair.call.is_below("blobs")
        and pair.ours.status == 200 and pair.theirs.status in (200, 206, 416),
    ),
    Difference(
        "a wrong range is answered in JSON", "OCI 1.1 'Error Codes' and RFC 9110 §15.5.17; bug: Distribution announces"
        " the length of the blob and sends nothing",
        lambda pair: reads(pair, "blobs") and answers(416, 416, "RANGE_INVALID")(pair),
        ALL - {"status"},
    ),
    Difference(
        "an empty range is none", "RFC 9110 §14.1.2: a suffix of no bytes is unsatisfiable",
        lambda pair: reads(pair, "blobs") and pair.call.headers.get("Range") in ("bytes=-0", "bytes=")
        and pair.ours.status == 416 and pair.theirs.is_success,
    ),
    Difference(
        "the end of nothing is the whole", "RFC 9110 §14.1.2; bug: Distribution answers 206 with 'bytes 0--1/0'",
        lambda pair: gets_blob(pair) and pair.call.headers.get("Range", "").startswith("bytes=-")
        and pair.statuses == (200, 206) and pair.ours.body == pair.theirs.body == b"",
    ),
    Difference(
        "many ranges at once are the whole", "RFC 9110 §14.2 allows it; no client of a registry asks for several",
        lambda pair: gets_blob(pair) and "," in pair.call.headers.get("Range", "")
        and pair.statuses == (200, 206),
    ),
    Difference(
        "an unknown unit is the whole", "RFC 9110 §14.2: a unit that is not understood is left out",
        lambda pair: gets_blob(pair) and not pair.call.headers.get("Range", "bytes").startswith("bytes")
        and pair.statuses == (200, 416),
    ),
    # Lists.
    Difference(
        "tags are sorted", "OCI 1.1 'Listing Tags': in lexical order; 2.8 gives them as it finds them",
        lambda pair: is_list(pair, "/tags/list") and pair.statuses == (200, 200)
        and entries(pair.ours, "tags") == sorted(entries(pair.theirs, "tags")) != [],
        frozenset({"body"}),
    ),
    Difference(
        "no tags are an empty list", "OCI 1.1 'Listing Tags': tags is a list, and may be empty; null is none",
        lambda pair: is_list(pair, "/tags/list") and pair.statuses == (200, 200)
        and entries(pair.ours, "tags") == [] == entries(pair.theirs, "tags"),
        frozenset({"body"}),
    ),
    Difference(
        "tags come in pages", "OCI 1.1 'Listing Tags': n, last and Link; 2.8 knows neither",
        lambda pair: is_list(pair, "/tags/list") and pair.statuses == (200, 200)
        and bool({"n", "last"} & {name for name, _ in pair.call.query})
        and is_page(pair.call.query, entries(pair.ours, "tags"), entries(pair.theirs, "tags")),
        frozenset({"body", "Link"}),
    ),
    Difference(
        "a wrong n is told", "3.x answers PAGINATION_NUMBER_INVALID as we do; 2.8 takes it for none",
        lambda pair: is_list(pair) and pair.ours.codes == ("PAGINATION_NUMBER_INVALID",) and pair.theirs.status != 400,
    ),
    Difference(
        "a repository without tags has none", "OCI 1.1 'Listing Tags': an empty list; 2.8: no such name",
        lambda pair: is_list(pair, "/tags/list") and pair.statuses == (200, 404) and not entries(pair.ours, "tags"),
    ),
    Difference(
        "the catalog is in the order of bytes", "Docker V2 'Listing Repositories': lexical; 2.8: that of its folders",
        is_catalog_in_its_order,
        frozenset({"body", "Link"}),
    ),
    Difference(
        "indexes alone make a repository", "quirk: 2.8 lists what has a folder of blobs; 3.x what has manifests",
        lambda pair: has_catalog(pair, lambda ours, theirs: bool(ours - theirs)),
        frozenset({"body", "Link"}),
    ),
    Difference(
        "a repository that was emptied is not listed", "quirk: 2.8 lists what has a folder of blobs, be it empty",
        lambda pair: has_catalog(pair, lambda ours, theirs: bool(theirs - ours)),
        frozenset({"body", "Link"}),
    ),
    Difference(
        "a repository that was emptied has no name", "OCI 1.1 code-7 NAME_UNKNOWN; 2.8 looks for its folder of tags",
        lambda pair: is_list(pair, "/tags/list") and answers(404, 200, "NAME_UNKNOWN")(pair)
        and not entries(pair.theirs, "tags"),
    ),
)
# fmt: on
