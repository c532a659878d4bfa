"""The page docs/how-to/free-space.md, followed beside a running server whose graces last a second."""

import re
import shlex
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from authproxy.digest import Digest
from tests.deploy import pages
from tests.support.image import make_image, push_blob, push_image
from tests.support.program import Outcome, environment, run
from tests.support.server import AUTHPROXY, Server, running_server

PAGE = "free-space"
APP = "team/app"
SECRET = b"a secret that must go"
# Longer than a grace and its ticks.
GRACE_S = 2.0

CONFIG = """\
version: 0.1
http: {addr: "127.0.0.1:5000"}
storage:
  filesystem: {rootdirectory: registry}
  delete: {enabled: true}
  gc: {grace: 1s, trash: 1h, interval: 24h}
auth: none
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "config.yml").write_text(CONFIG)
    with running_server(tmp_path, arguments=["config.yml"], has_tls=False) as server:
        yield server


def type_in(server: Server, line: str, digest: Digest | None = None) -> Outcome:
    """Run a command of the page, as it is there; `digest` stands for that of the page."""
    assert [one for one in pages.commands(PAGE) if one.removesuffix("8082f86b…") == line], line
    words = [word if digest is None or word != "sha256:" else str(digest) for word in shlex.split(line)[1:]]
    env = environment(server.folder, REGISTRY_CONFIGURATION_PATH=str(server.folder / "config.yml"))
    return run(AUTHPROXY, *words, env=env, cwd=server.folder)


def must(outcome: Outcome) -> str:
    assert outcome.code == 0, str(outcome)
    return outcome.out


def stored(server: Server) -> set[str]:
    return {path.parent.name for path in (server.folder / "registry/docker/registry/v2/blobs").rglob("data")}


def gc(server: Server) -> str:
    time.sleep(GRACE_S)
    return must(run(AUTHPROXY, "gc", "config.yml", env=environment(server.folder), cwd=server.folder))


def test_the_page_is_followed(server: Server) -> None:
    kept, gone = make_image("kept"), make_image("deleted")
    with server.client() as client:
        for tag, image in (("v1", gone), ("v2", kept)):
            push_image(client, APP, tag, image)
        secret = push_blob(client, APP, SECRET)

        def exists(path: str) -> bool:
            return client.head(f"/v2/{APP}/{path}").status_code == httpx.codes.OK

        def delete(reference: object) -> None:
            assert client.delete(f"/v2/{APP}/manifests/{reference}").status_code == httpx.codes.ACCEPTED

        assert "would free" in must(type_in(server, "authproxy gc --dry-run --delete-untagged"))
        assert must(type_in(server, "authproxy gc --dry-run")).endswith("in 1 of 1 repositories\n")
        assert must(type_in(server, "authproxy gc --enable")).startswith("collection is on")

        delete(gone.digest)
        assert f"{APP}:v1" in must(type_in(server, "authproxy undelete --list"))
        assert not exists("manifests/v1")
        must(type_in(server, "authproxy undelete team/app:v1"))
        assert exists("manifests/v1")

        delete(gone.digest)
        assert gc(server).startswith("nothing was removed\ncondemned: ")
        gc(server)
        assert gone.digest.hex in stored(server), "the trash has it"
        assert must(type_in(server, "authproxy undelete --list"))
        time.sleep(GRACE_S)
        assert "freed" in must(type_in(server, "authproxy gc --now"))
        assert gone.digest.hex not in stored(server)
        assert exists("manifests/v2")

        push_blob(client, APP, SECRET)
        assert f"{secret} is gone" in must(type_in(server, "authproxy gc --purge sha256:", secret))
        assert secret.hex not in stored(server)


def test_a_whole_repository_comes_back(server: Server) -> None:
    image = make_image("restored")
    with server.client() as client:
        push_image(client, APP, "v1", image)
        assert client.delete(f"/v2/{APP}/manifests/{image.digest}").status_code == httpx.codes.ACCEPTED
        restored = must(type_in(server, "authproxy undelete team/app"))
        assert f"{APP}:v1 is {image.digest} again" in restored
        assert client.head(f"/v2/{APP}/manifests/v1").status_code == httpx.codes.OK


def test_collection_is_turned_off(server: Server) -> None:
    must(type_in(server, "authproxy gc --enable"))
    off = (AUTHPROXY, "gc", "--disable", "--storage", "registry")
    assert must(run(*off, env=environment(server.folder), cwd=server.folder)).startswith("collection is off")
    assert "would free" in gc(server)


def test_the_keys_are_as_the_page_has_them(tmp_path: Path) -> None:
    text = (pages.HOW_TO / f"{PAGE}.md").read_text()
    [block] = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    storage = block + "  filesystem: {rootdirectory: registry}\n"
    (tmp_path / "config.yml").write_text(f"version: 0.1\nauth: none\n{storage}")
    (tmp_path / "registry").mkdir()
    must(run(AUTHPROXY, "config", "check", "config.yml", env=environment(tmp_path), cwd=tmp_path))
