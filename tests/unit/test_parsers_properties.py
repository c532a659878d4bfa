"""Parsers, against everything that can be typed: the value, or an error of ours; and each as its grammar, said twice.

The second formulation of a grammar is never the parser's: where that is an expression, this one counts and compares.
"""

from collections.abc import Callable
from itertools import groupby
from string import ascii_letters, ascii_lowercase, digits
from typing import TypeVar
from urllib.parse import quote, urlsplit

import httpx
from hypothesis import example, given
from hypothesis import strategies as st

from authproxy.client_view import ClientView
from authproxy.digest import Digest, parse_digest
from authproxy.errors import RangeInvalid, RegistryError
from authproxy.pagination import Page, next_link, parse_page
from authproxy.reference import parse_reference, parse_repository, parse_tag
from authproxy.registry.ranges import format_received, parse_chunk_range, parse_range
from authproxy.route import METHODS, Kind, Route, parse_route

T = TypeVar("T")

CLIENT_VIEW = ClientView("https", "registry.test:5000", "192.0.2.1")
SMALL = ascii_lowercase + digits

# Texts that are nearly something: the signs of the grammar, some that are not, and what looks like them elsewhere.
NEARLY_NAMES = st.text("az09._-/A:\n\0é\u0663\uff41", max_size=24)
NEARLY_DIGESTS = st.builds(
    "{}{}{}".format,
    st.sampled_from(["sha256", "sha512", "SHA256", "md5", "sha256+b64", ""]),
    st.sampled_from([":", "", "::", "-"]),
    st.text("0123456789abcdefAg/.", max_size=140) | st.sampled_from(["0" * 64, "f" * 128, "a" * 63, "a" * 65]),
)
ANY = st.text(max_size=200) | NEARLY_NAMES | NEARLY_DIGESTS

COMPONENTS = st.from_regex(r"[a-z0-9]{1,4}((\.|_|__|-{1,3})[a-z0-9]{1,4}){0,2}", fullmatch=True)
NAMES = st.lists(COMPONENTS, min_size=1, max_size=4).map("/".join)
TAGS = st.text(ascii_letters + digits + "_.-", min_size=1, max_size=128).filter(lambda text: text[0] not in ".-")
DIGESTS = st.builds(Digest.of, st.binary(max_size=8), st.sampled_from(["sha256", "sha512"]))
SESSIONS = st.uuids().map(str) | st.text(ascii_letters + digits + "_.=-", min_size=1, max_size=40)


def value_of(parse: Callable[[str], T], text: str, *codes: str) -> T | None:
    """What a parser makes of a text; None where it refuses with one of these codes."""
    try:
        return parse(text)
    except RegistryError as error:
        assert error.code in codes
        assert error.status in (400, 416)
        return None


def is_component(text: str) -> bool:
    """OCI Distribution 1.1, "Pulling manifests": small letters and digits, parted by ".", "_", "__" or dashes."""
    runs = ["".join(run) for _, run in groupby(text, key=lambda sign: sign if sign in "._-" else "word")]
    words, separators = runs[::2], runs[1::2]
    return (
        len(runs) % 2 == 1
        and all(set(word) <= set(SMALL) for word in words)
        and all(run in (".", "_", "__") or set(run) == {"-"} for run in separators)
    )


@given(ANY | NAMES)
@example("a" * 255)
@example("a" * 256)
@example("a/" * 127 + "a")
@example("a\n")
def test_a_name_is_what_the_specification_says(text: str) -> None:
    expected = text if len(text) <= 255 and all(is_component(part) for part in text.split("/")) else None
    assert value_of(parse_repository, text, "NAME_INVALID") == expected


@given(NAMES.filter(lambda name: len(name) < 128) | TAGS | ANY)
@example("a" * 128)
@example("a" * 129)
@example("v1\n")
def test_a_tag_is_what_the_specification_says(text: str) -> None:
    signs = set(ascii_letters + digits + "_")
    is_tag = 1 <= len(text) <= 128 and text[0] in signs and set(text) <= signs | set(".-")
    assert value_of(parse_tag, text, "TAG_INVALID") == (text if is_tag else None)


@given(ANY | DIGESTS.map(str))
def test_a_digest_is_what_the_specification_says(text: str) -> None:
    algorithm, colon, encoded = text.partition(":")
    length = {"sha256": 64, "sha512": 128}.get(algorithm)
    is_digest = bool(colon) and len(encoded) == length and set(encoded) <= set("0123456789abcdef")
    found = value_of(parse_digest, text, "DIGEST_INVALID")
    assert found == (Digest(algorithm, encoded) if is_digest else None)
    assert found is None or str(found) == text


@given(ANY | TAGS | DIGESTS.map(str))
def test_a_reference_is_a_digest_or_a_tag_and_never_both(text: str) -> None:
    found = value_of(parse_reference, text, "TAG_INVALID", "DIGEST_INVALID")
    as_digest, as_tag = value_of(parse_digest, text, "DIGEST_INVALID"), value_of(parse_tag, text, "TAG_INVALID")
    assert found == (as_digest if ":" in text else as_tag)
    assert None in (as_digest, as_tag)


NUMBERS = st.integers(0, 30).map(str) | st.sampled_from(
    ["", "00", "007", "-1", "1_0", "+1", "\u0663", " 1", "1 ", "9" * 40]
)


@given(
    content=st.binary(max_size=20),
    value=st.builds(
        "{}{}-{}{}".format,
        st.sampled_from(["bytes=", "bytes= ", "Bytes=", "b="]),
        NUMBERS,
        NUMBERS,
        st.sampled_from(["", " ", "x"]),
    )
    | st.text("bytes=0123456789-, ", max_size=20)
    | st.text(max_size=30),
)
def test_a_range_cuts_out_what_python_would(content: bytes, value: str) -> None:
    """RFC 9110 §14.1.2. A malformed one may be left out or refused: both are allowed by §14.2."""
    try:
        part = parse_range(value, len(content))
    except RangeInvalid as error:
        assert dict(error.headers)["Content-Range"] == f"bytes */{len(content)}"
        part = range(0)
    unit, _, rest = value.partition("=")
    first, dash, last = rest.strip(" \t").partition("-")
    if unit.lower() != "bytes" or not dash or not all(n.isascii() and n.isdecimal() for n in (first, last) if n):
        assert not part
    elif first:
        assert part is not None
        wanted = content[int(first) : int(last) + 1] if last else content[int(first) :]
        assert content[part.start : part.stop] == wanted
    elif last and part is None:
        assert not content
        assert int(last)
    elif last:
        assert part is not None
        assert content[part.start : part.stop] == (content[-int(last) :] if int(last) else b"")
    else:
        assert not part


@given(first=NUMBERS, last=NUMBERS, dash=st.sampled_from(["-", " - ", "--", "/", ""]))
def test_a_chunk_range_is_two_numbers_in_order(first: str, last: str, dash: str) -> None:
    """OCI Distribution 1.1, "Pushing a blob in chunks": ^[0-9]+-[0-9]+$, here of 18 digits at most."""
    value = first + dash + last
    numbers = value.split("-")
    are_two = len(numbers) == 2 and all(n.isascii() and n.isdecimal() and len(n) <= 18 for n in numbers)
    expected = range(int(numbers[0]), int(numbers[1]) + 1) if are_two and int(numbers[0]) <= int(numbers[1]) else None
    found = value_of(parse_chunk_range, value, "RANGE_INVALID")
    assert found == expected


@given(st.integers(1, 10**17))
def test_what_was_received_is_said_as_a_chunk_range_of_it_all(size: int) -> None:
    assert parse_chunk_range(format_received(size)) == range(size)


def page_of(query: str) -> Page | None:
    try:
        return parse_page(parse_route("GET", b"/v2/a/tags/list", query.encode()))
    except RegistryError as error:
        assert (error.code, error.status) == ("PAGINATION_NUMBER_INVALID", 400)
        return None


@given(n=NUMBERS | st.text(max_size=12), last=st.none() | st.text(max_size=30))
def test_a_page_is_a_number_and_any_last(n: str, last: str | None) -> None:
    query = f"n={quote(n)}" + (f"&last={quote(last)}" if last is not None else "")
    if n == "":
        assert page_of(query) == Page(None, last or "")
    elif n.isascii() and n.isdecimal() and len(n) <= 9:
        assert page_of(query) == Page(int(n), last or "")
    else:
        assert page_of(query) is None


@given(names=st.sets(TAGS | NAMES, max_size=12), n=st.integers(1, 5))
def test_links_lead_through_a_whole_list(names: set[str], n: int) -> None:
    """As a client reads them: RFC 8288 by another's parser, the address by our own."""
    everything, shown, address = sorted(names), list[str](), f"/v2/a/tags/list?n={n}"
    for _ in range(len(names) + 1):
        parts = urlsplit(address)
        page = page_of(parts.query)
        assert page is not None
        assert page.limit == n
        following = [name for name in everything if name > page.last]
        here, headers = next_link(CLIENT_VIEW, parts.path, page, following[: n + 1])
        shown += here
        if not headers:
            break
        links = httpx.Response(200, headers=headers).links
        address = links["next"]["url"]
        assert address.startswith(CLIENT_VIEW.base_url + "/v2/a/tags/list?")
    assert shown == everything


def address(route: Route) -> str:
    """The path that a route was made of: OCI Distribution 1.1, "Endpoints"."""
    below = {
        Kind.BASE: "/v2/",
        Kind.CATALOG: "/v2/_catalog",
        Kind.TAGS: f"/v2/{route.repository}/tags/list",
        Kind.MANIFEST: f"/v2/{route.repository}/manifests/{route.reference}",
        Kind.BLOB: f"/v2/{route.repository}/blobs/{route.reference}",
        Kind.UPLOADS: f"/v2/{route.repository}/blobs/uploads/",
        Kind.UPLOAD: f"/v2/{route.repository}/blobs/uploads/{route.session}",
        Kind.REFERRERS: f"/v2/{route.repository}/referrers/{route.reference}",
        Kind.MANIFESTS: f"/v2/{route.repository}/_authproxy/content/manifests",
    }
    return below[route.kind]


@st.composite
def paths(draw: st.DrawFn) -> tuple[str, str]:
    """A method and a path that are right."""
    kind = draw(st.sampled_from(Kind))
    reference = draw(TAGS | DIGESTS) if kind is Kind.MANIFEST else draw(DIGESTS)
    route = Route(kind, "", (), draw(NAMES), reference, draw(SESSIONS))  # type: ignore[arg-type]  # not parsed yet
    return draw(st.sampled_from(METHODS[kind])), address(route)


def escaped(path: str, places: set[int]) -> str:
    """The path with the signs at these places escaped; those that make it a path below /v2/ are left."""
    return "".join(
        f"%{ord(sign):02{'xX'[place % 2]}}" if place in places and place > 3 else sign
        for place, sign in enumerate(path)
    )


@given(paths(), st.sets(st.integers(0, 60)))
def test_a_right_path_is_read_back_however_it_is_escaped(right: tuple[str, str], places: set[int]) -> None:
    method, path = right
    route = parse_route(method, path.encode(), b"")
    assert address(route) == path
    assert parse_route(method, escaped(path, places).encode(), b"") == route


WORDS = [
    "a",
    "A",
    "_catalog",
    "tags",
    "list",
    "manifests",
    "blobs",
    "uploads",
    "referrers",
    "_authproxy",
    "content",
    "v1",
    f"sha256:{'a' * 64}",
]
SIGNS = ["/", "//", "..", ".", "%2f", "%2e", "%00", "%", "%zz", "%25", "sha256:", ":", "-", "?", "#", "\xff", "\n", "é"]
PIECES = st.sampled_from([*WORDS, *SIGNS])


@given(
    st.sampled_from(["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "get", ""]),
    st.lists(PIECES, max_size=9),
)
def test_any_path_is_a_route_that_its_own_address_names_or_refused(method: str, pieces: list[str]) -> None:
    path = ("/v2/" + "".join(pieces)).encode()
    try:
        route = parse_route(method, path, b"")
    except RegistryError as error:
        assert (error.status, error.code) in [
            (400, "NAME_INVALID"),
            (400, "TAG_INVALID"),
            (400, "DIGEST_INVALID"),
            (404, "MANIFEST_UNKNOWN"),
            (404, "UNSUPPORTED"),
            (405, "UNSUPPORTED"),
        ]
        return
    assert method in METHODS[route.kind]
    assert parse_route(method, address(route).encode(), b"") == route
    assert route.repository is None or all(access.name == route.repository for access in route.needs)


@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)).filter(any), max_size=8))
def test_a_query_is_read_as_it_was_written(pairs: list[tuple[str, str]]) -> None:
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)
    route = parse_route("GET", b"/v2/", query.encode())
    assert route.query == tuple(pairs)
    for name, _ in pairs:
        assert route.parameter(name) == next(value for key, value in pairs if key == name)


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_no_query_is_anything_but_a_route_or_our_error(path: bytes, query: bytes) -> None:
    try:
        parse_route("POST", b"/v2/a/blobs/uploads/" + path, query)
    except RegistryError as error:
        assert error.status in (400, 404, 405, 414)
