"""Keys of CNCF Distribution's configuration (2.8 and 3.x) that are not in force here, and what each one means here.

A configuration that would be weaker without a key, or keep its content or send its users elsewhere, does not start.
Any other is named in one warning. A row stands for the key and everything below it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from authproxy.config.document.scalars import parse_bool, parse_int
from authproxy.config.document.tree import KeyPath, Plain


def _absent(value: Plain) -> bool:
    """An empty value is Go's zero value: the key might as well not be there."""
    return value is None or value in ("", [], {})


def _never(_: Plain) -> bool:
    """Naming it is enough: `storage: s3`."""
    return False


def _one_of(*values: str) -> Callable[[Plain], bool]:
    return lambda value: _absent(value) or value in values


def _reads_as(parse: Callable[[str], object], *wanted: object) -> Callable[[Plain], bool]:
    """The value is one of those wanted, as `parse` reads it; without any, whatever can be read."""

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
class Later:
    """One key that is not in force here."""

    key: str
    here: str  # what holds here instead, and what to do
    is_harmless: Callable[[Plain], bool] = _absent  # the value asks for nothing that is not so anyway
    stops: bool = False

    @property
    def path(self) -> KeyPath:
        """The key path."""
        return tuple(self.key.split("."))


def _stop(key: str, here: str, is_harmless: Callable[[Plain], bool] = _absent) -> Later:
    return Later(key, here, is_harmless, stops=True)


def _driver(name: str) -> Later:
    return _stop(
        f"storage.{name}",
        "content is kept in a folder, or in memory; use storage.filesystem, or upstream.url in front of a registry"
        " that has such a storage",
        _never,
    )


_WEAKER_TLS = "the TLS that it asks for cannot be had here; end TLS in a proxy that has it, or remove the key"
_ANY_BOOLEAN, _ANY_NUMBER = _reads_as(parse_bool), _reads_as(parse_int)

LATER = (
    # These stop the start.
    *map(_driver, ("s3", "s3aws", "gcs", "azure", "swift", "oss")),
    _stop("http.tls.clientcas", _WEAKER_TLS),
    _stop("http.tls.clientauth", _WEAKER_TLS),
    _stop("http.tls.minimumtls", _WEAKER_TLS, _one_of("tls1.0", "tls1.1", "tls1.2")),  # 1.2 is the least here
    _stop("http.tls.ciphersuites", _WEAKER_TLS),
    _stop("http.tls.letsencrypt", "certificates come from files; get them with an ACME client and name them"),
    _stop("proxy", "there is no pull-through cache; put upstream.url in front of a registry of yours", _no_remote),
    # These are named in one warning.
    Later("log.hooks", "no mail is sent for log lines; let what gathers the log send it"),
    Later(
        "http.http2.disabled", "HTTP/1.1 is spoken, which every client speaks; write true", _reads_as(parse_bool, True)
    ),
    Later(
        "http.h2c.enabled", "HTTP/1.1 is spoken; let the proxy in front speak it to us", _reads_as(parse_bool, False)
    ),
    Later(
        "storage.cache.blobdescriptor",
        "what is worth remembering is remembered in memory, and nothing in Redis; write inmemory",
        _one_of("inmemory"),
    ),
    Later("storage.cache.blobdescriptorsize", "what is remembered has a bound of its own; remove it", _ANY_NUMBER),
    Later("storage.redirect.disable", "blobs are always served from here; write true", _ANY_BOOLEAN),
    Later("storage.tag.concurrencylimit", "tags are looked up as fast as the disk is; remove it", _ANY_NUMBER),
    Later("notifications", "no events are sent; follow the log, which has a line for each request"),
    Later("redis", "nothing is kept in Redis, and nothing here needs it; remove it"),
    Later("reporting", "no errors are reported to services elsewhere; follow the log"),
    Later("compatibility", "manifests of schema 1 are not taken; push with a client younger than 2017"),
    Later("middleware", "there is no middleware: blobs are always served from here; remove it"),
)
