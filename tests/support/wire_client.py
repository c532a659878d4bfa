"""Somebody with a token for one repository, who writes their requests byte by byte."""

import json
import time
from dataclasses import dataclass

from authproxy.access import CATALOG, delete, pull, push
from tests.support.served import Served
from tests.support.server import OPERATOR
from tests.support.wire import Answer, Wire, request

# How long a request that has been refused, or whose client has gone, may take to keep what came of its body.
KEPT_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Client:
    """`repository` is what "…" stands for in a target."""

    server: Served
    repository: str

    @property
    def authorization(self) -> str:
        """The header's line."""
        accesses = [CATALOG, *(access(self.repository) for access in (pull, push, delete))]
        return f"Authorization: Bearer {self.server.nursery.issuer.issue(OPERATOR, accesses).token}"

    def open(self) -> Wire:
        """A new connection."""
        return Wire(self.server.port, self.server.nursery.trust)

    def request(self, method: str, target: str, *headers: str, body: bytes = b"") -> bytes:
        """A request with the token. Its `Content-Length` is that of the body, unless a header frames it otherwise."""
        is_framed = any(line.lower().startswith(("content-length:", "transfer-encoding:")) for line in headers)
        framing = () if is_framed or method in ("GET", "HEAD") else (f"Content-Length: {len(body)}",)
        target = target.replace("…", f"/v2/{self.repository}")
        return request(method, target, self.authorization, *framing, *headers, body=body)

    def ask(self, method: str, target: str, *headers: str, body: bytes = b"") -> Answer:
        """One request on a connection of its own."""
        with self.open() as wire:
            wire.send(self.request(method, target, *headers, body=body))
            return wire.read(method)

    def begin(self) -> str:
        """Open a session; its address, without the host."""
        answer = self.ask("POST", "…/blobs/uploads/")
        assert answer.status == 202, answer
        return answer.headers["location"].partition("registry.test:5000")[2]

    def wait_until_kept(self, session: str, received: str) -> None:
        """Return once the session's status tells `received`: a request that broke off goes on in a thread."""
        deadline = time.monotonic() + KEPT_WITHIN_S
        while (told := self.ask("GET", session).headers["range"]) != received:
            assert time.monotonic() < deadline, f"the session has {told}, not {received}"
            time.sleep(0.01)


def code_of(answer: Answer) -> str:
    """The code of an error, which has to be of the protocol's form."""
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["docker-distribution-api-version"] == "registry/2.0"
    [error] = json.loads(answer.body)["errors"]
    return str(error["code"])
