"""A real CNCF Distribution behind the proxy: addresses that work, credentials of ours, and no way around the edge."""

import hashlib
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import bcrypt
import httpx

from authproxy.config.sections.token import Token
from authproxy.config.sections.upstream import Upstream as Section
from authproxy.health.checks import Checks
from authproxy.metrics.metrics import Metrics
from authproxy.proxy.upstream import Upstream
from authproxy.wiring.lifespan import Parts
from authproxy.wiring.upstream import RingMinter, make_upstream
from tests.support.fault_proxy import Fault, fault_proxy
from tests.support.peers import running_docker_registry
from tests.support.upstream import front_door

CONTENT = b"0123456789abcdef" * 300_000
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


async def push(client: httpx.AsyncClient, repository: str) -> None:
    """Push the blob in two chunks and an empty end, each at the address that the one before answered."""
    opened = await client.post(f"/v2/{repository}/blobs/uploads/")
    assert opened.status_code == 202
    location, reached = opened.headers["location"], ""
    for piece in (CONTENT[:1_000_000], CONTENT[1_000_000:]):
        assert location.startswith(f"{client.base_url}/v2/{repository}/blobs/uploads/")
        chunk = await client.patch(location, content=piece, headers={"Content-Type": "application/octet-stream"})
        assert chunk.status_code == 202
        location, reached = chunk.headers["location"], chunk.headers["range"]
    assert reached == f"0-{len(CONTENT) - 1}"
    committed = await client.put(location, params=httpx.URL(location).params.set("digest", DIGEST))
    assert committed.status_code == 201
    assert committed.headers["location"] == f"{client.base_url}/v2/{repository}/blobs/{DIGEST}"


async def test_blob_is_pushed_and_pulled(tmp_path: Path) -> None:
    with running_docker_registry(tmp_path) as url:
        async with front_door(Upstream(url)) as front, httpx.AsyncClient(base_url=front.url, timeout=60) as client:
            await push(client, "team/app")
            pulled = await client.get(f"/v2/team/app/blobs/{DIGEST}")
            assert pulled.content == CONTENT
            assert pulled.headers["docker-content-digest"] == DIGEST
            part = await client.get(f"/v2/team/app/blobs/{DIGEST}", headers={"Range": "bytes=3-5"})
            assert (part.status_code, part.content) == (206, CONTENT[3:6])
            for name, value in (("Range", "bytes=3-5"), ("range", "bytes=9999999-"), ("Accept", "*/*")):
                head = await client.head(f"/v2/team/app/blobs/{DIGEST}", headers={name: value})
                assert (head.status_code, head.headers["content-length"]) == (200, str(len(CONTENT)))
                part = await client.get(f"/v2/team/app/blobs/{DIGEST}", headers={"Range": "bytes=3-5"})
                assert (part.status_code, part.content) == (206, CONTENT[3:6])
            head = await client.head(f"/v2/team/app/blobs/{DIGEST}")
            assert (head.status_code, head.headers["content-length"]) == (200, str(len(CONTENT)))
            unknown = await client.get("/v2/team/app/manifests/none")
            assert (unknown.status_code, unknown.json()["errors"][0]["code"]) == (404, "MANIFEST_UNKNOWN")


async def test_a_reference_that_no_manifest_can_have_is_answered_as_the_registry_does(tmp_path: Path) -> None:
    wrong = "/v2/team/app/manifests/.INVALID_MANIFEST_NAME"
    with running_docker_registry(tmp_path) as url:
        async with front_door(Upstream(url)) as front, httpx.AsyncClient(base_url=front.url, timeout=60) as client:
            for method in ("GET", "HEAD"):
                assert (await client.request(method, f"{url}{wrong}")).status_code == 404
                assert (await client.request(method, wrong)).status_code == 404
            assert (await client.get(wrong)).json()["errors"][0]["code"] == "MANIFEST_UNKNOWN"
            written = await client.put(wrong, content=b"{}")
            assert (written.status_code, written.json()["errors"][0]["code"]) == (400, "TAG_INVALID")


async def test_form_in_the_body_mounts_nothing(tmp_path: Path) -> None:
    form = {"mount": DIGEST, "from": "secret/app"}
    with running_docker_registry(tmp_path) as url:
        async with front_door(Upstream(url)) as front, httpx.AsyncClient(base_url=front.url, timeout=60) as client:
            await push(client, "secret/app")
            # Asked directly, Distribution takes the form: the hole is real.
            async with httpx.AsyncClient(base_url=url) as direct:
                assert (await direct.post("/v2/direct/app/blobs/uploads/", data=form)).status_code == 201
            assert (await client.post("/v2/mine/app/blobs/uploads/", data=form)).status_code == 202
            assert (await client.head(f"/v2/mine/app/blobs/{DIGEST}")).status_code == 404


async def test_two_machines_are_one_registry_and_one_may_go(tmp_path: Path) -> None:
    shared = {"REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": str(tmp_path / "storage")}
    with (
        running_docker_registry(tmp_path / "a", settings=shared) as one,
        running_docker_registry(tmp_path / "b", settings=shared) as other,
    ):
        async with AsyncExitStack() as stack:
            lines = [await stack.enter_async_context(fault_proxy(port_of(url))) for url in (one, other)]
            front = await stack.enter_async_context(front_door(Upstream([line.url for line in lines])))
            client = await stack.enter_async_context(httpx.AsyncClient(base_url=front.url, timeout=60))
            await push(client, "team/app")  # each of its requests goes to the machine whose turn it is
            assert all(line.taken for line in lines)
            await lines[0].become(Fault.REFUSE)
            for _ in range(6):
                assert (await client.get(f"/v2/team/app/blobs/{DIGEST}")).content == CONTENT
            await push(client, "team/other")


def port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port


async def pushes_with(keys: dict[str, Any], token: Token | None) -> None:
    """Push and pull as somebody who has no credentials for the registry; `keys` are those of the section."""
    backend = make_upstream(Section.model_validate(keys), Parts(Metrics(), Checks(())), token)
    async with front_door(backend) as front, httpx.AsyncClient(base_url=front.url, timeout=60) as client:
        client.headers["Authorization"] = "Bearer nothing that the registry knows"
        await push(client, "team/app")
        assert (await client.get(f"/v2/team/app/blobs/{DIGEST}")).content == CONTENT


async def test_registry_with_passwords_takes_the_one_from_the_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret\n")
    (tmp_path / "htpasswd").write_bytes(b"front:" + bcrypt.hashpw(b"s3cret", bcrypt.gensalt(4)) + b"\n")
    more = f"auth: {{htpasswd: {{realm: r, path: {tmp_path}/htpasswd}}}}\n"
    with running_docker_registry(tmp_path / "registry", more) as url:
        keys = {"authorization": "basic", "username": "front", "passwordfile": tmp_path / "password"}
        await pushes_with({"url": url, **keys}, None)


async def test_registry_that_trusts_our_keys_takes_what_we_mint(tmp_path: Path) -> None:
    token = Token(keys=tmp_path / "keys", issuer="front", x5c="chain")
    RingMinter.open(token, "registry")  # makes the keys, and the authority that the registry trusts
    verifying = f"realm: http://nobody/, service: registry, issuer: front, rootcertbundle: {tmp_path}/keys/ca.pem"
    with running_docker_registry(tmp_path / "registry", f"auth: {{token: {{{verifying}}}}}\n") as url:
        await pushes_with({"url": url, "authorization": "mint", "service": "registry"}, token)
