"""Requests that nobody has thought of: strategies for what is nearly right, and what holds of every answer."""

import json
from dataclasses import dataclass

from hypothesis import strategies as st

from authproxy import errors
from authproxy.errors import RegistryError
from authproxy.oci import media_types
from tests.support.registry import image, index, sha256, sha512
from tests.support.wire import Answer

# Stands for the address of the upload session that the last answer named, if any did.
SESSION = "{session}"

HELLO = sha256(b"hello")
TCHAR = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"

NAMES = st.sampled_from(["fuzz/app", "fuzz/other", "fuzz", "a", "Fuzz/App", "fuzz//app", "..", "%2e%2e", "a" * 256, ""])
DIGESTS = st.sampled_from(
    [
        HELLO,
        sha512(b"hello"),
        sha256(b""),
        sha256(b"absent"),
        "sha256:",
        "sha256:x",
        "md5:0",
        f"sha512:{HELLO[7:]}",
        HELLO.upper(),
    ]
)
TAGS = st.sampled_from(["v1", "v2", "-", ".", "t" * 128, "t" * 129, "%00", "a%2fb", "é"])
NUMBERS = st.sampled_from(["0", "1", "2", "4", "5", "007", "-1", "", "x", "9" * 18, "9" * 19, "9" * 400, "1.5", "\xb9"])
GARBAGE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=20)

ENDPOINTS = st.one_of(
    st.just("/v2/"),
    st.just("/v2/_catalog"),
    st.builds("/v2/{}/tags/list".format, NAMES),
    st.builds("/v2/{}/manifests/{}".format, NAMES, TAGS | DIGESTS),
    st.builds("/v2/{}/blobs/{}".format, NAMES, DIGESTS),
    st.builds("/v2/{}/blobs/uploads/".format, NAMES),
    st.builds("/v2/{}/referrers/{}".format, NAMES, DIGESTS),
    st.builds("/v2/{}/_authproxy/content/manifests".format, NAMES),
    st.just(SESSION),
    st.just(SESSION),
)
WORDS = ["v2", "fuzz/app", "_catalog", "tags", "list", "manifests", "blobs", "uploads", "referrers", HELLO, "v1"]
SIGNS = ["/", "//", "..", "%2e%2e", "%00", "%0a", "%zz", "%", ";", ":", "@", "\xff"]
PIECES = st.sampled_from([*WORDS, *SIGNS])
PATHS = ENDPOINTS | st.lists(PIECES | GARBAGE, max_size=6).map(lambda pieces: "/v2/" + "".join(pieces))

FIELDS = st.one_of(
    st.builds("n={}".format, NUMBERS),
    st.builds("last={}".format, TAGS | NAMES | GARBAGE),
    st.builds("digest={}".format, DIGESTS),
    st.builds("mount={}".format, DIGESTS),
    st.builds("from={}".format, NAMES),
    st.builds("tag={}".format, TAGS),
    st.builds("digest-algorithm={}".format, st.sampled_from(["sha256", "sha512", "md5", ""])),
    st.builds("artifactType={}".format, GARBAGE),
    st.builds("_session={}".format, GARBAGE),
    st.builds("{}={}".format, GARBAGE, GARBAGE),
)
QUERIES = st.lists(FIELDS, max_size=4).map("&".join).map(lambda query: query.replace("#", "%23"))

RANGES = st.builds("{}{}-{}".format, st.sampled_from(["bytes=", "bytes ", "", "lines="]), NUMBERS, NUMBERS)
TYPES = st.sampled_from(
    [*media_types.IMAGES, *media_types.INDEXES, "application/json", "", ";", "text/plain; charset=x", "a/b/c"]
)
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=40)
HEADERS = st.one_of(
    st.builds("Range: {}".format, RANGES | VALUES),
    st.builds("Content-Range: {}-{}".format, NUMBERS, NUMBERS),
    st.builds("Content-Range: {}".format, RANGES | VALUES),
    st.builds("Content-Type: {}".format, TYPES | VALUES),
    st.builds("Accept: {}".format, TYPES | VALUES),
    st.builds('{}: "{}"'.format, st.sampled_from(["If-None-Match", "If-Range", "If-Match"]), DIGESTS | VALUES),
    st.builds("{}: {}".format, st.sampled_from(["X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "Cookie"]), VALUES),
    st.builds("{}: {}".format, st.text(TCHAR, min_size=1, max_size=8).map(lambda name: f"x-{name}"), VALUES),
)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | DIGESTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
DESCRIPTORS = st.fixed_dictionaries(
    {"mediaType": TYPES, "digest": DIGESTS, "size": st.sampled_from([0, 5, -1, 2**63, 1.5, "5", None])},
    optional={"urls": JSON, "annotations": JSON, "platform": JSON, "artifactType": JSON},
)
ENTRIES = DESCRIPTORS | JSON
# Images and lists that are right but for a field or two.
WHOLE = st.sampled_from([json.loads(image(b"hello", [b"hello"])), json.loads(index([image(b"hello")]))])
FIELDS_OF_MANIFESTS = st.fixed_dictionaries(
    {},
    optional={
        "schemaVersion": st.sampled_from([2, 1, "2", None, 2.0, True]),
        "mediaType": TYPES | JSON,
        "config": ENTRIES,
        "layers": st.lists(ENTRIES, max_size=3) | JSON,
        "manifests": st.lists(ENTRIES, max_size=3) | JSON,
        "subject": ENTRIES,
        "annotations": JSON,
        "artifactType": JSON,
        "more": JSON,
    },
)
MANIFESTS = st.builds(lambda whole, changed: json.dumps(whole | changed).encode(), WHOLE, FIELDS_OF_MANIFESTS)
BODIES = st.one_of(
    st.just(b""),
    st.just(b"hello"),
    st.binary(max_size=40),
    st.sampled_from([image(b"hello"), index(), index([image(b"hello")]), b"[" * 5000, b"{", b"\xff\xfe{}"]),
    MANIFESTS,
)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: what stands in its line and headers, and its body, in chunks of these sizes or with a length."""

    method: str
    target: str
    headers: tuple[str, ...]
    body: bytes
    chunks: int | None  # None: with Content-Length

    def framed(self) -> tuple[str, bytes]:
        """The header that frames the body, and the body in that frame."""
        if self.chunks is None:
            return f"Content-Length: {len(self.body)}", self.body
        pieces = [self.body[start : start + self.chunks] for start in range(0, len(self.body), self.chunks)]
        sent = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
        return "Transfer-Encoding: chunked", sent + b"0\r\n\r\n"


# What a client that does everything right sends: there has to be something that can go wrong.
RIGHT_REQUESTS = [
    Asked("POST", "/v2/fuzz/app/blobs/uploads/", (), b"", None),
    Asked("POST", f"/v2/fuzz/app/blobs/uploads/?digest={HELLO}", (), b"hello", None),
    Asked("POST", f"/v2/fuzz/other/blobs/uploads/?mount={HELLO}&from=fuzz/app", (), b"", None),
    Asked("PATCH", SESSION, ("Content-Range: 0-4",), b"hello", None),
    Asked("PATCH", SESSION, (), b"hello", 2),
    Asked("PUT", f"{SESSION}?digest={HELLO}", (), b"", None),
    Asked("PUT", f"{SESSION}?digest={HELLO}", (), b"hello", 3),
    Asked("GET", SESSION, (), b"", None),
    Asked("GET", f"/v2/fuzz/app/blobs/{HELLO}", ("Range: bytes=1-2",), b"", None),
    Asked("GET", f"/v2/fuzz/app/blobs/{HELLO}", (f'If-None-Match: "{HELLO}"',), b"", None),
    Asked("HEAD", f"/v2/fuzz/app/blobs/{HELLO}", (), b"", None),
    Asked("PUT", "/v2/fuzz/app/manifests/v1", (), image(b"hello"), None),
    Asked("PUT", f"/v2/fuzz/app/manifests/{sha256(index())}?tag=v2", (), index(), None),
    Asked("GET", "/v2/fuzz/app/manifests/v1", (), b"", None),
    Asked("GET", "/v2/fuzz/app/tags/list?n=1", (), b"", None),
    Asked("GET", f"/v2/fuzz/app/referrers/{HELLO}", (), b"", None),
    Asked("GET", "/v2/_catalog?n=1", (), b"", None),
]


def requests(
    methods: st.SearchStrategy[str], paths: st.SearchStrategy[str], bodies: st.SearchStrategy[bytes]
) -> st.SearchStrategy[Asked]:
    """Requests of HTTP/1.1 that are well-formed as such, whatever they ask for; some are right."""
    targets = st.builds(lambda path, query: f"{path}?{query}" if query else path, paths, QUERIES)
    headers = st.lists(HEADERS, max_size=3).map(tuple)
    made = st.builds(Asked, methods, targets.map(on_the_line), headers, bodies, st.none() | st.integers(1, 9))
    return st.sampled_from(RIGHT_REQUESTS) | made


def on_the_line(target: str) -> str:
    """A target whose signs past ASCII are escaped: HTTP has none (RFC 9112 §3.2)."""
    return "".join(sign if sign.isascii() else f"%{ord(sign) & 255:02x}" for sign in target)


def codes() -> set[tuple[str, int]]:
    """Every code with its status."""
    waiting: list[type[RegistryError]] = [RegistryError]
    found = set()
    while waiting:
        error = waiting.pop()
        waiting += error.__subclasses__()
        found.add((error.code, error.status))
    assert (errors.BlobUnknown.code, 404) in found
    return found


CODES = codes()


def check_answer(method: str, answer: Answer) -> None:
    """What holds below /v2/ whatever was asked."""
    assert answer.status < 500, answer
    assert answer.headers["docker-distribution-api-version"] == "registry/2.0"
    assert all(value.isprintable() for value in answer.headers.values())
    if answer.status == 401:
        assert answer.headers["www-authenticate"].startswith("Bearer realm=")
    if answer.status == 405:
        assert method not in answer.headers["allow"].split(", ")
    if answer.status >= 400:
        assert answer.headers["content-type"] == "application/json"
        if method != "HEAD":
            [error] = json.loads(answer.body)["errors"]
            assert set(error) - {"detail"} == {"code", "message"}
            assert (error["code"], answer.status) in CODES
    elif "location" in answer.headers:
        assert answer.headers["location"].startswith(("https://registry.test:5000/v2/", "/v2/"))
