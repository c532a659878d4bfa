"""Requests as Go's net/http writes them, byte by byte, for the clients whose requests are replayed.

`Host` and `User-Agent` come first, then `Content-Length`, then the other fields in the order of their names; what the
transport adds for itself, `Accept-Encoding`, comes last, and not with HEAD.
"""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

from tests.clients.matrix.recording import Exchange
from tests.support.wire import Answer, Wire

PARAMETER = re.compile(r'(\w+)="([^"]*)"')


class GaveUp(Exception):
    """The client ends here: with what it prints, and the answer that it met."""


def write_request(
    method: str, target: str, host: str, agent: str, fields: Mapping[str, str], body: bytes | None = None
) -> bytes:
    """One request. `body` None: a method without one; POST and PUT always have one, be it empty."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", f"User-Agent: {agent}"]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    lines += [f"{name}: {fields[name]}" for name in sorted(fields)]
    if method != "HEAD":
        lines.append("Accept-Encoding: gzip")
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


def encode(fields: Mapping[str, str | list[str]]) -> str:
    """`url.Values.Encode`: a query or a form in the order of its names."""
    return urlencode(sorted(fields.items()), doseq=True)


@dataclass
class Transport:
    """Sends to one server and keeps the connection. `talk` has every exchange so far."""

    port: int
    trust: ssl.SSLContext
    agent: str
    talk: list[Exchange] = field(default_factory=list)
    _wire: Wire | None = None

    @property
    def host(self) -> str:
        """As it stands in `Host`."""
        return f"localhost:{self.port}"

    def send(self, method: str, url: str, fields: Mapping[str, str], body: bytes | None = None) -> Answer:
        """One request to a path or an address of this very server, and its answer."""
        parts = urlsplit(url)
        assert parts.netloc in ("", self.host), url
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        request = write_request(method, target, self.host, self.agent, fields, body)
        if self._wire is None:
            self._wire = Wire(self.port, self.trust)
        self._wire.send(request)
        answer = self._wire.read(method)
        self.talk.append(Exchange(request, answer))
        if answer.headers.get("connection") == "close":
            self.close()
        return answer

    def close(self) -> None:
        """Let go of the connection."""
        if self._wire is not None:
            self._wire.__exit__()
            self._wire = None


def read_challenge(answer: Answer) -> dict[str, str]:
    """The parameters of `WWW-Authenticate: Bearer`."""
    scheme, _, rest = answer.headers["www-authenticate"].partition(" ")
    assert scheme == "Bearer", answer
    return dict(PARAMETER.findall(rest))


def in_words(answer: Answer) -> str:
    """What a client may show of an answer."""
    challenge = answer.headers.get("www-authenticate", "")
    return f"status {answer.status}\n{challenge}\n{answer.body.decode(errors='replace')}"
