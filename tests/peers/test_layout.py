"""One folder, served by docker-registry, then by us, then by docker-registry again: real clients lose nothing.

What was pushed by either is pulled from the other byte for byte, and neither stumbles over what the other left.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import pytest

from authproxy.oci.media_types import OCI_IMAGE
from tests.peers.clients import Skopeo, write_index_layout
from tests.peers.shown import Shown, look
from tests.support.binaries import binary
from tests.support.daemon import Docker, running_daemon
from tests.support.image import make_image, push_blob, write_layout
from tests.support.peers import running_docker_registry, running_open_server
from tests.support.program import Outcome, environment, run
from tests.support.registry import descriptor, sha512

# What docker pushed and pulled; skopeo pulls everything.
DOCKER_NAMES = ("docker/app:v1", "docker/copy:v1")


@dataclass
class History:
    """What was seen at each station."""

    theirs: Shown = field(default_factory=Shown)
    ours_at_first: Shown = field(default_factory=Shown)
    ours: Shown = field(default_factory=Shown)
    theirs_again: Shown = field(default_factory=Shown)
    theirs_collected: Shown = field(default_factory=Shown)
    collector: Outcome = field(default_factory=lambda: Outcome((), 1, "", "it did not run"))
    pulls: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)  # station, name, file: SHA-256
    layers: dict[str, list[str]] = field(default_factory=dict)  # station: what docker unpacked
    abandoned: dict[str, int] = field(default_factory=dict)  # whose session and at whom: the status that it has there
    referrers: list[str] = field(default_factory=list)


class Traveller:
    """The clients, and what they do at each station."""

    def __init__(self, folder: Path, docker: Docker, history: History) -> None:
        self.folder = folder
        self.skopeo = Skopeo(folder / "home")
        self.docker = docker
        self.history = history
        self.skopeo.home.mkdir()

    def push_with_docker(self, host: str, name: str, mark: str) -> None:
        """An image of docker's own making."""
        self.docker.make_image(f"{host}/{name}", mark=mark)
        self.docker.must("push", f"{host}/{name}")

    def copy_with_docker(self, host: str, name: str, other: str) -> None:
        """The same image into another repository: its layer is mounted."""
        self.docker.must("tag", f"{host}/{name}", f"{host}/{other}")
        assert "Mounted from" in self.docker.must("push", f"{host}/{other}")

    def push_with_skopeo(self, host: str, name: str, mark: str, *options: str) -> None:
        """An image of OCI's kind, or with `--format v2s2` of Docker's."""
        layout = write_layout(make_image(mark), self.folder / "layouts" / mark, "v1")
        self.skopeo.copy(layout, f"docker://{host}/{name}", *options)

    def push_index(self, host: str, name: str, mark: str, *options: str) -> None:
        """An image for two architectures."""
        layout = write_index_layout(mark, self.folder / "layouts" / mark, "v1")
        self.skopeo.copy(layout, f"docker://{host}/{name}", "--all", *options)

    def pull_all(self, station: str, host: str, shown: Shown) -> None:
        """Every tag with skopeo, and docker's own images with docker."""
        names = [f"{repository}:{tag}" for repository, tags in shown.tags.items() for tag in tags]
        self.history.pulls[station] = {name: self.skopeo.pull(host, name) for name in names}
        self.history.layers[station] = []
        for name in DOCKER_NAMES:
            self.docker("rmi", "--force", f"{host}/{name}")
            self.docker.must("pull", f"{host}/{name}")
            template = "{{json .RootFS.Layers}}"
            self.history.layers[station].append(
                self.docker.must("image", "inspect", "--format", template, f"{host}/{name}")
            )


def begin_upload(url: str, repository: str) -> str:
    """A session that took some bytes and is left alone: its path."""
    with httpx.Client(base_url=url, trust_env=False) as client:
        opened = client.post(f"/v2/{repository}/blobs/uploads/")
        kept = client.patch(opened.headers["location"], content=b"the beginning of something")
        assert kept.status_code == httpx.codes.ACCEPTED
        return httpx.URL(kept.headers["location"]).raw_path.decode()


def status_of(url: str, path: str) -> int:
    with httpx.Client(base_url=url, trust_env=False) as client:
        return client.get(path).status_code


def push_what_only_we_have(url: str) -> None:
    """A blob by sha512, a tag set by sha512, and a referrer: in a repository of their own, and beside an image."""
    with httpx.Client(base_url=url, trust_env=False) as client:
        for repository in ("ours/new", "skopeo/oci"):
            layer = f"a layer of {repository}".encode()
            opened = client.post(f"/v2/{repository}/blobs/uploads/")
            address = httpx.URL(opened.headers["location"]).copy_merge_params({"digest": sha512(layer)})
            assert client.put(address, content=layer).status_code == httpx.codes.CREATED
            push_blob(client, repository, b"{}")
            subject = client.head(f"/v2/{repository}/manifests/v1", headers={"Accept": OCI_IMAGE})
            body = {
                "schemaVersion": 2,
                "mediaType": OCI_IMAGE,
                "artifactType": "application/vnd.example.note",
                "config": descriptor(b"{}", "application/vnd.oci.empty.v1+json"),
                "layers": [],
            }
            if subject.status_code == httpx.codes.OK:
                digest, size = subject.headers["docker-content-digest"], int(subject.headers["content-length"])
                body["subject"] = {"mediaType": OCI_IMAGE, "digest": digest, "size": size}
            content = json.dumps(body).encode()
            by_sha512 = f"/v2/{repository}/manifests/{sha512(content)}"
            answer = client.put(by_sha512, params={"tag": "wide"}, content=content, headers={"Content-Type": OCI_IMAGE})
            assert answer.status_code == httpx.codes.CREATED, answer.text


def referrers_of(url: str, repository: str, tag: str) -> list[str]:
    with httpx.Client(base_url=url, trust_env=False) as client:
        subject = client.head(f"/v2/{repository}/manifests/{tag}", headers={"Accept": OCI_IMAGE})
        found = client.get(f"/v2/{repository}/referrers/{subject.headers['docker-content-digest']}").json()
        return [entry["artifactType"] for entry in found["manifests"]]


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """The whole journey of one folder."""
    folder = tmp_path_factory.mktemp("journey")
    root = folder / "registry" / "registry"
    seen = History()
    with running_daemon() as daemon:
        traveller = Traveller(folder, daemon.docker("traveller"), seen)
        with running_docker_registry(folder / "registry") as url:
            left_by_them = first_station(traveller, url)
        with running_open_server(folder / "server", root) as server:
            seen.ours_at_first = look(server.url)
            traveller.pull_all("ours at first", server.host, seen.ours_at_first)
            seen.abandoned["theirs at ours"] = status_of(server.url, left_by_them)
            left_by_us = second_station(traveller, server.url, server.host)
        with running_docker_registry(folder / "registry") as url:
            seen.theirs_again = look(url)
            traveller.pull_all("theirs again", url.removeprefix("http://"), seen.theirs_again)
            seen.abandoned["ours at theirs"] = status_of(url, left_by_us)
        seen.collector = run(
            *(binary("docker-registry"), "garbage-collect", "config.yml"),
            env=environment(folder),
            cwd=folder / "registry",
        )
        with running_docker_registry(folder / "registry") as url:
            seen.theirs_collected = look(url)
        yield seen


def first_station(traveller: Traveller, url: str) -> str:
    """docker-registry takes images of all kinds. Returns the path of a session that is left open."""
    host = url.removeprefix("http://")
    traveller.push_with_docker(host, "docker/app:v1", "docker one")
    traveller.docker.must("push", f"{host}/docker/app:v1")  # once more
    traveller.copy_with_docker(host, "docker/app:v1", "docker/copy:v1")
    traveller.push_with_skopeo(host, "skopeo/oci:v1", "oci one")
    traveller.push_with_skopeo(host, "skopeo/oci:moved", "oci two")
    traveller.push_with_skopeo(host, "skopeo/oci:moved", "oci three")
    traveller.push_with_skopeo(host, "skopeo/oci:gone", "oci four")
    traveller.skopeo.delete(host, "skopeo/oci:gone")
    traveller.push_with_skopeo(host, "skopeo/schema2:v1", "schema2 one", "--format", "v2s2")
    traveller.push_index(host, "skopeo/index:v1", "index one")
    traveller.push_index(host, "skopeo/list:v1", "list one", "--format", "v2s2")
    traveller.history.theirs = look(url)
    traveller.pull_all("theirs", host, traveller.history.theirs)
    return begin_upload(url, "skopeo/oci")


def second_station(traveller: Traveller, url: str, host: str) -> str:
    """We take more of the same, delete some of theirs, and what only we have comes on top."""
    traveller.push_with_docker(host, "docker/later:v1", "docker two")
    traveller.push_with_skopeo(host, "skopeo/oci:later", "oci five")
    traveller.push_with_skopeo(host, "skopeo/oci:moved", "oci six")
    traveller.push_with_skopeo(host, "skopeo/schema2:gone", "schema2 two", "--format", "v2s2")
    traveller.skopeo.delete(host, "skopeo/schema2:gone")
    traveller.skopeo.delete(host, "skopeo/schema2:v1")
    traveller.push_index(host, "skopeo/index:later", "index two")
    push_what_only_we_have(url)
    traveller.history.referrers = referrers_of(url, "skopeo/oci", "v1")
    traveller.history.ours = look(url)
    traveller.pull_all("ours", host, traveller.history.ours)
    return begin_upload(url, "skopeo/oci")


def test_we_show_what_docker_registry_wrote(history: History) -> None:
    assert set(history.theirs.catalog) == {
        *("docker/app", "docker/copy", "skopeo/index", "skopeo/list", "skopeo/oci", "skopeo/schema2"),
    }
    assert history.theirs.tags["skopeo/oci"] == ["moved", "v1"]
    assert history.ours_at_first == history.theirs


def test_clients_pull_from_us_what_docker_registry_took(history: History) -> None:
    assert len(history.pulls["theirs"]) == 7
    assert history.pulls["ours at first"] == history.pulls["theirs"]
    assert history.layers["ours at first"] == history.layers["theirs"]


def test_docker_registry_shows_what_we_wrote(history: History) -> None:
    assert history.ours.tags["skopeo/oci"] == ["later", "moved", "v1", "wide"]
    emptied = "skopeo/schema2"  # docker-registry lists it for ever: see tests/peers/differences.py
    assert emptied not in history.ours.catalog
    assert history.theirs_again.tags[emptied] == []
    catalog, tags = sorted([*history.ours.catalog, emptied]), {**history.ours.tags, emptied: []}
    assert history.theirs_again == replace(history.ours, catalog=catalog, tags=tags)


def test_clients_pull_from_docker_registry_what_we_took(history: History) -> None:
    assert len(history.pulls["ours"]) == 11
    assert history.pulls["theirs again"] == history.pulls["ours"]
    assert history.layers["theirs again"] == history.layers["ours"]


def test_what_both_had_stayed_as_it_was(history: History) -> None:
    changed = {"skopeo/oci:moved", "skopeo/schema2:v1"}
    kept = {name: files for name, files in history.pulls["theirs"].items() if name not in changed}
    assert {name: history.pulls["theirs again"][name] for name in kept} == kept
    assert history.pulls["theirs again"]["skopeo/oci:moved"] != history.pulls["theirs"]["skopeo/oci:moved"]


def test_the_collector_of_docker_registry_keeps_all_that_is_tagged(history: History) -> None:
    assert history.collector.code == 0, str(history.collector)
    assert history.theirs_collected == history.theirs_again


def test_abandoned_uploads_do_no_harm(history: History) -> None:
    """Each is known to the other as a session or is not: never a fault."""
    assert set(history.abandoned) == {"theirs at ours", "ours at theirs"}
    assert set(history.abandoned.values()) <= {httpx.codes.NO_CONTENT, httpx.codes.NOT_FOUND}


def test_referrers_were_there(history: History) -> None:
    assert history.referrers == ["application/vnd.example.note"]
