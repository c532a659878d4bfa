"""Which manifests are taken, by the operator's rules, and what has to be here before them. Pure decisions, no I/O."""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from authproxy.errors import Denied, ManifestInvalid
from authproxy.oci.manifest import Descriptor, Manifest
from authproxy.oci.media_types import DOCKER_CONFIG, DOCKER_PLUGIN, MANIFESTS, OCI_CONFIG
from authproxy.registry.options import ManifestRules

# The layers that runtimes unpack. Some fetch any of these from its `urls` first, wherever they lead; what the `urls`
# of other content mean is the business of those who made its media type.
_UNPACKED = ("application/vnd.docker.image.rootfs.", "application/vnd.oci.image.layer.")

# CNCF Distribution's classes of repositories, by the media type of an image's config.
_CLASSES = {
    DOCKER_CONFIG: "image",
    DOCKER_PLUGIN: "plugin",
    OCI_CONFIG: "image",
}


@dataclass(frozen=True, slots=True)
class Needed:
    """What a repository has to hold before it takes a manifest."""

    blobs: tuple[Descriptor, ...] = ()
    manifests: tuple[Descriptor, ...] = ()
    either: tuple[Descriptor, ...] = ()
    """Entries of an index whose media type is no manifest's, to be here as the one or the other: BuildKit keeps its
    cache as an index of layers, which CNCF Distribution takes."""


def decide_needed(manifest: Manifest, rules: ManifestRules) -> Needed:
    """Let a manifest in, and say what it needs. Raises Denied for its class, ManifestInvalid for its urls."""
    _check_class(manifest, rules)
    for layer in manifest.layers:
        if layer.media_type.startswith(_UNPACKED):
            _check_urls(layer, rules)
    entries = tuple(entry for entry in manifest.children if _has_to_be_here(entry, rules))
    return Needed(
        blobs=tuple(_blobs(manifest)),
        manifests=tuple(entry for entry in entries if entry.media_type in MANIFESTS),
        either=tuple(entry for entry in entries if entry.media_type not in MANIFESTS),
    )


def _blobs(manifest: Manifest) -> Iterator[Descriptor]:
    if manifest.config is not None:
        yield manifest.config
    for layer in manifest.layers:
        if not layer.is_elsewhere:
            yield layer


def _has_to_be_here(entry: Descriptor, rules: ManifestRules) -> bool:
    if not rules.enabled or rules.index_platforms == "none":
        return False
    if rules.index_platforms == "all" or not rules.platform_list:
        return True
    return entry.platform is not None and any(wanted.is_met_by(entry.platform) for wanted in rules.platform_list)


def _check_class(manifest: Manifest, rules: ManifestRules) -> None:
    if rules.classes is None or manifest.config is None:
        return
    found = _CLASSES.get(manifest.config.media_type)
    if found is None or found not in rules.classes:
        what = f"images of class {found}" if found else f"images whose config is {manifest.config.media_type[:200]}"
        raise Denied(f"this registry does not take {what} (policy.repository.classes)")


def _check_urls(layer: Descriptor, rules: ManifestRules) -> None:
    for url in layer.urls:
        if not _is_web_address(url):
            reason = "is no http or https address without a fragment"
        elif not rules.enabled or _is_allowed(url, rules):
            continue
        else:
            reason = "is not allowed here (validation.manifests.urls)"
        raise ManifestInvalid(
            f"the layer {layer.digest} is said to be at {url[:200]}, which {reason}",
            detail={"digest": str(layer.digest), "url": url[:200]},
        )


def _is_allowed(url: str, rules: ManifestRules) -> bool:
    if any(pattern.search(url) for pattern in rules.denied_urls):
        return False
    return rules.allowed_urls is None or any(pattern.search(url) for pattern in rules.allowed_urls)


def _is_web_address(url: str) -> bool:
    if not url.isascii() or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc) and not parts.fragment
