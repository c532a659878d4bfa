"""Several registries as one: cores in memory behind the router, asked through it and by themselves."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from httpx import AsyncClient

from authproxy import asgi
from authproxy.errors import Denied, GatewayFailed
from authproxy.permissions import Permissions, Verb
from authproxy.proxy.permissions import EnforcePermissions
from authproxy.proxy.renaming import RenamedBackend, Renaming
from authproxy.proxy.router import Branch, Router
from authproxy.reference import Tag
from authproxy.registry.core import Core
from authproxy.registry.options import Rules
from authproxy.storage.memory import MemoryDriver
from tests.support.registry import DELETES, code_of, connect, push_blob, push_image, sha256

CONTENT = b"a blob"
DIGEST = sha256(CONTENT)
LIBRARY = Renaming("library/", "mirror/")


@dataclass
class World:
    """`library/**` is `mirror/**` of one registry, which serves `shared/**` too; `other/**` has another one.

    Everything else is the core's.
    """

    stack: AsyncExitStack

    def __post_init__(self) -> None:
        self.drivers = {name: MemoryDriver() for name in ("core", "mirror", "other")}
        self.cores: dict[str, asgi.App] = {
            name: Core(driver, Rules(delete_enabled=True, max_catalog_entries=2 if name == "other" else 1000))
            for name, driver in self.drivers.items()
        }

    async def through(self, permissions: Permissions | None = None, *more: Branch, default: bool = True) -> AsyncClient:
        """A client of all of them together."""

        def around(core: asgi.App) -> asgi.App:
            mirror, other = self.cores["mirror"], self.cores["other"]
            branches = [
                Branch("library", EnforcePermissions(RenamedBackend(mirror, LIBRARY)), mirror, LIBRARY),
                Branch("shared", mirror, mirror),
                Branch("other", other, other),
                *more,
            ]
            return Router([*branches, *([Branch("", core, core)] if default else [])], max_entries=1000)

        return await self.stack.enter_async_context(
            connect(self.drivers["core"], permissions=permissions, around=around)
        )

    async def itself(self, name: str) -> AsyncClient:
        """A client of one of them, past the router."""
        return await self.stack.enter_async_context(connect(self.drivers[name], DELETES))


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        yield World(stack)


LEADS = [
    ("library/nginx", "mirror", "mirror/nginx"),
    ("library/nginx/alpine", "mirror", "mirror/nginx/alpine"),
    ("libraryx/nginx", "core", "libraryx/nginx"),
    ("library-x/nginx", "core", "library-x/nginx"),
    ("shared", "mirror", "shared"),
    ("shared/app", "mirror", "shared/app"),
    ("other/library/nginx", "other", "other/library/nginx"),
    ("nginx", "core", "nginx"),
    ("mirror/nginx", "core", "mirror/nginx"),
]


@pytest.mark.parametrize(("name", "registry", "inner"), LEADS)
async def test_an_image_lies_where_its_name_leads(world: World, name: str, registry: str, inner: str) -> None:
    client, behind = await world.through(), await world.itself(registry)
    digest = await push_image(client, name, "v1")
    found = await behind.get(f"/v2/{inner}/manifests/v1")
    assert found.headers["docker-content-digest"] == digest
    assert (await behind.get("/v2/_catalog")).json() == {"repositories": [inner]}
    assert (await client.get(f"/v2/{name}/manifests/v1")).content == found.content
    assert (await client.get(f"/v2/{name}/tags/list")).json() == {"name": name, "tags": ["v1"]}
    assert (await client.get(f"/v2/{name}/referrers/{digest}")).json()["manifests"] == []
    assert (await client.delete(f"/v2/{name}/manifests/{digest}")).status_code == 202
    assert (await behind.get(f"/v2/{inner}/manifests/v1")).status_code == 404


async def test_a_session_is_used_by_addresses_of_the_clients_name(world: World) -> None:
    client = await world.through()
    opened = await client.post("/v2/library/nginx/blobs/uploads/")
    location = opened.headers["location"]
    assert urlsplit(location).path.startswith("/v2/library/nginx/blobs/uploads/")
    assert (await client.patch(location, content=CONTENT[:2])).status_code == 202
    again = await client.patch(location, content=b"x", headers={"Content-Range": "9-9"})
    assert (again.status_code, code_of(again)) == (416, "RANGE_INVALID")
    location = again.headers["location"]
    assert (await client.get(location)).headers["range"] == "0-1"
    done = await client.put(f"{location}&digest={DIGEST}", content=CONTENT[2:])
    assert (done.status_code, urlsplit(done.headers["location"]).path) == (201, f"/v2/library/nginx/blobs/{DIGEST}")
    assert (await client.get(done.headers["location"])).content == CONTENT
    forged = location.replace("/library/nginx/", "/library/other/")
    assert code_of(await client.get(forged)) == "BLOB_UPLOAD_INVALID"


async def test_pages_of_tags_lead_on_by_the_clients_name(world: World) -> None:
    client = await world.through()
    for tag in ("a", "b", "c"):
        await push_image(client, "library/nginx", tag)
    first = await client.get("/v2/library/nginx/tags/list", params={"n": 2})
    assert first.json()["tags"] == ["a", "b"]
    assert (await client.get(first.links["next"]["url"])).json() == {"name": "library/nginx", "tags": ["c"]}


async def test_an_unknown_repository_is_called_by_the_clients_name(world: World) -> None:
    client = await world.through()
    answer = await client.get("/v2/library/nginx/tags/list")
    assert code_of(answer) == "NAME_UNKNOWN"
    assert "mirror" not in answer.text


@pytest.mark.parametrize("path", ["/v2/nginx/tags/list", f"/v2/nginx/blobs/{DIGEST}", "/v2/library/tags/list"])
async def test_a_repository_that_leads_nowhere_is_unknown(world: World, path: str) -> None:
    client = await world.through(default=False)
    answer = await client.get(path)
    assert (answer.status_code, code_of(answer)) == (404, "NAME_UNKNOWN")


async def broken(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
    del scope, receive, send
    raise GatewayFailed


async def test_the_base_is_answered_whoever_is_down(world: World) -> None:
    client = await world.through(None, Branch("broken", broken, broken))
    answer = await client.get("/v2/")
    assert (answer.status_code, answer.json(), answer.headers["content-type"]) == (200, {}, "application/json")
    head = await client.head("/v2/")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "2")


MOUNTS = [
    ("library/a", "library/b", 201),
    ("library/a", "shared/b", 201),
    ("shared/a", "library/b", 201),
    ("core/a", "core/b", 201),
    ("library/a", "core/b", 202),
    ("core/a", "library/b", 202),
    ("other/a", "library/b", 202),
    # By the name behind us nothing is found: it would be another repository of the client's.
    ("mirror/a", "library/b", 202),
]


@pytest.mark.parametrize(("source", "target", "status"), MOUNTS)
async def test_a_blob_is_mounted_within_one_registry_alone(world: World, source: str, target: str, status: int) -> None:
    client = await world.through()
    await push_blob(client, "library/a", CONTENT)
    if source != "library/a":
        await push_blob(client, source, CONTENT)
    opened = await client.post(f"/v2/{target}/blobs/uploads/", params={"mount": DIGEST, "from": source})
    assert opened.status_code == status
    kind = "blobs/sha256:" if status == 201 else "blobs/uploads/"
    assert urlsplit(opened.headers["location"]).path.startswith(f"/v2/{target}/{kind}")
    assert (await client.head(f"/v2/{target}/blobs/{DIGEST}")).status_code == (200 if status == 201 else 404)
    if status == 202:
        assert (await client.put(f"{opened.headers['location']}&digest={DIGEST}", content=CONTENT)).status_code == 201


@pytest.mark.parametrize(
    "query",
    [
        f"mount={DIGEST}",
        f"mount={DIGEST}&from=library/a&from=library/c",
        f"a=b;mount={DIGEST}&%66rom=library/a;from=mirror/a",
    ],
    ids=["no source", "two sources", "hidden"],
)
async def test_a_mount_whose_source_is_not_certain_is_an_ordinary_upload(world: World, query: str) -> None:
    asked: list[bytes] = []

    async def noting(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        asked.append(scope["query_string"])
        await world.cores["mirror"](scope, receive, send)

    client = await world.through(None, Branch("noted", noting, noting))
    await push_blob(client, "noted/a", CONTENT)
    asked.clear()
    opened = await client.post(f"/v2/noted/b/blobs/uploads/?x=y&{query}")
    assert opened.status_code == 202
    assert asked == [b"x=y"]


async def test_the_catalog_has_the_names_that_lead_somewhere(world: World) -> None:
    core, mirror, other = [await world.itself(name) for name in ("core", "mirror", "other")]
    for client, names in (
        (core, ["nginx", "library/shadowed", "zoo/app", "a-b"]),
        (mirror, ["mirror/nginx", "mirror/a/b", "shared", "unreachable", "library/x"]),
        (other, ["other/a", "other/b", "other/c", "other-d"]),
    ):
        for name in names:
            await push_image(client, name, "v1")
    client = await world.through()
    everything = ["a-b", "library/a/b", "library/nginx", "nginx", "other/a", "other/b", "other/c", "shared", "zoo/app"]
    assert (await client.get("/v2/_catalog")).json() == {"repositories": everything}
    found, path = [], "/v2/_catalog?n=2"
    while path:
        page = await client.get(path)
        found.append(page.json()["repositories"])
        path = page.links["next"]["url"] if "next" in page.links else ""
    assert found == [everything[start : start + 2] for start in range(0, 9, 2)]
    behind = await client.get("/v2/_catalog", params={"last": "library/b"})
    assert behind.json()["repositories"] == everything[2:]
    assert (await client.head("/v2/_catalog")).content == b""


async def test_a_page_of_the_catalog_has_a_limit(world: World) -> None:
    client = await world.through()
    assert code_of(await client.get("/v2/_catalog", params={"n": 1001})) == "PAGINATION_NUMBER_INVALID"
    assert (await client.get("/v2/_catalog", params={"n": 1000})).json() == {"repositories": []}


async def test_a_registry_that_is_down_shortens_no_catalog(world: World) -> None:
    client = await world.through(None, Branch("broken", broken, broken))
    await push_image(client, "nginx", "v1")
    assert (await client.get("/v2/_catalog")).status_code == 502
    assert (await client.get("/v2/nginx/tags/list")).status_code == 200


async def test_what_is_not_listed_is_served_all_the_same(world: World) -> None:
    client = await world.through(None, Branch("closed", world.cores["mirror"], world.cores["mirror"], is_listed=False))
    for name in ("closed/app", "open/app"):
        await push_image(client, name, "v1")
    assert (await client.get("/v2/_catalog")).json() == {"repositories": ["open/app"]}
    assert (await client.get("/v2/closed/app/tags/list")).status_code == 200


class NoOverwriting:
    """No tag may be moved, and nothing of alice's is seen, nor the tag `hidden`."""

    def concern(self, verb: Verb) -> bool:
        return verb in ("overwrite", "pull")

    def refusal(self, verb: Verb, tag: Tag | None = None) -> Denied | None:
        return Denied(f"{tag} stays") if verb == "overwrite" else None

    def shows_repository(self, name: str) -> bool:
        return "alice" not in name and not name.startswith("mirror/")  # these rules know the clients' names

    def shows_tag(self, tag: str) -> bool:
        return tag != "hidden"

    def shows_every_tag(self) -> bool:
        return False


@pytest.mark.parametrize("name", ["library/nginx", "nginx"])
async def test_rules_about_what_is_there_hold_in_every_registry(world: World, name: str) -> None:
    client = await world.through(NoOverwriting())
    await push_image(client, name, "v1")
    first = await client.get(f"/v2/{name}/manifests/v1")
    moved = await client.put(
        f"/v2/{name}/manifests/v1",
        content=first.content + b"\n",
        headers={"Content-Type": first.headers["content-type"]},
    )
    assert (moved.status_code, code_of(moved)) == (403, "DENIED")


@pytest.mark.parametrize("name", ["library/nginx", "nginx"])
async def test_tags_that_the_caller_may_not_see_are_hidden_in_every_registry(world: World, name: str) -> None:
    client = await world.through(NoOverwriting())
    for tag in ("a", "hidden", "v1"):
        await push_image(client, name, tag)
    first = await client.get(f"/v2/{name}/tags/list", params={"n": 1})
    assert first.json() == {"name": name, "tags": ["a"]}
    assert (await client.get(first.links["next"]["url"])).json() == {"name": name, "tags": ["v1"]}


async def test_the_catalog_shows_what_the_caller_may_see_by_the_clients_names(world: World) -> None:
    client = await world.through(NoOverwriting())
    for name in ("library/alice/app", "alice/app", "library/bob", "bob"):
        await push_image(client, name, "v1")
    assert (await client.get("/v2/_catalog")).json() == {"repositories": ["bob", "library/bob"]}
