"""What a manifest must fulfil before it is stored: the operator's rules, and a repository that holds what it needs."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from authproxy.digest import Digest
from authproxy.errors import Denied, ManifestBlobUnknown, ManifestInvalid, SizeInvalid
from authproxy.oci.dependencies import read_dependencies
from authproxy.oci.manifest import Descriptor, Manifest
from authproxy.oci.media_types import DOCKER_CONFIG, DOCKER_PLUGIN, MANIFESTS, OCI_CONFIG
from authproxy.reference import Repository
from authproxy.registry.links import blob_links, each_manifest, sizes_of, stored_blobs, stored_manifests, to_link
from authproxy.registry.options import ManifestRules
from authproxy.storage import layout
from authproxy.storage.driver import Driver
from authproxy.storage.layout import StorePath

# Digests that an error's detail contains at most.
MAX_NAMED = 100

# Manifests that are followed from an index to its images, and on.
MAX_FOLLOWED = 10_000

# The layers that runtimes unpack. Some runtimes fetch these from their `urls` first, wherever they lead; the meaning of
# other content's `urls` is up to its media type.
_UNPACKED = ("application/vnd.docker.image.rootfs.", "application/vnd.oci.image.layer.")

# CNCF Distribution's classes of repositories, by the media type of an image's config.
_CLASSES = {
    DOCKER_CONFIG: "image",
    DOCKER_PLUGIN: "plugin",
    OCI_CONFIG: "image",
}


@dataclass(frozen=True, slots=True)
class Needed:
    """What a repository must hold before it accepts a manifest."""

    blobs: tuple[Descriptor, ...] = ()
    manifests: tuple[Descriptor, ...] = ()
    either: tuple[Descriptor, ...] = ()
    """Entries of an index that are not manifests by their media type, needed as blobs or as manifests: BuildKit keeps
    its cache as an index of layers, which CNCF Distribution accepts."""
    inner: frozenset[Digest] = frozenset()
    """Blobs that these manifests need in turn. A push that was refused, or has stopped, leaves a manifest that lacks
    some: an index that names it would be incomplete too."""

    @property
    def digests(self) -> set[Digest]:
        """The digests of all of them."""
        return {*(entry.digest for entry in (*self.blobs, *self.manifests, *self.either)), *self.inner}


def decide_needed(manifest: Manifest, rules: ManifestRules) -> Needed:
    """Apply the operator's rules, and return what the manifest needs.

    Raises Denied for its class, ManifestInvalid for its urls.
    """
    _check_class(manifest, rules)
    for layer in manifest.layers:
        if layer.media_type.startswith(_UNPACKED):
            _check_urls(layer, rules)
    entries = tuple(entry for entry in manifest.children if _is_needed(entry, rules))
    return Needed(
        blobs=tuple(_blobs(manifest)),
        manifests=tuple(entry for entry in entries if entry.media_type in MANIFESTS),
        either=tuple(entry for entry in entries if entry.media_type not in MANIFESTS),
    )


async def follow(driver: Driver, repository: Repository, needed: Needed) -> Needed:
    """The same with the blobs that its manifests need, which the repository holds, and theirs in turn."""
    inner: set[Digest] = set()
    seen: set[Digest] = set()
    level = {entry.digest for entry in (*needed.manifests, *needed.either)}
    while level and len(seen) < MAX_FOLLOWED:
        seen |= level
        below: set[Digest] = set()
        async for _, content in each_manifest(driver, repository, sorted(level)):
            needs = read_dependencies(content)
            inner |= needs.blobs - needs.elsewhere
            below |= needs.manifests
        level = below - seen
    return replace(needed, inner=frozenset(inner))


async def check_complete(
    driver: Driver, repository: Repository, needed: Needed, *, check_sizes: bool, fresh: bool = False
) -> dict[StorePath, bytes]:
    """Return the links by which a repository holds what a manifest needs. `fresh`: see Driver.

    Raises ManifestBlobUnknown where content is missing, SizeInvalid where its size differs from the descriptor's. A
    size that differs is the client's mistake or a damaged file of ours; only reading the file decides which, as
    maintenance/verify/ does, so the message names both.
    """
    named = _digests((*needed.blobs, *needed.either))
    blobs = await stored_blobs(driver, repository, list(dict.fromkeys((*named, *sorted(needed.inner)))), fresh=fresh)
    of_manifests = _digests((*needed.manifests, *needed.either))
    manifests = await stored_manifests(driver, repository, of_manifests, fresh=fresh)
    stored = list({*blobs.values(), *manifests.values()})
    # A garbage collector may have removed the content and left the link.
    sizes = dict(zip(stored, await sizes_of(driver, stored), strict=True))
    both = blobs | manifests
    held = (
        *((entry, blobs.get(entry.digest)) for entry in needed.blobs),
        *((entry, manifests.get(entry.digest)) for entry in needed.manifests),
        *((entry, both.get(entry.digest)) for entry in needed.either),
    )
    found = [(entry, None if digest is None else sizes[digest]) for entry, digest in held]
    missing = _digests(entry for entry, size in found if size is None)
    missing += [digest for digest in sorted(needed.inner) if digest not in blobs or sizes[blobs[digest]] is None]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        entries = {entry.digest for entry in (*needed.manifests, *needed.either)}
        hint = "; what an index needs is set by validation.manifests.indexes" if entries & set(missing) else ""
        raise ManifestBlobUnknown(
            f"the manifest names {missing[0]}{more}, which this repository lacks: push it first{hint}",
            detail={"missing": [str(digest) for digest in missing[:MAX_NAMED]]},
        )
    for entry, size in found:
        if check_sizes and size != entry.size:
            raise SizeInvalid(
                f"{entry.digest} has {size} bytes here, but the manifest says {entry.size}; if the manifest is right,"
                " the stored content is damaged: `authproxy verify` at the registry finds it, and a push repairs it",
                detail={"digest": str(entry.digest), "stored": size, "descriptor": entry.size},
            )
    return {
        **{
            path: link
            for digest, stored in blobs.items()
            for path, link in blob_links(repository, digest, stored).items()
        },
        **{layout.revision_link(repository, digest): to_link(stored) for digest, stored in manifests.items()},
    }


def _digests(entries: Iterable[Descriptor]) -> list[Digest]:
    return list(dict.fromkeys(entry.digest for entry in entries))


def _blobs(manifest: Manifest) -> Iterator[Descriptor]:
    if manifest.config is not None:
        yield manifest.config
    for layer in manifest.layers:
        if not layer.is_elsewhere:
            yield layer


def _is_needed(entry: Descriptor, rules: ManifestRules) -> bool:
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
        raise Denied(f"this registry does not accept {what} (policy.repository.classes)")


def _check_urls(layer: Descriptor, rules: ManifestRules) -> None:
    for url in layer.urls:
        if not _is_web_address(url):
            reason = "is not an http or https address without a fragment"
        elif not rules.enabled or _is_allowed(url, rules):
            continue
        else:
            reason = "is not allowed here (validation.manifests.urls)"
        raise ManifestInvalid(
            f"the layer {layer.digest} has the url {url[:200]}, which {reason}",
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
