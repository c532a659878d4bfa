"""What is a manifest and what isn't: OCI Image 1.1 and Docker's image manifest 2.2, without a registry around."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.digest import Digest, parse_digest
from authproxy.errors import ManifestInvalid
from authproxy.oci.manifest import Descriptor, Manifest, Platform
from authproxy.oci.media_types import DOCKER_IMAGE, DOCKER_LIST, OCI_IMAGE, OCI_INDEX
from authproxy.registry.manifest_checks import parse_manifest

A, B, C = (f"sha256:{letter * 64}" for letter in "abc")


def entry(digest: str = A, media_type: str = "application/x", size: object = 1, **more: object) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest, "size": size} | more


IMAGE = {"schemaVersion": 2, "mediaType": OCI_IMAGE, "config": entry(A), "layers": [entry(B), entry(C), entry(B)]}
INDEX = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry(B), entry(C)]}


def without(body: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key not in keys}


def descriptor(letter: str, media_type: str = "application/x", **more: Any) -> Descriptor:
    return Descriptor(media_type, parse_digest(f"sha256:{letter * 64}"), 1, **more)


def image(letters: str, media_type: str = OCI_IMAGE, **more: Any) -> Manifest:
    config, *layers = map(descriptor, letters)
    return Manifest(media_type, b"", DIGEST, config, tuple(layers), **more)


def index(letters: str, media_type: str = OCI_INDEX) -> Manifest:
    return Manifest(media_type, b"", DIGEST, children=tuple(map(descriptor, letters)))


URL = "https://example.com"
AMD64 = {"architecture": "amd64", "os": "linux"}
SUBJECT = "sha512:" + "d" * 128
DIGEST = Digest.of(b"as computed before")
GOOD = [
    ("an image", IMAGE, OCI_IMAGE, image("abcb")),
    ("no Content-Type", IMAGE, None, image("abcb")),
    ("an empty Content-Type", IMAGE, "", image("abcb")),
    ("parameters and capitals in Content-Type", IMAGE, f"{OCI_IMAGE.upper()}; charset=utf-8", image("abcb")),
    ("no mediaType", without(IMAGE, "mediaType"), OCI_IMAGE, image("abcb")),
    ("an index without a mediaType", without(INDEX, "mediaType"), OCI_INDEX, index("bc")),
    ("Docker's image", IMAGE | {"mediaType": DOCKER_IMAGE}, DOCKER_IMAGE, image("abcb", DOCKER_IMAGE)),
    ("Docker's list", INDEX | {"mediaType": DOCKER_LIST}, DOCKER_LIST, index("bc", DOCKER_LIST)),
    ("no layers", IMAGE | {"layers": []}, OCI_IMAGE, image("a")),
    ("layers left out", without(IMAGE, "layers"), OCI_IMAGE, image("a")),
    ("layers null, as Go writes an empty list", IMAGE | {"layers": None}, OCI_IMAGE, image("a")),
    ("an empty index", INDEX | {"manifests": []}, OCI_INDEX, index("")),
    (
        "a layer with urls",
        IMAGE | {"layers": [entry(B, urls=[URL])]},
        OCI_IMAGE,
        Manifest(OCI_IMAGE, b"", DIGEST, descriptor("a"), (descriptor("b", urls=(URL,)),)),
    ),
    ("urls null", IMAGE | {"layers": [entry(B, urls=None)]}, OCI_IMAGE, image("ab")),
    (
        "an index for platforms",
        INDEX | {"manifests": [entry(B, platform=AMD64), entry(C, platform={"os": 1})]},
        OCI_INDEX,
        Manifest(
            OCI_INDEX, b"", DIGEST, children=(descriptor("b", platform=Platform("linux", "amd64")), descriptor("c"))
        ),
    ),
    (
        "an artifact",
        IMAGE | {"artifactType": "application/x", "annotations": {"a": "b"}},
        OCI_IMAGE,
        image("abcb", artifact_type="application/x", annotations={"a": "b"}),
    ),
    ("annotations null", IMAGE | {"annotations": None}, OCI_IMAGE, image("abcb")),
    (
        "a subject",
        IMAGE | {"subject": entry(SUBJECT)},
        OCI_IMAGE,
        image("abcb", subject=Descriptor("application/x", parse_digest(SUBJECT), 1)),
    ),
    ("a subject that is null", IMAGE | {"subject": None}, OCI_IMAGE, image("abcb")),
    ("fields nobody knows", IMAGE | {"x": [None]}, OCI_IMAGE, image("abcb")),
]


@pytest.mark.parametrize(("body", "content_type", "expected"), [row[1:] for row in GOOD], ids=[row[0] for row in GOOD])
def test_manifest(body: dict[str, Any], content_type: str | None, expected: Manifest) -> None:
    assert parse_manifest(json.dumps(body).encode(), content_type, DIGEST) == expected


REFUSED = [
    ("an index sent as an image", INDEX, OCI_IMAGE, "Content-Type"),
    ("no mediaType, sent as Docker's", without(IMAGE, "mediaType"), DOCKER_IMAGE, "Content-Type"),
    ("an index by its media type, an image by its fields", IMAGE | {"mediaType": OCI_INDEX}, OCI_INDEX, "has layers"),
    ("both (CVE-2021-41190)", IMAGE | INDEX | {"mediaType": OCI_IMAGE}, OCI_IMAGE, "has manifests"),
    ("both, without a mediaType", without(IMAGE | INDEX, "mediaType"), OCI_INDEX, "has layers"),
    ("an index with a config", INDEX | {"config": entry()}, OCI_INDEX, "has layers or a config"),
    ("manifests null in an image", IMAGE | {"manifests": None}, OCI_IMAGE, "has manifests"),
    ("no schemaVersion", without(IMAGE, "schemaVersion"), OCI_IMAGE, "schemaVersion"),
    ("schema 1", {"schemaVersion": 1, "fsLayers": []}, None, "schemaVersion"),
    ("schemaVersion as text", IMAGE | {"schemaVersion": "2"}, OCI_IMAGE, "schemaVersion"),
    ("schemaVersion 2.0", IMAGE | {"schemaVersion": 2.0}, OCI_IMAGE, "schemaVersion"),
    ("a media type nobody knows", IMAGE | {"mediaType": "application/x"}, "application/x", "does not support"),
    ("a mediaType that is no text", IMAGE | {"mediaType": ["x"]}, OCI_IMAGE, "mediaType is not text"),
    ("a field in capitals", IMAGE | {"Layers": []}, OCI_IMAGE, "'Layers'"),
    ("a field with a long s", IMAGE | {"\u017fubject": None}, OCI_IMAGE, "read without regard to case"),
    ("no config", without(IMAGE, "config"), OCI_IMAGE, "config is not a descriptor"),
    ("layers that are no list", IMAGE | {"layers": {}}, OCI_IMAGE, "layers is not a list"),
    ("a layer that is text", IMAGE | {"layers": [B]}, OCI_IMAGE, r"layers\[0\] is not a descriptor"),
    ("a layer without a size", IMAGE | {"layers": [without(entry(), "size")]}, OCI_IMAGE, r"layers\[0\]"),
    ("a size below zero", IMAGE | {"layers": [entry(size=-1)]}, OCI_IMAGE, r"layers\[0\]"),
    ("a size that is true", IMAGE | {"layers": [entry(size=True)]}, OCI_IMAGE, r"layers\[0\]"),
    ("a malformed digest", IMAGE | {"layers": [entry("sha256:x")]}, OCI_IMAGE, r"layers\[0\]: a digest is"),
    ("a path as a digest", INDEX | {"manifests": [entry("sha256:../../x")]}, OCI_INDEX, r"manifests\[0\]: a digest"),
    ("a size that no other reader holds", IMAGE | {"layers": [entry(size=2**63)]}, OCI_IMAGE, r"layers\[0\]"),
    ("urls that are text", IMAGE | {"layers": [entry(urls="https://x")]}, OCI_IMAGE, r"layers\[0\]: urls"),
    ("an artifactType that is no text", IMAGE | {"artifactType": 1}, OCI_IMAGE, "artifactType"),
    ("an annotation that is no text", IMAGE | {"annotations": {"a": 1}}, OCI_IMAGE, "annotations"),
    ("annotations that are a list", INDEX | {"annotations": ["a"]}, OCI_INDEX, "annotations"),
    (
        "the artifact manifest that OCI withdrew",
        {"mediaType": "application/vnd.oci.artifact.manifest.v1+json", "blobs": []},
        "application/vnd.oci.artifact.manifest.v1+json",
        "image manifest with artifactType",
    ),
    (
        "schema 1 by its media type",
        {"schemaVersion": 1, "fsLayers": []},
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        "no longer accepted",
    ),
    (
        "a subject without a size",
        INDEX | {"subject": without(entry(), "size")},
        OCI_INDEX,
        "subject is not a descriptor",
    ),
    ("a subject that is none", IMAGE | {"subject": "x"}, OCI_IMAGE, "subject is not a descriptor"),
    ("a subject that is empty", IMAGE | {"subject": {}}, OCI_IMAGE, "subject is not a descriptor"),
    ("urls that are no texts", IMAGE | {"layers": [entry(urls=["https://x", 1])]}, OCI_IMAGE, r"layers\[0\]: urls"),
    ("an index's entry too large", INDEX | {"manifests": [entry(), entry(size=2**63)]}, OCI_INDEX, r"manifests\[1\]"),
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
