"""Manifests that are made to cost the server time: refused by what they hold, and never parsed for a list."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from authproxy.budget import MAX_DESCRIPTORS, MAX_LISTED_BYTES, MAX_MANIFEST_PARTS
from authproxy.digest import Digest
from authproxy.oci.media_types import OCI_IMAGE, OCI_INDEX
from authproxy.registry.manifest_checks import MAX_BYTES
from tests.support.image import push_blob
from tests.support.server import Server, running_server

APP = "team/app"
SUBJECT = Digest.of(b"not here")
CONFIG = """\
version: 0.1
auth: none
storage: {filesystem: {rootdirectory: root}}
"""
ASKED = 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A registry that lets everybody do everything, without TLS."""
    folder = tmp_path_factory.mktemp("server")
    (folder / "config.yml").write_text(CONFIG)
    with running_server(folder, arguments=("config.yml",), has_tls=False) as running:
        yield running


def image(**more: Any) -> dict[str, Any]:
    """An image of an empty config, and what else it says."""
    config = {"mediaType": "application/config", "digest": str(Digest.of(b"{}")), "size": 2}
    return {"schemaVersion": 2, "mediaType": OCI_IMAGE, "config": config, "layers": [], **more}


def refers(mark: int, parts: int = 0) -> bytes:
    """A manifest with the subject, of about as many parts."""
    subject = {"mediaType": OCI_IMAGE, "digest": str(SUBJECT), "size": 8}
    body = image(
        subject=subject, annotations={"mark": str(mark)}, artifactType="application/mark", x=[{}] * (parts // 2)
    )
    return json.dumps(body, separators=(",", ":")).encode()


def put(client: httpx.Client, content: bytes, media_type: str = OCI_IMAGE) -> httpx.Response:
    """Push a manifest by its digest."""
    path = f"/v2/{APP}/manifests/{Digest.of(content)}"
    return client.put(path, content=content, headers={"Content-Type": media_type})


def listed(client: httpx.Client) -> list[dict[str, Any]]:
    """The referrers of the subject."""
    answer = client.get(f"/v2/{APP}/referrers/{SUBJECT}")
    assert answer.status_code == httpx.codes.OK, answer.text
    found: list[dict[str, Any]] = answer.json()["manifests"]
    return found


LAYER = {"mediaType": "application/layer", "digest": str(Digest.of(b"{}")), "size": 2}
ENTRY = {"mediaType": OCI_IMAGE, "digest": str(SUBJECT), "size": 8}
REFUSED: dict[str, tuple[bytes, str, str]] = {
    "objects by the million": (
        b'{"schemaVersion":2,"x":[' + b"{}," * (MAX_BYTES // 3 - 20) + b"{}]}",
        OCI_IMAGE,
        f"{MAX_MANIFEST_PARTS} objects, lists and commas",
    ),
    "one part too many": (
        b'{"schemaVersion":2,"x":[' + b"1," * (MAX_MANIFEST_PARTS - 2) + b"1]}",
        OCI_IMAGE,
        f"{MAX_MANIFEST_PARTS} objects, lists and commas",
    ),
    "layers": (
        json.dumps(image(layers=[LAYER] * (MAX_DESCRIPTORS + 1))).encode(),
        OCI_IMAGE,
        f"accepts at most {MAX_DESCRIPTORS} in one manifest",
    ),
    "entries of an index": (
        json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [ENTRY] * (MAX_DESCRIPTORS + 1)}).encode(),
        OCI_INDEX,
        f"accepts at most {MAX_DESCRIPTORS} in one manifest",
    ),
    "a media type that no UTF-8 can say": (
        b'{"schemaVersion":2,"mediaType":"\\ud800"}',
        OCI_IMAGE,
        "the manifest is \ud800, but its Content-Type is",
    ),
    "a digest that no UTF-8 can say": (
        json.dumps(image(config={"mediaType": "a/b", "digest": "sha256:\udfff", "size": 1})).encode(),
        OCI_IMAGE,
        "config: a digest is sha256:",
    ),
    "nested 5,000 deep": (
        b'{"schemaVersion":2,"x":' + b"[" * 5000 + b"]" * 5000 + b"}",
        OCI_IMAGE,
        "nested too deep",
    ),
}


@pytest.mark.parametrize(("content", "media_type", "words"), REFUSED.values(), ids=REFUSED)
def test_refused(server: Server, content: bytes, media_type: str, words: str) -> None:
    with server.client() as client:
        answer = put(client, content, media_type)
    assert answer.status_code == httpx.codes.BAD_REQUEST
    [error] = answer.json()["errors"]
    assert error["code"] == "MANIFEST_INVALID"
    assert words in error["message"]


def test_as_many_layers_as_are_taken(server: Server) -> None:
    with server.client() as client:
        push_blob(client, APP, b"{}")
        content = json.dumps(image(layers=[LAYER] * MAX_DESCRIPTORS)).encode()
        assert put(client, content).status_code == httpx.codes.CREATED


@pytest.mark.parametrize("letter", ["\x7f", "\u00e9", "a"], ids=["six times as long as JSON", "three times", "as long"])
def test_annotations_that_swell_in_a_list_are_refused(server: Server, letter: str) -> None:
    subject = {"mediaType": OCI_IMAGE, "digest": str(Digest.of(b"swells")), "size": 8}
    body = image(subject=subject, annotations={"a": letter * ((MAX_BYTES - 1000) // len(letter.encode()))})
    content = json.dumps(body, ensure_ascii=False).encode()
    with server.client() as client:
        push_blob(client, APP, b"{}")
        answer = put(client, content)
        assert client.get(f"/v2/{APP}/referrers/{subject['digest']}").json()["manifests"] == []
    assert answer.status_code == httpx.codes.BAD_REQUEST
    [error] = answer.json()["errors"]
    assert error["code"] == "MANIFEST_INVALID"
    assert f"{MAX_LISTED_BYTES} bytes" in error["message"]


def test_a_page_of_the_largest_entries_is_no_longer_than_a_manifest(server: Server) -> None:
    def push(client: httpx.Client, subject: str, text: str) -> str:
        named = {"mediaType": OCI_IMAGE, "digest": str(Digest.of(subject.encode())), "size": 8}
        content = json.dumps(image(subject=named, annotations={"a": text})).encode()
        assert put(client, content).status_code == httpx.codes.CREATED
        return f"/v2/{APP}/referrers/{named['digest']}"

    count = MAX_BYTES // MAX_LISTED_BYTES
    with server.client() as client:
        push_blob(client, APP, b"{}")
        [entry] = client.get(push(client, "smallest", "")).json()["manifests"]
        spare = MAX_LISTED_BYTES - len(json.dumps(entry, separators=(",", ":"))) - 8
        paths = [push(client, "largest", "x" * (spare - 1) + str(mark)) for mark in range(count)]
        shown, path = 0, paths[0]
        while path:
            answer = client.get(path)
            assert len(answer.content) <= MAX_BYTES
            shown += len(answer.json()["manifests"])
            path = answer.links["next"]["url"] if "next" in answer.links else ""
    assert shown == count


def blob_of(server: Server, digest: str) -> Path:
    """Where the content of a digest is."""
    hexadecimal = digest.removeprefix("sha256:")
    return server.folder / "root/docker/registry/v2/blobs/sha256" / hexadecimal[:2] / hexadecimal / "data"


def test_a_list_reads_no_manifest_that_was_pushed_here(server: Server) -> None:
    """What is stored becomes unreadable on the disk: the list says the same."""
    with server.client() as client:
        push_blob(client, APP, b"{}")
        contents = [refers(mark) for mark in range(3)]
        for content in contents:
            assert put(client, content).status_code == httpx.codes.CREATED
        before = [entry for entry in listed(client) if entry["annotations"]["mark"] in "012"]
        assert [entry["size"] for entry in before] == [len(contents[0])] * 3
        for content in contents:
            blob_of(server, str(Digest.of(content))).write_bytes(b"x" * len(content))
        assert [entry for entry in listed(client) if entry["annotations"]["mark"] in "012"] == before


def test_an_entry_of_an_earlier_version_is_read_from_its_manifest(server: Server) -> None:
    content = refers(10)
    digest = Digest.of(content)
    with server.client() as client:
        push_blob(client, APP, b"{}")
        assert put(client, content).status_code == httpx.codes.CREATED
        before = listed(client)
        [link] = (server.folder / f"root/docker/registry/v2/repositories/{APP}/_referrers").rglob(f"{digest.hex}/link")
        assert link.read_bytes().startswith(f"{digest}\n".encode())
        link.write_bytes(str(digest).encode())
        assert listed(client) == before
        assert put(client, content).status_code == httpx.codes.CREATED  # a client pushes it again
        assert link.read_bytes().startswith(f"{digest}\n".encode())


def test_others_while_lists_of_the_largest_are_asked_for(
    server: Server, record_property: Callable[[str, object], None]
) -> None:
    """Four referrers of as many parts as are taken, listed again and again; the figures are a report, no judgement."""
    with server.client() as client:
        push_blob(client, APP, b"{}")
        for mark in range(20, 24):
            assert put(client, refers(mark, MAX_MANIFEST_PARTS - 100)).status_code == httpx.codes.CREATED

    def attack(answers: list[int]) -> None:
        with server.client() as client:
            answers.extend(client.get(f"/v2/{APP}/referrers/{SUBJECT}").status_code for _ in range(ASKED))

    answers: list[int] = []
    attackers = [threading.Thread(target=attack, args=(answers,)) for _ in range(4)]
    for attacker in attackers:
        attacker.start()
    waited: list[float] = []
    with server.client() as client:
        while any(attacker.is_alive() for attacker in attackers) or not waited:
            begun = time.monotonic()
            assert client.get("/v2/").status_code == httpx.codes.OK
            waited.append(time.monotonic() - begun)
    for attacker in attackers:
        attacker.join()
    assert answers == [httpx.codes.OK] * ASKED * 4
    record_property("longest wait of others, ms", round(max(waited) * 1000))
