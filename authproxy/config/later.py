"""Keys of CNCF Distribution's configuration (2.8 and 3.x) that are not in force here, and what each one means here.

A configuration that would be weaker without a key, or keep its content or send its users elsewhere, does not start.
Any other is named in one warning. A row stands for the key and everything below it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from authproxy.config.document import KeyPath, Plain
from authproxy.config.scalars import parse_bool


def _absent(value: Plain) -> bool:
    """An empty value is Go's zero value: the key might as well not be there."""
    return value is None or value in ("", [], {})


def _never(_: Plain) -> bool:
    """Naming it is enough: `storage: inmemory`."""
    return False


def _one_of(*values: str) -> Callable[[Plain], bool]:
    return lambda value: _absent(value) or value in values


def _is(wanted: bool, key: str | None = None) -> Callable[[Plain], bool]:  # noqa: FBT001 - read as `_is(False)` in the table
    """The boolean is as it is here anyway; with `key`, the one below it."""

    def test(value: Plain) -> bool:
        if key is not None:
            value = value.get(key) if isinstance(value, dict) else value
        try:
            return _absent(value) or (isinstance(value, str) and parse_bool(value) is wanted)
        except ValueError:
            return False

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
    return _stop(f"storage.{name}", "content is kept in a folder only; use storage.filesystem, or upstream.url", _never)


_WEAKER_TLS = "the TLS that it asks for cannot be had here; end TLS in a proxy that has it, or remove the key"

LATER = (
    # These stop the start.
    *map(_driver, ("s3", "s3aws", "gcs", "azure", "inmemory", "swift", "oss")),
    _stop(
        "storage.maintenance.readonly",
        "writes cannot be switched off here; allow nobody to push by policies",
        _is(False, "enabled"),
    ),
    _stop("http.net", "TCP alone is listened on; write net: tcp or remove the key", _one_of("tcp")),
    _stop("http.prefix", "the API stands at /v2/; remove the key and rewrite paths in a proxy", _one_of("/")),
    _stop("http.tls.clientcas", _WEAKER_TLS),
    _stop("http.tls.clientauth", _WEAKER_TLS),
    _stop("http.tls.minimumtls", _WEAKER_TLS, _one_of("tls1.0", "tls1.1", "tls1.2")),  # 1.2 is the least here
    _stop("http.tls.ciphersuites", _WEAKER_TLS),
    _stop("http.tls.letsencrypt", "certificates come from files; get them with an ACME client and name them"),
    _stop("auth.silly", "it takes any password; use auth.htpasswd, or auth: none where that is meant", _never),
    _stop(
        "auth.token.autoredirect",
        "clients are sent to auth.token.realm and nowhere else; remove the key",
        _is(False),
    ),
    _stop("proxy", "there is no pull-through cache; put upstream.url in front of a registry of yours", _no_remote),
    _stop("policy.repository.classes", "repositories have no classes here; remove the key and restrict by policies"),
    _stop("validation.manifests.urls", "addresses of foreign layers are not checked here; remove the key"),
    # These are named in one warning.
    Later("log.accesslog", "every request is a line at the level info", _is(False, "disabled")),
    Later("log.formatter", "the form of log lines is fixed", _one_of("text")),
    Later("log.fields", "log lines get no fields of yours"),
    Later("log.hooks", "no mail is sent for log lines"),
    Later("log.reportcaller", "log lines do not name the place in the code", _is(False)),
    Later("loglevel", "use log.level, its new name"),
    Later("http.draintimeout", "requests in flight are always given time to end"),
    Later("http.http2", "HTTP/1.1 is spoken", _is(True, "disabled")),
    Later("http.h2c", "HTTP/1.1 is spoken", _is(False, "enabled")),
    Later("http.debug", "there is no debug port"),
    Later("auth.token.autoredirectpath", "clients are sent to auth.token.realm"),
    Later("storage.filesystem.maxthreads", "the number of threads is fixed"),
    Later("storage.redirect", "blobs are always served from here", _is(True, "disable")),
    Later("storage.cache", "what is worth remembering is remembered without settings"),
    Later("storage.tag", "tags are looked up without a setting"),
    Later("storage.maintenance.uploadpurging", "uploads that were given up stay on disk", _is(False, "enabled")),
    Later("notifications", "no events are sent"),
    Later("redis", "nothing is kept in Redis"),
    Later("health", "no background checks are run"),
    Later("reporting", "no errors are reported to services elsewhere"),
    Later("compatibility", "manifests of schema 1 are not taken"),
    Later("validation.enabled", "manifests are always validated", _is(True)),
    Later("validation.disabled", "manifests are always validated", _is(False)),
    Later("validation.manifests.indexes", "an index may name manifests that are not there"),
    Later("catalog", "the longest page of the catalog is fixed"),
    Later("tags", "the longest page of tags is fixed"),
    Later("middleware", "there is no middleware: blobs are always served from here"),
)
