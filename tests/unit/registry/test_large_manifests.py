"""A repository with many large manifests: what one request or one run reads together is bounded."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from authproxy.oci import media_types
from authproxy.storage.driver import MAX_SMALL_BYTES
from authproxy.storage.filesystem.driver import FilesystemDriver
from authproxy.storage.layout import StorePath
from tests.support.collected_store import APP, GRACE_S, REMOVE, Store, open_store
from tests.support.registry import connect, image, index, push_blob, push_manifest, sha256

LARGE = 3 * 1024 * 1024


@pytest.fixture
def most(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The bytes that each call of `Driver.read` has returned."""
    reads: list[int] = []
    read = FilesystemDriver.read

    async def counted(self: FilesystemDriver, paths: Sequence[StorePath], *, fresh: bool = False) -> list[bytes | None]:
        found = await read(self, paths, fresh=fresh)
        reads.append(sum(len(content or b"") for content in found))
        return found

    monkeypatch.setattr(FilesystemDriver, "read", counted)
    return reads


async def push_large(store: Store, count: int) -> list[bytes]:
    await push_blob(store.registry, APP, b"{}")
    contents = [image(b"{}", annotations={"number": str(number), "long": "x" * LARGE}) for number in range(count)]
    for content in contents:
        await push_manifest(store.registry, APP, sha256(content), content)
    return contents


async def test_a_deletion(tmp_path: Path, most: list[int]) -> None:
    async with open_store("filesystem", tmp_path) as store:
        contents = await push_large(store, 5)
        most.clear()
        assert await store.status(f"manifests/{sha256(contents[0])}", "DELETE") == 202
        assert await store.status(f"blobs/{sha256(b'{}')}", "DELETE") == 405
        assert LARGE < max(most) <= MAX_SMALL_BYTES


async def test_a_promise_of_an_index(tmp_path: Path, most: list[int]) -> None:
    async with open_store("filesystem", tmp_path) as store:
        contents = await push_large(store, 5)
        await store.collect(REMOVE)
        async with connect(store.driver) as another:
            await push_manifest(another, APP, "v1", index(contents), media_types.OCI_INDEX)
        assert LARGE < max(most) <= MAX_SMALL_BYTES
        await store.collect(REMOVE, after_s=GRACE_S + 1)
        assert [await store.status(f"manifests/{sha256(content)}") for content in contents] == [200] * 5


async def test_a_collection(tmp_path: Path, most: list[int]) -> None:
    async with open_store("filesystem", tmp_path) as store:
        contents = await push_large(store, 5)
        for _ in range(2):
            await store.collect(REMOVE, after_s=GRACE_S + 1)
        assert [await store.status(f"manifests/{sha256(content)}") for content in contents] == [404] * 5
        assert LARGE < max(most) <= MAX_SMALL_BYTES
