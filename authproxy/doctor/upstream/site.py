"""One upstream as our configuration has it, and where each of its keys stands or should stand."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from authproxy.config.load import DEFAULT, Loaded
from authproxy.config.sections.upstream import Upstream
from authproxy.config.sections.upstreams import UpstreamEntry
from authproxy.config.settings import Settings
from authproxy.errors import StartError
from authproxy.http.client.address import Address, parse_addresses

# A name that nobody uses: what is asked of it exists nowhere, and what is begun in it is cancelled.
NOBODYS = "authproxy-doctor/sample"


@dataclass(frozen=True, slots=True)
class Site:
    """One of our upstreams. `public` is `http.host`, or None where clients' own words decide."""

    key: str  # "upstream", or "upstreams.0"
    section: Upstream
    origin: str  # our configuration file, or what stands for it
    sources: Mapping[str, str]
    has_file: bool = True  # without one, our configuration is set by variables
    public: str | None = None
    sample: str = NOBODYS  # a repository that is not there, as the upstream would call it

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where it is."""
        return parse_addresses(self.section.urls)

    def server_name(self, address: Address) -> str:
        """The name that the certificate has to be for, and that TLS asks for."""
        return self.section.servername or address.host

    def place(self, name: str) -> str:
        """`config.yml:12: upstream.ca`: where a key stands, or should: in the file, or as a variable."""
        key = f"{self.key}.{name}"
        if not self.has_file:
            return f"REGISTRY_{key.upper().replace('.', '_')}"
        # A list stands where its first item does.
        source = self.sources.get(key) or self.sources.get(f"{key}.0", DEFAULT)
        return f"{self.origin if source == DEFAULT else source}: {key}"

    @property
    def host_key(self) -> str:
        """Where it is written what clients call us."""
        return f"{self.origin}: http.host" if self.has_file else "REGISTRY_HTTP_HOST"


def sites_of(loaded: Loaded, *, has_file: bool = True) -> tuple[Site, ...]:
    """Every registry behind a configuration, each once. Raises StartError where there is none."""
    settings = loaded.settings
    found = tuple(
        Site(key, section, loaded.origin, loaded.sources, has_file, settings.http.host, sample)
        for key, section, sample in _sections(settings)
    )
    if not found:
        fix = "write upstream: {url: http://HOST:PORT}"
        if not has_file:
            fix = "set REGISTRY_UPSTREAM_URL as for the server, or name our configuration: authproxy doctor … CONFIG"
        raise StartError(f"{loaded.origin}: there is no upstream to look at; {fix}")
    return found


def _sections(settings: Settings) -> Iterator[tuple[str, Upstream, str]]:
    """The key, the section and a sample of each."""
    if settings.upstream is not None:
        yield "upstream", settings.upstream, NOBODYS
    known: list[UpstreamEntry] = []
    for place, entry in enumerate(settings.upstreams):
        registry = entry.as_upstream()  # two entries may lead to one, under different names
        if entry.url and registry not in known:
            known.append(registry)
            yield f"upstreams.{place}", entry, _sample(entry)


def _sample(entry: UpstreamEntry) -> str:
    """What the registry is asked for where a client asks for a repository of this entry that is not there."""
    name = f"{entry.base}/authproxy-doctor" if entry.base else NOBODYS
    rename = entry.rename
    return (rename.add or "") + name.removeprefix(rename.strip or "")
