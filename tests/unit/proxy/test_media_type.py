"""Which `Content-Type` an upstream is sent."""

import time

import pytest

from authproxy.asgi import Headers
from authproxy.errors import ManifestInvalid
from authproxy.proxy.media_type import sent_type
from authproxy.route import parse_route

MANIFEST = parse_route("PUT", b"/v2/a/manifests/v1", b"")
BYTES: Headers = [(b"content-type", b"application/octet-stream")]

OTHERS = [
    ("POST", b"/v2/a/blobs/uploads/", "with a body", BYTES),
    ("POST", b"/v2/a/blobs/uploads/", "without", BYTES),
    ("PATCH", b"/v2/a/blobs/uploads/1", "with a body", BYTES),
    ("PUT", b"/v2/a/blobs/uploads/1", "without", BYTES),
    ("DELETE", b"/v2/a/blobs/uploads/1", "without", []),
    ("GET", b"/v2/a/manifests/v1", "without", []),
    ("GET", b"/v2/a/manifests/v1", "with a body", BYTES),
    ("DELETE", b"/v2/a/manifests/v1", "with a body", BYTES),
]


@pytest.mark.parametrize(("method", "path", "how", "wanted"), OTHERS)
@pytest.mark.parametrize("said", [b"application/x-www-form-urlencoded", b"text/plain", None])
def test_what_is_no_manifest_is_bytes(method: str, path: bytes, how: str, wanted: Headers, said: bytes | None) -> None:
    headers = [] if said is None else [(b"content-type", said)]
    assert sent_type(parse_route(method, path, b""), headers, has_body=how == "with a body") == wanted


TAKEN = [
    b"application/vnd.oci.image.manifest.v1+json",
    b"application/vnd.docker.distribution.manifest.v1+prettyjws",
    b"application/json; charset=utf-8",
    b'application/json ;a="b\\"c; d" ; e=f',
    b"a/b;",
]


@pytest.mark.parametrize("value", TAKEN)
def test_a_manifests_type_passes_as_it_is(value: bytes) -> None:
    assert sent_type(MANIFEST, [(b"content-type", value)], has_body=True) == [(b"content-type", value)]


def test_a_manifest_may_have_none() -> None:
    assert sent_type(MANIFEST, [], has_body=True) == []


REFUSED = [
    b"",
    b"json",
    b" application/json",
    b"application/json, text/plain",
    b"application/json\xc2\xa0",
    b"application/json; a=\xe2\x84\xaa",
    b'application/json; a="b',
    b"Application/X-WWW-Form-URLEncoded",
    b"text/x-url-encoded",
    b"MULTIPART/mixed; boundary=x",
]


@pytest.mark.parametrize("value", REFUSED)
def test_a_manifests_type_is_refused(value: bytes) -> None:
    with pytest.raises(ManifestInvalid, match="Content-Type"):
        sent_type(MANIFEST, [(b"content-type", value)], has_body=True)


def test_two_types_are_refused() -> None:
    with pytest.raises(ManifestInvalid):
        sent_type(MANIFEST, [(b"content-type", b"a/b"), (b"content-type", b"c/d")], has_body=True)


def test_a_long_type_is_read_in_one_pass() -> None:
    began = time.process_time()
    for value in (b"a/b" + b" ;" * 20_000 + b"\x80", b'a/b;a="' + b"\\a" * 20_000, b"a" * 60_000):
        with pytest.raises(ManifestInvalid):
            sent_type(MANIFEST, [(b"content-type", value)], has_body=True)
    assert time.process_time() - began < 1
