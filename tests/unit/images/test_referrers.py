import itertools
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest

from authproxy.digest import Digest
from authproxy.images import referrers
from authproxy.images.endpoints import Missing
from authproxy.images.referrers import (
    MAX_DEPTH,
    MAX_REFERRERS,
    digest_tags,
    find_attached,
    referrers_tag,
    with_referrer,
)
from authproxy.images.transfer import TransferError
from authproxy.oci.manifest import Descriptor, Manifest
from authproxy.oci.media_types import OCI_INDEX

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"


def manifest(mark: str, subject: Manifest | None = None, **more: Any) -> Manifest:
    body: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": "application/x.kind", "digest": str(Digest.of(mark.encode())), "size": len(mark)},
        "layers": [],
        **more,
    }
    if subject is not None:
        about = subject.descriptor
        body["subject"] = {"mediaType": about.media_type, "digest": str(about.digest), "size": about.size}
    return Manifest.read(json.dumps(body).encode(), MANIFEST_TYPE)


class Repository:
    """What it has, by digests and tags, and what it says of referrers."""

    def __init__(self, *manifests: Manifest, **tags: Manifest) -> None:
        self.held: dict[str, Manifest] = {str(one.digest): one for one in manifests} | tags
        self.listed: dict[Digest, list[Descriptor]] = {}
        for one in manifests:
            if one.subject is not None:
                self.listed.setdefault(one.subject.digest, []).append(one.descriptor)

    async def manifest(self, reference: str | Digest) -> Manifest:
        if str(reference) not in self.held:
            raise Missing(str(reference))
        return self.held[str(reference)]

    async def referrers(self, digest: Digest) -> tuple[Descriptor, ...]:
        return tuple(self.listed.get(digest, ()))


IMAGE = manifest("image")


async def listed(tags: Iterable[str]) -> AsyncIterator[str]:
    for tag in tags:
        yield tag


async def test_referrers_of_referrers_come_after_what_they_refer_to() -> None:
    signature = manifest("signature", IMAGE)
    stamp = manifest("stamp", signature)
    found = await find_attached(Repository(IMAGE, signature, stamp), [IMAGE.digest], frozenset())
    assert [one.manifest for one in found] == [signature, stamp]


async def test_circle_and_what_is_listed_twice_end() -> None:
    signature = manifest("signature", IMAGE)
    repository = Repository(IMAGE, signature)
    repository.listed[IMAGE.digest] *= 2
    repository.listed[signature.digest] = [IMAGE.descriptor, signature.descriptor]
    assert len(await find_attached(repository, [IMAGE.digest, IMAGE.digest], frozenset())) == 1


async def test_what_is_listed_without_referring_or_gone_is_left() -> None:
    other = manifest("other", manifest("else"))
    gone = manifest("gone", IMAGE)
    repository = Repository(IMAGE, other, manifest("image without a subject"))
    repository.listed[IMAGE.digest] = [one.descriptor for one in (other, gone, *repository.held.values())]
    assert await find_attached(repository, [IMAGE.digest], frozenset()) == ()


async def test_tags_of_the_digest_belong_to_it() -> None:
    tag = referrers_tag(IMAGE.digest)
    tags = {f"{tag}.sig": manifest("sig"), f"{tag}.att": manifest("att"), f"{tag}x": manifest("no"), "v1": IMAGE}
    found = await find_attached(Repository(**tags), [IMAGE.digest], await digest_tags(listed(tags)))
    assert [(one.tag, one.manifest) for one in found] == [(f"{tag}.{end}", manifest(end)) for end in ("att", "sig")]


async def test_list_of_tags_without_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(referrers, "MAX_DIGEST_TAGS", 50)
    with pytest.raises(TransferError, match="more than 50 tags that begin with a digest; --no-referrers"):
        await digest_tags(listed(f"sha256-{number}" for number in itertools.count()))


async def test_chain_without_end_is_left() -> None:
    chain = [IMAGE]
    for number in range(MAX_DEPTH + 2):
        chain.append(manifest(str(number), chain[-1]))
    with pytest.raises(TransferError, match=f"more than {MAX_DEPTH} levels deep; --no-referrers"):
        await find_attached(Repository(*chain), [IMAGE.digest], frozenset())


async def test_crowd_of_referrers_is_left() -> None:
    crowd = [manifest(str(number), IMAGE) for number in range(MAX_REFERRERS + 1)]
    with pytest.raises(TransferError, match=f"more than {MAX_REFERRERS} manifests refer"):
        await find_attached(Repository(*crowd), [IMAGE.digest], frozenset())


async def test_referrers_that_are_large_together_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(referrers, "MAX_BYTES", 5000)
    crowd = [manifest(str(number), IMAGE, annotations={"a": "b" * 1000}) for number in range(5)]
    with pytest.raises(TransferError, match="its referrers take more than"):
        await find_attached(Repository(*crowd), [IMAGE.digest], frozenset())


def test_list_of_referrers_keeps_what_others_wrote() -> None:
    first, second = manifest("first", IMAGE), manifest("second", IMAGE, annotations={"a": "b"}, artifactType="x/y")
    begun = with_referrer(None, first)
    assert begun is not None
    theirs = json.loads(begun)
    theirs["manifests"][0]["x-own"] = {"kept": True}
    before = Manifest.read(json.dumps(theirs).encode(), OCI_INDEX)
    assert with_referrer(before, first) is None
    content = with_referrer(before, second)
    assert content is not None
    listed = json.loads(content)["manifests"]
    assert listed[0] == theirs["manifests"][0]
    assert listed[1] == {
        "mediaType": MANIFEST_TYPE,
        "digest": str(second.digest),
        "size": len(second.content),
        "artifactType": "x/y",
        "annotations": {"a": "b"},
    }
    assert listed[0]["artifactType"] == "application/x.kind"
