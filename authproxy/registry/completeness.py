"""Whether a repository holds what a manifest needs, and of the size that the manifest says."""

from collections.abc import Iterable

from authproxy.digest import Digest
from authproxy.errors import ManifestBlobUnknown, SizeInvalid
from authproxy.oci.manifest import Descriptor
from authproxy.reference import Repository
from authproxy.registry.links import sizes_of, stored_blobs, stored_manifests
from authproxy.registry.manifest_admission import Needed
from authproxy.storage.driver import Driver

# Digests that an error's detail names.
MAX_NAMED = 100


async def check_complete(driver: Driver, repository: Repository, needed: Needed, *, check_sizes: bool) -> None:
    """Raise ManifestBlobUnknown where something is missing, SizeInvalid where it has another size than is said.

    A size that differs is the client's mistake or a damaged file of ours, and reading the file would be the only way
    to tell: the answer names both.
    """
    blobs = await stored_blobs(driver, repository, _digests((*needed.blobs, *needed.either)))
    manifests = await stored_manifests(driver, repository, _digests((*needed.manifests, *needed.either)))
    stored = list({*blobs.values(), *manifests.values()})
    # A collector may have removed the content and left the link.
    sizes = dict(zip(stored, await sizes_of(driver, stored), strict=True))
    both = blobs | manifests
    held = (
        *((entry, blobs.get(entry.digest)) for entry in needed.blobs),
        *((entry, manifests.get(entry.digest)) for entry in needed.manifests),
        *((entry, both.get(entry.digest)) for entry in needed.either),
    )
    found = [(entry, None if digest is None else sizes[digest]) for entry, digest in held]
    if missing := _digests(entry for entry, size in found if size is None):
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
                f"{entry.digest} has {size} bytes here, but the manifest says {entry.size}; where that is right, what"
                " is stored is damaged: push it again, after deleting it if the client skips what is here",
                detail={"digest": str(entry.digest), "stored": size, "descriptor": entry.size},
            )


def _digests(entries: Iterable[Descriptor]) -> list[Digest]:
    return list(dict.fromkeys(entry.digest for entry in entries))
