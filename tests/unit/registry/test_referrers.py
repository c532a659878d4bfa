"""What the list says of a stored manifest, and what is kept for it."""

import json
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.digest import Digest
from authproxy.oci.media_types import DOCKER_IMAGE, OCI_IMAGE, OCI_INDEX
from authproxy.reference import Repository
from authproxy.registry.referrers import describe, fallback_tag, find_entry, to_note
from authproxy.storage import layout
from authproxy.storage.driver import Fence
from authproxy.storage.filesystem.driver import FilesystemDriver
from authproxy.storage.memory import MemoryDriver
from tests.support.registry import connect, image, push_blob, push_manifest, sha256

SUBJECT = Digest.of(b"subject")
NAMED = {"mediaType": OCI_IMAGE, "digest": str(SUBJECT), "size": 7}
CONFIG = {"mediaType": "application/config", "digest": sha256(b""), "size": 0}
IMAGE = {"schemaVersion": 2, "mediaType": OCI_IMAGE, "config": CONFIG, "layers": [], "subject": NAMED}
INDEX = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "subject": NAMED}

OWN = {"artifactType": "application/own"}
BY_CONFIG = {"artifactType": "application/config"}
DESCRIBED: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    ("an image by its config", IMAGE, OCI_IMAGE, BY_CONFIG),
    ("an image by its own type", IMAGE | OWN, OCI_IMAGE, OWN),
    ("an empty type is none", IMAGE | {"artifactType": ""}, OCI_IMAGE, BY_CONFIG),
    ("a type that is no text", IMAGE | {"artifactType": 1}, OCI_IMAGE, BY_CONFIG),
    ("an image without a config", {**IMAGE, "config": None}, OCI_IMAGE, {}),
    ("an index has no type", INDEX, OCI_INDEX, {}),
    ("an index by its own type", INDEX | OWN, OCI_INDEX, OWN),
    ("an index that has a config all the same", INDEX | {"config": CONFIG}, OCI_INDEX, {}),
    ("an image of Docker", IMAGE | {"mediaType": DOCKER_IMAGE}, DOCKER_IMAGE, BY_CONFIG),
    ("no mediaType", {**IMAGE, "mediaType": ""}, OCI_IMAGE, BY_CONFIG),
    (
        "annotations",
        IMAGE | {"annotations": {"b": "1", "a": "2"}},
        OCI_IMAGE,
        BY_CONFIG | {"annotations": {"b": "1", "a": "2"}},
    ),
    ("no annotations", IMAGE | {"annotations": {}}, OCI_IMAGE, BY_CONFIG),
    (
        "annotations that other readers refuse",
        IMAGE | {"annotations": {"a": 1, "b": "2"}},
        OCI_IMAGE,
        BY_CONFIG | {"annotations": {"b": "2"}},
    ),
    ("annotations that are none", IMAGE | {"annotations": ["a"]}, OCI_IMAGE, BY_CONFIG),
]


@pytest.mark.parametrize(
    ("body", "media_type", "more"), [row[1:] for row in DESCRIBED], ids=[row[0] for row in DESCRIBED]
)
def test_described(body: dict[str, Any], media_type: str, more: dict[str, Any]) -> None:
    content = json.dumps(body).encode()
    digest = Digest.of(content)
    expected = {"mediaType": media_type, "digest": str(digest), "size": len(content)} | more
    entry = describe(content, digest, SUBJECT)
    assert entry is not None
    assert json.loads(entry.descriptor) == expected
    assert (entry.digest, entry.artifact_type) == (digest, expected.get("artifactType"))
    assert find_entry(to_note(digest, entry), digest) == entry


NO_REFERRERS: dict[str, Any] = {
    "no subject": {key: value for key, value in IMAGE.items() if key != "subject"},
    "a subject that is null": IMAGE | {"subject": None},
    "a subject that is text": IMAGE | {"subject": str(SUBJECT)},
    "another subject": IMAGE | {"subject": NAMED | {"digest": sha256(b"other")}},
    "a mediaType that is no text": IMAGE | {"mediaType": ["x"]},
    "a list": [IMAGE],
}


@pytest.mark.parametrize("body", NO_REFERRERS.values(), ids=NO_REFERRERS.keys())
def test_no_referrer(body: Any) -> None:
    content = json.dumps(body).encode()
    assert describe(content, Digest.of(content), SUBJECT) is None


@given(st.binary())
def test_any_bytes_are_described_or_no_referrer(content: bytes) -> None:
    assert describe(content, Digest.of(content), SUBJECT) is None


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_the_fallback_tag_is_cut_at_64_digits(algorithm: str) -> None:
    digest = Digest.of(b"subject", algorithm)
    assert fallback_tag(digest) == f"{algorithm}-{digest.hex[:64]}"


async def test_an_entry_goes_with_its_manifest() -> None:
    driver, app = MemoryDriver(), Repository("team/app")
    content = image(b"{}", subject=NAMED)
    folder = layout.referrers(app, SUBJECT, "sha256")
    async with connect(driver) as registry:
        await push_blob(registry, app, b"{}")
        digest = await push_manifest(registry, app, "v1", content)
        assert await driver.list_names(folder) == [digest.removeprefix("sha256:")]
        assert (await registry.delete(f"/v2/{app}/manifests/{digest}")).status_code == 202
    assert await driver.list_names(folder) == []


class PushedMeanwhile(FilesystemDriver):
    """A storage in which the manifest is pushed again just before its entry is deleted."""

    push_again: Callable[[], Awaitable[object]] | None = None

    async def delete_fenced(self, path: layout.StorePath, fence: Fence, *, expected: bytes | None = None) -> bool:
        if "_referrers" in path and (push_again := self.push_again) is not None:
            self.push_again = None
            await push_again()
        return await super().delete_fenced(path, fence, expected=expected)


async def test_an_entry_stays_where_its_manifest_is_pushed_while_it_is_deleted(tmp_path: Path) -> None:
    app, content = Repository("team/app"), image(b"{}", subject=NAMED)
    digest = Digest.of(content)
    driver = PushedMeanwhile(tmp_path)
    async with connect(driver) as registry:
        await push_blob(registry, app, b"{}")
        await push_manifest(registry, app, "v1", content)
        driver.push_again = partial(push_manifest, registry, app, "v2", content)
        assert (await registry.delete(f"/v2/{app}/manifests/{digest}")).status_code == 202
        answer = await registry.get(f"/v2/{app}/referrers/{SUBJECT}")
        tags = await registry.get(f"/v2/{app}/tags/list")
    assert [found["digest"] for found in answer.json()["manifests"]] == [str(digest)]
    assert tags.json()["tags"] == ["v2"]
    await driver.close()
