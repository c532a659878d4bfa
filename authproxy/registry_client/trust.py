"""How a registry is reached: HTTPS or HTTP, and which certificates are trusted."""

import os
import shlex
import ssl
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from authproxy.registry_client.errors import RegistryClientError
from authproxy.this_machine import is_this_machine

# docker reads certificates for each host: https://docs.docker.com/engine/security/certificates/
CERTIFICATES = Path("/etc/docker/certs.d")

_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True)
class Trust:
    """The options about certificates on the command line."""

    ca: Path | None = None
    plain_http: bool = False
    certificates: Path = CERTIFICATES
    own: Path | None = None  # our own CA, which is trusted for this machine's names and addresses

    @property
    def options(self) -> str:
        """The options again, with a space before each, for a command in a message."""
        ca = "" if self.ca is None else f" --ca {shlex.quote(str(self.ca))}"
        return f"{ca}{' --plain-http' if self.plain_http else ''}"


class _ByHost(ssl.SSLContext):
    """Passes each connection to the context of its host: this machine, or any other.

    One context is for all hosts that a registry leads to, such as its token server.
    """

    here: ssl.SSLContext
    elsewhere: ssl.SSLContext

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,  # noqa: FBT001, FBT002 - the signature of ssl
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """See ssl.SSLContext."""
        host = server_hostname.decode() if isinstance(server_hostname, bytes) else server_hostname
        context = self.here if host and is_this_machine(host) else self.elsewhere
        return context.wrap_bio(incoming, outgoing, server_side, host, session)


def find_own_authority(home: Path) -> Path | None:
    """The certificate of our own CA in a folder, if nobody but us, root or our image's account can have put it there.

    A folder that another account has prepared must not make us trust its server. In our image commands are root's, and
    the folder is the server's.
    """
    path = home / "certs" / "ca.pem"
    try:
        status = path.stat()
    except OSError:
        return None
    server, _, _ = os.environ.get("AUTHPROXY_RUN_AS", "").partition(":")
    is_ours = str(status.st_uid) in ("0", str(os.geteuid()), server) and not status.st_mode & _WRITABLE_BY_OTHERS
    return path if is_ours and stat.S_ISREG(status.st_mode) else None


def tls_context(host: str, trust: Trust) -> ssl.SSLContext:
    """Trusts the system's CAs, those of `ca`, docker's for this host, and ours for this machine.

    Raises RegistryClientError.
    """
    elsewhere = tls_context_of(host, trust, _named_files(host, trust))
    if trust.own is None:
        return elsewhere
    context = _ByHost(ssl.PROTOCOL_TLS_CLIENT)
    context.here, context.elsewhere = tls_context_of(host, trust, [*_named_files(host, trust), trust.own]), elsewhere
    return context


def authority_files(host: str, trust: Trust) -> list[Path]:
    """Files of CAs that are trusted for this host in addition to the system's."""
    own = [trust.own] if trust.own is not None and is_this_machine(host) else []
    return _named_files(host, trust) + own


def _named_files(host: str, trust: Trust) -> list[Path]:
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
