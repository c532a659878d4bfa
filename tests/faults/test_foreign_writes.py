"""Another program writes to the folder of a running server: lists are right within two seconds, on every worker."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import httpx
import pytest

from authproxy.digest import parse_digest
from authproxy.reference import Repository, Tag
from authproxy.storage import layout
from tests.support.image import make_image, push_image
from tests.support.people import OPERATOR
from tests.support.server import Server, running_server

APP = Repository("admin/app")
TAGS, CATALOG = f"/v2/{APP}/tags/list", "/v2/_catalog?n=1000"
SCOPE = f"repository:{APP}:pull,push,delete"
RIGHT_WITHIN_S = 2.0

# Connections that are opened for one look: with two workers that take them by chance, both are asked.
CONNECTIONS = 12

# The other program: it knows nothing of this server but the folder.
PROGRAM = """
import pathlib, shutil, sys
what, path, *content = sys.argv[1:]
path = pathlib.Path(path)
if what == "write":
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content[0])
elif what == "unlink":
    path.unlink()
else:
    shutil.rmtree(path)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of two workers."""
    folder = tmp_path_factory.mktemp("foreign") / "server"
    with running_server(folder, {"REGISTRY_HTTP_WORKERS": "2"}) as running:
        yield running


@pytest.fixture
def digest(server: Server) -> str:
    """The manifest of the tags v1 and v2, which are the only ones; both workers have listed them."""
    image = make_image("foreign")
    with server.client_for(OPERATOR.name, OPERATOR.password, SCOPE) as client:
        for tag in ("v1", "v2", "v3"):  # by name: a worker may not list yet what the last test's program has set
            client.delete(f"/v2/{APP}/manifests/{tag}")
        for tag in ("v1", "v2"):
            push_image(client, APP, tag, image)
    assert seen_by_all(server, tags) == {("v1", "v2")}
    seen_by_all(server, repositories)
    return (server.storage / layout.tag_current(APP, Tag("v1"))).read_text()


Ask: TypeAlias = Callable[[str], httpx.Response]
Look: TypeAlias = Callable[[Ask], tuple[str, ...]]


@contextmanager
def lister(server: Server) -> Iterator[Ask]:
    """Asks for lists, over a new connection each time."""
    with server.client_for(OPERATOR.name, OPERATOR.password, SCOPE, "registry:catalog:*") as allowed:
        headers = allowed.headers

    def ask(path: str) -> httpx.Response:
        with server.client() as client:
            return client.get(path, headers=headers)

    yield ask


def tags(ask: Ask) -> tuple[str, ...]:
    return tuple(ask(TAGS).json()["tags"])


def repositories(ask: Ask) -> tuple[str, ...]:
    return tuple(ask(CATALOG).json()["repositories"])


def seen_by_all(server: Server, look: Look) -> set[tuple[str, ...]]:
    with lister(server) as ask:
        return {look(ask) for _ in range(CONNECTIONS)}


def another_program(what: str, path: Path, *content: str) -> float:
    """Let another process change the folder: when it had done so."""
    subprocess.run([sys.executable, "-c", PROGRAM, what, str(path), *content], check=True)
    return time.monotonic()


def until_right(
    server: Server,
    since: float,
    look: Look,
    is_right: Callable[[tuple[str, ...]], bool],
) -> None:
    """Wait until every answer is right. None that was asked for two seconds after the change may be wrong."""
    with lister(server) as ask:
        right = 0
        while right < CONNECTIONS:
            asked = time.monotonic()
            found = look(ask)
            right = right + 1 if is_right(found) else 0
            assert right or asked - since < RIGHT_WITHIN_S, f"still {found} after {asked - since:.1f} s"


def test_a_tag_that_another_program_set(server: Server, digest: str) -> None:
    since = another_program("write", server.storage / layout.tag_current(APP, Tag("v3")), digest)
    until_right(server, since, tags, lambda found: found == ("v1", "v2", "v3"))


def test_a_tag_that_another_program_removed(server: Server, digest: str) -> None:
    since = another_program("remove", server.storage / layout.tags(APP) / "v1")
    until_right(server, since, tags, lambda found: found == ("v2",))


def test_a_tag_that_another_program_removed_half(server: Server, digest: str) -> None:
    since = another_program("unlink", server.storage / layout.tag_current(APP, Tag("v1")))
    until_right(server, since, tags, lambda found: found == ("v2",))


@pytest.mark.parametrize("name", ["admin/app/below", "zebra"])
def test_a_repository_that_another_program_made_and_removed(server: Server, digest: str, name: str) -> None:
    another_program("write", server.storage / layout.tag_current(Repository(name), Tag("v1")), digest)
    link = layout.revision_link(Repository(name), parse_digest(digest))  # without a manifest there is no repository
    since = another_program("write", server.storage / link, digest)
    until_right(server, since, repositories, lambda found: name in found)
    since = another_program("remove", server.storage / layout.repository(Repository(name)))
    until_right(server, since, repositories, lambda found: name not in found)
