"""What is a manifest and what isn't: OCI Image 1.1 and Docker's image manifest 2.2, without a registry around."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.digest import parse_digest
from authproxy.errors import ManifestInvalid
from authproxy.registry.manifest import (
    DOCKER_IMAGE,
    DOCKER_LIST,
    NON_DISTRIBUTABLE,
    OCI_IMAGE,
    OCI_INDEX,
    Manifest,
    media_type_of,
    parse_manifest,
)

A, B, C = (f"sha256:{letter * 64}" for letter in "abc")


def entry(digest: str = A, media_type: str = "application/x", size: object = 1, **more: object) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest, "size": size} | more


IMAGE = {"schemaVersion": 2, "mediaType": OCI_IMAGE, "config": entry(A), "layers": [entry(B), entry(C), entry(B)]}
INDEX = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry(B), entry(C)]}


def without(body: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key not in keys}


def image(blobs: str, media_type: str = OCI_IMAGE) -> Manifest:
    return Manifest(media_type, blobs=tuple(parse_digest(f"sha256:{letter * 64}") for letter in blobs))


def index(entries: str, media_type: str = OCI_INDEX) -> Manifest:
    return Manifest(media_type, manifests=tuple(parse_digest(f"sha256:{letter * 64}") for letter in entries))


FOREIGN = entry(B, NON_DISTRIBUTABLE[0], urls=["https://example.com"])
GOOD = [
    ("an image", IMAGE, OCI_IMAGE, image("abc")),
    ("no Content-Type", IMAGE, None, image("abc")),
    ("parameters and capitals in Content-Type", IMAGE, f"{OCI_IMAGE.upper()}; charset=utf-8", image("abc")),
    ("no mediaType", without(IMAGE, "mediaType"), OCI_IMAGE, image("abc")),
    ("an index without a mediaType", without(INDEX, "mediaType"), OCI_INDEX, index("bc")),
    ("Docker's image", IMAGE | {"mediaType": DOCKER_IMAGE}, DOCKER_IMAGE, image("abc", DOCKER_IMAGE)),
    ("Docker's list", INDEX | {"mediaType": DOCKER_LIST}, DOCKER_LIST, index("bc", DOCKER_LIST)),
    ("no layers", IMAGE | {"layers": []}, OCI_IMAGE, image("a")),
    ("layers left out", without(IMAGE, "layers"), OCI_IMAGE, image("a")),
    ("layers null, as Go writes an empty list", IMAGE | {"layers": None}, OCI_IMAGE, image("a")),
    ("an empty index", INDEX | {"manifests": []}, OCI_INDEX, index("")),
    ("a foreign layer with urls", IMAGE | {"layers": [FOREIGN]}, OCI_IMAGE, image("a")),
    ("a foreign layer without", IMAGE | {"layers": [without(FOREIGN, "urls")]}, OCI_IMAGE, image("ab")),
    ("urls on a common layer", IMAGE | {"layers": [entry(B, urls=["https://x"])]}, OCI_IMAGE, image("ab")),
    ("an artifact", IMAGE | {"artifactType": "application/x", "annotations": {}}, OCI_IMAGE, image("abc")),
    ("a subject", IMAGE | {"subject": entry("sha512:" + "d" * 128)}, OCI_IMAGE, image("abc")),
    ("fields nobody knows", IMAGE | {"x": [None]}, OCI_IMAGE, image("abc")),
]


@pytest.mark.parametrize(("body", "content_type", "expected"), [row[1:] for row in GOOD], ids=[row[0] for row in GOOD])
def test_manifest(body: dict[str, Any], content_type: str | None, expected: Manifest) -> None:
    assert parse_manifest(json.dumps(body).encode(), content_type) == expected


REFUSED = [
    ("an index sent as an image", INDEX, OCI_IMAGE, "differ"),
    ("no mediaType, sent as Docker's", without(IMAGE, "mediaType"), DOCKER_IMAGE, "differ"),
    ("an index by its media type, an image by its fields", IMAGE | {"mediaType": OCI_INDEX}, OCI_INDEX, "has layers"),
    ("both (CVE-2021-41190)", IMAGE | INDEX | {"mediaType": OCI_IMAGE}, OCI_IMAGE, "has manifests"),
    ("both, without a mediaType", without(IMAGE | INDEX, "mediaType"), OCI_INDEX, "has layers"),
    ("an index with a config", INDEX | {"config": entry()}, OCI_INDEX, "has layers or a config"),
    ("manifests null in an image", IMAGE | {"manifests": None}, OCI_IMAGE, "has manifests"),
    ("no schemaVersion", without(IMAGE, "schemaVersion"), OCI_IMAGE, "schemaVersion"),
    ("schema 1", {"schemaVersion": 1, "fsLayers": []}, None, "schemaVersion"),
    ("schemaVersion as text", IMAGE | {"schemaVersion": "2"}, OCI_IMAGE, "schemaVersion"),
    ("schemaVersion 2.0", IMAGE | {"schemaVersion": 2.0}, OCI_IMAGE, "schemaVersion"),
    ("a media type nobody knows", IMAGE | {"mediaType": "application/x"}, "application/x", "can check"),
    ("a mediaType that is no text", IMAGE | {"mediaType": ["x"]}, OCI_IMAGE, "mediaType is not text"),
    ("no config", without(IMAGE, "config"), OCI_IMAGE, "config is no descriptor"),
    ("layers that are no list", IMAGE | {"layers": {}}, OCI_IMAGE, "layers is not a list"),
    ("a layer that is text", IMAGE | {"layers": [B]}, OCI_IMAGE, r"layers\[0\] is no descriptor"),
    ("a layer without a size", IMAGE | {"layers": [without(entry(), "size")]}, OCI_IMAGE, r"layers\[0\]"),
    ("a size below zero", IMAGE | {"layers": [entry(size=-1)]}, OCI_IMAGE, r"layers\[0\]"),
    ("a size that is true", IMAGE | {"layers": [entry(size=True)]}, OCI_IMAGE, r"layers\[0\]"),
    ("a malformed digest", IMAGE | {"layers": [entry("sha256:x")]}, OCI_IMAGE, r"layers\[0\]: a digest is"),
    ("a path as a digest", INDEX | {"manifests": [entry("sha256:../../x")]}, OCI_INDEX, r"manifests\[0\]: a digest"),
    ("a subject that is none", IMAGE | {"subject": "x"}, OCI_IMAGE, "subject is no descriptor"),
]


@pytest.mark.parametrize(
    ("body", "content_type", "message"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_refused(body: dict[str, Any], content_type: str | None, message: str) -> None:
    with pytest.raises(ManifestInvalid, match=message):
        parse_manifest(json.dumps(body).encode(), content_type)


NO_JSON = {
    "nothing": b"",
    "text": b"hello",
    "a list": b"[]",
    "a number": b"2",
    "not UTF-8": b'{"a": "\xff"}',
    "UTF-16": json.dumps(IMAGE).encode("utf-16"),
    "NaN": b'{"schemaVersion": 2, "x": NaN}',
    "too deep": b"[" * 100_000,
    "two values": b"{} {}",
    "a number of thousands of digits": b'{"x": ' + b"9" * 10_000 + b"}",
}


@pytest.mark.parametrize("content", NO_JSON.values(), ids=NO_JSON.keys())
def test_no_json_object(content: bytes) -> None:
    with pytest.raises(ManifestInvalid):
        parse_manifest(content, OCI_IMAGE)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"mediaType": "application/x"}, "application/x"),
        ({"manifests": []}, OCI_INDEX),
        ({"layers": []}, OCI_IMAGE),
        ({"mediaType": ""}, OCI_IMAGE),
        ({}, OCI_IMAGE),
    ],
)
def test_the_media_type_of_what_is_stored(body: dict[str, Any], expected: str) -> None:
    assert media_type_of(json.dumps(body).encode()) == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*IMAGE, *INDEX, *entry()]) | st.text(), inner),
    max_leaves=10,
)


@given(change=st.dictionaries(st.sampled_from([*IMAGE, *INDEX, "subject"]), JSON))
def test_any_json_is_a_manifest_or_refused(change: dict[str, Any]) -> None:
    try:
        parse_manifest(json.dumps(IMAGE | change).encode(), None)
    except ManifestInvalid as error:
        json.dumps(error.detail)


@given(st.binary())
def test_any_bytes_are_a_manifest_or_refused(content: bytes) -> None:
    with pytest.raises(ManifestInvalid):
        parse_manifest(content, None)
