"""How a registry is reached: HTTPS or HTTP, and which certificates are trusted."""

import shlex
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from authproxy.registry_client.errors import RegistryClientError

# docker reads certificates for each host: https://docs.docker.com/engine/security/certificates/
CERTIFICATES = Path("/etc/docker/certs.d")


@dataclass(frozen=True, slots=True)
class Trust:
    """The options about certificates on the command line."""

    ca: Path | None = None
    plain_http: bool = False
    certificates: Path = CERTIFICATES

    @property
    def options(self) -> str:
        """The options again, with a space before each, for a command in a message."""
        ca = "" if self.ca is None else f" --ca {shlex.quote(str(self.ca))}"
        return f"{ca}{' --plain-http' if self.plain_http else ''}"


def tls_context(host: str, trust: Trust) -> ssl.SSLContext:
    """Trusts the system's CAs, those of `ca`, and docker's for this host. Raises RegistryClientError."""
    return tls_context_of(host, trust, authority_files(host, trust))


def authority_files(host: str, trust: Trust) -> list[Path]:
    """Files of CAs that are trusted for this host in addition to the system's."""
    return ([trust.ca] if trust.ca else []) + sorted((trust.certificates / host).glob("*.crt"))


def tls_context_of(host: str, trust: Trust, authorities: Iterable[Path]) -> ssl.SSLContext:
    """Trusts the system's CAs and `authorities`, with docker's client certificates for this host.

    Raises RegistryClientError.
    """
    context = ssl.create_default_context()
    folder = trust.certificates / host
    file = folder
    try:
        for file in authorities:
            context.load_verify_locations(cafile=file)
        for file in sorted(folder.glob("*.cert")):
            context.load_cert_chain(file, file.with_suffix(".key"))
    except OSError as error:
        why = (error.reason if isinstance(error, ssl.SSLError) else error.strerror) or error
        place = trust.ca or folder
        detail = why if file == place else f"{file.name}: {why}"
        raise RegistryClientError(f"{place}: a certificate cannot be read: {detail}") from error
    return context
