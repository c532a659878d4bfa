"""Small storages for the garbage collector, written as a registry leaves them, through any driver."""

import json
from collections.abc import Sequence

from authproxy.digest import Digest
from authproxy.oci.media_types import OCI_IMAGE, OCI_INDEX
from authproxy.reference import Repository, Tag
from authproxy.storage import layout
from authproxy.storage.driver import Driver

APP = Repository("team/app")


class GcStore:
    """Writes blobs, manifests, tags and referrers."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver

    async def put_bytes(self, content: bytes) -> Digest:
        """Content without a link."""
        digest = Digest.of(content)
        await self.driver.write(layout.blob(digest), content)
        return digest

    async def put_blob(self, content: bytes, repository: Repository = APP) -> Digest:
        """A blob that a repository holds."""
        digest = await self.put_bytes(content)
        await self.link_layer(digest, repository)
        return digest

    async def link_layer(self, digest: Digest, repository: Repository = APP, stored: Digest | None = None) -> None:
        """A repository's link to a blob."""
        await self.driver.write(layout.layer_link(repository, digest), str(stored or digest).encode())

    async def put_manifest(self, content: bytes, repository: Repository = APP, *tags: str) -> Digest:
        """A manifest that a repository holds."""
        digest = await self.put_bytes(content)
        await self.driver.write(layout.revision_link(repository, digest), str(digest).encode())
        for tag in tags:
            await self.tag(tag, digest, repository)
        return digest

    async def tag(self, tag: str, digest: Digest, repository: Repository = APP) -> None:
        """Set a tag, with its history."""
        await self.driver.write(layout.tag_index_link(repository, Tag(tag), digest), str(digest).encode())
        await self.driver.write(layout.tag_current(repository, Tag(tag)), str(digest).encode())

    async def push_image(
        self, name: str, *tags: str, repository: Repository = APP, subject: Digest | None = None
    ) -> "Pushed":
        """An image with a config and a layer of its own."""
        config = await self.put_blob(f"config of {name}".encode(), repository)
        layer = await self.put_blob(f"layer of {name}".encode(), repository)
        digest = await self.put_manifest(image([config, layer], subject), repository, *tags)
        return Pushed(digest, config, layer)

    async def note(self, subject: Digest, referrer: Digest, repository: Repository = APP) -> None:
        """A note that a manifest refers to another."""
        await self.driver.write(layout.referrer_link(repository, subject, referrer), str(referrer).encode())


class Pushed:
    """An image's digests."""

    def __init__(self, manifest: Digest, config: Digest, layer: Digest) -> None:
        self.manifest = manifest
        self.config = config
        self.layer = layer

    @property
    def blobs(self) -> set[Digest]:
        """Its config and layer."""
        return {self.config, self.layer}


def image(blobs: Sequence[Digest], subject: Digest | None = None, **more: object) -> bytes:
    """An image's manifest: the first blob is its config."""
    body: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": OCI_IMAGE,
        "config": _descriptor(blobs[0], "application/vnd.oci.image.config.v1+json"),
        "layers": [_descriptor(blob, "application/vnd.oci.image.layer.v1.tar") for blob in blobs[1:]],
    }
    if subject is not None:
        body["subject"] = _descriptor(subject, OCI_IMAGE)
    return json.dumps(body | more).encode()


def index(manifests: Sequence[Digest], subject: Digest | None = None, **more: object) -> bytes:
    """An index."""
    body: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [_descriptor(child, OCI_IMAGE) for child in manifests],
    }
    if subject is not None:
        body["subject"] = _descriptor(subject, OCI_IMAGE)
    return json.dumps(body | more).encode()


def _descriptor(digest: Digest, media_type: str) -> dict[str, object]:
    return {"mediaType": media_type, "digest": str(digest), "size": 1}
