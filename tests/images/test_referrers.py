"""Signatures, SBOMs and attestations go with their image, whichever way a registry keeps them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from authproxy.digest import Digest
from tests.images.conftest import Images, Registry
from tests.images.layouts import write_two_platforms
from tests.support.image import MANIFEST_TYPE, push_blob

INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
EMPTY = b"{}"
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"


def descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": str(Digest.of(content)), "size": len(content)}


def signature(subject: bytes, subject_type: str, mark: str) -> tuple[bytes, bytes]:
    """As notation writes one: a manifest whose configuration says what it is; and its blob."""
    blob = json.dumps({"signature": mark}).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": descriptor("application/vnd.cncf.notary.signature", EMPTY),
        "layers": [descriptor("application/jose+json", blob)],
        "subject": descriptor(subject_type, subject),
        "annotations": {"io.cncf.notary.x509chain.thumbprint#S256": mark},
    }
    return json.dumps(manifest).encode(), blob


def sbom(subject: bytes, mark: str) -> tuple[bytes, bytes]:
    """As oras attaches one: an empty configuration and an artifactType."""
    blob = json.dumps({"spdxVersion": mark}).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": "application/spdx+json",
        "config": descriptor(EMPTY_TYPE, EMPTY),
        "layers": [descriptor("application/spdx+json", blob)],
        "subject": descriptor(MANIFEST_TYPE, subject),
    }
    return json.dumps(manifest).encode(), blob


def cosigned(mark: str) -> tuple[bytes, bytes]:
    """As cosign writes one, under a tag made of the digest."""
    blob = json.dumps({"critical": mark}).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": descriptor("application/vnd.oci.image.config.v1+json", EMPTY),
        "layers": [descriptor("application/vnd.dev.cosign.simplesigning.v1+json", blob)],
    }
    return json.dumps(manifest).encode(), blob


def tag_of(content: bytes) -> str:
    return f"sha256-{Digest.of(content).hex}"


class Signed:
    """An index of two platforms at an old registry: signed, cosigned, its first image with an SBOM that is signed."""

    def __init__(self, images: Images, registry: Registry, client: httpx.Client, folder: Path, repository: str) -> None:
        self.client = client
        self.repository = repository
        first, _, self.digest = write_two_platforms(folder / "layout", "v1")
        images.must("push", folder / "layout", f"{registry.host}/{repository}:v1")
        self.index = self._get("v1")
        self.image = first.manifest
        self.index_signature = signature(self.index, INDEX_TYPE, repository)
        self.image_sbom = sbom(self.image, repository)
        self.sbom_signature = signature(self.image_sbom[0], MANIFEST_TYPE, f"{repository} sbom")
        self.cosign = cosigned(repository)
        for manifest, blob in (self.index_signature, self.image_sbom, self.sbom_signature, self.cosign):
            push_blob(self.client, repository, EMPTY)
            push_blob(self.client, repository, blob)
            self.put(str(Digest.of(manifest)), manifest)
        self.list_by_tag(self.index, self.index_signature[0])
        self.list_by_tag(self.image, self.image_sbom[0])
        self.list_by_tag(self.image_sbom[0], self.sbom_signature[0])
        self.put(f"{tag_of(self.index)}.sig", self.cosign[0])

    def put(self, reference: str, content: bytes, media_type: str = MANIFEST_TYPE) -> None:
        self.client.put(
            f"/v2/{self.repository}/manifests/{reference}", content=content, headers={"Content-Type": media_type}
        ).raise_for_status()

    def list_by_tag(self, subject: bytes, *referrers: bytes) -> None:
        """As clients do it where a registry lists no referrers."""
        listed = [descriptor(MANIFEST_TYPE, each) for each in referrers]
        content = json.dumps({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": listed}).encode()
        self.put(tag_of(subject), content, INDEX_TYPE)

    def _get(self, reference: str) -> bytes:
        return manifest_at(self.client, self.repository, reference)


def manifest_at(client: httpx.Client, repository: str, reference: str) -> bytes:
    accepted = {"Accept": f"{INDEX_TYPE}, {MANIFEST_TYPE}"}
    return client.get(f"/v2/{repository}/manifests/{reference}", headers=accepted).raise_for_status().content


def listed_at(client: httpx.Client, repository: str, subject: bytes) -> list[dict[str, Any]]:
    """What the tag says that stands in the place of the referrers API."""
    found: list[dict[str, Any]] = json.loads(manifest_at(client, repository, tag_of(subject)))["manifests"]
    return found


@pytest.fixture
def signed(images: Images, plain: Registry, tmp_path: Path) -> Iterator[Signed]:
    """One for each test, in a repository of its own."""
    with httpx.Client(base_url=f"http://{plain.host}", trust_env=False) as client:
        yield Signed(images, plain, client, tmp_path, f"signed/{tmp_path.name[-20:].strip('_').lower()}")


@pytest.fixture
def old(second: Registry) -> Iterator[httpx.Client]:
    """A client of the registry without the referrers API that is copied to."""
    with httpx.Client(base_url=f"http://{second.host}", trust_env=False) as client:
        yield client


def test_referrers_go_from_tags_to_the_api_and_back_to_tags(
    images: Images, plain: Registry, ours: Registry, second: Registry, signed: Signed, old: httpx.Client
) -> None:
    name = signed.repository
    to_ours = images.must("copy", f"{plain.host}/{name}:v1", f"{ours.host}/there/{name}:v1")
    assert to_ours == f"copied {ours.host}/there/{name}:v1 {signed.digest}, with 4 referrers\n"
    (shown,) = images.objects("inspect", f"{ours.host}/there/{name}:v1")
    assert [one["digest"] for one in shown["referrers"]] == [str(Digest.of(signed.index_signature[0]))]

    (back,) = images.objects("copy", f"{ours.host}/there/{name}:v1", f"{second.host}/{name}:v1")
    assert (back["outcome"], back["referrers"]) == ("copied", 4)
    for manifest, _ in (signed.index_signature, signed.image_sbom, signed.sbom_signature):
        assert manifest_at(old, name, str(Digest.of(manifest))) == manifest
    assert manifest_at(old, name, f"{tag_of(signed.index)}.sig") == signed.cosign[0]
    assert listed_at(old, name, signed.index) == [
        descriptor(MANIFEST_TYPE, signed.index_signature[0])
        | {
            "artifactType": "application/vnd.cncf.notary.signature",
            "annotations": {"io.cncf.notary.x509chain.thumbprint#S256": name},
        }
    ]
    assert listed_at(old, name, signed.image) == [
        descriptor(MANIFEST_TYPE, signed.image_sbom[0]) | {"artifactType": "application/spdx+json"}
    ]
    assert [one["digest"] for one in listed_at(old, name, signed.image_sbom[0])] == [
        str(Digest.of(signed.sbom_signature[0]))
    ]

    again = images.must("copy", f"{ours.host}/there/{name}:v1", f"{second.host}/{name}:v1")
    assert again == f"already there {second.host}/{name}:v1 {signed.digest}\n"


def test_signature_made_later_is_copied_though_the_image_is_there(
    images: Images, plain: Registry, second: Registry, signed: Signed, old: httpx.Client
) -> None:
    name = signed.repository
    images.must("copy", f"{plain.host}/{name}:v1", f"{second.host}/{name}:v1")
    later, blob = signature(signed.index, INDEX_TYPE, "later")
    push_blob(signed.client, name, blob)
    signed.put(str(Digest.of(later)), later)
    signed.list_by_tag(signed.index, signed.index_signature[0], later)
    # What the destination has of its own stays in its list.
    theirs, blob = signature(signed.index, INDEX_TYPE, "theirs")
    push_blob(old, name, blob)
    old.put(
        f"/v2/{name}/manifests/{Digest.of(theirs)}", content=theirs, headers={"Content-Type": MANIFEST_TYPE}
    ).raise_for_status()
    own = {
        "schemaVersion": 2,
        "mediaType": INDEX_TYPE,
        "manifests": [*listed_at(old, name, signed.index), descriptor(MANIFEST_TYPE, theirs) | {"x-own": [1]}],
    }
    old.put(
        f"/v2/{name}/manifests/{tag_of(signed.index)}", json=own, headers={"Content-Type": INDEX_TYPE}
    ).raise_for_status()

    would = images.objects("copy", "--dry-run", f"{plain.host}/{name}:v1", f"{second.host}/{name}:v1")
    done = images.must("copy", f"{plain.host}/{name}:v1", f"{second.host}/{name}:v1")
    assert [(one["outcome"], one["referrers"]) for one in would] == [("already there", 1)]
    assert done == f"already there {second.host}/{name}:v1 {signed.digest}, with 1 referrer\n"
    listed = listed_at(old, name, signed.index)
    assert listed[:-1] == own["manifests"]
    assert listed[-1]["digest"] == str(Digest.of(later))


def test_referrers_stay_where_that_is_said(
    images: Images, plain: Registry, second: Registry, signed: Signed, old: httpx.Client
) -> None:
    name = signed.repository
    (done,) = images.objects("copy", "--no-referrers", f"{plain.host}/{name}:v1", f"{second.host}/{name}:v1")
    assert (done["outcome"], done["referrers"]) == ("copied", 0)
    assert old.get(f"/v2/{name}/tags/list").json()["tags"] == ["v1"]


def test_one_platform_comes_with_its_own_referrers(
    images: Images, plain: Registry, second: Registry, signed: Signed, old: httpx.Client
) -> None:
    name = signed.repository
    one = ("--platform", "linux/amd64")
    (done,) = images.objects("copy", *one, f"{plain.host}/{name}:v1", f"{second.host}/{name}:v1")
    assert (done["digest"], done["referrers"]) == (str(Digest.of(signed.image)), 2)
    assert {tag_of(signed.image), tag_of(signed.image_sbom[0])} < set(old.get(f"/v2/{name}/tags/list").json()["tags"])


def test_push_of_a_manifest_with_a_subject_lists_it(
    images: Images, second: Registry, signed: Signed, plain: Registry, old: httpx.Client
) -> None:
    name, digest = signed.repository, Digest.of(signed.index_signature[0])
    images.must("copy", f"{plain.host}/{name}@{digest}", f"{second.host}/{name}:signature")
    assert [one["digest"] for one in listed_at(old, name, signed.index)] == [str(digest)]


def test_names_in_the_spelling_of_skopeo_are_copied(
    images: Images, plain: Registry, second: Registry, signed: Signed
) -> None:
    name = signed.repository
    done = images.must("copy", f"docker://{plain.host}/{name}:v1", f"https://{second.host.upper()}/skopeo/")
    assert done == f"copied {second.host}/skopeo/{name}:v1 {signed.digest}, with 4 referrers\n"


def test_referrers_of_a_layout_are_pushed_with_its_image(
    images: Images, ours: Registry, second: Registry, old: httpx.Client, tmp_path: Path
) -> None:
    name = f"layouts/{tmp_path.name[-20:].strip('_').lower()}"
    folder = tmp_path / "layout"
    _, arm, index = write_two_platforms(folder, f"{name}:v1")
    attached, blob = sbom(arm.manifest, name)
    signed, signature_blob = signature(attached, MANIFEST_TYPE, name)
    for content in (attached, blob, signed, signature_blob, EMPTY):
        (folder / "blobs/sha256" / Digest.of(content).hex).write_bytes(content)
    listing = json.loads((folder / "index.json").read_text())
    listing["manifests"] += [descriptor(MANIFEST_TYPE, signed), descriptor(MANIFEST_TYPE, attached)]
    (folder / "index.json").write_text(json.dumps(listing))

    (would,) = images.objects("push", "--dry-run", folder, ours.host)
    assert (would["outcome"], would["referrers"]) == ("would be pushed", 2)
    assert images.must("push", folder, ours.host) == f"pushed {ours.host}/{name}:v1 {index}, with 2 referrers\n"
    assert images.must("push", folder, ours.host) == f"already there {ours.host}/{name}:v1 {index}\n"

    # A registry without the API gets the tag that lists them.
    assert images.must("push", folder, second.host).endswith(", with 2 referrers\n")
    assert [one["digest"] for one in listed_at(old, name, arm.manifest)] == [str(Digest.of(attached))]
    assert [one["digest"] for one in listed_at(old, name, attached)] == [str(Digest.of(signed))]

    # One that is added to the layout later goes to an image that is there.
    later, later_blob = sbom(arm.manifest, "later")
    for content in (later, later_blob):
        (folder / "blobs/sha256" / Digest.of(content).hex).write_bytes(content)
    listing["manifests"].append(descriptor(MANIFEST_TYPE, later))
    (folder / "index.json").write_text(json.dumps(listing))
    assert images.must("push", folder, ours.host) == f"already there {ours.host}/{name}:v1 {index}, with 1 referrer\n"


def test_a_referrer_that_cannot_be_pushed_fails_the_image_by_name(
    images: Images, ours: Registry, tmp_path: Path
) -> None:
    folder = tmp_path / "layout"
    amd, _, _ = write_two_platforms(folder, "damaged/app:v1")
    attached, _ = sbom(amd.manifest, "its blob is missing")
    (folder / "blobs/sha256" / Digest.of(attached).hex).write_bytes(attached)
    listing = json.loads((folder / "index.json").read_text())
    listing["manifests"].append(descriptor(MANIFEST_TYPE, attached))
    (folder / "index.json").write_text(json.dumps(listing))
    done = images("push", folder, ours.host)
    assert done.code == 1
    assert "pushed, but not all of its signatures and other referrers: " in done.err
