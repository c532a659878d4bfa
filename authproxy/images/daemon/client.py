"""Questions to the daemon, each a method."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Any

import httpx

from authproxy.errors import DigestInvalid
from authproxy.http.client.bounded_body import BadBody, read_body
from authproxy.images.daemon.errors import DaemonError, refused, unreachable
from authproxy.images.daemon.local import LocalImage

# The daemon writes an image to its own disk before the first byte of an export comes.
ANSWER_WITHIN_S = 600.0
PIECE_BYTES = 1 << 20

# A list of images has some hundred bytes for each, a load a line.
MAX_ANSWER_BYTES = 64 << 20


class Daemon:
    """The daemon behind one socket. Every method raises DaemonError."""

    def __init__(self, socket: Path, client: httpx.AsyncClient) -> None:
        self._socket = socket
        self._client = client

    async def images(self) -> tuple[LocalImage, ...]:
        """All that it holds."""
        async with self._answer("GET", "/images/json") as answer:
            content = await self._read(answer)
            try:
                return tuple(LocalImage.from_json(entry) for entry in json.loads(content))
            except (ValueError, RecursionError, KeyError, TypeError, AttributeError, DigestInvalid) as error:
                raise DaemonError(f"docker daemon at {self._socket}: its list of images is not one") from error

    async def export(self, names: Sequence[str], file: IO[bytes]) -> None:
        """Write an archive of `docker save` with the images of these names. Raises DaemonError, OSError of the file."""
        async with self._answer("GET", "/images/get", params=[("names", name) for name in names]) as answer:
            async for piece in answer.aiter_raw(PIECE_BYTES):
                file.write(piece)
        file.flush()

    async def load(self, archive: AsyncIterator[bytes]) -> tuple[str, ...]:
        """Take an archive of `docker save`. Returns what the daemon said about it, a line for each image."""
        headers = {"Content-Type": "application/x-tar"}
        async with self._answer(
            "POST", "/images/load", params=[("quiet", "1")], content=archive, headers=headers
        ) as answer:
            content = await self._read(answer)
        try:
            said = [json.loads(line) for line in content.splitlines() if line.strip()]
        except (ValueError, RecursionError) as error:
            raise DaemonError(f"docker daemon at {self._socket}: its words on the archive are no JSON") from error
        lines = [line for line in said if isinstance(line, dict)]
        # The status was sent before the archive was read: a failure is a line.
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
                    raise refused(answer.status_code, await self._read(answer), self._socket)
                yield answer
        except httpx.TransportError as error:
            raise unreachable(self._socket, error) from error


@asynccontextmanager
async def open_daemon(socket: Path) -> AsyncIterator[Daemon]:
    """The daemon at a socket, for the length of a block. Nothing is asked yet."""
    transport = httpx.AsyncHTTPTransport(uds=str(socket))
    async with httpx.AsyncClient(transport=transport, trust_env=False, timeout=ANSWER_WITHIN_S) as client:
        yield Daemon(socket, client)
