"""Copies that are broken off, over lines that fail, and into registries that have some of it."""

import asyncio
import json
import os
import re
import subprocess
from pathlib import Path

import httpx
import pytest

from authproxy.digest import Digest
from tests.images.conftest import Images, Registry
from tests.support.fault_proxy import Fault, fault_proxy
from tests.support.flaky_proxy import Fault as Failure
from tests.support.flaky_proxy import flaky_proxy
from tests.support.image import CONFIG_TYPE, LAYER_TYPE, MANIFEST_TYPE, Image, push_blob, push_image, write_layout
from tests.support.nginx import running_nginx
from tests.support.program import Outcome
from tests.support.server import Server, running_server

COUNT = 50
BASE_BYTES = 1 << 20
BROKEN_OFF_AFTER = 12


def small_image(mark: str, *layers: bytes) -> tuple[bytes, list[bytes]]:
    """A manifest, and its blobs: a configuration with `mark` and these layers."""
    config = json.dumps({"os": "linux", "architecture": "amd64", "mark": mark}).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": CONFIG_TYPE, "digest": str(Digest.of(config)), "size": len(config)},
        "layers": [{"mediaType": LAYER_TYPE, "digest": str(Digest.of(each)), "size": len(each)} for each in layers],
    }
    return json.dumps(manifest).encode(), [config, *layers]


@pytest.fixture(scope="module")
def fifty(plain: Registry) -> dict[str, tuple[bytes, list[bytes]]]:
    """Fifty repositories with an image each, of a layer that they share and one of their own."""
    base = os.urandom(BASE_BYTES)
    found = {f"fifty/app-{number:02}": small_image(str(number), base, os.urandom(50_000)) for number in range(COUNT)}
    with httpx.Client(base_url=f"http://{plain.host}", trust_env=False) as client:
        for repository, (manifest, (config, _, own)) in found.items():
            push_blob(client, repository, base)
            push_image(client, repository, "v1", Image(own, config, manifest))
    return found


def test_copy_of_fifty_images_that_was_killed_moves_only_what_is_missing(
    images: Images, plain: Registry, second: Registry, fifty: dict[str, tuple[bytes, list[bytes]]]
) -> None:
    command = images.command("copy", "--jobs", "2", f"{plain.host}/fifty/*", f"{second.host}/killed/")
    with subprocess.Popen(command, env=images.environment(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(BROKEN_OFF_AFTER):
            assert process.stdout.readline().startswith("copied ")
        process.kill()
    wanted = {Digest.of(blob): len(blob) for _, blobs in fifty.values() for blob in blobs}
    with httpx.Client(base_url=f"http://{second.host}", trust_env=False) as client:
        there = {
            Digest.of(blob)
            for repository, (_, blobs) in fifty.items()
            for blob in blobs
            if client.head(f"/v2/killed/{repository}/blobs/{Digest.of(blob)}").status_code == httpx.codes.OK
        }
    missing = sum(size for digest, size in wanted.items() if digest not in there)
    assert 0 < missing < sum(wanted.values()) - BASE_BYTES
    done = images.objects("copy", f"{plain.host}/fifty/*", f"{second.host}/killed/")
    assert sum(each["moved_bytes"] for each in done) == missing
    assert [each["outcome"] for each in done].count("already there") >= BROKEN_OFF_AFTER
    assert {each["name"]: each["digest"] for each in done} == {
        f"{second.host}/killed/{repository}:v1": str(Digest.of(manifest)) for repository, (manifest, _) in fifty.items()
    }
    again = images.objects("copy", f"{plain.host}/fifty/*", f"{second.host}/killed/")
    assert {(each["outcome"], each["moved_bytes"]) for each in again} == {("already there", 0)}


def test_what_images_share_moves_once_and_is_mounted_for_the_others(
    images: Images, plain: Registry, ours: Registry, fifty: dict[str, tuple[bytes, list[bytes]]]
) -> None:
    done = images.objects("copy", f"{plain.host}/fifty/app-0*", ours.host)
    moved = {Digest.of(blob): len(blob) for _, blobs in list(fifty.values())[:10] for blob in blobs}
    assert sum(each["moved_bytes"] for each in done) == sum(moved.values())


async def test_registry_that_fails_one_request_in_ten_still_ends_right(
    images: Images, plain: Registry, second: Registry, fifty: dict[str, tuple[bytes, list[bytes]]]
) -> None:
    names = {f"fifty/app-0{number}": str(Digest.of(fifty[f"fifty/app-0{number}"][0])) for number in range(8)}
    async with flaky_proxy(plain.port) as source, flaky_proxy(second.port) as target:
        there = f"127.0.0.1:{target.port}"
        copied = await in_background(images, "copy", f"127.0.0.1:{source.port}/fifty/app-0[0-7]", f"{there}/flaky/")
        assert copied.code == 0, str(copied)
        assert [json.loads(line)["digest"] for line in copied.out.splitlines()] == list(names.values())
        listed = await in_background(images, "list", "--long", "--filter", "flaky/*", there)
        assert [json.loads(line)["digest"] for line in listed.out.splitlines()] == list(names.values())
        deleted = await in_background(images, "delete", "--yes", *(f"{there}/flaky/{name}:v1" for name in names))
        assert deleted.code == 0, str(deleted)
        assert len(source.failed) > 3
        assert set(target.failed) == set(Failure)
    left = await asyncio.to_thread(images.process, "list", "--filter", "flaky/*", second.host)
    assert (left.code, left.out) == (0, "")


async def in_background(images: Images, verb: str, *arguments: str) -> Outcome:
    """Run the command beside the proxies that run here."""
    return await asyncio.to_thread(images.process, verb, "--json", *arguments)


async def test_upload_that_broke_off_goes_on_in_its_session(images: Images, tmp_path: Path) -> None:
    layer = os.urandom(24 << 20)
    manifest, (config, _) = small_image("large", layer)
    write_layout(Image(layer, config, manifest), tmp_path / "layout", "v1")
    with running_server(tmp_path / "server", {"REGISTRY_LOG_LEVEL": "info"}) as server:
        trusting = Images(images.home, server.ca)
        async with fault_proxy(server.port) as proxy:
            registry = Registry(f"localhost:{proxy.port}", "admin", server.settings["AUTHPROXY_ADMIN_PASSWORD"])
            trusting.store_logins(registry)
            await proxy.become(Fault.CUT_REQUEST, after_bytes=16 << 20)
            done = await in_background(trusting, "push", str(tmp_path / "layout"), f"{registry.host}/large/app")
        assert done.code == 0, str(done)
        assert json.loads(done.out)["digest"] == str(Digest.of(manifest))
        server.wait_until(lambda: "method=PUT path=/v2/large/app/manifests/v1" in server.output)  # its last request
        assert patches(server) == {2}


NGINX = """
client_max_body_size 10m;
proxy_request_buffering off;
location / {{ proxy_pass {address}; proxy_set_header Host $http_host; }}
"""


def test_proxy_that_limits_bodies_takes_a_large_layer_in_chunks(
    images: Images, plain: Registry, tmp_path: Path
) -> None:
    """As Cloudflare does, with 100 MB."""
    layer = os.urandom(24 << 20)
    manifest, (config, _) = small_image("chunks", layer)
    write_layout(Image(layer, config, manifest), tmp_path / "layout", "v1")
    with running_nginx(tmp_path / "nginx", NGINX.format(address=f"http://{plain.host}")) as address:
        name = f"{address.removeprefix('http://')}/chunks/app"
        refused = images("push", tmp_path / "layout", name)
        assert refused.code == 1
        assert "send smaller ones with --chunk-size" in refused.err
        images.must("push", "--chunk-size", "10MB", tmp_path / "layout", name)
    pulled = images.objects("inspect", f"{plain.host}/chunks/app:v1")
    assert str(Digest.of(manifest)) in str(pulled)


def test_chunk_size_that_is_none_is_a_wrong_command(images: Images) -> None:
    for size, why in (("lots", "lots"), ("10kB", "less than 1MB")):
        done = images("push", "--chunk-size", size, "app.tar", "localhost:1")
        assert done.code == 2, str(done)
        assert why in done.err


def patches(server: Server) -> set[int]:
    """How many PATCH requests each upload has had."""
    sessions = re.findall(r"method=PATCH path=\S+/uploads/(\S+)", server.output)
    return {sessions.count(session) for session in sessions}


def test_dry_run_says_what_would_be_copied_and_copies_nothing(
    images: Images, plain: Registry, second: Registry, fifty: dict[str, tuple[bytes, list[bytes]]]
) -> None:
    done = images.objects("copy", "--dry-run", f"{plain.host}/fifty/*", f"{second.host}/dry/")
    assert [(each["name"], each["outcome"]) for each in done] == [
        (f"{second.host}/dry/{repository}:v1", "would be copied") for repository in fifty
    ]
    assert images.list(second, "--filter", "dry/*") == []


def test_pattern_that_means_nothing_is_a_failure(images: Images, plain: Registry, second: Registry) -> None:
    done = images("copy", f"{plain.host}/nothing/*", second.host)
    assert (done.code, done.out) == (1, "")
    assert done.err == f"authproxy: {plain.host}/nothing/*: there is no such image\n"


def test_image_that_cannot_be_copied_does_not_keep_the_others(
    images: Images, plain: Registry, ours: Registry, fifty: dict[str, tuple[bytes, list[bytes]]]
) -> None:
    with httpx.Client(base_url=f"http://{plain.host}", trust_env=False) as client:
        for number, repository in enumerate(("partly/a", "partly/b", "partly/c")):
            manifest, blobs = fifty[f"fifty/app-0{number}"]
            for blob in blobs:
                push_blob(client, repository, blob)
            client.put(f"/v2/{repository}/manifests/v1", content=manifest, headers={"Content-Type": MANIFEST_TYPE})
            if repository == "partly/b":
                client.delete(f"/v2/{repository}/blobs/{Digest.of(blobs[-1])}").raise_for_status()
    done = images("copy", "--json", f"{plain.host}/partly/*", f"{ours.host}/there/")
    outcomes = [json.loads(line) for line in done.out.splitlines()]
    assert done.code == 1
    assert [each["outcome"] for each in outcomes] == ["copied", "failed", "copied"]
    assert outcomes[1]["name"] == f"{plain.host}/partly/b:v1"
    assert "the registry has no such blob" in outcomes[1]["why"]
    assert done.err.startswith(f"authproxy: {plain.host}/partly/b:v1: ")
