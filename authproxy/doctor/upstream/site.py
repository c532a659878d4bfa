"""One upstream in our configuration, and the line of each of its keys, or where the key belongs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from authproxy.config.load import DEFAULT, Loaded
from authproxy.config.sections.upstream import Upstream
from authproxy.config.sections.upstreams import UpstreamEntry
from authproxy.config.settings import Settings
from authproxy.errors import StartError
from authproxy.http.client.address import Address, parse_addresses

# A name that no repository has: no manifest is in it, and an upload that is started in it is cancelled.
SAMPLE = "authproxy-doctor/sample"


@dataclass(frozen=True, slots=True)
class Site:
    """One of our upstreams. `public` is `http.host`, or None if it is whatever host a client asks for."""

    key: str  # "upstream", or "upstreams.0"
    section: Upstream
    origin: str  # our configuration file, or what is used instead
    sources: Mapping[str, str]
    has_file: bool = True  # without one, our configuration is set by variables
    public: str | None = None
    sample: str = SAMPLE  # a repository that does not exist, by its name at the upstream

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Its addresses."""
        return parse_addresses(self.section.urls)

    def server_name(self, address: Address) -> str:
        """The name that TLS asks for, and that the certificate must have."""
        return self.section.servername or address.host

    def place(self, name: str) -> str:
        """`config.yml:12: upstream.ca`: where a key is, or belongs: in the file, or as a variable."""
        key = f"{self.key}.{name}"
        if not self.has_file:
            return f"REGISTRY_{key.upper().replace('.', '_')}"
        # The place of a list is that of its first item.
        source = self.sources.get(key) or self.sources.get(f"{key}.0", DEFAULT)
        return f"{self.origin if source == DEFAULT else source}: {key}"

    @property
    def host_key(self) -> str:
        """The place of `http.host`, the name that clients use for us."""
        return f"{self.origin}: http.host" if self.has_file else "REGISTRY_HTTP_HOST"


def sites_of(loaded: Loaded, *, has_file: bool = True) -> tuple[Site, ...]:
    """Every registry behind a configuration, each once. Raises StartError if there is none."""
    settings = loaded.settings
    found = tuple(
        Site(key, section, loaded.origin, loaded.sources, has_file, settings.http.host, sample)
        for key, section, sample in _sections(settings)
    )
    if not found:
        fix = "write upstream: {url: http://HOST:PORT}"
        if not has_file:
            fix = "set REGISTRY_UPSTREAM_URL as for the server, or name our configuration: authproxy doctor … CONFIG"
        raise StartError(f"{loaded.origin}: there is no upstream to examine; {fix}")
    return found


def _sections(settings: Settings) -> Iterator[tuple[str, Upstream, str]]:
    """The key, the section and a sample of each."""
    if settings.upstream is not None:
        yield "upstream", settings.upstream, SAMPLE
    known: list[UpstreamEntry] = []
    for place, entry in enumerate(settings.upstreams):
        registry = entry.as_upstream()  # two entries may lead to one, under different names
        if entry.url and registry not in known:
            known.append(registry)
            yield f"upstreams.{place}", entry, _sample(entry)


def _sample(entry: UpstreamEntry) -> str:
    """The name at the registry of a repository of this entry that does not exist."""
    name = f"{entry.base}/authproxy-doctor" if entry.base else SAMPLE
    rename = entry.rename
    return (rename.add or "") + name.removeprefix(rename.strip or "")
