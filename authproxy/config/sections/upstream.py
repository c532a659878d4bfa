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
        raise ValueError("one URL is wanted here, or a list of them")
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

# Which keys each kind of `authorization` looks at.
_USED_BY = {
    "basic": ("username", "passwordfile"),
    "bearer": ("username", "passwordfile", "realms"),
    "mint": ("service",),
}
_PROVING = ("username", "passwordfile", "realms", "service")

_FOR_TLS = ("ca", "certificate", "key", "servername")


class UpstreamHealth(Section):
    """Whether each address of the upstream is fit to be asked."""

    path: RequestPath = "/v2/"
    """What is asked, with GET. Any answer below 500 says that an address is well, 401 too. Default `/v2/`."""

    interval: Period = timedelta(seconds=10)
    """How long to wait between two questions. Default `10s`."""

    timeout: Period = timedelta(seconds=5)
    """How long an answer may take. Default `5s`."""

    threshold: Count = 3
    """How many failures in a row take an address out. One good answer brings it back. Default 3."""


class Upstream(Section):
    """Another registry behind this edge, in place of `storage`."""

    url: Urls
    """Scheme, host and port of the registry: `http://127.0.0.1:5001`. A list of them where several machines are one
    registry, with one storage and one `http.secret`: each request goes to the one with the fewest in flight. One that
    fails three times in a row is left out for ten seconds, and for longer each time that it comes back and fails.
    """

    health: UpstreamHealth | None = None

    authorization: Literal["strip", "pass", "basic", "bearer", "mint"] = "strip"
    """What `Authorization` the upstream is sent. `strip`: none, what proves a caller to us is nothing that it should
    hold. `pass`: the client's own. For every caller the same: `basic`, `username` with its password; `bearer`, a token
    from the realm that the upstream names, for `username` or for nobody; `mint`, a token that our own `token.keys` sign
    for `service`. Tokens allow what the request needs and no more. Default `strip`."""

    username: str | None = None
    """Who we are at the upstream, for `basic` and `bearer`. Default: nobody."""

    passwordfile: Path | None = None
    """A file whose only line is the password of `username`. A change is in force within two seconds. Default: none."""

    realms: tuple[BaseUrl, ...] = ()
    """Token servers, as `https://host[:port]`, that may be told the password beside those on the upstream's own hosts:
    `https://auth.docker.io` for `https://registry-1.docker.io`. For `bearer` alone. Default: none."""

    service: str | None = None
    """The audience (`aud`) of the tokens of `mint`: what the upstream is called in its own configuration. Default:
    none; `mint` needs it."""

    redirect: Literal["relay", "follow"] = "relay"
    """What becomes of redirects of blobs to a storage service. `relay`: clients are told, and fetch from there.
    `follow`: we fetch from there, for clients that cannot reach it. Default `relay`."""

    redirecthosts: tuple[BaseUrl, ...] = ()
    """Storages, as `https://host[:port]`, that `redirect: follow` goes to: to these alone, wherever they are. Default:
    none, and then to any whose IP address is public or of a private network (RFC 1918, RFC 4193), so never to loopback
    and link-local addresses or to where cloud machines get their keys. Addresses of this machine in such networks count
    as any other: where services listen there that others must not reach, name the storages."""

    ca: Path | None = None
    """A PEM file of the authorities that may sign the upstream's certificate, for `https` alone. Default: those that
    the machine trusts."""

    certificate: Path | None = None
    """A PEM file of the certificate that is shown to the upstream, with what is between it and its authority behind
    it. Needs `key`. Default: none."""

    key: Path | None = None
    """A PEM file of the key of `certificate`, without a password. Default: none."""

    servername: str | None = None
    """The name that the upstream's certificate has, where it is not the host of `url`. Default: that host."""

    @property
    def urls(self) -> tuple[str, ...]:
        """All of `url`."""
        return ((self.url,) if self.url else ()) if isinstance(self.url, str) else self.url

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> Self:
        in_vain = [(name,) for name in _FOR_TLS if getattr(self, name) is not None]
        if in_vain and self.urls and not self.urls[0].startswith("https:"):
            raise conflict("this is of no use to an http upstream; use https or remove it", ("url",), *in_vain)
        if (self.certificate is None) != (self.key is None):
            raise conflict("one is of no use without the other; write both", ("certificate",), ("key",))
        return self

    @model_validator(mode="after")
    def _follows_to_hosts(self) -> Self:
        if self.redirecthosts and self.redirect != "follow":
            raise conflict("nobody would look at this; it is for redirect: follow", ("redirecthosts",))
        return self

    @model_validator(mode="after")
    def _has_what_proves_us(self) -> Self:
        used = _USED_BY.get(self.authorization, ())
        in_vain = [(name,) for name in _PROVING if getattr(self, name) and name not in used]
        if in_vain:
            fitting = " or ".join(kind for kind, names in _USED_BY.items() if in_vain[0][0] in names)
            raise conflict(f"nobody would look at this; it is for authorization: {fitting}", *in_vain)
        if (self.username is None) != (self.passwordfile is None):
            raise conflict("one is of no use without the other; write both", ("username",), ("passwordfile",))
        if self.authorization == "basic" and self.username is None:
            raise conflict("it needs username and passwordfile; write them", ("authorization",))
        if self.authorization == "mint" and self.service is None:
            raise conflict("it needs service, whom the tokens are for; write it", ("authorization",))
        return self


def check_upstream(settings: "Settings") -> None:
    """Another registry excludes what restricts our own: it would restrict nothing there."""
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
            "what is pushed goes to the upstream unseen; remove this, and restrict it there",
            *without_effect,
            ("upstreams" if settings.upstreams else "upstream",),
        )
