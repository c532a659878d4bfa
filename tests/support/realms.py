"""Realms that a registry may name in its challenge, and who may send its password there: one table for every caller."""

from typing import NamedTuple


class Realm(NamedTuple):
    """A registry at `registry` names `realm`. The proxy knows `ALLOWED`; a registry client knows the domain."""

    what: str
    registry: str
    realm: str
    proxy: bool  # may a proxy in front of the registry, and its doctor, send the password
    client: bool  # may `authproxy images` and `registry login`, and does `registry ping` find it right


ALLOWED = ("https://auth.docker.io", "http://auth.internal.example:8080")

ORG = "https://registry.example.org"

REALMS = [
    # The registry's own.
    Realm("same host", ORG, "https://registry.example.org/token", True, True),
    Realm("other port", ORG, "https://registry.example.org:5001/auth", True, True),
    Realm(
        "default port of a registry with a port", "https://r.example.org:5000", "https://r.example.org/auth", True, True
    ),
    Realm("default port written out", ORG, "https://registry.example.org:443/token", True, True),
    Realm("empty port", ORG, "https://registry.example.org:/token", True, True),
    Realm("upper case", ORG, "HTTPS://REGISTRY.Example.ORG/token", True, True),
    Realm("name below", ORG, "https://auth.registry.example.org/token", True, True),
    Realm("name far below", ORG, "https://a.b.registry.example.org/token", True, True),
    Realm("no path", ORG, "https://registry.example.org", True, True),
    Realm("query with an address", ORG, "https://registry.example.org/token?at=https://evil.example", True, True),
    Realm("at sign in the path", ORG, "https://registry.example.org/@evil.example", True, True),
    Realm("IPv4, other port", "https://10.0.0.1:5000", "https://10.0.0.1:5001/auth", True, True),
    Realm("IPv6, other port", "https://[::1]:5000", "https://[::1]:5001/auth", True, True),
    Realm("IPv6 in upper case", "https://[fd00::a]", "https://[FD00::A]/auth", True, True),
    Realm("international name as xn--", "https://xn--bcher-kva.example", "https://xn--bcher-kva.example/t", True, True),
    Realm("underscore", "https://my_registry:5000", "https://my_registry:5001/auth", True, True),
    Realm("https for http", "http://registry.example.org", "https://registry.example.org/token", True, True),
    Realm("https below http", "http://registry.example.org", "https://auth.registry.example.org/token", True, True),
    Realm("http for http, other port", "http://127.0.0.1:5000", "http://127.0.0.1:5001/token", True, True),
    Realm("http for http, by name", "http://localhost:5000", "http://localhost:5001/auth", True, True),
    Realm("http for http, IPv6", "http://[::1]:5000", "http://[::1]:5001/auth", True, True),
    # The operator named it.
    Realm("allowed", "https://registry-1.docker.io", "https://auth.docker.io/token", True, True),
    Realm("allowed, with its port", "https://registry-1.docker.io", "https://auth.docker.io:443/token", True, True),
    Realm("allowed, http by name", ORG, "http://auth.internal.example:8080/token", True, False),
    Realm("other port of an allowed one", ORG, "https://auth.docker.io:8443/token", False, False),
    Realm("http for an allowed one", ORG, "http://auth.docker.io/token", False, False),
    Realm("below an allowed one", ORG, "https://evil.auth.docker.io/token", False, False),
    # A domain that both belong to: a person at a command line names no realms.
    Realm("sibling", ORG, "https://auth.example.org/token", False, True),
    Realm("name above", "https://registry.gitlab.com", "https://gitlab.com/jwt/auth", False, True),
    Realm("sibling, long suffix", "https://r.team.example.co.uk", "https://auth.team.example.co.uk/t", False, True),
    Realm("http sibling", ORG, "http://auth.example.org/token", False, False),
    Realm("http sibling of http", "http://registry.example.org", "http://auth.example.org/token", False, False),
    Realm("sibling below a public suffix", "https://example.co.uk", "https://other.co.uk/token", False, False),
    Realm("sibling below a top-level name", "https://example.org", "https://other.org/token", False, False),
    Realm("sibling below a dotted top-level name", "https://example.org.", "https://evil.org./token", False, False),
    # Readable on the way.
    Realm("http for https", ORG, "http://registry.example.org/token", False, False),
    Realm("http for https, own port", "https://r.example.org:443", "http://r.example.org:443/token", False, False),
    Realm("http for https, this machine", "https://localhost:5000", "http://localhost:5001/auth", False, False),
    Realm("http below http", "http://registry.example.org", "http://auth.registry.example.org/token", False, False),
    # Another owner's.
    Realm("other host", ORG, "https://evil.example/token", False, False),
    Realm("ends alike", ORG, "https://evilregistry.example.org.evil.example/token", False, False),
    Realm("ends alike without a dot", ORG, "https://evilexample.org/token", False, False),
    Realm("begins alike", ORG, "https://registry.example.org.evil.org/token", False, False),
    Realm("host as a path", ORG, "https://evil.example/registry.example.org", False, False),
    Realm("host as a fragment", ORG, "https://evil.example#registry.example.org", False, False),
    Realm("host as a query", ORG, "https://evil.example?.registry.example.org", False, False),
    Realm("below IPv4", "https://10.0.0.1", "https://9.10.0.0.1/token", False, False),
    Realm("IPv4 that ends alike", "https://10.0.0.1", "https://2.0.0.1/token", False, False),
    Realm("IPv4 as a number", "https://10.0.0.1", "https://167772161/token", False, False),
    Realm("below hexadecimal IPv4", "https://10.0x1", "https://9.10.0x1/token", False, False),
    Realm("other IPv6", "https://[::1]:5000", "https://[::2]/token", False, False),
    Realm("IPv6 with a zone", "https://[fe80::1]", "https://[fe80::1%25eth0]/token", False, False),
    Realm("IPv4 inside IPv6", "https://10.0.0.1", "https://[::ffff:10.0.0.1]/token", False, False),
    Realm("below a name without a dot", "https://registry", "https://evil.registry/token", False, False),
    Realm("below localhost", "https://localhost:5000", "https://evil.localhost/token", False, False),
    Realm("below dotted localhost", "https://localhost.:5000", "https://evil.localhost./token", False, False),
    # Two parsers might differ, so nobody asks.
    Realm("trailing dot", ORG, "https://registry.example.org./token", False, False),
    Realm("host as a user", ORG, "https://registry.example.org@evil.example/token", False, False),
    Realm("host as user and password", ORG, "https://registry.example.org:x@evil.example/token", False, False),
    Realm("a user", ORG, "https://user@registry.example.org/token", False, False),
    Realm("empty user", ORG, "https://@registry.example.org/token", False, False),
    Realm("backslash for a slash", ORG, "https://evil.example\\.registry.example.org/token", False, False),
    Realm("backslash and user", ORG, "https://evil.example\\@registry.example.org/token", False, False),
    Realm("two backslashes", ORG, "https:\\\\registry.example.org/token", False, False),
    Realm("space in the host", ORG, "https://evil.example .registry.example.org/token", False, False),
    Realm("space before", ORG, " https://registry.example.org/token", False, False),
    Realm("tab in the host", ORG, "https://registry.exa\tmple.org/token", False, False),
    Realm("line break", ORG, "https://registry.example.org/token\r\nX: y", False, False),
    Realm("NUL in the host", ORG, "https://evil.example\0.registry.example.org/", False, False),
    Realm("percent-encoded slash", ORG, "https://evil.example%2f.registry.example.org/token", False, False),
    Realm("percent-encoded dot", ORG, "https://registry%2eexample.org/token", False, False),
    Realm("semicolon in the host", ORG, "https://evil.example;.registry.example.org/token", False, False),
    Realm("comma in the host", ORG, "https://evil.example,.registry.example.org/token", False, False),
    Realm("letters outside ASCII", "https://xn--bcher-kva.example", "https://bücher.example/t", False, False),
    Realm("Cyrillic that looks alike", ORG, "https://registry.exаmple.org/token", False, False),  # noqa: RUF001
    Realm("full-width slash", ORG, "https://evil.example／.registry.example.org/token", False, False),  # noqa: RUF001
    Realm("ideographic full stop", ORG, "https://evil。registry.example.org/token", False, False),
    Realm("sharp s and ss", "https://strasse.example", "https://xn--strae-oqa.example/token", False, False),
    Realm("wildcard", ORG, "https://*.registry.example.org/token", False, False),
    Realm("empty label", ORG, "https://.registry.example.org/token", False, False),
    # No address of a token server.
    Realm("other scheme", ORG, "ftp://registry.example.org/token", False, False),
    Realm("script", ORG, "javascript://registry.example.org/token", False, False),
    Realm("path alone", ORG, "/token", False, False),
    Realm("no scheme", ORG, "//registry.example.org/token", False, False),
    Realm("one slash", ORG, "https:/registry.example.org/token", False, False),
    Realm("no host", ORG, "https:///token", False, False),
    Realm("port in letters", ORG, "https://registry.example.org:x/token", False, False),
    Realm("port 0", ORG, "https://registry.example.org:0/token", False, False),
    Realm("port too large", ORG, "https://registry.example.org:65536/token", False, False),
    Realm("open bracket", ORG, "https://[oops/token", False, False),
]
