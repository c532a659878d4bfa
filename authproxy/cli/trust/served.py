"""What a server's certificate is for, and which CA clients have to trust for it."""

import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cryptography import x509

from authproxy.certificates import has_issued, names_in
from authproxy.config.embedded import Layout
from authproxy.errors import StartError
from authproxy.own_certificate import given_hosts
from authproxy.this_machine import bracketed, is_loopback, parse_host

if TYPE_CHECKING:
    from authproxy.config.find import Found
    from authproxy.config.settings import Settings

HTTPS = 443


@dataclass(frozen=True, slots=True)
class Served:
    """The certificate of a server."""

    file: Path
    names: Sequence[str]
    authority: x509.Certificate | None  # the CA that clients have to trust, if it is known
    is_trusted_here: bool  # by the system's store
    issuer: str
    port: int
    hosts: Sequence[str]  # what clients call the server, as far as that is known; with a port where one is needed

    def with_port(self, name: str) -> str:
        """The host as clients write it."""
        bare = bracketed(name)
        return bare if self.port == HTTPS else f"{bare}:{self.port}"


def read_served(found: "Found", settings: "Settings") -> Served:
    """The certificate that the server of a configuration shows. Raises StartError if there is none."""
    http = settings.http
    if http.tls is None:
        raise StartError(
            "http.tls is not set, so the server has no certificate: clients speak plain HTTP with it, or a proxy in"
            " front of it has the certificate"
        )
    file = http.tls.certificate
    try:
        chain = x509.load_pem_x509_certificates(file.read_bytes())
    except FileNotFoundError:
        raise StartError(
            f"http.tls.certificate: there is no {file}; the first start of the server makes ours"
        ) from None
    except OSError as exc:
        raise StartError(f"http.tls.certificate: cannot read {file}: {exc.strerror}") from exc
    except ValueError as exc:
        raise StartError(f"http.tls.certificate: {file} has no certificate in PEM") from exc
    layout = Layout(found.home) if found.file is None else None
    authority = _find_root(chain, layout)
    served = Served(
        file,
        names_in(chain[0]),
        authority,
        _is_trusted_here(chain[-1]),
        chain[-1].issuer.rfc4514_string(),
        HTTPS if isinstance(http.addr, Path) else http.addr.port,
        (),
    )
    return replace(served, hosts=_hosts(served, layout, http.host))


def _hosts(served: Served, layout: Layout | None, public: str | None) -> tuple[str, ...]:
    """What the configuration says, the names that starts were given, or else all that the certificate is for."""
    if public is not None:
        return (urlsplit(public).netloc,)
    given = given_hosts(layout) if layout is not None and served.file == layout.certificate else []
    names = given or [name for name in served.names if not is_loopback(name) and _is_host(name)]
    return tuple(served.with_port(name) for name in names)


def _is_host(name: str) -> bool:
    """Not a wildcard; and nothing that a shell would take for more than a word."""
    try:
        return parse_host(name) == name
    except ValueError:
        return False


def _find_root(chain: Sequence[x509.Certificate], layout: Layout | None) -> x509.Certificate | None:
    """The certificate at the end of the chain: in the file, or our own CA."""
    candidates = list(chain)
    if layout is not None:
        with suppress(OSError, ValueError):
            candidates += x509.load_pem_x509_certificates(layout.authority.read_bytes())
    at = chain[0]
    for _ in candidates:
        if has_issued(at, at):
            return at
        above = next((one for one in candidates if one != at and has_issued(one, at)), None)
        if above is None:
            return None
        at = above
    return None


def _is_trusted_here(certificate: x509.Certificate) -> bool:
    """Whether a CA of the system's store has issued it, or is it."""
    issuer = certificate.issuer.public_bytes()
    for der in _system_authorities():
        if issuer not in der:  # most of them, some of which are too old to be read
            continue
        with suppress(ValueError):
            if has_issued(x509.load_der_x509_certificate(der), certificate):
                return True
    return False


def _system_authorities() -> list[bytes]:
    found = ssl.create_default_context().get_ca_certs(binary_form=True)
    if not found and (folder := ssl.get_default_verify_paths().capath):
        for path in Path(folder).glob("*.0"):  # by these names OpenSSL looks them up
            with suppress(OSError, ValueError):
                found.append(ssl.PEM_cert_to_DER_cert(path.read_text(encoding="ascii").strip()))
    return found
