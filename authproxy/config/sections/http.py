"""`http`: how clients reach the registry, CNCF Distribution's section.

`cors`, `maintenance`, `workers`, `trustedproxies` and `proxyprotocol` are ours.
"""

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    SecretStr,
    ValidationInfo,
    model_validator,
)

from authproxy.config.document.messages import conflict
from authproxy.config.document.scalars import (
    Address,
    Boolean,
    Count,
    IPNetwork,
    ListenAddress,
    NonNegativeDuration,
    Url,
    parse_address,
    read_as,
)
from authproxy.config.document.schema import Section
from authproxy.config.sections.cors import Cors
from authproxy.config.sections.headers import HeadersByPath

# Unescaped characters of a path (RFC 3986 §3.3), part by part: no empty part, no `.` or `..`.
_PART = r"(?!\.{1,2}/)[A-Za-z0-9._~!$&'()*+,;=:@-]+"
_PREFIX = re.compile(rf"/(?:{_PART}/)*")
_METRICS_PATH = re.compile(r"/[A-Za-z0-9/._~-]*")


def _listen_on(value: Any, info: ValidationInfo) -> Address | Path:
    parse = Path if info.data.get("net") == "unix" else parse_address
    target: Address | Path = read_as((Address, Path), parse, value)
    return target


def _checked_prefix(prefix: str) -> str:
    if _PREFIX.fullmatch(prefix) is None:
        raise ValueError(f'"{prefix}" is not a prefix; allowed: a path with a slash at both ends, such as /registry/')
    return prefix


def _checked_path(path: str) -> str:
    if _METRICS_PATH.fullmatch(path) is None:
        raise ValueError(f'"{path}" is not a path; allowed: a path such as /metrics')
    return path


# Caddy's: https://caddyserver.com/docs/caddyfile/options#trusted-proxies
PRIVATE_RANGES = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "fd00::/8", "::1")


def _expand_networks(value: object) -> object:
    if not isinstance(value, list):
        return value
    return [network for item in value for network in (PRIVATE_RANGES if item == "private_ranges" else (item,))]


class Tls(Section):
    """TLS 1.2 and 1.3 on `http.addr`. Both keys are needed; without this section the server uses plain HTTP."""

    certificate: Path
    """The PEM file of the server's certificate, followed by its intermediate certificates."""

    key: Path
    """The PEM file of the certificate's private key, without a passphrase."""


class Prometheus(Section):
    """Metrics in Prometheus' text format on the debug port."""

    enabled: Boolean = False
    """Whether metrics are counted and served. Default `false`."""

    path: Annotated[str, AfterValidator(_checked_path)] = "/metrics"
    """Their path on the debug port. Default `/metrics`."""


class Debug(Section):
    """A second port for operators, in plain HTTP: `/debug/health` and metrics. Do not make it public."""

    addr: ListenAddress | None = None
    """The address to listen on, in the form of `http.addr`. Default: none, without a debug port."""

    prometheus: Prometheus = Prometheus()


class Maintenance(Section):
    """While a file exists, every request gets a 503, except on the debug port.

    The file is checked once a second.
    """

    file: Path
    """The file: `/run/authproxy/maintenance`. Clients get its text, at most 1000 characters, as the message."""

    message: str = "the registry is under maintenance; please try again later"
    """The message for clients if the file is empty. Default: that the registry is under maintenance."""

    retryafter: NonNegativeDuration = timedelta(minutes=1)
    """When clients should try again (`Retry-After`). Default `1m`."""


class Http(Section):
    """How clients reach the registry."""

    net: Literal["tcp", "unix"] = "tcp"
    """The kind of `addr`: `tcp`, or `unix` for a socket in the file system. Default `tcp`."""

    addr: Annotated[Address | Path, PlainValidator(_listen_on), PlainSerializer(str)] = Address("", 5000)
    """The address to listen on: `host:port`, `:port` for every interface, or `"[IPv6 address]:port"` in quotes.
    Default `:5000`. A host name means all its addresses; with port 0 the kernel chooses one. For `net: unix`, the path
    of the socket, to which its owner and group may connect; the socket of a server that was killed is replaced."""

    prefix: Annotated[str, AfterValidator(_checked_prefix)] = "/"
    """The path prefix of everything, with a slash at both ends: with `/registry/` the API is at `/registry/v2/`, and
    the token server at `/registry/token`. Default `/`."""

    host: Url | None = None
    """The URL by which clients reach the registry, `https://registry.example`, if the requests that arrive here have
    another host or scheme. `Location`s and the token realm are built from it; if it has a path, that replaces `prefix`
    in them. Default: scheme and host of each request."""

    secret: SecretStr | None = None
    """The secret that signs the `Location` of upload sessions. All nodes behind one load balancer need the same one.
    Default: derived from the secret in `token.keys`; without `token`, a random one for this server until it
    restarts."""

    relativeurls: Boolean = False
    """Whether a `Location` is only a path instead of a URL. Default `false`."""

    draintimeout: NonNegativeDuration = timedelta(seconds=60)
    """How long running requests may take to end when the server stops. Default `1m`; `0s` breaks them off, as CNCF
    Distribution does without this key."""

    headers: HeadersByPath = Field(default_factory=dict)
    """Headers for every response, each with the list of its values: `Strict-Transport-Security: [max-age=63072000]`.
    A key that begins with a slash has the headers for responses at this path and below it, such as
    `/v2/: {Cache-Control: [private]}`, instead of those with the same name for shorter paths; an empty list removes a
    header. The path is without `http.prefix`. A header that the response already has is kept. Default:
    `X-Content-Type-Options: [nosniff]`, which is added to the headers set here unless one has this name."""

    cors: Cors | None = None

    maintenance: Maintenance | None = None

    # As in CNCF Distribution, an empty section counts as absent, so that a variable can remove it.
    tls: Annotated[Tls | None, BeforeValidator(lambda v: v or None)] = None

    debug: Debug = Debug()

    workers: Count = 1
    """The number of processes that share the port. Default 1, which is also the minimum."""

    trustedproxies: Annotated[tuple[IPNetwork, ...], BeforeValidator(_expand_networks)] = ()
    """Addresses and networks of proxies in front of us whose `X-Forwarded-For`, `-Proto`, `-Host` and `-Port`,
    `Forwarded` and `X-Real-IP` are trusted: `[10.0.0.0/8, "::1"]`. `private_ranges`, as in Caddy, is 10.0.0.0/8,
    172.16.0.0/12, 192.168.0.0/16, 127.0.0.0/8, fd00::/8 and ::1; for a proxy on this machine or in a network of
    containers. A client in them that reaches us directly, or through a proxy that appends to `X-Forwarded-For`,
    chooses the address that logs show and that policies decide by. Default: none; these headers are then ignored, with
    one warning in the log for each peer. `0.0.0.0/0` trusts every peer. In a chain of proxies the values of the
    outermost trusted one count: the element of `-Proto`, `-Host` and `-Port` as many steps before the last as
    `X-Forwarded-For` has trusted proxies. A request in which `Forwarded` and the others contradict each other is
    refused: let the proxy write both, or drop those that it does not write. A request whose lists have more than 200
    elements together is refused too."""

    proxyprotocol: Boolean = False
    """Whether connections from `trustedproxies` begin with the PROXY protocol, version 1 or 2, before TLS: a load
    balancer that passes TCP through sends the client's address in it. Default `false`. With `true`, every connection
    from those addresses must begin with it, and no other connection may."""

    @model_validator(mode="after")
    def _check_proxy_protocol(self) -> Self:
        if self.proxyprotocol and not self.trustedproxies:
            raise conflict("no proxy is trusted; name the load balancers in trustedproxies", ("proxyprotocol",))
        if self.proxyprotocol and self.net == "unix":
            raise conflict("a client of a Unix socket has no address; use net: tcp", ("proxyprotocol",), ("net",))
        return self

    @model_validator(mode="after")
    def _check_socket_path(self) -> Self:
        if self.net == "unix" and not isinstance(self.addr, Path):
            raise conflict("a Unix socket needs its path; write addr: /run/authproxy.sock", ("net",))
        return self

    @model_validator(mode="after")
    def _check_cors_headers(self) -> Self:
        paths = {(key,): entry for key, entry in self.headers.items() if isinstance(entry, dict)}
        named = [(key,) for key in self.headers] + [(*path, name) for path, entry in paths.items() for name in entry]
        twice = [("headers", *path) for path in named if path[-1].lower().startswith("access-control-")]
        if self.cors is not None and twice:
            raise conflict("http.cors already sets this; remove one of them", *twice, ("cors",))
        return self
