"""A disk that is full: clients hear so, nothing that was stored suffers, and with room again everything goes on."""

import errno
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from authproxy.digest import Digest
from tests.support.image import MANIFEST_TYPE, Image, make_image, open_upload, push_blob, push_image
from tests.support.people import OPERATOR
from tests.support.server import Server, contents, running_server
from tests.support.small_disk import small_disk

REPOSITORY = "admin/app"
SCOPE = f"repository:{REPOSITORY}:pull,push,delete"
DISK_BYTES = 16 * 1024 * 1024
CHUNK = os.urandom(2 * 1024 * 1024)
OLD, NEW = make_image("old"), make_image("new")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server whose storage is a small disk of its own; with an image in it. Needs the right to mount."""
    folder = tmp_path / "server"
    with small_disk(folder / "data" / "registry", DISK_BYTES), running_server(folder) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    """Somebody who has pushed an image already."""
    with server.client_for(OPERATOR.name, OPERATOR.password, SCOPE) as made:
        push_image(made, REPOSITORY, "v1", OLD)
        yield made


class Filler:
    """What else is on the disk."""

    def __init__(self, server: Server) -> None:
        self._path = server.storage / "of-somebody-else"

    def fill(self, leave_bytes: int = 0) -> None:
        """Take all room but so much."""
        with self._path.open("wb", buffering=0) as file:
            while True:
                try:
                    file.write(bytes(64 * 1024))
                except OSError as error:
                    assert error.errno == errno.ENOSPC
                    break
        os.truncate(self._path, max(0, self._path.stat().st_size - leave_bytes))

    def remove(self) -> None:
        self._path.unlink()


@pytest.fixture
def filler(server: Server) -> Filler:
    return Filler(server)


def stored(server: Server) -> dict[str, tuple[str, int]]:
    """All that the registry has on its disk."""
    return contents(server.storage / "docker")


def assert_refused(answer: httpx.Response) -> None:
    assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE, answer.text
    assert answer.json() == {"errors": [{"code": "UNAVAILABLE", "message": "the registry's storage is full"}]}


def assert_image_is_right(client: httpx.Client, tag: str = "v1", image: Image = OLD) -> None:
    assert client.get(f"/v2/{REPOSITORY}/manifests/{tag}").content == image.manifest
    for content in (image.layer, image.config):
        assert client.get(f"/v2/{REPOSITORY}/blobs/{Digest.of(content)}").content == content


def test_a_blob_that_does_not_fit_is_refused_and_fits_later(
    server: Server, client: httpx.Client, filler: Filler
) -> None:
    before = stored(server)
    for leave_bytes in (0, 64 * 1024, len(CHUNK) // 2):
        filler.fill(leave_bytes)
        answer = client.post(
            f"/v2/{REPOSITORY}/blobs/uploads/", params={"digest": str(Digest.of(CHUNK))}, content=CHUNK
        )
        assert_refused(answer)
        assert stored(server) == before
        assert_image_is_right(client)
    filler.remove()
    push_blob(client, REPOSITORY, CHUNK)
    assert client.get(f"/v2/{REPOSITORY}/blobs/{Digest.of(CHUNK)}").content == CHUNK


def test_a_session_that_can_not_go_on_is_dropped_with_all_that_it_held(
    server: Server, client: httpx.Client, filler: Filler
) -> None:
    before = stored(server)
    session = open_upload(client, REPOSITORY)
    answer = client.patch(session, content=CHUNK)
    assert answer.status_code == httpx.codes.ACCEPTED
    filler.fill(len(CHUNK) // 2)
    assert_refused(client.patch(client.base_url.join(answer.headers["location"]), content=CHUNK))
    assert client.get(session).status_code == httpx.codes.NOT_FOUND
    assert stored(server) == before
    push_blob(client, REPOSITORY, CHUNK)  # the session has made room for it


def test_the_last_request_of_a_session_is_refused_where_its_link_has_no_room(
    server: Server, client: httpx.Client, filler: Filler
) -> None:
    before = stored(server)
    session = open_upload(client, REPOSITORY)
    answer = client.patch(session, content=CHUNK)
    filler.fill()
    closing = client.base_url.join(answer.headers["location"]).copy_merge_params({"digest": str(Digest.of(CHUNK))})
    assert_refused(client.put(closing))
    assert client.head(f"/v2/{REPOSITORY}/blobs/{Digest.of(CHUNK)}").status_code == httpx.codes.NOT_FOUND
    assert stored(server) == before


def test_a_manifest_and_a_tag_that_have_no_room_change_nothing(
    server: Server, client: httpx.Client, filler: Filler
) -> None:
    for content in (NEW.layer, NEW.config):
        push_blob(client, REPOSITORY, content)
    before = stored(server)
    headers = {"Content-Type": MANIFEST_TYPE}
    for leave_bytes in (0, 4096, 8192, 12288):  # what is written first fits, and what comes after it not
        filler.fill(leave_bytes)
        assert_refused(client.put(f"/v2/{REPOSITORY}/manifests/v1", content=NEW.manifest, headers=headers))
        assert stored(server) == before
    filler.fill()
    assert_refused(client.put(f"/v2/{REPOSITORY}/manifests/v2", content=OLD.manifest, headers=headers))
    assert stored(server) == before
    assert_image_is_right(client)
    assert client.get(f"/v2/{REPOSITORY}/tags/list").json()["tags"] == ["v1"]
    filler.remove()
    push_image(client, REPOSITORY, "v1", NEW)
    assert_image_is_right(client, "v1", NEW)


def test_a_full_disk_can_be_emptied_through_the_registry(server: Server, client: httpx.Client, filler: Filler) -> None:
    """Several workers' worth of deletions at once: the reserve is shared, and given back in steps."""
    tags = [f"v{number}" for number in range(1, 41)]
    for tag in tags:
        push_image(client, REPOSITORY, tag, OLD)
    filler.fill()
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda tag: client.delete(f"/v2/{REPOSITORY}/manifests/{tag}").status_code, tags)
    assert set(answers) == {httpx.codes.ACCEPTED}
    assert client.get(f"/v2/{REPOSITORY}/manifests/v1").status_code == httpx.codes.NOT_FOUND
    assert client.get(f"/v2/{REPOSITORY}/tags/list").json()["tags"] == []
    assert client.delete(f"/v2/{REPOSITORY}/manifests/{Digest.of(OLD.manifest)}").status_code == httpx.codes.ACCEPTED
    assert_refused(
        client.post(f"/v2/{REPOSITORY}/blobs/uploads/", params={"digest": str(Digest.of(CHUNK))}, content=CHUNK)
    )


def test_the_log_tells_of_a_full_disk_once_a_minute_with_its_path(
    server: Server, client: httpx.Client, filler: Filler
) -> None:
    filler.fill()
    for _ in range(3):
        assert_refused(
            client.post(f"/v2/{REPOSITORY}/blobs/uploads/", params={"digest": str(Digest.of(CHUNK))}, content=CHUNK)
        )
    alarms = [line for line in server.output.splitlines() if "level=error" in line]
    assert len(alarms) == 1, alarms
    assert 'reason="No space left on device"' in alarms[0]
    assert "data/registry" in alarms[0]
