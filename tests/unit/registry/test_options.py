"""What the operator's rules close, for everybody."""

from operator import attrgetter

import httpx
import pytest

from authproxy.oci.media_types import OCI_IMAGE
from authproxy.registry.options import Rules
from authproxy.route import METHODS, Kind
from authproxy.storage.memory import MemoryDriver
from tests.support.registry import Call, check, connect, image, push_blob, push_manifest, sha256

HELLO = sha256(b"hello")
IMAGE = image(b"hello")
NO_ID = "00000000-0000-0000-0000-000000000000"
WRITES = [
    Call("an upload", "POST", "/v2/a/blobs/uploads/", 405, answers={"Allow": ""}),
    Call("a whole blob", "POST", f"/v2/a/blobs/uploads/?digest={HELLO}", 405, body=b"hello", answers={"Allow": ""}),
    Call("a mount", "POST", f"/v2/b/blobs/uploads/?mount={HELLO}&from=a", 405, answers={"Allow": ""}),
    Call("a chunk", "PATCH", f"/v2/a/blobs/uploads/{NO_ID}", 405, answers={"Allow": "GET, HEAD"}),
    Call("the end of an upload", "PUT", f"/v2/a/blobs/uploads/{NO_ID}?digest={HELLO}", 405),
    Call("the cancelling of one", "DELETE", f"/v2/a/blobs/uploads/{NO_ID}", 405),
    Call("a manifest", "PUT", "/v2/a/manifests/v2", 405, {"Content-Type": OCI_IMAGE}, IMAGE),
    Call("the deleting of one", "DELETE", "/v2/a/manifests/v1", 405, answers={"Allow": "GET, HEAD"}),
    Call("the deleting of a blob", "DELETE", f"/v2/a/blobs/{HELLO}", 405, answers={"Allow": "GET, HEAD"}),
]


@pytest.mark.parametrize("call", WRITES, ids=attrgetter("what"))
async def test_a_read_only_registry_takes_no_write_and_serves_on(call: Call) -> None:
    driver = MemoryDriver()
    async with connect(driver, signs=False) as before:
        await push_blob(before, "a", b"hello")
        await push_manifest(before, "a", "v1", IMAGE)
    async with connect(driver, Rules(delete_enabled=True, read_only=True), signs=False) as registry:
        refused = Call("", call.method, call.path, 405, call.headers, call.body, "UNSUPPORTED", call.answers)
        answer = await check(registry, refused)
        assert "read-only for maintenance" in answer.json()["errors"][0]["message"]
        await check(registry, Call("", "GET", f"/v2/a/blobs/{HELLO}", 200, content=b"hello"))
        await check(registry, Call("", "GET", "/v2/a/manifests/v1", 200, content=IMAGE))
        await check(registry, Call("", "GET", f"/v2/a/referrers/{HELLO}", 200))
        await check(registry, Call("", "GET", "/v2/a/tags/list", 200, json={"name": "a", "tags": ["v1"]}))


OPEN = Rules(delete_enabled=True)


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize(
    ("rules", "closed"),
    [
        (OPEN, set[str]()),
        (Rules(), {"MANIFEST DELETE", "BLOB DELETE"}),
        (
            Rules(read_only=True),
            {
                *("MANIFEST PUT", "MANIFEST DELETE", "BLOB DELETE", "UPLOADS POST"),
                *("UPLOAD PATCH", "UPLOAD PUT", "UPLOAD DELETE"),
            },
        ),
    ],
    ids=["all open", "no deletes", "read-only"],
)
def test_what_the_rules_close(rules: Rules, closed: set[str], kind: Kind) -> None:
    for method in METHODS[kind]:
        assert (rules.refusal(kind, method) is not None) == (f"{kind.name} {method}" in closed)


async def test_a_page_of_tags_is_no_longer_than_the_rule() -> None:
    async with connect(MemoryDriver(), Rules(max_tags=2, max_catalog_entries=1), signs=False) as registry:
        await push_blob(registry, "a", b"hello")
        tags = "&".join(f"tag=v{number}" for number in range(3))
        await push_manifest(registry, "a", f"{sha256(IMAGE)}?{tags}", IMAGE)
        answer = await registry.get("/v2/a/tags/list", params={"n": 3})
        assert (answer.json()["tags"], "link" in answer.headers) == (["v0", "v1"], True)
        await check(registry, Call("", "GET", "/v2/_catalog?n=2", 400, code="PAGINATION_NUMBER_INVALID"))


@pytest.mark.parametrize(("count", "status"), [(10, 201), (64, 201), (65, 414), (1000, 414)])
async def test_so_many_tags_are_set_by_one_push(count: int, status: int) -> None:
    async with connect(MemoryDriver(), signs=False) as registry:
        await push_blob(registry, "a", b"hello")
        tags = [f"v{number:04}" for number in range(count)]
        query = httpx.QueryParams([("tag", tag) for tag in tags])
        headers = {"Content-Type": OCI_IMAGE}
        answer = await registry.put(f"/v2/a/manifests/{sha256(IMAGE)}?{query}", content=IMAGE, headers=headers)
        assert answer.status_code == status
        assert answer.headers.get_list("oci-tag") == (tags if status == 201 else [])
        stored = await registry.get("/v2/a/tags/list")
        assert stored.json().get("tags") == (tags if status == 201 else [])


async def test_a_tag_that_is_asked_twice_is_set_once() -> None:
    async with connect(MemoryDriver(), signs=False) as registry:
        await push_blob(registry, "a", b"hello")
        headers = {"Content-Type": OCI_IMAGE}
        answer = await registry.put(f"/v2/a/manifests/{sha256(IMAGE)}?tag=x&tag=x", content=IMAGE, headers=headers)
        assert answer.headers.get_list("oci-tag") == ["x"]
