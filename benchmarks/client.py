"""A small registry client over one keep-alive connection, for requests that are too short to start a program for."""

import hashlib
import http.client
import json
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from authproxy.digest import Digest
from benchmarks.errors import WrongAnswer

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_TIMEOUT_S = 120.0
_READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. Header names are case-insensitive."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


class Client:
    """One TLS connection to 127.0.0.1, opened at the first request; `headers` are sent with each."""

    def __init__(self, port: int, ca: Path, headers: Mapping[str, str] | None = None) -> None:
        self._headers = dict(headers or {})
        context = ssl.create_default_context(cafile=ca)
        self._connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=_TIMEOUT_S, context=context)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._connection.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        expect: int,
        body: bytes | Iterable[memoryview] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request and read the whole answer. Raises WrongAnswer if the status is not `expect`."""
        answer = self._send(method, path, body, headers, expect)
        return Answer(answer.status, answer.headers, answer.read())

    def download(self, path: str) -> tuple[int, Digest]:
        """GET `path` and drop the body piece by piece: its size in bytes and its digest."""
        answer = self._send("GET", path, None, None, 200)
        hasher, size, piece = hashlib.sha256(), 0, memoryview(bytearray(_READ_BYTES))
        while count := answer.readinto(piece):
            hasher.update(piece[:count])
            size += count
        return size, Digest("sha256", hasher.hexdigest())

    def tags(self, path: str) -> list[str]:
        """GET a page of a tags list: the tags in it."""
        tags: list[str] = json.loads(self.request("GET", path, expect=200).body)["tags"]
        return tags

    def open_upload(self, repository: str) -> str:
        """POST an upload session: the path and query that its bytes are sent to."""
        answer = self.request("POST", f"/v2/{repository}/blobs/uploads/", expect=202, headers={"Content-Length": "0"})
        return local(answer.headers["Location"])

    def append(self, location: str, pieces: Iterable[memoryview], size: int) -> str:
        """PATCH `size` bytes to an upload session: the path and query of the session's next request."""
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        answer = self.request("PATCH", location, expect=202, body=pieces, headers=headers)
        return local(answer.headers["Location"])

    def close_upload(self, location: str, digest: Digest, body: bytes = b"") -> None:
        """PUT the digest of the blob, with its last bytes if any are left."""
        joint = "&" if "?" in location else "?"
        headers = {"Content-Length": str(len(body)), "Content-Type": "application/octet-stream"}
        answer = self.request(
            "PUT", f"{location}{joint}digest={digest}", expect=201, body=body or None, headers=headers
        )
        check_digest(answer, digest)

    def push_blob(self, repository: str, content: bytes, digest: Digest) -> None:
        """POST and PUT: the two requests that most clients send for a small blob."""
        self.close_upload(self.open_upload(repository), digest, content)

    def push_manifest(self, repository: str, reference: str, manifest: bytes) -> Digest:
        """PUT a manifest by tag or digest, and return its digest."""
        digest = Digest.of(manifest)
        answer = self.request(
            "PUT",
            f"/v2/{repository}/manifests/{reference}",
            expect=201,
            body=manifest,
            headers={"Content-Type": MANIFEST},
        )
        check_digest(answer, digest)
        return digest

    def _send(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[memoryview] | None,
        headers: Mapping[str, str] | None,
        expect: int,
    ) -> http.client.HTTPResponse:
        self._connection.request(method, path, body, {**self._headers, **(headers or {})})
        answer = self._connection.getresponse()
        if answer.status != expect:
            text = answer.read(500).decode("utf-8", "replace")
            raise WrongAnswer(f"{method} {path} answered {answer.status} instead of {expect}: {text}")
        return answer


def local(location: str) -> str:
    """The path and query of a `Location`, which may be absolute or relative (RFC 9110 §10.2.2)."""
    parts = urlsplit(location)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def check_digest(answer: Answer, digest: Digest) -> None:
    """Raise WrongAnswer if `Docker-Content-Digest` is not `digest`."""
    if (said := answer.headers["Docker-Content-Digest"]) != str(digest):
        raise WrongAnswer(f"the server says that {digest} is {said}")


def read_token(answer: Answer) -> str:
    """The token in a token server's answer. Raises WrongAnswer if there is none."""
    token = json.loads(answer.body).get("token")
    if not isinstance(token, str) or not token:
        raise WrongAnswer(f"no token in the answer: {answer.body[:200]!r}")
    return token
