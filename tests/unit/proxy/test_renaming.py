"""The names behind us, and the ways between them and the clients'."""

from dataclasses import replace
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.client_view import ClientView
from authproxy.errors import NameInvalid
from authproxy.proxy.renaming import Names, Renaming
from authproxy.reference import Repository

HERE = "https://front.example:5000"
CLIENT_VIEW = ClientView("https", "front.example:5000", "192.0.2.7")
NAMES = Names(Repository("library/nginx"), Repository("mirror/nginx"))
SHORT = Names(Repository("library/nginx"), Repository("nginx"))

WAYS = [
    (Renaming("library/", "mirror/"), "library/nginx", "mirror/nginx"),
    (Renaming("library/"), "library/nginx", "nginx"),
    (Renaming(add="mirror/"), "nginx", "mirror/nginx"),
    (Renaming("a/b/", "a/"), "a/b/b/c", "a/b/c"),
    (Renaming(), "nginx", "nginx"),
]


@pytest.mark.parametrize(("renaming", "outer", "inner"), WAYS)
def test_a_name_goes_in_and_comes_back(renaming: Renaming, outer: str, inner: str) -> None:
    assert renaming.inward(outer) == inner
    assert renaming.outward(inner) == outer


@given(
    st.sampled_from([renaming for renaming, _, _ in WAYS]),
    st.from_regex(r"[a-c]{1,2}(/[a-c]{1,2}){0,3}", fullmatch=True),
)
def test_no_two_names_are_one_behind_us(renaming: Renaming, name: str) -> None:
    inner = renaming.inward(name)
    assert inner is None or renaming.outward(inner) == name
    outer = renaming.outward(name)
    assert outer is None or renaming.inward(outer) == name


def test_what_does_not_begin_so_has_no_other_name() -> None:
    assert Renaming("library/").inward("library") is None
    assert Renaming(add="mirror/").outward("mirror") is None


def test_a_name_that_would_be_too_long_is_refused_by_the_clients_name() -> None:
    name = "/".join(["long"] * 50)
    with pytest.raises(NameInvalid, match="258 characters") as caught:
        Renaming(add="mirror/x/").inward(name)
    assert caught.value.detail == {"name": name}
    assert Renaming("library/").outward(name + "/abc/de") is None


class Address(NamedTuple):
    value: str
    expected: str
    view: ClientView = CLIENT_VIEW


ADDRESSES = {
    "whole": Address(f"{HERE}/v2/mirror/nginx/blobs/x?a=b%2F", f"{HERE}/v2/library/nginx/blobs/x?a=b%2F"),
    "a path": Address("/v2/mirror/nginx/tags/list?n=1", "/v2/library/nginx/tags/list?n=1"),
    "escaped": Address("/v2/mirror%2Fnginx/tags/list", "/v2/library/nginx/tags/list"),
    "below a prefix": Address(
        f"{HERE}/hub/v2/mirror/nginx/blobs/x",
        f"{HERE}/hub/v2/library/nginx/blobs/x",
        replace(CLIENT_VIEW, prefix="/hub"),
    ),
    "of somebody else": Address("https://s3.example/v2/mirror/nginx/x", "https://s3.example/v2/mirror/nginx/x"),
    "another repository": Address("/v2/mirror/nginx2/tags/list", "/v2/mirror/nginx2/tags/list"),
    "no address": Address("http://[", "http://["),
}


@pytest.mark.parametrize("row", ADDRESSES.values(), ids=ADDRESSES)
def test_address(row: Address) -> None:
    assert NAMES.readdress(row.value, row.view) == row.expected
    link = '<{}>; rel="next"'
    assert NAMES.readdress_links(link.format(row.value), row.view) == link.format(row.expected)


SAID = [
    (NAMES, {"name": "mirror/nginx"}, {"name": "library/nginx"}),
    (NAMES, ["no mirror/nginx, nor mirror/nginx:v1"], ["no library/nginx, nor library/nginx:v1"]),
    (NAMES, "a/mirror/nginx mirror/nginx/b mirror/nginx-c", "a/mirror/nginx mirror/nginx/b mirror/nginx-c"),
    (NAMES, {"mirror/nginx": [1, None, True]}, {"mirror/nginx": [1, None, True]}),
    (
        SHORT,
        {"name": "nginx", "message": "nginx knows no nginx"},
        {"name": "library/nginx", "message": "nginx knows no nginx"},
    ),
]


@pytest.mark.parametrize(("names", "said", "expected"), SAID)
def test_what_is_said_of_a_repository(names: Names, said: object, expected: object) -> None:
    assert names.retell(said) == expected
