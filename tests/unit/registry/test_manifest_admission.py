"""Which manifests the operator's rules accept, and what a repository must hold before it stores them."""

from dataclasses import dataclass, field
from operator import attrgetter

import pytest
import re2  # type: ignore[import-untyped]  # it ships without types

from authproxy.digest import Digest
from authproxy.errors import Denied, ManifestInvalid
from authproxy.oci.manifest import Descriptor, Manifest, Platform
from authproxy.oci.media_types import DOCKER_IMAGE, NON_DISTRIBUTABLE, OCI_IMAGE, OCI_INDEX
from authproxy.registry.manifest_admission import Needed, decide_needed
from authproxy.registry.options import ManifestRules

OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
PLUGIN = "application/vnd.docker.plugin.v1+json"
TAR = "application/vnd.oci.image.layer.v1.tar+gzip"
AMD64, ARM64, ARM64_V8 = Platform("linux", "amd64"), Platform("linux", "arm64"), Platform("linux", "arm64", "v8")
DIGEST = Digest.of(b"of the manifest")


def descriptor(name: str, media_type: str = OCI_IMAGE, *urls: str, platform: Platform | None = None) -> Descriptor:
    return Descriptor(media_type, Digest.of(name.encode()), len(name), platform, urls=urls)


CONFIG = descriptor("config", OCI_CONFIG)
LAYER = descriptor("layer", TAR)
FOREIGN = descriptor("foreign", NON_DISTRIBUTABLE[0], "https://example.com/foreign")


def image(*layers: Descriptor, config: Descriptor = CONFIG) -> Manifest:
    return Manifest(OCI_IMAGE, b"", DIGEST, config, layers)


FIRST, SECOND, ANY = (
    descriptor("first", platform=AMD64),
    descriptor("second", DOCKER_IMAGE, platform=ARM64_V8),
    descriptor("attestation"),
)
CACHED = descriptor("cached", TAR)
INDEX = Manifest(OCI_INDEX, b"", DIGEST, children=(FIRST, SECOND, ANY))


@dataclass(frozen=True)
class Taken:
    what: str
    manifest: Manifest
    needed: Needed
    rules: ManifestRules = field(default_factory=ManifestRules)


TAKEN = [
    Taken("an image", image(LAYER), Needed(blobs=(CONFIG, LAYER))),
    Taken("a layer that is elsewhere", image(FOREIGN), Needed(blobs=(CONFIG,))),
    Taken(
        "a foreign layer without urls",
        image(descriptor("x", NON_DISTRIBUTABLE[1])),
        Needed(blobs=(CONFIG, descriptor("x", NON_DISTRIBUTABLE[1]))),
    ),
    Taken(
        "a common layer that is elsewhere too",
        image(descriptor("x", TAR, "http://x")),
        Needed(blobs=(CONFIG, descriptor("x", TAR, "http://x"))),
    ),
    Taken(
        "whatever urls mean to others",
        image(descriptor("x", "application/x", "ipfs:x")),
        Needed(blobs=(CONFIG, descriptor("x", "application/x", "ipfs:x"))),
    ),
    Taken("an index", INDEX, Needed(manifests=(FIRST, SECOND, ANY))),
    Taken(
        "a cache of BuildKit",
        Manifest(OCI_INDEX, b"", DIGEST, children=(CACHED, FIRST)),
        Needed(manifests=(FIRST,), either=(CACHED,)),
    ),
    Taken("an index, unchecked", INDEX, Needed(), ManifestRules(index_platforms="none")),
    Taken(
        "an index, for one platform",
        INDEX,
        Needed(manifests=(SECOND,)),
        ManifestRules(index_platforms="list", platform_list=(ARM64,)),
    ),
    Taken(
        "an index, for a list of none",
        INDEX,
        Needed(manifests=(FIRST, SECOND, ANY)),
        ManifestRules(index_platforms="list"),
    ),
    Taken("an index, without validation", INDEX, Needed(), ManifestRules(enabled=False)),
    Taken(
        "an image, without validation",
        image(LAYER, FOREIGN),
        Needed(blobs=(CONFIG, LAYER)),
        ManifestRules(enabled=False, allowed_urls=(), denied_urls=(re2.compile("."),)),
    ),
    Taken(
        "an allowed url",
        image(FOREIGN),
        Needed(blobs=(CONFIG,)),
        ManifestRules(allowed_urls=(re2.compile("^https://other/"), re2.compile(r"^https://example\.com/"))),
    ),
    Taken(
        "a url that is not denied",
        image(FOREIGN),
        Needed(blobs=(CONFIG,)),
        ManifestRules(denied_urls=(re2.compile("^http:"),)),
    ),
    Taken("an image by its class", image(), Needed(blobs=(CONFIG,)), ManifestRules(classes=frozenset({"image"}))),
    Taken(
        "an index has no class",
        INDEX,
        Needed(manifests=(FIRST, SECOND, ANY)),
        ManifestRules(classes=frozenset({"plugin"})),
    ),
]


@pytest.mark.parametrize("row", TAKEN, ids=attrgetter("what"))
def test_taken(row: Taken) -> None:
    assert decide_needed(row.manifest, row.rules) == row.needed


@dataclass(frozen=True)
class Refused:
    what: str
    manifest: Manifest
    rules: ManifestRules
    error: type[Exception]
    message: str


def elsewhere(url: str) -> Manifest:
    return image(descriptor("x", NON_DISTRIBUTABLE[1], "https://example.com/x", url))


NO_ADDRESS = "is not an http or https address"
NOT_ALLOWED = "validation.manifests.urls"
REFUSED = [
    *(
        Refused(f"the url {url!r}", elsewhere(url), ManifestRules(), ManifestInvalid, NO_ADDRESS)
        for url in (
            "",
            "ftp://x/y",
            "//x/y",
            "https:///y",
            "https://x/#y",
            "https://x/ y",
            "https://x/\n",
            "https://[x",
        )
    ),
    Refused("a url of lone surrogates", elsewhere("https://x/\ud800"), ManifestRules(), ManifestInvalid, NO_ADDRESS),
    Refused(
        "a file, without validation",
        elsewhere("file:///x"),
        ManifestRules(enabled=False),
        ManifestInvalid,
        "not an http",
    ),
    Refused(
        "any url where none is allowed", image(FOREIGN), ManifestRules(allowed_urls=()), ManifestInvalid, NOT_ALLOWED
    ),
    Refused(
        "a url that none of the patterns allows",
        image(FOREIGN),
        ManifestRules(allowed_urls=(re2.compile("^http:"),)),
        ManifestInvalid,
        NOT_ALLOWED,
    ),
    Refused(
        "a url that is allowed and denied",
        image(FOREIGN),
        ManifestRules(allowed_urls=(re2.compile("."),), denied_urls=(re2.compile("example"),)),
        ManifestInvalid,
        NOT_ALLOWED,
    ),
    Refused(
        "a denied url of a common layer, which containerd would follow",
        image(descriptor("x", TAR, "https://example.com/x")),
        ManifestRules(denied_urls=(re2.compile("example"),)),
        ManifestInvalid,
        NOT_ALLOWED,
    ),
    Refused(
        "a plugin",
        image(config=descriptor("config", PLUGIN)),
        ManifestRules(classes=frozenset({"image"})),
        Denied,
        "class plugin",
    ),
    Refused(
        "what has no class",
        image(config=descriptor("config", "application/x")),
        ManifestRules(classes=frozenset({"image", "plugin"})),
        Denied,
        "application/x",
    ),
]


@pytest.mark.parametrize("row", REFUSED, ids=attrgetter("what"))
def test_refused(row: Refused) -> None:
    with pytest.raises(row.error, match=row.message):
        decide_needed(row.manifest, row.rules)
