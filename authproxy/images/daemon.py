"""The local docker daemon: lists, exports and loads images, as archives of `docker save`.

Uses the Docker Engine API on its socket, without a version in the path: these requests have not changed since 1.12.
podman's socket supports them too.
"""

import asyncio
import errno
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import httpx

from authproxy.digest import Digest, parse_digest
from authproxy.errors import DigestInvalid
from authproxy.http.client.bounded_body import BadBody, read_body
from authproxy.images.names import matches

DEFAULT_SOCKET = Path("/var/run/docker.sock")
_UNIX = "unix://"
_NAMELESS = "<none>"

# The daemon writes an image to its own disk before it sends the first byte of an export.
ANSWER_WITHIN_S = 600.0
PIECE_BYTES = 1 << 20

# A list of images has a few hundred bytes per image; a load reports one line per image.
MAX_ANSWER_BYTES = 64 << 20


class DaemonError(Exception):
    """The daemon is unreachable or refused a request: one sentence."""


def find_socket(environment: Mapping[str, str]) -> Path:
    """The path of the socket. Raises DaemonError if DOCKER_HOST names a daemon on another machine."""
    address = environment.get("DOCKER_HOST", "")
    if not address:
        return DEFAULT_SOCKET
    path = address.removeprefix(_UNIX)
    if not address.startswith(_UNIX) or not path.startswith("/"):
        raise DaemonError(
            f"DOCKER_HOST is {address}, but only a daemon on this machine can be used: unix:///path/to/docker.sock"
        )
    return Path(path)


@dataclass(frozen=True, slots=True)
class LocalImage:
    """An image that the daemon holds.

    `identity` is the digest of its configuration, or, if the daemon uses containerd's image store, of its manifest or
    index. `names` are as docker prints them: `app:v1`, `host:5000/team/app:v1`; may be empty.
    """

    identity: Digest
    names: tuple[str, ...]
    size: int  # uncompressed bytes on disk; shared layers count in full

    @classmethod
    def from_json(cls, entry: Any) -> "LocalImage":
        """Parse an entry of GET /images/json. Raises KeyError, TypeError, DigestInvalid."""
        names = (name for name in entry["RepoTags"] or () if not name.startswith(_NAMELESS))
        return cls(parse_digest(entry["Id"]), tuple(sorted(names)), int(entry["Size"]))


def choose(images: Sequence[LocalImage], patterns: Sequence[str]) -> tuple[LocalImage, ...]:
    """The images with a name that matches a pattern (see `names.matches`), reduced to these names.

    Without patterns: all images that have a name.
    """
    chosen = []
    for image in images:
        names = tuple(name for name in image.names if not patterns or any(matches(p, name) for p in patterns))
        if names:
            chosen.append(LocalImage(image.identity, names, image.size))
    return tuple(sorted(chosen, key=lambda image: image.names))


class Daemon:
    """The daemon behind one socket. Every method raises DaemonError."""

    def __init__(self, socket: Path, client: httpx.AsyncClient) -> None:
        self._socket = socket
        self._client = client

    async def images(self) -> tuple[LocalImage, ...]:
        """All images of the daemon."""
        async with self._answer("GET", "/images/json") as answer:
            content = await self._read(answer)
            try:
                return tuple(LocalImage.from_json(entry) for entry in json.loads(content))
            except (ValueError, RecursionError, KeyError, TypeError, AttributeError, DigestInvalid) as error:
                raise DaemonError(f"docker daemon at {self._socket}: its list of images cannot be read") from error

    async def export(self, names: Sequence[str], file: IO[bytes]) -> None:
        """Write an archive of `docker save` with these images. Raises DaemonError, and OSError of the file."""
        async with self._answer("GET", "/images/get", params=[("names", name) for name in names]) as answer:
            async for piece in answer.aiter_raw(PIECE_BYTES):
                file.write(piece)
        file.flush()

    async def load(self, archive: IO[bytes]) -> tuple[str, ...]:
        """Load an archive of `docker save`. Returns the daemon's messages, one per image.

        Raises DaemonError, and OSError of the file.
        """
        headers = {"Content-Type": "application/x-tar"}
        async with self._answer(
            "POST", "/images/load", params=[("quiet", "1")], content=_pieces(archive), headers=headers
        ) as answer:
            content = await self._read(answer)
        try:
            said = [json.loads(line) for line in content.splitlines() if line.strip()]
        except (ValueError, RecursionError) as error:
            raise DaemonError(f"docker daemon at {self._socket}: its response to the archive is not JSON") from error
        lines = [line for line in said if isinstance(line, dict)]
        # The daemon sends the status before it reads the archive, so a failure is one of the lines.
        for line in lines:
            if "error" in line:
                raise DaemonError(f"docker daemon at {self._socket}: the archive was not loaded: {line['error']}")
        return tuple(str(line["stream"]).strip() for line in lines if "stream" in line)

    async def _read(self, answer: httpx.Response) -> bytes:
        try:
            return await read_body(answer, MAX_ANSWER_BYTES)
        except BadBody as error:
            raise DaemonError(f"docker daemon at {self._socket}: it answers with {error}") from error

    @asynccontextmanager
    async def _answer(self, method: str, path: str, **options: Any) -> AsyncIterator[httpx.Response]:
        try:
            async with self._client.stream(method, f"http://docker{path}", **options) as answer:
                if answer.status_code != httpx.codes.OK:
                    raise _refused(answer.status_code, await self._read(answer), self._socket)
                yield answer
        except httpx.TransportError as error:
            raise _unreachable(self._socket, error) from error


@asynccontextmanager
async def open_daemon(socket: Path) -> AsyncIterator[Daemon]:
    """The daemon at a socket, for the length of a block. Sends no request."""
    transport = httpx.AsyncHTTPTransport(uds=str(socket))
    async with httpx.AsyncClient(transport=transport, trust_env=False, timeout=ANSWER_WITHIN_S) as client:
        yield Daemon(socket, client)


async def _pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
        yield piece


def _unreachable(socket: Path, error: httpx.TransportError) -> DaemonError:
    """Why there was no response, and what to do about it."""
    match _errno(error):
        case errno.ENOENT:
            why = "there is no such socket: start docker, or set DOCKER_HOST=unix:///path to its socket"
        case errno.EACCES | errno.EPERM:
            why = "permission denied: run this as root, or as a user in the group that owns the socket (docker)"
        case errno.ECONNREFUSED | errno.ENOTSOCK:
            why = "no process listens there: start docker, or set DOCKER_HOST=unix:///path to its socket"
        case _:
            why = f"the connection failed ({str(error) or type(error).__name__})"
    return DaemonError(f"docker daemon at {socket}: {why}")


def _refused(status: int, content: bytes, socket: Path) -> DaemonError:
    """The daemon's own message, or its status."""
    try:
        message = json.loads(content)["message"]
    except (ValueError, RecursionError, KeyError, TypeError):
        message = f"it answered {status}"
    return DaemonError(f"docker daemon at {socket}: {message}")


def _errno(error: BaseException | None) -> int | None:
    # httpx wraps httpcore's error, which wraps the system's.
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            return error.errno
        error = error.__cause__ or error.__context__
    return None
