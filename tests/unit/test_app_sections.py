"""What single keys of the configuration change in the answers: real parts, content in memory."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from authproxy.digest import Digest
from authproxy.identity.accounts import add_user
from authproxy.token.keyring import KeyRing
from tests.support.application import serving

HELLO = b"hello"
DIGEST = Digest.of(HELLO)


def values(**sections: Any) -> dict[str, Any]:
    return {"version": "0.1", "storage": "inmemory", "auth": "none"} | sections


async def push_blob(client: httpx.AsyncClient, below: str = "", **options: Any) -> httpx.Response:
    opened = await client.post(f"{below}/v2/team/app/blobs/uploads/", **options)
    address = httpx.URL(opened.headers["Location"]).copy_merge_params({"digest": str(DIGEST)})
    return await client.put(address, content=HELLO, **options)


async def push_manifest(client: httpx.AsyncClient, manifest: dict[str, Any]) -> httpx.Response:
    media_type = manifest["mediaType"]
    return await client.put(
        "/v2/team/app/manifests/1", content=json.dumps(manifest), headers={"Content-Type": media_type}
    )


def image(**more: Any) -> dict[str, Any]:
    blob = {"digest": str(DIGEST), "size": len(HELLO)}
    return {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **blob},
        "layers": [],
    } | more


def elsewhere(url: str) -> dict[str, Any]:
    layer = {"mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "size": 7}
    return image(layers=[{**layer, "digest": str(Digest.of(b"elsewhere")), "urls": [url]}])


async def test_content_in_memory_is_pushed_and_pulled() -> None:
    async with serving(values()) as client:
        pushed = await push_blob(client)
        assert pushed.status_code == 201
        assert (await client.get(pushed.headers["Location"])).content == HELLO


WRITES = [
    ("POST", "/v2/team/app/blobs/uploads/"),
    ("PATCH", "/v2/team/app/blobs/uploads/00000000-0000-4000-8000-000000000000"),
    ("PUT", "/v2/team/app/manifests/1"),
    ("DELETE", "/v2/team/app/manifests/1"),
    ("DELETE", f"/v2/team/app/blobs/{DIGEST}"),
]


@pytest.mark.parametrize(("method", "path"), WRITES)
async def test_read_only_refuses_every_write(method: str, path: str) -> None:
    storage = {"inmemory": {}, "delete": {"enabled": "true"}, "maintenance": {"readonly": {"enabled": "true"}}}
    async with serving(values(storage=storage)) as client:
        answer = await client.request(method, path)
        error = answer.json()["errors"][0]
        assert (answer.status_code, error["code"]) == (405, "UNSUPPORTED")
        assert "read-only" in error["message"]
        assert (await client.get("/v2/_catalog")).status_code == 200


async def test_everything_stands_below_the_prefix() -> None:
    async with serving(values(http={"prefix": "/my/registry/"})) as client:
        assert (await client.get("/v2/")).status_code == 404
        assert (await client.get("/my/registry/v2/")).headers["Docker-Distribution-API-Version"] == "registry/2.0"
        redirect = await client.get("/my/registry/v2")
        assert (redirect.status_code, redirect.headers["Location"]) == (301, "/my/registry/v2/")
        pushed = await push_blob(client, "/my/registry")
        assert pushed.headers["Location"] == f"https://registry:5000/my/registry/v2/team/app/blobs/{DIGEST}"


async def test_sessions_below_a_prefix_are_signed(tmp_path: Path) -> None:
    auth = {"htpasswd": {"realm": "r", "path": str(tmp_path / "htpasswd")}}
    add_user(tmp_path / "htpasswd", None, "alice", "correct horse", [], cost=4)
    async with serving(values(auth=auth, http={"prefix": "/my/registry/"})) as client:
        pushed = await push_blob(client, "/my/registry", auth=("alice", "correct horse"))
        opened = await client.post("/my/registry/v2/team/app/blobs/uploads/", auth=("alice", "correct horse"))
    assert pushed.status_code == 201
    assert "_session=" in opened.headers["Location"]


async def test_silly_takes_anything_that_looks_like_credentials() -> None:
    async with serving(values(auth={"silly": {"realm": "silly-realm", "service": "silly-service"}})) as client:
        asked = await client.get("/v2/team/app/tags/list")
        assert (asked.status_code, asked.headers["WWW-Authenticate"]) == (
            401,
            'Bearer realm="silly-realm",service="silly-service",scope="repository:team/app:pull"',
        )
        pushed = await push_blob(client, headers={"Authorization": "whatever"})
        assert pushed.status_code == 201


@pytest.mark.parametrize(
    ("more", "realm"),
    [
        ({}, "https://auth.example/token"),
        ({"autoredirect": "true"}, "https://registry:5000/auth/token"),
        ({"autoredirect": "true", "autoredirectpath": "/auth/token/"}, "https://registry:5000/auth/token/"),
    ],
)
async def test_autoredirect_sends_clients_to_the_host_that_they_asked(
    tmp_path: Path, more: dict[str, str], realm: str
) -> None:
    (tmp_path / "jwks.json").write_text(json.dumps(KeyRing.open(tmp_path / "keys").jwks()))
    token = {"realm": "https://auth.example/token", "service": "s", "issuer": "i", "jwks": str(tmp_path / "jwks.json")}
    async with serving(values(auth={"token": token | more})) as client:
        challenge = (await client.get("/v2/")).headers["WWW-Authenticate"]
        assert challenge == f'Bearer realm="{realm}",service="s"'


@pytest.mark.parametrize(
    ("urls", "status"),
    [
        ({}, 201),
        ({"allow": [r"^https://([^/]+\.)*example\.com/"]}, 201),
        ({"allow": [r"^https://other\.example/"]}, 400),
        ({"allow": ["example"], "deny": [r"/layer$"]}, 400),
        ({"deny": [r"^ftp:"]}, 201),
    ],
    ids=["neither", "allowed", "not allowed", "denied", "only others denied"],
)
async def test_addresses_in_manifests_are_checked(urls: dict[str, list[str]], status: int) -> None:
    async with serving(values(validation={"manifests": {"urls": urls}})) as client:
        await push_blob(client)
        answer = await push_manifest(client, elsewhere("https://www.example.com/layer"))
        assert answer.status_code == status, answer.text


@pytest.mark.parametrize(("disabled", "status"), [("false", 400), ("true", 201)])
async def test_validation_that_is_disabled_lets_addresses_pass(disabled: str, status: int) -> None:
    urls = {"deny": ["example"]}
    async with serving(values(validation={"disabled": disabled, "manifests": {"urls": urls}})) as client:
        await push_blob(client)
        assert (await push_manifest(client, elsewhere("https://a.example/layer"))).status_code == status


@pytest.mark.parametrize(
    ("indexes", "is_taken"),
    [
        ({}, False),
        ({"platforms": "none"}, True),
        ({"platforms": "list", "platformlist": [{"architecture": "amd64", "os": "linux"}]}, True),
        ({"platforms": "list", "platformlist": [{"architecture": "arm64", "os": "linux"}]}, False),
    ],
    ids=["all", "none", "of another platform", "of this platform"],
)
async def test_images_of_an_index_have_to_be_here(indexes: dict[str, Any], *, is_taken: bool) -> None:
    entry = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 7}
    index = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [
            entry | {"digest": str(Digest.of(b"absent")), "platform": {"architecture": "arm64", "os": "linux"}}
        ],
    }
    async with serving(values(validation={"manifests": {"indexes": indexes}})) as client:
        assert ((await push_manifest(client, index)).status_code == 201) == is_taken


async def test_classes_that_are_not_allowed_are_refused() -> None:
    async with serving(values(policy={"repository": {"classes": ["plugin"]}})) as client:
        await push_blob(client)
        assert (await push_manifest(client, image())).status_code == 403


async def test_a_catalog_page_has_its_bound() -> None:
    async with serving(values(catalog={"maxentries": "2"})) as client:
        assert (await client.get("/v2/_catalog?n=2")).status_code == 200
        assert (await client.get("/v2/_catalog?n=3")).status_code == 400


async def test_a_page_of_tags_has_its_bound() -> None:
    async with serving(values(tags={"maxtags": "1"})) as client:
        await push_blob(client)
        content, headers = json.dumps(image()), {"Content-Type": image()["mediaType"]}
        for tag in ("1", "2"):
            assert (await client.put(f"/v2/team/app/manifests/{tag}", content=content, headers=headers)).is_success
        answer = await client.get("/v2/team/app/tags/list?n=5")
        assert answer.json()["tags"] == ["1"]
        assert 'rel="next"' in answer.headers["Link"]


@pytest.mark.parametrize(
    ("log", "count"),
    [
        ({}, 1),
        ({"level": "debug"}, 1),
        ({"level": "warn"}, 0),
        ({"accesslog": {"disabled": "true"}}, 0),
    ],
)
async def test_requests_are_told_unless_somebody_does_not_want_to_know(
    capsys: pytest.CaptureFixture[str], log: dict[str, Any], count: int
) -> None:
    async with serving(values(log=log | {"formatter": "json", "fields": {"service": "registry"}})) as client:
        await client.get("/v2/")
    entries = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(entry["path"], entry["service"]) for entry in entries if entry["msg"] == "request"] == [
        ("/v2/", "registry")
    ] * count


async def test_a_failing_check_turns_requests_away(tmp_path: Path) -> None:
    switch = tmp_path / "down"
    switch.touch()
    async with serving(values(health={"file": [{"file": str(switch), "interval": "10ms"}]})) as client:
        while (answer := await client.get("/v2/")).status_code == 200:  # noqa: ASYNC110 - a thread looks meanwhile
            await asyncio.sleep(0)
        assert answer.json()["errors"][0]["code"] == "UNAVAILABLE"
