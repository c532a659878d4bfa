"""The client's address, and the address that it requested: decided once by the edge, read by all other packages."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

# The ports of authorities without a port.
DEFAULT_PORTS: Mapping[str, str] = MappingProxyType({"https": "443", "http": "80"})


@dataclass(frozen=True, slots=True)
class ClientView:
    """The client's view of a request, including forwarded headers of trusted peers."""

    scheme: str  # "https" or "http", as the client used it
    authority: str  # host[:port] as the client requested it, or `http.host`
    client: str  # the client's address; "" if it is unknown (a Unix socket)
    peer: str = ""  # the TCP neighbour: the client itself, or a trusted proxy
    forwarded_for: tuple[str, ...] = ()  # addresses that trusted proxies named, the client first, without the peer
    relative_locations: bool = False  # http.relativeurls: answer with paths instead of URLs
    prefix: str = ""  # the path before all paths for the client, "/registry"; it is stripped from requests

    @property
    def base_url(self) -> str:
        """`https://host:port`, without a slash at the end."""
        return f"{self.scheme}://{self.authority}"

    def location(self, path_and_query: str) -> str:
        """A `Location` or `Link` for this client: absolute on the requested host, or only a path."""
        below_prefix = self.prefix + path_and_query
        return below_prefix if self.relative_locations else self.base_url + below_prefix


UNKNOWN = ClientView("", "", "")  # of a request that has not passed the edge
