"""Two real CNCF Distributions and our core behind one front door, with tokens and rules; then one of them goes down."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from authproxy.token.jose_header import HeaderStyle
from authproxy.token.keyring import KeyRing
from tests.support.peers import running_docker_registry
from tests.support.people import ALICE, OPERATOR
from tests.support.registry import image, sha256
from tests.support.server import Server, running_server

CONTENT = b"0123456789abcdef" * 10_000
DIGEST = sha256(CONTENT)
MANIFEST = image(CONTENT, [CONTENT])
MEDIA_TYPE = {"Content-Type": json.loads(MANIFEST)["mediaType"]}

# alice/hub/x is library/x at the first, which takes our tokens for that alone; alice/old/x is itself at the second,
# which is open; the rest is the core's.
NAMES = {"alice/hub/nginx": "library/nginx", "alice/old/app": "alice/old/app", "alice/own": "alice/own"}


class World:
    """The front door in TLS, and the two registries as they are by themselves."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.stack = stack
        self.hub_stack = stack.enter_context(ExitStack())  # closed first, to take that registry down
        self.folder = folder
        keys = folder / "server" / "data" / "keys"
        KeyRing.open(keys, algorithm="ES256", style=HeaderStyle("rfc7638", "leaf"))
        auth = (
            f"{{realm: 'https://localhost/token', service: hub, issuer: authproxy, rootcertbundle: {keys / 'ca.pem'}}}"
        )
        self.hub = self.hub_stack.enter_context(running_docker_registry(folder / "hub", f"auth: {{token: {auth}}}\n"))
        self.old = stack.enter_context(running_docker_registry(folder / "old"))
        upstreams = [
            {
                "match": "alice/hub/**",
                "url": self.hub,
                "rename": {"strip": "alice/hub/", "add": "library/"},
                "authorization": "mint",
                "service": "hub",
            },
            {"match": "alice/old/**", "url": self.old},
            {"match": "**", "backend": "core"},
        ]
        settings = {"REGISTRY_UPSTREAMS": json.dumps(upstreams), "REGISTRY_TOKEN_X5C": "leaf"}
        self.server: Server = stack.enter_context(running_server(folder / "server", settings))
        self.server.add_user(ALICE.name, ALICE.password)

    def alice(self, *names: str) -> httpx.Client:
        """A client with a token for these repositories."""
        scopes = [f"repository:{name}:pull,push,delete" for name in names]
        client = self.stack.enter_context(self.server.client_for(ALICE.name, ALICE.password, *scopes))
        client.headers["Accept"] = MEDIA_TYPE["Content-Type"]  # Distribution 2.8 has no OCI image for who asks for any
        return client

    def admin(self) -> httpx.Client:
        """A client that may read the catalog."""
        return self.stack.enter_context(self.server.client_for(OPERATOR.name, OPERATOR.password, "registry:catalog:*"))

    def held(self, registry: str) -> list[str]:
        """The images that one of the registries has on its disk, by its own names."""
        repositories = self.folder / registry / "registry/docker/registry/v2/repositories"
        return [str(found.relative_to(repositories).parents[1]) for found in repositories.glob("**/_manifests/tags")]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(stack, tmp_path_factory.mktemp("upstreams"))


def push(client: httpx.Client, name: str, tag: str = "v1") -> None:
    """An image of one blob, pushed in two chunks and an empty end, each at the address that the one before answered."""
    opened = client.post(f"/v2/{name}/blobs/uploads/")
    assert opened.status_code == 202, opened.text
    location = opened.headers["location"]
    for start, end in ((0, 1000), (1000, len(CONTENT))):
        assert urlsplit(location).path.startswith(f"/v2/{name}/blobs/uploads/")
        chunk = client.patch(location, content=CONTENT[start:end], headers={"Content-Range": f"{start}-{end - 1}"})
        assert chunk.status_code == 202, chunk.text
        location = chunk.headers["location"]
    done = client.put(httpx.URL(location).copy_merge_params({"digest": DIGEST}))
    assert done.status_code == 201, done.text
    assert done.headers["location"] == f"{client.base_url}/v2/{name}/blobs/{DIGEST}"
    put = client.put(f"/v2/{name}/manifests/{tag}", content=MANIFEST, headers=MEDIA_TYPE)
    assert put.status_code == 201, put.text
    assert urlsplit(put.headers["location"]).path == f"/v2/{name}/manifests/{sha256(MANIFEST)}"


def catalog(client: httpx.Client, n: int) -> list[str]:
    """The whole of it, along its links."""
    found: list[str] = []
    path = f"/v2/_catalog?n={n}"
    while path:
        answer = client.get(path)
        assert answer.status_code == 200, answer.text
        found += answer.json()["repositories"]
        path = answer.links["next"]["url"] if "next" in answer.links else ""
    return found


def test_three_registries_are_one(world: World) -> None:
    alice = world.alice(*NAMES)
    for name in NAMES:
        push(alice, name)
        assert alice.get(f"/v2/{name}/blobs/{DIGEST}").content == CONTENT
        assert alice.get(f"/v2/{name}/manifests/v1").content == MANIFEST
        assert alice.get(f"/v2/{name}/tags/list").json() == {"name": name, "tags": ["v1"]}
        head = alice.head(f"/v2/{name}/manifests/v1")
        assert (head.status_code, head.headers["content-length"]) == (200, str(len(MANIFEST)))
    assert "library/nginx" in world.held("hub")
    assert "alice/old/app" in world.held("old")
    assert [name for name in catalog(world.admin(), n=2) if name in NAMES] == sorted(NAMES)
    assert alice.delete(f"/v2/alice/hub/nginx/manifests/{sha256(MANIFEST)}").status_code == 202
    gone = alice.get("/v2/alice/hub/nginx/manifests/v1")
    assert (gone.status_code, gone.json()["errors"][0]["code"]) == (404, "MANIFEST_UNKNOWN")


def test_an_error_of_a_registry_names_what_the_client_asked(world: World) -> None:
    answer = world.alice("alice/hub/none").get("/v2/alice/hub/none/tags/list")
    [error] = answer.json()["errors"]
    assert (answer.status_code, error["code"], error["detail"]) == (404, "NAME_UNKNOWN", {"name": "alice/hub/none"})
    assert int(answer.headers["content-length"]) == len(answer.content)


def test_a_blob_is_mounted_within_a_registry_and_uploaded_across(world: World) -> None:
    alice = world.alice("alice/hub/source", "alice/hub/copy", "alice/old/copy")
    push(alice, "alice/hub/source")
    mount = {"mount": DIGEST, "from": "alice/hub/source"}
    mounted = alice.post("/v2/alice/hub/copy/blobs/uploads/", params=mount)
    assert mounted.status_code == 201
    assert urlsplit(mounted.headers["location"]).path == f"/v2/alice/hub/copy/blobs/{DIGEST}"
    opened = alice.post("/v2/alice/old/copy/blobs/uploads/", params=mount)
    assert opened.status_code == 202
    location = httpx.URL(opened.headers["location"]).copy_merge_params({"digest": DIGEST})
    assert alice.put(location, content=CONTENT).status_code == 201


def test_names_on_the_end_of_a_page_are_not_lost(world: World) -> None:
    old = [f"alice/old/pages/{rest}" for rest in ("team/z", "team-b/a", "team.c/a", "team")]
    names = [*old, "alice/hub/pages-b", "alice/hub/pages/b"]
    alice = world.alice(*names)
    for name in names:
        push(alice, name)
    admin = world.admin()
    for n in (1, 2, 100):
        assert [name for name in catalog(admin, n) if "/pages" in name] == sorted(names)


def test_a_registry_that_is_down_takes_nothing_else_with_it(tmp_path: Path) -> None:
    with ExitStack() as stack:
        world = World(stack, tmp_path)
        world.hub_stack.close()
        check_without_the_hub(world)


def check_without_the_hub(world: World) -> None:
    alice = world.alice(*NAMES)
    assert alice.get("/v2/").status_code == 200
    down = alice.get("/v2/alice/hub/nginx/tags/list")
    assert (down.status_code, down.json()["errors"][0]["code"]) == (502, "UNAVAILABLE")
    assert world.hub.removeprefix("http://") not in down.text
    for name in ("alice/old/app", "alice/own"):
        push(alice, name)
        assert alice.get(f"/v2/{name}/manifests/v1").content == MANIFEST
    assert world.admin().get("/v2/_catalog").status_code == 502
