"""Holes that registries have had, each tried on the core."""

import ast
import json
import os
import pickle
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

import authproxy
from authproxy.errors import ContentTooLarge, DigestInvalid, ManifestInvalid, PaginationNumberInvalid, RegistryError
from authproxy.oci import media_types
from authproxy.reference import Repository
from authproxy.registry import manifest_checks
from authproxy.registry.core import Core
from authproxy.registry.links import find_digest
from authproxy.registry.manifest_checks import parse_manifest
from authproxy.registry.options import Rules
from authproxy.route import parse_route
from authproxy.storage import layout
from authproxy.storage.memory import MemoryDriver
from tests.support.registry import (
    DELETES,
    Call,
    Pipe,
    check,
    connect,
    image,
    index,
    push_blob,
    push_image,
    push_manifest,
    sha256,
    sha512,
)
from tests.support.uploads import begin, closing

HELLO = sha256(b"hello")


async def test_cve_2017_11468_a_manifest_without_end_is_not_gathered() -> None:
    pipe = Pipe("PUT", "/v2/a/manifests/v1", {"Content-Type": media_types.OCI_IMAGE})
    pieces = 3 * manifest_checks.MAX_BYTES // 65536
    pipe.feed(*[bytes(65536)] * pieces)
    with pytest.raises(ContentTooLarge):
        await Core(MemoryDriver(), DELETES)(pipe.scope, pipe.receive, pipe.send)
    assert pieces - pipe.incoming.qsize() <= manifest_checks.MAX_BYTES // 65536 + 1


@pytest.mark.parametrize("media_type", [media_types.OCI_IMAGE, media_types.OCI_INDEX, None])
@pytest.mark.parametrize("says", [media_types.OCI_IMAGE, media_types.OCI_INDEX, None])
def test_cve_2021_41190_what_could_be_read_as_image_and_as_index_is_neither(
    media_type: str | None, says: str | None
) -> None:
    both = json.loads(image(b"{}", [b"a layer"])) | json.loads(index([b"x"]))
    both = {key: value for key, value in both.items() if key != "mediaType"} | ({"mediaType": says} if says else {})
    with pytest.raises(ManifestInvalid):
        parse_manifest(json.dumps(both).encode(), media_type)


@pytest.mark.parametrize("n", ["1001", "9" * 9, "9" * 400])
async def test_cve_2023_2253_a_huge_page_of_the_catalog_is_not_begun(n: str) -> None:
    pipe = Pipe("GET", f"/v2/_catalog?n={n}")
    with pytest.raises(PaginationNumberInvalid):
        await Core(MemoryDriver(), Rules())(pipe.scope, pipe.receive, pipe.send)


async def test_cve_2026_35172_a_deleted_blob_is_readable_in_no_way() -> None:
    async with connect(MemoryDriver()) as registry:
        for repository in ("a", "b"):
            await push_blob(registry, repository, b"hello", sha512(b"hello"))
            for digest in (HELLO, sha512(b"hello")):
                await registry.get(f"/v2/{repository}/blobs/{digest}")
        await check(registry, Call("", "DELETE", f"/v2/a/blobs/{HELLO}", 202))
        for digest in (HELLO, sha512(b"hello")):
            for method in ("GET", "HEAD"):
                await check(registry, Call("", method, f"/v2/a/blobs/{digest}", 404, code="BLOB_UNKNOWN"))
            await check(registry, Call("", "POST", f"/v2/c/blobs/uploads/?mount={digest}&from=a", 202))
        await check(registry, Call("", "PUT", "/v2/a/manifests/v1", 404, {}, image(b"hello"), "MANIFEST_BLOB_UNKNOWN"))


async def test_cve_2026_41888_no_delete_of_any_kind_where_deletes_are_disabled() -> None:
    driver = MemoryDriver()
    async with connect(driver) as registry:
        digest = await push_image(registry, "a", "v1")
    async with connect(driver, Rules()) as registry:
        for path in ("manifests/v1", f"manifests/{digest}", f"blobs/{sha256(b'a layer')}"):
            await check(registry, Call("", "DELETE", f"/v2/a/{path}", 405, code="UNSUPPORTED"))
            await check(registry, Call("", "HEAD", f"/v2/a/{path}", 200))


class Bomb:
    """Makes a folder when somebody unpickles it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.path),)


async def test_cve_2026_32590_state_of_an_upload_is_never_code(tmp_path: Path) -> None:
    driver = MemoryDriver()
    async with connect(driver, signs=False) as registry:
        session = await begin(registry)
        folder = layout.upload(Repository("team/app"), UUID(session.rpartition("/")[2]))
        content = pickle.dumps(Bomb(tmp_path / "bang"))
        for name in ("hashstates/sha256/0", "hashstates/sha256/2", "state", "startedat.pickle"):
            await driver.write(layout.StorePath(f"{folder}/{name}"), content)
    async with connect(driver, signs=False) as registry:
        await check(registry, Call("", "PATCH", session, 202, body=b"he"))
        await check(registry, Call("", "PUT", closing(session), 201, body=b"llo"))
    assert not (tmp_path / "bang").exists()


UNPICKLERS = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}


def test_cve_2026_32590_no_module_reads_objects_that_are_code() -> None:
    found = {
        name
        for file in Path(authproxy.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }
    assert {name.partition(".")[0] for name in found} & UNPICKLERS == set()


PATHS = [
    "sha256:../../../../etc/passwd",
    f"sha256:{'../' * 21}x",
    f"sha256:{'a' * 63}/",
    f"../{'a' * 64}",
    "sha256:",
    "/etc",
]


@pytest.mark.parametrize("digest", PATHS)
def test_cve_2024_3727_a_digest_is_never_a_path(digest: str) -> None:
    entry = {"mediaType": media_types.OCI_IMAGE, "digest": digest, "size": 1}
    a_list, an_image = json.loads(index()), json.loads(image(b"{}"))
    for body in (an_image | {"config": entry}, an_image | {"layers": [entry]}, an_image | {"subject": entry}):
        with pytest.raises(ManifestInvalid):
            parse_manifest(json.dumps(body).encode(), media_types.OCI_IMAGE)
    with pytest.raises(ManifestInvalid):
        parse_manifest(json.dumps(a_list | {"manifests": [entry]}).encode(), media_types.OCI_INDEX)
    assert find_digest(digest.encode()) is None
    for path in (f"/v2/a/blobs/{digest}", f"/v2/a/manifests/{digest}", f"/v2/a/referrers/{digest}"):
        with pytest.raises(RegistryError):
            parse_route("GET", path.encode(), b"")
    with pytest.raises(DigestInvalid):
        parse_route("GET", f"/v2/a/blobs/{digest.replace('/', '%')}".encode(), b"")


async def test_a_manifest_is_read_as_its_media_type_alone_says() -> None:
    """CVE-2021-41190 by way of the storage: content that another program stored is served with one type, its own."""
    async with connect(MemoryDriver()) as registry:
        await push_blob(registry, "a", b"{}")
        content = image(b"{}")
        await push_manifest(registry, "a", "v1", content)
        for accept in (media_types.OCI_INDEX, media_types.DOCKER_LIST, "*/*"):
            answers = {"Content-Type": media_types.OCI_IMAGE}
            await check(registry, Call("", "GET", "/v2/a/manifests/v1", 200, {"Accept": accept}, answers=answers))
