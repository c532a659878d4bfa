"""Pulls from a real server are seen by `authproxy usage`; an idle server writes nothing; what a kill lost counts."""

import datetime as dt
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from authproxy.digest import Digest
from authproxy.storage.filesystem.driver import RESERVE
from tests.support.image import MANIFEST_TYPE, Image, make_image, push_image
from tests.support.people import OPERATOR
from tests.support.program import environment, succeed
from tests.support.server import AUTHPROXY, Server, contents, running_server
from tests.support.small_disk import fill, make_room, small_disk

REPOSITORY = "admin/app"
SCOPE = f"repository:{REPOSITORY}:pull,push"
IMAGE = make_image("pulled")
DIGEST = Digest.of(IMAGE.manifest)
EVERY_SECOND = {"REGISTRY_STORAGE_USAGE_INTERVAL": "1s"}
IDLE_S = 3.0
STILL_S = 1.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of two workers that writes pulls every second, with an image in it."""
    with running_server(tmp_path / "server", EVERY_SECOND | {"REGISTRY_HTTP_WORKERS": "2"}) as running:
        push(running)
        yield running


def push(server: Server, image: Image = IMAGE) -> None:
    with server.client_for(OPERATOR.name, OPERATOR.password, SCOPE) as client:
        for tag in ("v1", "v2"):
            push_image(client, REPOSITORY, tag, image)


def ask(
    server: Server, reference: str | Digest, *, method: str = "GET", query: str = "", **headers: str
) -> httpx.Response:
    """On a connection of its own: either worker may get it."""
    with server.client_for(OPERATOR.name, OPERATOR.password, SCOPE) as client:
        found = {"Accept": MANIFEST_TYPE, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return client.request(method, f"/v2/{REPOSITORY}/manifests/{reference}{query}", headers=found)


def usage(server: Server, *arguments: str) -> Any:
    words = (AUTHPROXY, "usage", "--json", *arguments, "--storage", server.storage)
    return json.loads(succeed(*map(str, words), env=environment(server.folder), cwd=server.folder).out)


def tags(server: Server) -> dict[str, tuple[str | None, str | None]]:
    """When each tag was pulled last, and by whom."""
    return {row["tag"]: (row["last_pulled"], row["pulled_by"]) for row in usage(server, "--tags")["rows"]}


def segments(server: Server) -> int:
    return len(list((server.storage / "authproxy/v1/pulls/_segments").glob("*")))


def writers(server: Server) -> int:
    return len(list((server.storage / "authproxy/v1/pulls/_writers").glob("*")))


def test_pulls_by_tag_and_digest_are_seen_while_the_server_runs_and_heads_are_none(server: Server) -> None:
    began = dt.datetime.now(dt.UTC)
    assert ask(server, "v1", method="HEAD").status_code == httpx.codes.OK
    for name in ("v9", "nothing", Digest.of(b"nothing")):
        assert ask(server, name).status_code == httpx.codes.NOT_FOUND
    time.sleep(2)
    assert segments(server) == 0
    assert ask(server, "v1").status_code == httpx.codes.OK
    server.wait_until(lambda: segments(server) == 1)
    found = tags(server)
    assert found["v2"] == (None, None)
    at, by = found["v1"]
    assert at is not None
    assert by == OPERATOR.name
    assert began <= dt.datetime.fromisoformat(at) <= dt.datetime.now(dt.UTC) + dt.timedelta(seconds=1)
    assert ask(server, DIGEST).status_code == httpx.codes.OK
    server.wait_until(lambda: tags(server)["v2"][1] == OPERATOR.name)


def test_a_client_that_revalidates_pulls(server: Server) -> None:
    assert ask(server, "v2", If_None_Match=f'"{DIGEST}"').status_code == httpx.codes.NOT_MODIFIED
    server.wait_until(lambda: tags(server)["v2"][1] == OPERATOR.name)


def test_a_million_query_strings_are_one_pull(server: Server) -> None:
    with server.client_for(OPERATOR.name, OPERATOR.password, SCOPE) as client:
        for number in range(300):
            client.get(f"/v2/{REPOSITORY}/manifests/v1?x={number}")
    server.stop()
    server.start()
    pulls = [
        pull
        for segment in (server.storage / "authproxy/v1/pulls/_segments").glob("*")
        for pull in json.loads(segment.read_text())["pulls"].items()
    ]
    assert pulls
    assert all(pull == (REPOSITORY, {DIGEST.hex: {"v1": OPERATOR.name}}) for pull in pulls)


def test_an_idle_server_writes_nothing(server: Server) -> None:
    ask(server, "v1")
    server.wait_until(lambda: segments(server) == 1)
    time.sleep(STILL_S)  # a file is in its place before what follows it is written
    before = contents(server.storage)
    time.sleep(IDLE_S)
    assert contents(server.storage) == before


def test_a_proper_end_writes_all_pulls_and_a_kill_makes_everything_count_as_pulled(tmp_path: Path) -> None:
    with running_server(tmp_path / "server", {"REGISTRY_HTTP_WORKERS": "2"}) as server:  # a minute's interval
        push(server)
        ask(server, "v1")
        server.stop()
        assert writers(server) == 0
        assert tags(server)["v1"][1] == OPERATOR.name
        assert usage(server)["pulls"]["unknown_until"] is None
        server.start()
        server.wait_until(lambda: writers(server) == 2)
        assert usage(server)["pulls"]["unknown_until"] is None
        ask(server, "v2")
        killed = dt.datetime.now(dt.UTC).replace(microsecond=0)
        server.kill_group()
        assert dt.datetime.fromisoformat(usage(server)["pulls"]["unknown_until"]) >= killed
        server.start()
        server.wait_until(lambda: writers(server) == 2)
        unknown = usage(server)["pulls"]["unknown_until"]
        assert dt.datetime.fromisoformat(unknown) >= killed
        server.stop()
        assert usage(server)["pulls"]["unknown_until"] == unknown


def test_on_a_full_disk_pulls_go_on_and_are_written_when_there_is_room(tmp_path: Path) -> None:
    folder = tmp_path / "server"
    with small_disk(folder / "data/registry", 16 * 1024 * 1024) as disk, running_server(folder, EVERY_SECOND) as server:
        push(server)
        (disk / RESERVE).unlink()  # it is used up
        fill(disk)
        assert ask(server, "v1").status_code == httpx.codes.OK
        server.wait_until(lambda: "pull times can't be written" in server.output)
        assert ask(server, "v2").status_code == httpx.codes.OK
        assert tags(server) == {"v1": (None, None), "v2": (None, None)}
        make_room(disk)
        server.wait_until(lambda: [by for _, by in tags(server).values()] == [OPERATOR.name] * 2)
        assert server.output.count("pull times can't be written") == 1
