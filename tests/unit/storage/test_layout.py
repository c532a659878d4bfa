"""The tree on disk, path by path: CNCF Distribution reads and writes the same."""

from uuid import UUID

import pytest

from authproxy.digest import Digest
from authproxy.reference import Repository, Tag
from authproxy.storage import layout

HEX = "ab" + "0" * 62
DIGEST = Digest("sha256", HEX)
LONG = Digest("sha512", "cd" + "0" * 126)
APP = Repository("team/app")
V1 = Tag("v1")
V2 = "docker/registry/v2"

PATHS = [
    (layout.blob(DIGEST), f"{V2}/blobs/sha256/ab/{HEX}/data"),
    (layout.blob(LONG), f"{V2}/blobs/sha512/cd/{LONG.hex}/data"),
    (layout.repositories(), f"{V2}/repositories"),
    (layout.repository(APP), f"{V2}/repositories/team/app"),
    (layout.layer_link(APP, DIGEST), f"{V2}/repositories/team/app/_layers/sha256/{HEX}/link"),
    (layout.revision_link(APP, DIGEST), f"{V2}/repositories/team/app/_manifests/revisions/sha256/{HEX}/link"),
    (layout.tags(APP), f"{V2}/repositories/team/app/_manifests/tags"),
    (layout.tag_current(APP, V1), f"{V2}/repositories/team/app/_manifests/tags/v1/current/link"),
    (layout.tag_index(APP, V1), f"{V2}/repositories/team/app/_manifests/tags/v1/index"),
    (layout.tag_index_link(APP, V1, DIGEST), f"{V2}/repositories/team/app/_manifests/tags/v1/index/sha256/{HEX}/link"),
    (
        layout.upload(APP, UUID(int=1)),
        f"{V2}/repositories/team/app/_uploads/00000000-0000-0000-0000-000000000001",
    ),
]


@pytest.mark.parametrize(("path", "expected"), PATHS, ids=[expected.removeprefix(V2)[:60] for _, expected in PATHS])
def test_path(path: layout.StorePath, expected: str) -> None:
    assert path == expected
