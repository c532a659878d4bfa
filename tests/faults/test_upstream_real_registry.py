"""A real CNCF Distribution behind the proxy: addresses that work, and a form that is no way around the edge."""

import hashlib
from pathlib import Path

import httpx

from authproxy.proxy.upstream import Upstream
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
            head = await client.head(f"/v2/team/app/blobs/{DIGEST}")
            assert (head.status_code, head.headers["content-length"]) == (200, str(len(CONTENT)))
            unknown = await client.get("/v2/team/app/manifests/none")
            assert (unknown.status_code, unknown.json()["errors"][0]["code"]) == (404, "MANIFEST_UNKNOWN")


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
