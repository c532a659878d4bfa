"""One request that goes to two registries, and what each of them answered, made comparable."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

OURS, THEIRS = "ours", "theirs"

# What a client may look at. Others (Date, Vary, X-Content-Type-Options) are each server's own affair.
COMPARED = (
    "Accept-Ranges",
    "Allow",
    "Cache-Control",
    "Content-Length",
    "Content-Range",
    "Content-Type",
    "Docker-Content-Digest",
    "Docker-Distribution-API-Version",
    "Docker-Upload-UUID",
    "ETag",
    "Link",
    "Location",
    "Range",
)

# Query fields by which each registry knows its own sessions again; a client sends them back without a look.
OPAQUE_FIELDS = ("_state", "_session")

LISTS = ("/tags/list", "/_catalog")

_SESSION_PATH = re.compile(r"(?P<before>/blobs/uploads/)[^/?]+")
_LINK = re.compile(r'<(?P<target>[^>]*)>; rel="next"')


@dataclass(slots=True)
class Session:
    """An upload session that both opened for the same request: each knows it by an address of its own."""

    repository: str
    addresses: dict[str, list[str]]  # by side, the oldest first
    received: bytes = b""  # what both have acknowledged
    was_refused: bool = False  # both have refused to end it with a digest


@dataclass(frozen=True, slots=True)
class Call:
    """A request. `path` is below the host; where there is a session, each side's own address stands for it."""

    method: str
    path: str = ""
    query: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    session: Session | None = None
    is_old_address: bool = False  # the session's first address instead of its newest
    foreign: str | None = None  # a repository that is not the session's
    foretold: str = ""  # a difference that follows from earlier calls, and cannot be told from this one

    def target(self, side: str) -> str:
        """The request target for one side, byte for byte."""
        path = self.path
        if self.session is not None:
            path = self.session.addresses[side][0 if self.is_old_address else -1]
            if self.foreign is not None:
                path = path.replace(f"/v2/{self.session.repository}/", f"/v2/{self.foreign}/", 1)
        if not self.query:
            return path
        return f"{path}{'&' if '?' in path else '?'}{urlencode(self.query, quote_via=quote)}"

    def parameter(self, name: str) -> str | None:
        """The first value of a query field, or None."""
        return next((value for key, value in self.query if key == name), None)

    def is_below(self, *words: str) -> bool:
        """Whether the path is of this resource: `is_below("blobs")` for /v2/<name>/blobs/<digest>."""
        return self.session is None and any(f"/{word}/" in self.path for word in words)

    def __str__(self) -> str:
        path = self.path
        if self.session is not None:
            age = "old address of the " if self.is_old_address else ""
            path = f"<{age}session in {self.session.repository}{f', asked in {self.foreign}' if self.foreign else ''}>"
        query = f"?{urlencode(self.query)}" if self.query else ""
        return f"{self.method} {path}{query} {dict(self.headers) or ''} {len(self.body)} bytes"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, as it came; names of headers in lower case. `is_whole`: the body is as long as was announced."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    is_whole: bool = True

    @property
    def is_success(self) -> bool:
        """Whether the registry did as it was told."""
        return self.status < 400

    @property
    def codes(self) -> tuple[str, ...]:
        """The error codes in the body; none where it is no list of errors."""
        try:
            return tuple(str(error["code"]) for error in json.loads(self.body)["errors"])
        except (ValueError, KeyError, TypeError):
            return ()

    @property
    def address(self) -> str:
        """Path and query of its `Location`."""
        parts = urlsplit(self.headers["location"])
        return f"{parts.path}?{parts.query}" if parts.query else parts.path

    def aspects(self, call: Call) -> dict[str, Any]:
        """All that is compared, by name, without what has to differ: hosts, ids of sessions, words of messages."""
        return {"status": self.status, "body": self._content(call)} | {name: self._header(name) for name in COMPARED}

    def _content(self, call: Call) -> object:
        if not self.is_whole:
            return f"broken off after {len(self.body)} bytes"
        if not self.is_success:
            return self.codes or self.body[:100]
        if self.body and call.path.endswith(LISTS):
            return json.loads(self.body)
        return self.body

    def _header(self, name: str) -> str | None:
        value = self.headers.get(name.lower())
        if value is None:
            return None
        match name:
            case "Allow":  # a set (RFC 9110 §10.2.1)
                value = ", ".join(sorted(value.split(", ")))
            case "Content-Length" if not self.is_success:  # the words of messages differ
                return None
            case "Docker-Upload-UUID" if value in self.headers.get("location", ""):
                value = "<that of the Location>"
            case "Link":
                value = _sorted_link(value)
            case "Location":
                value = _without_session(value)
        return value


@dataclass(frozen=True, slots=True)
class Pair:
    """The answers of both registries to one call: ours, and the peer's."""

    call: Call
    ours: Answer
    theirs: Answer

    @property
    def statuses(self) -> tuple[int, int]:
        """Ours, theirs."""
        return self.ours.status, self.theirs.status

    def differing(self) -> dict[str, tuple[Any, Any]]:
        """The aspects in which they differ: ours, theirs."""
        ours, theirs = self.ours.aspects(self.call), self.theirs.aspects(self.call)
        return {name: (ours[name], theirs[name]) for name in ours if ours[name] != theirs[name]}

    @property
    def parts_ways(self) -> bool:
        """Whether the two may hold different things from now on: one wrote what the other did not."""
        someone_wrote = self.call.method not in ("GET", "HEAD") and (self.ours.is_success or self.theirs.is_success)
        return someone_wrote and self.ours.status != self.theirs.status


def _without_session(address: str) -> str:
    """A `Location` as "<origin>/v2/…": whether it is absolute counts, which host it names does not."""
    parts = urlsplit(address)
    fields = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] not in OPAQUE_FIELDS]
    path = _SESSION_PATH.sub(r"\g<before><session>", parts.path)
    return f"{'<origin>' if parts.netloc else ''}{path}{'?' + urlencode(fields) if fields else ''}"


def _sorted_link(value: str) -> str:
    """A `Link` with its query in one order and no host: absolute and relative are one to a client (RFC 8288 §3.1)."""
    match = _LINK.fullmatch(value)
    if match is None:
        return value
    parts = urlsplit(match["target"])
    return f'<{parts.path}?{urlencode(sorted(parse_qsl(parts.query, keep_blank_values=True)))}>; rel="next"'
