"""`upstream`: another registry behind this edge. All of it is ours."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import AfterValidator, PlainValidator, model_validator

from authproxy.config.explain import conflict
from authproxy.config.health import Period
from authproxy.config.scalars import Count, parse_base_url
from authproxy.config.schema import Section


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

    authorization: Literal["strip", "pass"] = "strip"
    """Whether the client's `Authorization` header goes on to the upstream: `strip` or `pass`. Default `strip`: what
    proves a caller to us is nothing that the upstream should hold."""

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
