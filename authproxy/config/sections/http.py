"""`http`: how the registry is reached, CNCF Distribution's section.

`workers` and `trustedproxies` are ours.
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

# What may stand in a path without being escaped (RFC 3986 §3.3), part by part: no empty part, no dots that climb.
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
        raise ValueError(f'"{path}" is not a path; allowed: a slash and what may follow, such as /metrics')
    return path


class Tls(Section):
    """TLS 1.2 and 1.3 on `http.addr`. Both keys belong together; without any, plain HTTP is spoken."""

    certificate: Path
    """The PEM file of the server's certificate, followed by its intermediate certificates."""

    key: Path
    """The PEM file of the certificate's private key, without a passphrase."""


class Prometheus(Section):
    """Metrics in Prometheus' text format on the debug port."""

    enabled: Boolean = False
    """Whether metrics are counted and shown. Default `false`."""

    path: Annotated[str, AfterValidator(_checked_path)] = "/metrics"
    """Where on the debug port. Default `/metrics`."""


class Debug(Section):
    """A second port for operators, in plain HTTP: `/debug/health` and metrics. Keep it away from the public."""

    addr: ListenAddress | None = None
    """The address to listen on, written as that of `http.addr`. Default: none, and there is no such port."""

    prometheus: Prometheus = Prometheus()


class Maintenance(Section):
    """While a file exists every request is answered 503; only the debug port goes on.

    The file is looked at once a second.
    """

    file: Path
    """The file: `/run/authproxy/maintenance`. Text in it, at most 1000 characters, is what clients are told."""

    message: str = "the registry is under maintenance; please try again later"
    """What clients are told where the file is empty. Default: that the registry is under maintenance."""

    retryafter: NonNegativeDuration = timedelta(minutes=1)
    """When clients should come back (`Retry-After`). Default `1m`."""


class Http(Section):
    """How the registry is reached."""

    net: Literal["tcp", "unix"] = "tcp"
    """What is listened on: `tcp`, or `unix` for a socket in the file system. Default `tcp`."""

    addr: Annotated[Address | Path, PlainValidator(_listen_on), PlainSerializer(str)] = Address("", 5000)
    """The address to listen on: `host:port`, `:port` for every interface, or `"[IPv6 address]:port"` in quotes.
    Default `:5000`. A host name stands for all its addresses; port 0 is one that the kernel chooses. For `net: unix`
    the path of the socket, which its owner and group may connect to; what a server that was killed left there is
    replaced."""

    prefix: Annotated[str, AfterValidator(_checked_prefix)] = "/"
    """The path that everything stands below, with a slash at both ends: `/registry/` makes the API
    `/registry/v2/` and the token server `/registry/token`. Default `/`."""

    host: Url | None = None
    """The URL that clients reach the registry by, `https://registry.example`, for a registry behind another name than
    the one it is asked for. `Location`s and the token realm are built from it; where it has a path, that stands in them
    in place of `prefix`. Default: scheme and host of each request."""

    secret: SecretStr | None = None
    """The secret that signs the addresses of upload sessions. Every node behind one load balancer needs the same one.
    Default: derived from the secret in `token.keys`; without `token` made at random at the start, good for one server
    until it restarts."""

    relativeurls: Boolean = False
    """Whether a `Location` is a mere path instead of a URL. Default `false`."""

    draintimeout: NonNegativeDuration = timedelta(seconds=60)
    """How long requests in flight may take to end when the server is told to stop. Default `1m`; `0s` breaks them off.
    CNCF Distribution breaks them off where the key is missing."""

    headers: HeadersByPath = Field(default_factory=dict)
    """Headers that are added to every answer, each with the list of its values:
    `Strict-Transport-Security: [max-age=63072000]`. Below a key that begins with a slash stand those for the answers at
    this path and below it, `/v2/: {Cache-Control: [private]}`, in place of those with the same name for shorter paths;
    an empty list takes a header away. A path has no `http.prefix`. What an answer has already stays. Default:
    `X-Content-Type-Options: [nosniff]`, which stays beside what is set here unless it is named."""

    cors: Cors | None = None

    maintenance: Maintenance | None = None

    # As in Distribution a section with nothing in it is none: so a variable can take it away.
    tls: Annotated[Tls | None, BeforeValidator(lambda v: v or None)] = None

    debug: Debug = Debug()

    workers: Count = 1
    """Processes that share the port. Default 1, which is also the least."""

    trustedproxies: tuple[IPNetwork, ...] = ()
    """Addresses and networks of proxies in front of us whose `X-Forwarded-For`, `-Proto`, `-Host` and `-Port`,
    `Forwarded` and `X-Real-IP` are believed: `[10.0.0.0/8, "::1"]`. Default: none, and what any peer claims is dropped,
    with one warning in the log for each peer. `0.0.0.0/0` believes everybody. Of a chain the outermost trusted proxy's
    word counts: the element of `-Proto`, `-Host` and `-Port` as many steps before the last as trusted proxies stand in
    `X-Forwarded-For`. A request in which `Forwarded` and the others contradict each other is refused: let the proxy
    write both, or drop those that it does not write. So is one whose lists have more than 200 elements together."""

    proxyprotocol: Boolean = False
    """Whether connections from `trustedproxies` begin with the PROXY protocol, version 1 or 2, before TLS: a balancer
    that passes TCP through tells the client's address so. Default `false`. Every connection from those addresses has to
    begin with it then, and none from others may."""

    @model_validator(mode="after")
    def _knows_its_proxies(self) -> Self:
        if self.proxyprotocol and not self.trustedproxies:
            raise conflict("nobody is believed; name the balancers in trustedproxies", ("proxyprotocol",))
        if self.proxyprotocol and self.net == "unix":
            raise conflict("who connects to a Unix socket has no address; use net: tcp", ("proxyprotocol",), ("net",))
        return self

    @model_validator(mode="after")
    def _has_a_path(self) -> Self:
        if self.net == "unix" and not isinstance(self.addr, Path):
            raise conflict("a Unix socket needs its path; write addr: /run/authproxy.sock", ("net",))
        return self

    @model_validator(mode="after")
    def _says_one_thing_about_cors(self) -> Self:
        paths = {(key,): entry for key, entry in self.headers.items() if isinstance(entry, dict)}
        named = [(key,) for key in self.headers] + [(*path, name) for path, entry in paths.items() for name in entry]
        twice = [("headers", *path) for path in named if path[-1].lower().startswith("access-control-")]
        if self.cors is not None and twice:
            raise conflict("http.cors says this already; remove one of them", *twice, ("cors",))
        return self
