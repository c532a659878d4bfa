"""`authproxy verify` beside a running server, for real: damage on the disk, what clients see, a push that heals it."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from authproxy.digest import Digest
from authproxy.reference import Repository
from authproxy.storage import layout
from tests.support.binaries import binary
from tests.support.image import MANIFEST_TYPE, Image, make_image, push_image
from tests.support.peers import running_docker_registry, running_open_server
from tests.support.program import Outcome, environment, run
from tests.support.server import AUTHPROXY, Server, contents, running_server
from tests.support.terminal import type_line

APP = Repository("team/app")
IMAGE = make_image("kept")
LAYER = Digest.of(IMAGE.layer)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """An open server with one image under two tags."""
    with running_open_server(tmp_path / "server") as running:
        with running.client() as client:
            push_image(client, APP, "v1", IMAGE)
            push_image(client, APP, "v2", IMAGE)
        yield running


def data(server: Server, digest: Digest) -> Path:
    return server.folder / "registry" / layout.blob(digest)


def spoil(file: Path) -> None:
    """Change one byte in place, as a disk does."""
    with file.open("r+b") as opened:
        first = opened.read(1)
        opened.seek(0)
        opened.write(bytes([first[0] ^ 1]))


def verify(server: Server, *arguments: str, code: int) -> Outcome:
    outcome = run(AUTHPROXY, "verify", "config.yml", *arguments, env=environment(server.folder), cwd=server.folder)
    assert outcome.code == code, str(outcome)
    return outcome


def report(outcome: Outcome) -> Any:
    return json.loads(outcome.out)


def pull(client: httpx.Client, image: Image, tag: str) -> None:
    """All of an image, as a client pulls it."""
    assert client.get(f"/v2/{APP}/manifests/{tag}").content == image.manifest
    for content in (image.config, image.layer):
        assert client.get(f"/v2/{APP}/blobs/{Digest.of(content)}").content == content


def push_as_clients_do(client: httpx.Client, image: Image, tag: str) -> list[str]:
    """HEAD first, and send only what is missing, as docker and skopeo do. Returns what was sent."""
    sent = []
    for content in (image.layer, image.config):
        digest = Digest.of(content)
        if client.head(f"/v2/{APP}/blobs/{digest}").status_code == httpx.codes.OK:
            continue
        opened = client.post(f"/v2/{APP}/blobs/uploads/")
        location = httpx.URL(opened.headers["location"]).copy_merge_params({"digest": str(digest)})
        assert client.put(location, content=content).status_code == httpx.codes.CREATED
        sent.append(str(digest))
    answer = client.put(f"/v2/{APP}/manifests/{tag}", content=image.manifest, headers={"Content-Type": MANIFEST_TYPE})
    assert answer.status_code == httpx.codes.CREATED, answer.text
    return sent


def test_damage_is_found_put_in_quarantine_and_healed_by_a_push(server: Server) -> None:
    assert verify(server, code=0).out.splitlines() == [
        f"read 3 blobs ({_size(IMAGE)}) and 1 repository: 0 damaged, 0 unknown, 0 warnings",
        "nothing to do",
    ]
    spoil(data(server, LAYER))
    with server.client() as client:
        assert client.head(f"/v2/{APP}/blobs/{LAYER}").status_code == httpx.codes.OK
        lines = verify(server, code=1).out.splitlines()
        assert lines[0] == f"damaged: {LAYER} is {len(IMAGE.layer)} bytes of something else"
        assert lines[2] == "  hits team/app:v1, team/app:v2"
        assert lines[-2] == "1 blob is in quarantine: the next push repairs each"
        assert lines[-1].startswith("to do: push team/app:v1, team/app:v2, or fetch")
        assert lines[-1].endswith("authproxy verify config.yml --repair --from REGISTRY")
        time.sleep(1.1)  # a server looks once a second
        assert client.head(f"/v2/{APP}/blobs/{LAYER}").status_code == httpx.codes.NOT_FOUND
        answer = client.get(f"/v2/{APP}/blobs/{LAYER}")
        assert answer.status_code == httpx.codes.NOT_FOUND
        assert answer.json()["errors"][0]["code"] == "BLOB_UNKNOWN"
        assert f"the stored content of {LAYER} is damaged, and a push repairs it" in answer.text
        assert push_as_clients_do(client, IMAGE, "v1") == [str(LAYER)]
        pull(client, IMAGE, "v1")
    assert report(verify(server, "--json", code=0))["findings"] == []


def test_every_worker_agrees_at_once_on_what_a_push_has_healed(tmp_path: Path) -> None:
    """A push goes to one worker and the next request to another, which may know the quarantine only."""
    folder = tmp_path / "server"
    folder.mkdir()
    (folder / "config.yml").write_text(
        "version: 0.1\nauth: none\nstorage: {filesystem: {rootdirectory: registry}}\nhttp: {workers: 2}\n"
    )
    with running_server(folder, arguments=["config.yml"], has_tls=False) as server:
        with server.client() as client:
            push_image(client, APP, "v1", IMAGE)
        for _ in range(3):
            spoil(data(server, LAYER))
            verify(server, code=1)
            server.wait_until(lambda: statuses(server) == {httpx.codes.NOT_FOUND})
            with server.client() as client:
                push_as_clients_do(client, IMAGE, "v1")
            assert statuses(server) == {httpx.codes.OK}


def statuses(server: Server) -> set[int]:
    """What HEAD of the layer answers on many new connections: workers take them by chance."""
    found = set()
    for _ in range(12):
        with server.client() as client:
            found.add(client.head(f"/v2/{APP}/blobs/{LAYER}").status_code)
    return found


def _size(image: Image) -> str:
    from authproxy.cli.output import in_words

    return in_words(sum(map(len, (image.layer, image.config, image.manifest))))


def test_content_comes_back_from_another_registry(server: Server, tmp_path: Path) -> None:
    spoil(data(server, LAYER))
    data(server, IMAGE.digest).unlink()
    with running_open_server(tmp_path / "other") as other:
        with other.client() as client:
            push_image(client, f"mirror/{APP}", "v1", IMAGE)
        outcome = verify(server, "--repair", "--from", f"{other.host}/mirror", code=0)
    assert "2 repaired" in outcome.out
    assert outcome.out.splitlines()[-1].endswith("again: manifests came back, and what they need was not looked at")
    with server.client() as client:
        pull(client, IMAGE, "v2")
    assert report(verify(server, "--json", code=0))["findings"] == []


def test_a_registry_that_lacks_it_repairs_nothing(server: Server, tmp_path: Path) -> None:
    spoil(data(server, LAYER))
    with running_open_server(tmp_path / "other") as other:
        outcome = verify(server, "--repair", "--from", other.host, "--json", code=1)
    [finding] = report(outcome)["findings"]
    assert "the registry has no such blob" in finding["not_repaired_because"]


def test_a_folder_in_place_of_a_blob_is_unknown(server: Server) -> None:
    data(server, LAYER).unlink()
    data(server, LAYER).mkdir()
    found = report(verify(server, "--json", code=2))
    assert (found["damaged"], found["quarantined"]) == (0, [])
    assert found["findings"][0]["severity"] == "unknown"
    assert found["findings"][0]["hit"] == ["team/app:v1", "team/app:v2"]


def test_a_dry_run_writes_nothing(server: Server) -> None:
    spoil(data(server, LAYER))
    root = server.folder / "registry"
    before = contents(root)
    assert report(verify(server, "--dry-run", "--json", code=1))["quarantined"] == []
    assert contents(root) == before


def test_hostile_names_reach_no_terminal(server: Server) -> None:
    bad = server.folder / "registry" / layout.repositories() / "x\x1b]0;owned\x07\n"
    bad.mkdir()
    shown = type_line(f"{AUTHPROXY} verify --storage registry", env=environment(server.folder), cwd=server.folder).text
    assert "\x1b]0;owned" not in shown
    assert r"x\x1b]0;owned\x07\n" in shown


def test_an_interrupted_run_goes_on(server: Server, tmp_path: Path) -> None:
    progress = tmp_path / "progress.json"
    with server.client() as client:
        for number in range(60):
            push_image(client, APP, f"n{number}", make_image(f"number {number}"))
    arguments = ("verify", "config.yml", "--resume", str(progress), "--json")
    with subprocess.Popen(
        [AUTHPROXY, *arguments, "--rate", "200kB/s"],
        cwd=server.folder,
        env=environment(server.folder),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    ) as process:
        server.wait_until(progress.exists, 30)
        time.sleep(2)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert "interrupted; go on: " in said
    assert f"authproxy verify config.yml --resume {progress}" in said
    before = json.loads(progress.read_text())
    assert before["blobs"] < 183
    outcome = run(AUTHPROXY, *arguments, env=environment(server.folder), cwd=server.folder)
    assert outcome.code == 0, str(outcome)
    assert report(outcome)["blobs"] == 183
    assert progress.read_text() == ""
    progress.write_text("nonsense")
    refused = run(AUTHPROXY, *arguments, env=environment(server.folder), cwd=server.folder)
    assert refused.code == 2
    assert f"--resume {progress}: it is not what a verification has saved; remove it to begin again" in refused.err


def test_another_programs_store_is_verified_while_it_serves_and_nothing_changes(tmp_path: Path) -> None:
    with running_docker_registry(tmp_path / "peer") as url, httpx.Client(base_url=url, trust_env=False) as client:
        push_image(client, APP, "v1", IMAGE)
        assert client.post(f"/v2/{APP}/blobs/uploads/").status_code == httpx.codes.ACCEPTED
        root = next(path.parents[2] for path in (tmp_path / "peer").rglob("docker/registry/v2"))
        before = contents(root)
        command = (AUTHPROXY, "verify", "--storage", str(root), "--json")
        sound = run(*command, env=environment(tmp_path), cwd=tmp_path)
        assert sound.code == 0, str(sound)
        assert json.loads(sound.out)["blobs"] == 3
        assert contents(root) == before
        spoil(root / layout.blob(LAYER))
        before = contents(root)
        damaged = run(*command, env=environment(tmp_path), cwd=tmp_path)
        assert damaged.code == 1, str(damaged)
        assert json.loads(damaged.out)["findings"][0]["hit"] == ["team/app:v1"]
        assert contents(root) == before
        accepted = {"Accept": MANIFEST_TYPE}
        assert client.get(f"/v2/{APP}/manifests/v1", headers=accepted).content == IMAGE.manifest


def test_what_another_programs_collector_leaves_is_no_damage(tmp_path: Path) -> None:
    """CNCF Distribution removes blobs and leaves their links."""
    folder = tmp_path / "peer"
    with running_docker_registry(folder) as url, httpx.Client(base_url=url, trust_env=False) as client:
        push_image(client, APP, "v1", IMAGE)
        other = make_image("kept by its tag")
        push_image(client, APP, "v2", other)
        assert client.delete(f"/v2/{APP}/manifests/{IMAGE.digest}").status_code == httpx.codes.ACCEPTED
    collect = (binary("docker-registry"), "garbage-collect", "--delete-untagged", "config.yml")
    assert run(*collect, env=environment(folder), cwd=folder).code == 0
    root = next(path.parents[2] for path in folder.rglob("docker/registry/v2"))
    outcome = run(AUTHPROXY, "verify", "--storage", str(root), "--json", env=environment(tmp_path), cwd=tmp_path)
    assert outcome.code == 0, str(outcome)
    assert {finding["kind"] for finding in report(outcome)["findings"]} == {"link without content"}
    assert report(outcome)["blobs"] == 3


def test_the_scrub_of_a_server_finds_damage_by_itself(tmp_path: Path) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    (folder / "config.yml").write_text(
        "version: 0.1\nauth: none\n"
        "storage: {filesystem: {rootdirectory: registry}, scrub: {enabled: true, interval: 1s, rate: 50MB}}\n"
    )
    off = {"REGISTRY_STORAGE_SCRUB_ENABLED": "false"}
    with running_server(folder, off, arguments=["config.yml"], has_tls=False) as server, server.client() as client:
        push_image(client, APP, "v1", IMAGE)
        spoil(data(server, LAYER))
    with running_server(folder, arguments=["config.yml"], has_tls=False) as server, server.client() as client:
        server.wait_until(lambda: client.head(f"/v2/{APP}/blobs/{LAYER}").status_code == httpx.codes.NOT_FOUND, 30)
        assert push_as_clients_do(client, IMAGE, "v1") == [str(LAYER)]
        pull(client, IMAGE, "v1")
        server.wait_until(lambda: "the scrub found damage" in server.output)


def test_root_reads_as_the_owner_of_the_folder(server: Server, tmp_path: Path) -> None:
    """A link in a folder of another account must not show that account a file of root."""
    assert os.geteuid() == 0, "the tests run as root"
    secret = tmp_path / "secret"
    secret.write_bytes(IMAGE.layer)
    secret.chmod(0o600)
    root = server.folder / "registry"
    data(server, LAYER).unlink()
    data(server, LAYER).symlink_to(secret)
    for path in tmp_path.parents:
        if path.stat().st_mode & 0o077 == 0:
            path.chmod(0o711)
    tmp_path.chmod(0o711)
    for path in [root, *root.rglob("*")]:
        os.chown(path, 65532, 65532, follow_symlinks=False)
    outcome = run(AUTHPROXY, "verify", "--storage", str(root), "--json", env=environment(tmp_path), cwd=tmp_path)
    assert json.loads(outcome.out)["unknown"] >= 1, str(outcome)
    assert "Permission denied" in outcome.out
