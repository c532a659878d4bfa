"""Where a request came from and where the client believes it went: decided once by the edge, read by everybody."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

# The port that an authority without one means.
DEFAULT_PORTS: Mapping[str, str] = MappingProxyType({"https": "443", "http": "80"})


@dataclass(frozen=True, slots=True)
class ClientView:
    """The client's view of a request, forwarded headers of trusted peers already taken into account."""

    scheme: str  # "https" or "http", as the client spoke it
    authority: str  # host[:port] as the client asked for it, or as `http.host` has it
    client: str  # the address of who asked; "" where it is unknown (a Unix socket)
    peer: str = ""  # the TCP neighbour: the client itself, or a trusted proxy
    forwarded_for: tuple[str, ...] = ()  # addresses that trusted proxies named, the client first, without the peer
    relative_locations: bool = False  # http.relativeurls: answer paths instead of URLs
    prefix: str = ""  # the path that the client finds everything below, "/registry"; what is served has been rid of it

    @property
    def base_url(self) -> str:
        """`https://host:port`, without a slash behind."""
        return f"{self.scheme}://{self.authority}"

    def location(self, path_and_query: str) -> str:
        """A `Location` or `Link` for this client: absolute on the host that was asked, or a mere path."""
        below_prefix = self.prefix + path_and_query
        return below_prefix if self.relative_locations else self.base_url + below_prefix


UNKNOWN = ClientView("", "", "")  # of a request that no edge has looked at
