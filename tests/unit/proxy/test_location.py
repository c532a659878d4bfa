"""`Location` and `Link` on the host that the client asked."""

from dataclasses import replace
from operator import attrgetter
from typing import NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from authproxy.client_view import ClientView
from authproxy.http.client.address import Address
from authproxy.proxy.location import Relocation

HERE = "https://front.example:5000"
CLIENT_VIEW = ClientView("https", "front.example:5000", "192.0.2.7")
DEFAULT_PORT = ClientView("https", "front.example", "192.0.2.7")
IPV6 = ClientView("https", "[2001:db8::1]:5000", "192.0.2.7")
UPSTREAM = Address("http", "127.0.0.1", 5001)
BASED = Address("https", "upstream.example", 443, "/base")


class Row(NamedTuple):
    what: str
    value: str
    expected: str
    address: Address = UPSTREAM
    view: ClientView = CLIENT_VIEW


ROWS = [
    Row("the upstream's own", "http://127.0.0.1:5001/v2/a?x=1", HERE + "/v2/a?x=1"),
    Row("the client's", HERE + "/v2/a", HERE + "/v2/a"),
    Row("the client's, wrong scheme", "http://front.example:5000/v2/a", HERE + "/v2/a"),
    Row("the client's, in capitals", "HTTPS://FRONT.example:5000/v2/a", HERE + "/v2/a"),
    Row(
        "the client's default port, written",
        "https://front.example:443/v2/a",
        "https://front.example/v2/a",
        view=DEFAULT_PORT,
    ),
    Row(
        "the client's default port, wrong scheme",
        "http://front.example/v2/a",
        "https://front.example/v2/a",
        view=DEFAULT_PORT,
    ),
    Row(
        "the client's name, another service",
        "https://front.example:9000/bucket/x",
        "https://front.example:9000/bucket/x",
    ),
    Row("the client's IPv6", "http://[2001:db8::1]:5000/v2/a", "https://[2001:db8::1]:5000/v2/a", view=IPV6),
    Row("the upstream's IPv6", "http://[::1]:5001/v2/a", HERE + "/v2/a", Address("http", "::1", 5001)),
    Row("the upstream's default port", "https://upstream.example/base/v2/a", HERE + "/v2/a", BASED),
    Row("the upstream's default port, written", "https://upstream.example:443/base/v2/a", HERE + "/v2/a", BASED),
    Row("the upstream's, outside its prefix", "https://upstream.example/v2/a", HERE + "/v2/a", BASED),
    Row("another port of the upstream", "http://127.0.0.1:9000/bucket/x", "http://127.0.0.1:9000/bucket/x"),
    Row("storage", "https://s3.example/b/x?X-Sig=a%2Fb&c", "https://s3.example/b/x?X-Sig=a%2Fb&c"),
    Row("a user before our host", "https://x@front.example:5000/v2/", "https://x@front.example:5000/v2/"),
    Row("our host as a user", "https://front.example:5000@evil.example/", "https://front.example:5000@evil.example/"),
    Row("no port at all", "https://front.example:x/v2/", "https://front.example:x/v2/"),
    Row("without a scheme, ours", "//front.example:5000/v2/a", HERE + "/v2/a"),
    Row("without a scheme, foreign", "//s3.example/x", "//s3.example/x"),
    Row("another scheme", "oci://127.0.0.1:5001/v2/", "oci://127.0.0.1:5001/v2/"),
    Row("no path", "http://127.0.0.1:5001", HERE + "/"),
    Row("no path, a query", "http://127.0.0.1:5001?a=b", HERE + "/?a=b"),
    Row("a path", "/v2/a?_state=a%3D%3D&x", HERE + "/v2/a?_state=a%3D%3D&x"),
    Row("a path with the prefix", "/base/v2/a", HERE + "/v2/a", BASED),
    Row("a relative path", "next?x=1", HERE + "/v2/team/app/blobs/uploads/next?x=1"),
    Row("a query alone", "?n=2", HERE + "/v2/team/app/blobs/uploads/?n=2"),
    Row("nothing", "", ""),
    Row("what looks like a path to another host", "/\\evil.example", HERE + "/\\evil.example"),
]


def relocation(address: Address, view: ClientView) -> Relocation:
    target = address.target(b"/v2/team/app/blobs/uploads/", b"").decode()
    return Relocation(target, address, view)


@pytest.mark.parametrize("row", ROWS, ids=attrgetter("what"))
def test_location(row: Row) -> None:
    assert relocation(row.address, row.view).relocate(row.value) == row.expected


RELATIVE = [
    ("http://127.0.0.1:5001/v2/a?x=1", "/v2/a?x=1"),
    (HERE + "/v2/a", "/v2/a"),
    ("/v2/a", "/v2/a"),
    ("next", "/v2/team/app/blobs/uploads/next"),
    ("https://s3.example/x", "https://s3.example/x"),
]


@pytest.mark.parametrize(("value", "expected"), RELATIVE)
def test_location_is_a_path_where_the_operator_wants_it(value: str, expected: str) -> None:
    assert relocation(UPSTREAM, replace(CLIENT_VIEW, relative_locations=True)).relocate(value) == expected


LINKS = [
    ('</v2/_catalog?n=2&last=b>; rel="next"', f'<{HERE}/v2/_catalog?n=2&last=b>; rel="next"'),
    (
        f'<{UPSTREAM.url}/v2/a>; rel="next", </v2/b>; rel="prev"',
        f'<{HERE}/v2/a>; rel="next", <{HERE}/v2/b>; rel="prev"',
    ),
    ('<https://docs.example/>; rel="help"', '<https://docs.example/>; rel="help"'),
    ("no link", "no link"),
    ("<unclosed", "<unclosed"),
]


@pytest.mark.parametrize(("value", "expected"), LINKS)
def test_link(value: str, expected: str) -> None:
    assert relocation(UPSTREAM, CLIENT_VIEW).relocate_links(value) == expected


@example(" a:")
@given(st.text(alphabet="/:@?#[]\\.a5%~ ", max_size=30))
def test_any_text_is_relocated_or_left(value: str) -> None:
    relocated = relocation(UPSTREAM, CLIENT_VIEW).relocate(value)
    assert relocated == value or relocated.startswith(HERE + "/")


@given(st.text(alphabet="/:@?#[]\\.a5%~ ", max_size=30))
def test_no_address_shows_the_upstream(rest: str) -> None:
    relocated = relocation(UPSTREAM, CLIENT_VIEW).relocate(f"{UPSTREAM.url}/{rest}")
    assert relocated == f"{HERE}/{rest}"


def test_another_machine_of_the_upstream_is_the_upstream() -> None:
    others = (UPSTREAM, Address("http", "10.0.0.2", 5001))
    seen = Relocation("/v2/a", UPSTREAM, CLIENT_VIEW, others)
    assert seen.relocate("http://10.0.0.2:5001/v2/a") == f"{HERE}/v2/a"
    assert seen.relocate("http://10.0.0.3:5001/v2/a") == "http://10.0.0.3:5001/v2/a"
