import json
from typing import Any

import pytest

from authproxy.digest import Digest
from authproxy.errors import ManifestInvalid
from authproxy.oci.manifest import Descriptor, Manifest, Platform, find_subject, media_type_of, platform_of_config
from authproxy.oci.media_types import OCI_IMAGE, OCI_INDEX

CONFIG = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": str(Digest.of(b"c")), "size": 1}
LAYER = {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": str(Digest.of(b"l")), "size": 1}


def as_json(**fields: Any) -> bytes:
    return json.dumps({"schemaVersion": 2} | fields).encode()


def test_an_image_names_its_blobs_once() -> None:
    content = as_json(config=CONFIG, layers=[LAYER, LAYER])
    manifest = Manifest.read(content)
    assert (manifest.media_type, manifest.digest, manifest.is_index) == (OCI_IMAGE, Digest.of(content), False)
    assert [blob.digest for blob in manifest.blobs] == [Digest.of(b"l"), Digest.of(b"c")]
    assert len(manifest.layers) == 2


def test_an_index_names_its_children_with_their_platforms() -> None:
    platform = {"os": "linux", "architecture": "arm64", "variant": "v8"}
    child = LAYER | {"mediaType": OCI_IMAGE, "platform": platform, "annotations": {"a": "b", "c": 1}}
    manifest = Manifest.read(as_json(manifests=[child], annotations={"d": "e"}, subject=CONFIG))
    assert manifest.is_index
    assert [str(entry.platform) for entry in manifest.children] == ["linux/arm64/v8"]
    assert dict(manifest.children[0].annotations) == {"a": "b"}
    assert manifest.subject is not None
    assert manifest.blobs == ()


REFUSED = [
    ("not JSON", b"x", None, "not JSON"),
    ("schema 1", as_json(schemaVersion=1), None, "schema 1"),
    ("schema 1 by its type", as_json(), "application/vnd.docker.distribution.manifest.v1+prettyjws", "schema 1"),
    ("another type", as_json(mediaType="text/html"), None, "is not the type of an image manifest"),
    ("an index given as an image", as_json(mediaType=OCI_INDEX, manifests=[]), OCI_IMAGE, "was given as"),
    ("no configuration", as_json(layers=[]), None, "config is not a descriptor: it needs"),
    ("a digest that is none", as_json(config=CONFIG | {"digest": "md5:x"}), None, "config: a digest is sha256"),
    ("a negative size", as_json(config=CONFIG | {"size": -1}), None, "config is not a descriptor: it needs"),
    ("layers that are no list", as_json(config=CONFIG, layers={}), None, "layers is not a list"),
]


@pytest.mark.parametrize(("content", "media_type", "words"), [row[1:] for row in REFUSED], ids=[r[0] for r in REFUSED])
def test_manifest_is_refused(content: bytes, media_type: str | None, words: str) -> None:
    with pytest.raises(ManifestInvalid, match=words):
        Manifest.read(content, media_type)


@pytest.mark.parametrize("text", ["linux/amd64", "linux/arm64/v8"])
def test_platform_is_printed_as_it_was_read(text: str) -> None:
    assert str(Platform.parse(text)) == text


@pytest.mark.parametrize("text", ["", "linux", "linux/", "linux/arm/v7/x"])
def test_what_is_no_platform_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a platform"):
        Platform.parse(text)


MEETINGS = [
    ("linux/arm64", "linux/arm64/v8", True),
    ("linux/arm64/v8", "linux/arm64/v8", True),
    ("linux/arm/v7", "linux/arm/v6", False),
    ("linux/amd64", "windows/amd64", False),
]


@pytest.mark.parametrize(("wanted", "offered", "is_met"), MEETINGS)
def test_platform_is_met(wanted: str, offered: str, *, is_met: bool) -> None:
    assert Platform.parse(wanted).is_met_by(Platform.parse(offered)) == is_met


def test_a_layer_for_others_may_be_elsewhere() -> None:
    foreign = {"mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "urls": ["https://x/"]}
    assert Descriptor.from_json(LAYER | foreign, "layers[0]").is_elsewhere
    assert not Descriptor.from_json(LAYER | {"urls": ["https://x/"]}, "layers[0]").is_elsewhere


@pytest.mark.parametrize(
    ("content", "platform"),
    [(b'{"os": "linux", "architecture": "arm", "variant": "v7"}', "linux/arm/v7"), (b"{}", "None"), (b"[", "None")],
    ids=["an image's", "an artifact's", "no JSON"],
)
def test_configuration_tells_the_platform(content: bytes, platform: str) -> None:
    assert str(platform_of_config(content)) == platform


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


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (as_json(subject=LAYER), Digest.of(b"l")),
        (as_json(config=CONFIG), None),
        (as_json(subject={"digest": LAYER["digest"]}), None),
        (b"no JSON", None),
    ],
)
def test_the_subject_of_what_is_stored(content: bytes, expected: Digest | None) -> None:
    assert find_subject(content) == expected
