"""`upstream`: another registry behind this edge. All of it is ours."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeAlias

from pydantic import AfterValidator, PlainValidator, model_validator

from authproxy.config.document.messages import conflict
from authproxy.config.document.scalars import BaseUrl, Count, parse_base_url
from authproxy.config.document.schema import Section
from authproxy.config.sections.health import Period

if TYPE_CHECKING:
    from authproxy.config.settings import Settings


def _read_urls(value: Any) -> str | tuple[str, ...]:
    if isinstance(value, str):
        return parse_base_url(value)
    if not isinstance(value, list | tuple) or not value or not all(isinstance(url, str) for url in value):
        raise ValueError("expected one URL, or a list of them")
    urls = tuple(map(parse_base_url, value))
    if len({url.partition(":")[0] for url in urls}) > 1:
        raise ValueError("http and https are mixed; the addresses of one registry differ in host and port")
    return urls


def _check_path(text: str) -> str:
    if not text.startswith("/") or not text.isascii() or not text.isprintable() or set(" #") & set(text):
        raise ValueError(f'"{text[:100]}" is not the path of a request; allowed: /v2/')
    return text


Urls: TypeAlias = Annotated[str | tuple[str, ...], PlainValidator(_read_urls)]
RequestPath: TypeAlias = Annotated[str, AfterValidator(_check_path)]

# The keys that each kind of `authorization` uses.
_USED_BY = {
    "basic": ("username", "passwordfile"),
    "bearer": ("username", "passwordfile", "realms"),
    "mint": ("service",),
}
_CREDENTIALS = ("username", "passwordfile", "realms", "service")

_FOR_TLS = ("ca", "certificate", "key", "servername")


class UpstreamHealth(Section):
    """Health checks of each address of the upstream."""

    path: RequestPath = "/v2/"
    """The path of the GET request. With any status below 500, 401 included, an address is healthy. Default `/v2/`."""

    interval: Period = timedelta(seconds=10)
    """The time between two checks. Default `10s`."""

    timeout: Period = timedelta(seconds=5)
    """How long a response may take. Default `5s`."""

    threshold: Count = 3
    """How many failures in a row take an address out of use. One success brings it back. Default 3."""


class Upstream(Section):
    """Another registry behind this edge, instead of `storage`."""

    url: Urls
    """Scheme, host and port of the registry: `http://127.0.0.1:5001`. A list of them if several machines are one
    registry, with one storage and one `http.secret`: each request goes to the one with the fewest running requests.
    One that fails three times in a row is left out for ten seconds, and for longer each time that it fails again.
    """

    health: UpstreamHealth | None = None

    authorization: Literal["strip", "pass", "basic", "bearer", "mint"] = "strip"
    """The `Authorization` header that the upstream gets. `strip`: none, because it should not see the credentials of
    our callers. `pass`: the client's own. The same for every caller: `basic`, `username` with its password; `bearer`, a
    token from the realm that the upstream names, for `username` or anonymous; `mint`, a token that our own `token.keys`
    sign for `service`. Tokens allow only what the request needs. Default `strip`."""

    username: str | None = None
    """Our user name at the upstream, for `basic` and `bearer`. Default: none, we are anonymous."""

    passwordfile: Path | None = None
    """A file whose only line is the password of `username`. A change is in force within two seconds. Default: none."""

    realms: tuple[BaseUrl, ...] = ()
    """Token servers, as `https://host[:port]`, that may get the password, in addition to those on the upstream's own
    hosts: `https://auth.docker.io` for `https://registry-1.docker.io`. Only for `bearer`. Default: none."""

    service: str | None = None
    """The audience (`aud`) of the tokens of `mint`: the `service` in the upstream's own configuration. Default: none;
    `mint` needs it."""

    redirect: Literal["relay", "follow"] = "relay"
    """How redirects of blobs to a storage service are handled. `relay`: clients get the redirect, and follow it.
    `follow`: we follow it, for clients that can't reach the service. Default `relay`."""

    redirecthosts: tuple[BaseUrl, ...] = ()
    """The only storage services, as `https://host[:port]`, to which `redirect: follow` goes, whatever their addresses.
    Default: none, and then it goes to every host with a public or private IP address (RFC 1918, RFC 4193), so never to
    loopback and link-local addresses or the metadata services of clouds. This machine's own addresses in such networks
    are not excluded: if services listen there that clients must not reach, name the storage services."""

    ca: Path | None = None
    """A PEM file of the CAs that may sign the upstream's certificate, only for `https`. Default: those that the machine
    trusts."""

    certificate: Path | None = None
    """A PEM file of our client certificate for the upstream, followed by its intermediate certificates. Needs `key`.
    Default: none."""

    key: Path | None = None
    """A PEM file of the private key of `certificate`, without a passphrase. Default: none."""

    servername: str | None = None
    """The name in the upstream's certificate, if it is not the host of `url`. Default: that host."""

    @property
    def urls(self) -> tuple[str, ...]:
        """`url` as a tuple."""
        return ((self.url,) if self.url else ()) if isinstance(self.url, str) else self.url

    @model_validator(mode="after")
    def _check_tls(self) -> Self:
        unused = [(name,) for name in _FOR_TLS if getattr(self, name) is not None]
        if unused and self.urls and not self.urls[0].startswith("https:"):
            raise conflict("this has no effect for an http upstream; use https or remove it", ("url",), *unused)
        if (self.certificate is None) != (self.key is None):
            raise conflict("one has no effect without the other; write both", ("certificate",), ("key",))
        return self

    @model_validator(mode="after")
    def _check_redirect_hosts(self) -> Self:
        if self.redirecthosts and self.redirect != "follow":
            raise conflict("this has no effect here; it is for redirect: follow", ("redirecthosts",))
        return self

    @model_validator(mode="after")
    def _check_authorization(self) -> Self:
        used = _USED_BY.get(self.authorization, ())
        unused = [(name,) for name in _CREDENTIALS if getattr(self, name) and name not in used]
        if unused:
            fitting = " or ".join(kind for kind, names in _USED_BY.items() if unused[0][0] in names)
            raise conflict(f"this has no effect here; it is for authorization: {fitting}", *unused)
        if (self.username is None) != (self.passwordfile is None):
            raise conflict("one has no effect without the other; write both", ("username",), ("passwordfile",))
        if self.authorization == "basic" and self.username is None:
            raise conflict("it needs username and passwordfile; write them", ("authorization",))
        if self.authorization == "mint" and self.service is None:
            raise conflict("it needs service, the audience of the tokens; write it", ("authorization",))
        return self


def check_upstream(settings: "Settings") -> None:
    """Refuse restrictions of our own registry together with an upstream, where they would have no effect."""
    if settings.upstream is None and not any(entry.url for entry in settings.upstreams):
        return
    without_effect: list[tuple[str, ...]] = []
    if not settings.has_core and settings.storage is not None and settings.storage.maintenance.readonly.enabled:
        without_effect.append(("storage", "maintenance", "readonly"))
    if settings.validation.manifests.urls.allow or settings.validation.manifests.urls.deny:
        without_effect.append(("validation", "manifests", "urls"))
    if settings.policy.repository.classes:
        without_effect.append(("policy", "repository", "classes"))
    if without_effect:
        raise conflict(
            "this has no effect on pushes to the upstream; remove this, and restrict them there",
            *without_effect,
            ("upstreams" if settings.upstreams else "upstream",),
        )
