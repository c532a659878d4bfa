"""What the calls are about: a few blobs and manifests, so few that random calls meet what others left."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from authproxy.oci.media_types import DOCKER_IMAGE, DOCKER_LIST, OCI_IMAGE, OCI_INDEX
from authproxy.registry.manifest_checks import MAX_BYTES
from tests.peers.call import Call
from tests.peers.twins import Twins
from tests.support.registry import descriptor, sha256

REPOSITORIES = ("a", "a-b", "a/b")  # in the order of bytes; a walk through folders finds `a/b` before `a-b`

BLOBS: Mapping[str, bytes] = {
    "hello": b"hello world",
    "empty": b"",
    "config": b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}',
    "large": bytes(range(251)) * 1200,
}

# Every type that a client of today takes.
ACCEPT = f"{OCI_IMAGE}, {OCI_INDEX}, {DOCKER_IMAGE}, {DOCKER_LIST}"


@dataclass(frozen=True, slots=True)
class Document:
    """A manifest as it is pushed, and what has to be there before it."""

    content: bytes
    media_type: str
    blobs: tuple[str, ...] = ()
    manifests: tuple[str, ...] = ()


def _image(media_type: str, *layers: str, **more: object) -> Document:
    body = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": descriptor(BLOBS["config"], "application/vnd.oci.image.config.v1+json"),
        "layers": [descriptor(BLOBS[layer], "application/vnd.oci.image.layer.v1.tar") for layer in layers],
    }
    return Document(json.dumps(body | more).encode(), media_type, ("config", *layers))


def _index(media_type: str, entries: Mapping[str, Document], **more: object) -> Document:
    manifests = [
        descriptor(entry.content, entry.media_type, platform={"architecture": "amd64", "os": "linux"})
        for entry in entries.values()
    ]
    body = {"schemaVersion": 2, "mediaType": media_type, "manifests": manifests}
    return Document(json.dumps(body | more).encode(), media_type, (), tuple(entries))


_OCI = _image(OCI_IMAGE, "hello")
_BARE = _image(OCI_IMAGE)
_DOCKER = _image(DOCKER_IMAGE, "hello", "large")

MANIFESTS: Mapping[str, Document] = {
    "oci": _OCI,
    "bare": _BARE,
    "annotated": _image(OCI_IMAGE, "hello", "empty", annotations={"b": "2", "a": "1"}, unknown={"kept": True}),
    "docker": _DOCKER,
    "index": _index(OCI_INDEX, {"oci": _OCI, "bare": _BARE}),
    "list": _index(DOCKER_LIST, {"docker": _DOCKER}),
    "nothing": _index(OCI_INDEX, {}),
}

# What no registry should take: a body, and the type that it is sent as.
REFUSED: Mapping[str, tuple[bytes, str]] = {
    "no JSON": (b"not JSON", OCI_IMAGE),
    "nothing at all": (b"", OCI_IMAGE),
    "a list": (b"[]", OCI_IMAGE),
    "sent as another type": (_OCI.content, DOCKER_IMAGE),
    "an image sent as an index": (_OCI.content, OCI_INDEX),
    "an index sent as an image": (MANIFESTS["index"].content, OCI_IMAGE),
    "sent as text": (_OCI.content, "text/plain"),
    "both kinds": (_image(OCI_IMAGE, "hello", manifests=[]).content, OCI_IMAGE),
    "no schemaVersion": (b"{}", OCI_IMAGE),
    "too large": (b" " * (MAX_BYTES + 1), OCI_IMAGE),
}


@dataclass(frozen=True, slots=True)
class Shelf:
    """Puts things into both registries, each once."""

    twins: Twins
    pushed: set[tuple[str, str]] = field(default_factory=set)  # repository and blob, in this generation

    def push_blob(self, repository: str, blob: str) -> None:
        """Push a blob in a session of one PUT."""
        if (repository, blob) in self.pushed:
            return
        self.pushed.add((repository, blob))
        session, _ = self.twins.open_session(self.twins.name(repository))
        assert session is not None
        self.twins.send(Call("PUT", query=[("digest", sha256(BLOBS[blob]))], body=BLOBS[blob], session=session))

    def push_manifest(self, repository: str, manifest: str, reference: str = "") -> None:
        """Push a manifest with all that it names, by a tag or by its digest."""
        document = MANIFESTS[manifest]
        for blob in document.blobs:
            self.push_blob(repository, blob)
        for entry in document.manifests:
            self.push_manifest(repository, entry)
        self.twins.send(self.put(repository, reference or sha256(document.content), document))

    def put(self, repository: str, reference: str, document: Document) -> Call:
        """The call that pushes a manifest alone."""
        path = f"/v2/{self.twins.name(repository)}/manifests/{reference}"
        return Call("PUT", path, headers={"Content-Type": document.media_type}, body=document.content)

    def fill(self) -> None:
        """What the rows of tests/peers/rows_that_read.py read."""
        self.twins.begin(*REPOSITORIES)
        self.pushed.clear()
        for blob in BLOBS:
            self.push_blob("a", blob)
        for tag, manifest in (("v1", "oci"), ("v2", "docker"), ("v10", "index"), ("list", "list")):
            self.push_manifest("a", manifest, tag)
        self.push_manifest("a-b", "bare", "v1")
        self.push_blob("a/b", "hello")

    def words(self) -> Mapping[str, str]:
        """What stands for the words in braces in a row."""
        names: Sequence[tuple[str, bytes]] = [
            *BLOBS.items(),
            *((name, document.content) for name, document in MANIFESTS.items()),
        ]
        return {name: sha256(content) for name, content in names} | {"g": self.twins.prefix}
