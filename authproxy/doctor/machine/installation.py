"""What is examined: a configuration, and what is known about the machine that will serve it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from authproxy.config.document.scalars import Address
from authproxy.config.endpoint import EVERY_ADDRESS
from authproxy.config.load import DEFAULT, Loaded
from authproxy.config.settings import Settings
from authproxy.registry_client.trust import CERTIFICATES


@dataclass(frozen=True, slots=True)
class Installation:
    """`names`: those that clients use, from the command line; `now`: seconds since 1970."""

    loaded: Loaded
    now: float
    has_file: bool = True  # without one, our configuration is set by variables
    names: tuple[str, ...] = ()  # HOST or HOST:PORT
    hands_over: bool = False  # the start gives root's empty folders to the account that it becomes
    certificates: Path = CERTIFICATES  # docker's

    @property
    def settings(self) -> Settings:
        """Our configuration."""
        return self.loaded.settings

    @property
    def sources(self) -> Mapping[str, str]:
        """The file and line of each key."""
        return self.loaded.sources

    def place(self, key: str) -> str:
        """`config.yml:12: http.tls.key`: where a key is, or belongs: in the file, or as a variable."""
        if not self.has_file:
            return f"REGISTRY_{key.upper().replace('.', '_')}"
        source = self.sources.get(key, DEFAULT)
        return f"{self.loaded.origin if source == DEFAULT else source}: {key}"

    @property
    def hosts(self) -> tuple[str, ...]:
        """`host[:port]` that clients use: from the command line, or from `http.host`, or from `http.addr`."""
        http = self.settings.http
        if self.names:
            return self.names
        if http.host is not None:
            return (urlsplit(http.host).netloc,)
        if isinstance(http.addr, Address) and http.addr.host not in EVERY_ADDRESS:
            return (str(http.addr),)
        return ()


def name_of(host: str) -> str:
    """The name or address in `host[:port]`, IPv6 without brackets."""
    return urlsplit(f"//{host}").hostname or host
