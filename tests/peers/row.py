"""One call of each kind, as a row: what is asked, and the accepted differences that have to show.

Words in braces are filled in: {g} is the prefix of the generation's repositories, {hello} the digest of that blob,
{oci} of that manifest, as tests/peers/stock.py has them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tests.peers.call import Call, Session
from tests.support.registry import sha256

# Differences of form: they may show in any row, and rows do not list them.
FORM = frozenset(
    {
        "JSON has no charset",
        "a list ends without a line break",
        "errors of the router are JSON",
        "errors of the router are JSON, also for HEAD",
        "HEAD is allowed where GET is",
        "blobs are immutable",
    }
)

A = "/v2/{g}/a"
NOWHERE = "/v2/{g}/nowhere"
ABSENT = sha256(b"in no repository")


@dataclass(frozen=True, slots=True)
class Row:
    """A call to the stocked repositories. `chunks`: it goes to a new session of repository a that took these."""

    what: str
    method: str
    path: str = ""
    differences: frozenset[str] = frozenset()
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    chunks: tuple[bytes, ...] | None = None
    before: tuple["Row", ...] = ()  # calls that come first, to the same session if there is one
    is_old_address: bool = False
    foreign: str | None = None
    foretold: str = ""

    def call(self, words: Mapping[str, str], session: Session | None) -> Call:
        """The call, with words filled in; without a path it goes to the session."""
        return Call(
            self.method,
            self.path.format_map(words),
            [(name, value.format_map(words)) for name, value in self.query.items()],
            {name: value.format_map(words) for name, value in self.headers.items()},
            self.body,
            None if self.path else session,
            self.is_old_address,
            self.foreign and f"{words['g']}/{self.foreign}",
            self.foretold,
        )


def row(what: str, method: str, path: str, *differences: str, **more: Any) -> Row:
    """A row, the differences as the last words."""
    return Row(what, method, path, frozenset(differences), **more)


def both(what: str, path: str, *differences: str, **headers: str) -> list[Row]:
    """A row for GET and one for HEAD. Underscores in the headers' names stand for hyphens."""
    found = {name.replace("_", "-"): value for name, value in headers.items()}
    return [row(f"{method} {what}", method, path, *differences, headers=found) for method in ("GET", "HEAD")]


def ranged(what: str, path: str, *differences: str, **headers: str) -> list[Row]:
    """The same for requests with a Range, which HEAD has no use for."""
    get, head = both(what, path, *differences, **headers)
    return [get, replace(head, differences=frozenset({"HEAD has no range"}))]


def page(what: str, path: str, *differences: str, **query: str) -> Row:
    """A row for a list."""
    return row(what, "GET", path, *differences, query=query)


def put(what: str, reference: str, sent: tuple[bytes, str], *differences: str, repository: str = A) -> Row:
    """A row for a manifest: its bytes, and the type that it is sent as ("" for none)."""
    headers = {"Content-Type": sent[1]} if sent[1] else {}
    return row(what, "PUT", f"{repository}/manifests/{reference}", *differences, headers=headers, body=sent[0])


def session(what: str, method: str, *differences: str, **more: Any) -> Row:
    """A row for an upload session, by default one that holds "hello"."""
    return row(what, method, "", *differences, **{"chunks": (b"hello",), **more})
