"""`upstream.url`: what is taken, what is refused, and how targets are made from it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.errors import StartError
from authproxy.http.client.address import Address, parse_address, split_authority

GOOD = [
    ("http://127.0.0.1:5001", Address("http", "127.0.0.1", 5001)),
    ("http://registry", Address("http", "registry", 80)),
    ("https://Registry.Example", Address("https", "registry.example", 443)),
    ("https://registry.example:8443/", Address("https", "registry.example", 8443)),
    ("http://[::1]:5001", Address("http", "::1", 5001)),
    ("http://registry/base", Address("http", "registry", 80, "/base")),
    ("http://registry/a/b/", Address("http", "registry", 80, "/a/b")),
]


@pytest.mark.parametrize(("url", "address"), GOOD)
def test_url(url: str, address: Address) -> None:
    assert parse_address(url) == address


BAD = [
    ("", "must begin with http:// or https://"),
    ("127.0.0.1:5001", "must begin with http:// or https://"),
    ("registry:5001", "must begin with http:// or https://"),
    ("ftp://registry", "must begin with http:// or https://"),
    ("http://", "must begin with http:// or https://"),
    ("http://:5001", "must begin with http:// or https://"),
    ("http://registry:port", "is not the address of a registry"),
    ("http://registry:0", "port 0"),
    ("http://registry:65536", "is not the address of a registry"),
    ("http://[::1", "is not the address of a registry"),
    ("http://registry/?a=b", r"no \? and no #"),
    ("http://registry/#a", r"no \? and no #"),
    ("http://registry/v2/", "leave out /v2"),
    ("http://registry/v2", "leave out /v2"),
    ("http://register\u00e9", "xn--"),
    ("http://registry/a b", "visible ASCII"),
]


@pytest.mark.parametrize(("url", "message"), BAD)
def test_refused_url(url: str, message: str) -> None:
    with pytest.raises(StartError, match=message) as refusal:
        parse_address(url)
    assert "upstream.url" in str(refusal.value)


def test_password_in_the_url_is_refused_and_not_shown() -> None:
    with pytest.raises(StartError, match="leave user and password out") as refusal:
        parse_address("http://user:secret@registry")
    assert "secret" not in str(refusal.value)


@given(st.text())
def test_any_url_is_an_address_or_a_start_error(url: str) -> None:
    try:
        address = parse_address("http://" + url)
    except StartError:
        return
    assert parse_address(address.url) == address


TARGETS = [
    ("", b"/v2/a/tags/list", b"n=1&last=b", b"/v2/a/tags/list?n=1&last=b"),
    ("", b"/v2/a/blobs/uploads/", b"", b"/v2/a/blobs/uploads/"),
    ("", b"/v2/a/../b", b"a=%2f&a=+", b"/v2/a/../b?a=%2f&a=+"),
    ("/base", b"/v2/", b"", b"/base/v2/"),
    ("", b"/v2/", b"a=\xff b", b"/v2/?a=%FF%20b"),
]


@pytest.mark.parametrize(("prefix", "path", "query", "target"), TARGETS)
def test_target_is_what_the_client_sent(prefix: str, path: bytes, query: bytes, target: bytes) -> None:
    assert Address("http", "registry", 80, prefix).target(path, query) == target


PATHS = [
    ("", "/v2/a", "/v2/a"),
    ("/base", "/base/v2/a", "/v2/a"),
    ("/base", "/v2/a", "/v2/a"),
    ("/base", "/basement/v2/a", "/basement/v2/a"),
    ("/base", "/base", "/base"),
]


@pytest.mark.parametrize(("prefix", "path", "stripped"), PATHS)
def test_prefix_is_stripped(prefix: str, path: str, stripped: str) -> None:
    assert Address("http", "registry", 80, prefix).strip_prefix(path) == stripped


AUTHORITIES = [
    ("registry", "http", ("registry", 80)),
    ("Registry:5000", "https", ("registry", 5000)),
    ("registry:", "https", ("registry", 443)),
    ("[::1]", "https", ("::1", 443)),
    ("[::1]:5000", "http", ("::1", 5000)),
    ("user@registry", "http", None),
    ("", "http", None),
    (":80", "http", None),
    ("registry:x", "http", None),
    ("[::1", "http", None),
    ("registry/a", "http", None),
]


@pytest.mark.parametrize(("authority", "scheme", "expected"), AUTHORITIES)
def test_authority(authority: str, scheme: str, expected: tuple[str, int] | None) -> None:
    assert split_authority(authority, scheme) == expected
