"""An OCI image layout as an archive: OCI Image 1.1, "Image Layout"."""

from collections.abc import AsyncIterator
from pathlib import Path

from authproxy.digest import Digest, parse_digest
from authproxy.errors import ManifestInvalid
from authproxy.images.archive.archive import ArchivedImage
from authproxy.images.archive.members import MAX_JSON_BYTES, Members, need
from authproxy.images.endpoints import Missing
from authproxy.oci.manifest import Descriptor, Manifest

INDEX_JSON = "index.json"
OCI_LAYOUT = "oci-layout"

REF_NAME = "org.opencontainers.image.ref.name"
CONTAINERD_NAME = "io.containerd.image.name"


def blob_name(digest: Digest) -> str:
    """The path of a blob in a layout."""
    return f"blobs/{digest.algorithm}/{digest.hex}"


class LayoutArchive:
    """The images that `index.json` lists, and everything that they refer to.

    An entry without a name whose manifest has a `subject` in the layout is a referrer: a signature, an SBOM. It belongs
    to that image, and is none of `images`. Layouts of oras and of our own releases have such entries.
    """

    def __init__(self, members: Members) -> None:
        self._members = members
        _require_version(members)
        entries = _read_entries(members)
        self._media_types = {entry.digest: entry.media_type for entry in entries}
        every = _images(entries)
        self._referrers = self._find_referrers(every)
        self.images = tuple(image for image in every if image.identity not in self._referrers)

    @property
    def path(self) -> Path:
        """See Archive."""
        return self._members.path

    async def manifest(self, reference: str | Digest) -> Manifest:
        """A manifest or an index by its digest. Raises Missing, ArchiveError."""
        manifest = self.find_manifest(parse_digest(reference) if isinstance(reference, str) else reference)
        if manifest is None:
            raise Missing(f"{self.path}: there is no manifest {reference}")
        return manifest

    def find_manifest(self, digest: Digest) -> Manifest | None:
        """A manifest or an index by its digest; None if it is missing. Raises ArchiveError."""
        member = self._members.find(blob_name(digest))
        if member is None:
            return None
        content = member.read(MAX_JSON_BYTES)
        actual = Digest.of(content, digest.algorithm)
        if actual != digest:
            raise member.fault(f"has the digest {actual}, not the one in its name")
        try:
            manifest = Manifest.read(content, self._media_types.get(digest), digest)
        except ManifestInvalid as error:
            raise member.fault(f"cannot be read: {error}") from error
        self._media_types.update((child.digest, child.media_type) for child in manifest.children)
        return manifest

    @property
    def has_referrers(self) -> bool:
        """Whether any manifest of it has a referrer."""
        return bool(self._referrers)

    async def referrers(self, digest: Digest) -> tuple[Descriptor, ...]:
        """The referrers of a manifest."""
        return tuple(one.descriptor for one in self._referrers.values() if one.subject and one.subject.digest == digest)

    def _find_referrers(self, images: tuple[ArchivedImage, ...]) -> dict[Digest, Manifest]:
        found = {}
        for image in images:
            if image.names or image.tags:
                continue
            manifest = self.find_manifest(image.identity)
            if manifest is not None and manifest.subject is not None and self.has(manifest.subject.digest):
                found[image.identity] = manifest
        return found

    def has(self, digest: Digest) -> bool:
        """Whether the layout has a blob."""
        return self._members.find(blob_name(digest)) is not None

    def blob(self, descriptor: Descriptor, start: int = 0) -> AsyncIterator[bytes]:
        """A blob's bytes. Raises ArchiveError if it is missing or has another size."""
        member = need(self._members, blob_name(descriptor.digest), "a manifest")
        if member.size != descriptor.size:
            raise member.fault(f"has {member.size} bytes, but the manifest says {descriptor.size}")
        return member.stream(start)

    def close(self) -> None:
        """See Archive."""
        self._members.close()


def _require_version(members: Members) -> None:
    member = need(members, OCI_LAYOUT, "OCI's image layout")
    version = member.read_json()
    text = version.get("imageLayoutVersion") if isinstance(version, dict) else None
    if not isinstance(text, str) or not text.startswith("1."):
        raise member.fault(f"has version {text!r}; only versions 1.x can be read")


def _read_entries(members: Members) -> tuple[Descriptor, ...]:
    member = need(members, INDEX_JSON, "OCI's image layout")
    index = member.read_json()
    entries = index.get("manifests") if isinstance(index, dict) else None
    if not isinstance(entries, list):
        raise member.fault("has no list of manifests")
    try:
        return tuple(Descriptor.from_json(entry, f"manifests[{place}]") for place, entry in enumerate(entries))
    except ManifestInvalid as error:
        raise member.fault(f"cannot be read: {error}") from error


def _images(entries: tuple[Descriptor, ...]) -> tuple[ArchivedImage, ...]:
    names: dict[Digest, dict[str, None]] = {}
    tags: dict[Digest, dict[str, None]] = {}
    for entry in entries:
        given = names.setdefault(entry.digest, {}), tags.setdefault(entry.digest, {})
        annotations = entry.annotations
        name = annotations.get(CONTAINERD_NAME) or annotations.get(REF_NAME, "")
        if name:
            given[0 if _is_full(name) else 1][name] = None
    return tuple(ArchivedImage(digest, tuple(names[digest]), tuple(tags[digest]), digest) for digest in names)


def _is_full(name: str) -> bool:
    # By the specification ref.name is a tag or a full name; a tag contains neither of these.
    return "/" in name or ":" in name
