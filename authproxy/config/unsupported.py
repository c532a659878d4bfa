"""Keys of CNCF Distribution's configuration (2.8 and 3.x) that are not in force here, each with what holds instead.

If a configuration would be weaker without a key, or keep its content or send its users elsewhere, the server does not
start. All other keys are named in one warning. A row covers the key and everything below it. `set_aside` removes these
keys from a document, so that the settings have only keys that are in force.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from authproxy.config.deprecated import old_names_below
from authproxy.config.document.edit import without
from authproxy.config.document.messages import Fault, dotted, unknown_key
from authproxy.config.document.scalars import parse_bool, parse_int
from authproxy.config.document.schema import at
from authproxy.config.document.tree import Document, KeyPath, MapNode, Plain, TextNode, to_plain
from authproxy.config.settings import Settings


def _absent(value: Plain) -> bool:
    """Whether the value is empty, Go's zero value: as if the key were absent."""
    return value is None or value in ("", [], {})


def _never(_: Plain) -> bool:
    """No value is harmless: the key alone has an effect, as in `storage: s3`."""
    return False


def _one_of(*values: str) -> Callable[[Plain], bool]:
    return lambda value: _absent(value) or value in values


def _reads_as(parse: Callable[[str], object], *wanted: object) -> Callable[[Plain], bool]:
    """A test that a value, read by `parse`, is one of `wanted`, or, without any, can be read at all."""

    def test(value: Plain) -> bool:
        if _absent(value) or not isinstance(value, str):
            return _absent(value)
        try:
            read = parse(value)
        except ValueError:
            return False
        return not wanted or read in wanted

    return test


def _no_remote(value: Plain) -> bool:
    return _absent(value) or (isinstance(value, dict) and _absent(value.get("remoteurl")))


@dataclass(frozen=True, slots=True)
class UnsupportedKey:
    """One key that is not in force here."""

    key: str
    here: str  # what holds instead, and what to do
    is_harmless: Callable[[Plain], bool] = _absent  # the value asks only for what holds anyway
    stops: bool = False

    @property
    def path(self) -> KeyPath:
        """The key path."""
        return tuple(self.key.split("."))


def _stop(key: str, here: str, is_harmless: Callable[[Plain], bool] = _absent) -> UnsupportedKey:
    return UnsupportedKey(key, here, is_harmless, stops=True)


def _driver(name: str) -> UnsupportedKey:
    return _stop(
        f"storage.{name}",
        "content is kept in a folder, or in memory; use storage.filesystem, or upstream.url in front of a registry"
        " that has such a storage",
        _never,
    )


_WEAKER_TLS = "this TLS setting is not available; terminate TLS in a proxy that has it, or remove the key"
_ANY_BOOLEAN, _ANY_NUMBER = _reads_as(parse_bool), _reads_as(parse_int)

UNSUPPORTED = (
    # These stop the start.
    *map(_driver, ("s3", "s3aws", "gcs", "azure", "swift", "oss")),
    _stop("http.tls.clientcas", _WEAKER_TLS),
    _stop("http.tls.clientauth", _WEAKER_TLS),
    _stop("http.tls.minimumtls", _WEAKER_TLS, _one_of("tls1.0", "tls1.1", "tls1.2")),  # 1.2 is the minimum here
    _stop("http.tls.ciphersuites", _WEAKER_TLS),
    _stop("http.tls.letsencrypt", "certificates come from files; get them with an ACME client and name them"),
    _stop("proxy", "there is no pull-through cache; set upstream.url to proxy a registry of your own", _no_remote),
    # These are named in one warning.
    UnsupportedKey("log.hooks", "no mail is sent for log lines; let the log collector send it"),
    UnsupportedKey(
        "http.http2.disabled",
        "only HTTP/1.1 is served, which every client supports; write true",
        _reads_as(parse_bool, True),
    ),
    UnsupportedKey(
        "http.h2c.enabled",
        "only HTTP/1.1 is served; let the proxy in front use it to reach us",
        _reads_as(parse_bool, False),
    ),
    UnsupportedKey(
        "storage.cache.blobdescriptor",
        "the cache is in memory, never in Redis; write inmemory",
        _one_of("inmemory"),
    ),
    UnsupportedKey("storage.cache.blobdescriptorsize", "the cache has a fixed limit; remove it", _ANY_NUMBER),
    UnsupportedKey("storage.redirect.disable", "blobs are always served from here; write true", _ANY_BOOLEAN),
    UnsupportedKey(
        "storage.tag.concurrencylimit", "tags are looked up as fast as the disk allows; remove it", _ANY_NUMBER
    ),
    UnsupportedKey("notifications", "no events are sent; follow the log, which has a line for each request"),
    UnsupportedKey("redis", "nothing is kept in Redis, and nothing here needs it; remove it"),
    UnsupportedKey("reporting", "errors are not reported to other services; follow the log"),
    UnsupportedKey("compatibility", "manifests of schema 1 are not accepted; push with a client from 2017 or later"),
    UnsupportedKey("middleware", "there is no middleware: blobs are always served from here; remove it"),
)

# Keys that only lead to keys of `UNSUPPORTED`: the model has nothing below them. The deepest come first.
GROUPS: tuple[KeyPath, ...] = tuple(
    sorted(
        {
            row.path[:end]
            for row in UNSUPPORTED
            for end in range(1, len(row.path))
            if at(Settings, row.path[:end]) is None
        },
        key=lambda path: (-len(path), path),
    )
)


class Aside(NamedTuple):
    """A document without the keys that are not in force, and messages about them."""

    document: Document
    faults: list[Fault]  # keys that must not be ignored
    ignored: list[str]  # the others that ask for something: "redis (config.yml:3): what holds here; what to do"


def set_aside(document: Document) -> Aside:
    """Remove the keys that are not in force from a document."""
    root, faults, ignored = document.root, [], []
    for row in UNSUPPORTED:
        node = document.find(row.path)
        if node is None:
            continue
        place = document.place_of(row.path)
        if row.stops and not row.is_harmless(to_plain(node)):
            faults.append(Fault(place, f"{place}: {row.key}: not supported here: {row.here}"))
        elif not row.is_harmless(to_plain(node)):
            ignored.append((place, f"{row.key} ({place}): {row.here}"))
        root = without(root, row.path)
    rest = Document(document.name, root)
    for path in GROUPS:
        faults += _leftovers(rest, path)
        rest = Document(document.name, without(rest.root, path))
    return Aside(rest, faults, [message for _, message in sorted(ignored)])


def may_follow(path: KeyPath) -> tuple[str, ...]:
    """The keys of `UNSUPPORTED`, and old names, directly below a path."""
    found = (
        str(row.path[len(path)]) for row in UNSUPPORTED if row.path[: len(path)] == path and len(row.path) > len(path)
    )
    return tuple(dict.fromkeys((*found, *old_names_below(path))))


def is_set_aside(path: KeyPath) -> bool:
    """Whether a row of `UNSUPPORTED` covers the path."""
    return any(path[: len(row.path)] == row.path for row in UNSUPPORTED)


def _leftovers(document: Document, path: KeyPath) -> list[Fault]:
    """The faults below a group: keys that are in no row."""
    match document.find(path):
        case MapNode() as node:
            return [unknown_key((*path, key), entry.place, may_follow(path)) for key, entry in node.entries.items()]
        case None | TextNode(text=None):
            return []
        case _:
            place, allowed = document.place_of(path), ", ".join(may_follow(path))
            return [Fault(place, f"{place}: {dotted(path)}: expected keys below it; allowed: {allowed}")]
