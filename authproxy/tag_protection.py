"""Immutable tags, undeletable tags and repositories that may not be created: rules that depend on a backend's content.

Decided the same way for our own core and for an upstream registry: both are read as `content.Content`.
"""

from collections.abc import Collection, Iterable, Mapping
from contextlib import aclosing

from authproxy.content import Content, Reference
from authproxy.digest import Digest
from authproxy.errors import Denied
from authproxy.oci.dependencies import read_dependencies
from authproxy.permissions import Permissions
from authproxy.reference import Tag


async def check_create(content: Content, permissions: Permissions | None, repository: str) -> None:
    """Raise Denied if the repository does not exist and the caller may not create it."""
    if permissions is None or not permissions.concern("create"):
        return
    refusal = permissions.refusal("create")
    if refusal is not None and not await content.has_repository(repository):
        raise refusal


def find_immutable(permissions: Permissions | None, tags: Iterable[Tag]) -> dict[Tag, Denied]:
    """The tags that the caller may set and not move, mapped to the error for an attempt to move them."""
    if permissions is None or not permissions.concern("overwrite"):
        return {}
    return {tag: refusal for tag in tags if (refusal := permissions.refusal("overwrite", tag))}


async def check_overwrite(
    content: Content, repository: str, immutable: Mapping[Tag, Denied], names: Collection[Digest]
) -> None:
    """Raise the error of an immutable tag that points at another manifest. `names`: the digests of the pushed one."""
    for tag, refusal in immutable.items():
        current = await content.find_names(repository, tag)
        if current is not None and not any(name in names for name in current):
            raise refusal


def check_delete_tags(permissions: Permissions | None, tags: Iterable[Tag]) -> None:
    """Raise Denied if the caller may not delete one of these tags."""
    if permissions is None or not permissions.concern("delete"):
        return
    for tag in tags:
        if refusal := permissions.refusal("delete", tag):
            raise refusal


async def check_delete(
    content: Content,
    permissions: Permissions | None,
    repository: str,
    names: Collection[Digest],
    *,
    max_tags: int | None = None,
    may_be_alias: bool = False,
) -> None:
    """Raise Denied if a tag that the caller may not delete needs this content, directly or through an index.

    `names` are the digests of the blob or manifest to be deleted. With more than `max_tags` such tags it raises Denied
    without reading their manifests. With `may_be_alias` it also raises Denied if such a tag needs a blob by a digest of
    another algorithm: that may be the same blob.
    """
    if permissions is None or not permissions.concern("delete"):
        return
    needed: dict[Reference, Denied] = {}  # manifests that must stay, each with the error of a tag that needs it
    count = 0
    async with aclosing(content.tagged(repository)) as batches:
        async for tag, reference in (pair async for batch in batches for pair in batch):
            refusal = permissions.refusal("delete", tag)
            if refusal is None:
                continue
            needed.setdefault(reference, refusal)
            count += 1
            if max_tags is not None and count > max_tags:
                raise Denied(f"{refusal}, and it may need this: more than {max_tags} tags may not be deleted here")
    algorithms = {name.algorithm for name in names}
    unread = list(needed)
    while unread:
        references, unread = unread, []
        async with aclosing(content.read_manifests(repository, references)) as manifests:
            async for reference, manifest in manifests:
                needs = read_dependencies(manifest)
                if _is_one_of(names, reference, manifest) or not needs.blobs.isdisjoint(names):
                    raise needed[reference]
                if may_be_alias and any(blob.algorithm not in algorithms for blob in needs.blobs):
                    raise Denied(f"{needed[reference]}, and it may need this: it names a blob by another algorithm")
                for inner in needs.manifests - needed.keys():
                    needed[inner] = needed[reference]
                    unread.append(inner)


def _is_one_of(names: Collection[Digest], reference: Reference, manifest: bytes) -> bool:
    if isinstance(reference, Digest) and any(reference.algorithm == name.algorithm for name in names):
        return reference in names
    return manifest != b"" and any(Digest.of(manifest, name.algorithm) == name for name in names)
