import asyncio
import io
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from authproxy.digest import Digest
from authproxy.images.daemon import DaemonError, LocalImage, choose, find_socket, open_daemon


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not pytest's: the path of a Unix socket has 107 characters at most."""
    with TemporaryDirectory(prefix="authproxy-") as name:
        yield Path(name)


@asynccontextmanager
async def answering(path: Path, answer: bytes) -> AsyncIterator[None]:
    """Something that answers every connection at a socket with these bytes, and hangs up."""

    async def answer_it(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with await asyncio.start_unix_server(answer_it, str(path)):
        yield


def http(status: str, body: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


ANSWERS = [
    ("words of the daemon", http("404 Not Found", '{"message": "No such image: x"}'), "No such image: x"),
    ("no words", http("500 Internal Server Error", "oops"), "it answered 500"),
    ("no list", http("200 OK", "{}x"), "its list of images cannot be read"),
    ("a list of other things", http("200 OK", '[{"Id": "x"}]'), "its list of images cannot be read"),
    ("cut off", http("200 OK", "[]")[:-1], "the connection failed"),
]


@pytest.mark.parametrize(("answer", "words"), [row[1:] for row in ANSWERS], ids=[row[0] for row in ANSWERS])
async def test_a_refusal_says_why(folder: Path, answer: bytes, words: str) -> None:
    async with answering(folder / "sock", answer), open_daemon(folder / "sock") as daemon:
        with pytest.raises(DaemonError, match=f"docker daemon at {folder / 'sock'}: .*{words}"):
            await daemon.images()


async def test_a_failure_after_the_status_is_told(folder: Path) -> None:
    answer = http("200 OK", '{"stream": "reading"}\n{"error": "unexpected EOF"}\n')
    async with answering(folder / "sock", answer), open_daemon(folder / "sock") as daemon:
        with pytest.raises(DaemonError, match="the archive was not loaded: unexpected EOF"):
            await daemon.load(io.BytesIO(b"nonsense"))


async def test_an_export_that_breaks_off_is_told(folder: Path) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"
    async with answering(folder / "sock", answer), open_daemon(folder / "sock") as daemon:
        with pytest.raises(DaemonError, match="the connection failed"):
            await daemon.export(["x"], io.BytesIO())


async def test_a_socket_that_is_not_there_is_told_with_what_to_do(folder: Path) -> None:
    async with open_daemon(folder / "sock") as daemon:
        with pytest.raises(DaemonError, match="there is no such socket: start docker"):
            await daemon.images()


async def test_a_socket_where_nobody_listens_is_told_with_what_to_do(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(folder / "sock"))
    async with open_daemon(folder / "sock") as daemon:
        with pytest.raises(DaemonError, match="no process listens there: start docker"):
            await daemon.images()


SOCKETS = [({}, "/var/run/docker.sock"), ({"DOCKER_HOST": "unix:///run/podman.sock"}, "/run/podman.sock")]


@pytest.mark.parametrize(("environment", "path"), SOCKETS, ids=["by default", "by DOCKER_HOST"])
def test_socket_is_found(environment: dict[str, str], path: str) -> None:
    assert find_socket(environment) == Path(path)


@pytest.mark.parametrize("address", ["tcp://host:2375", "ssh://host", "unix://relative"])
def test_a_daemon_elsewhere_is_refused(address: str) -> None:
    with pytest.raises(DaemonError, match=f"DOCKER_HOST is {address}"):
        find_socket({"DOCKER_HOST": address})


ONE, TWO, THREE = (Digest.of(text) for text in (b"1", b"2", b"3"))
IMAGES = [
    LocalImage(TWO, ("other/two:v2", "two:v2"), 2),
    LocalImage(ONE, ("host:5000/team/one:v1",), 1),
    LocalImage(THREE, (), 3),
]

CHOICES = [
    ("no pattern: all that have a name", [], ["host:5000/team/one:v1", "other/two:v2", "two:v2"]),
    ("a name", ["two:v2"], ["two:v2"]),
    ("a name without a tag", ["two"], ["two:v2"]),
    ("a pattern over slashes", ["*two*"], ["other/two:v2", "two:v2"]),
    ("a host's port is not a tag", ["host:5000/*"], ["host:5000/team/one:v1"]),
    ("several patterns", ["two", "host*"], ["host:5000/team/one:v1", "two:v2"]),
    ("a pattern that means nothing", ["three"], []),
]


@pytest.mark.parametrize(("patterns", "names"), [row[1:] for row in CHOICES], ids=[row[0] for row in CHOICES])
def test_pattern_chooses(patterns: list[str], names: list[str]) -> None:
    assert [name for image in choose(IMAGES, patterns) for name in image.names] == names


def test_an_image_without_names_is_read() -> None:
    image = LocalImage.from_json({"Id": str(ONE), "RepoTags": ["<none>:<none>"], "Size": 5})
    assert image == LocalImage(ONE, (), 5)
