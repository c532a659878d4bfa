"""Does the server of this configuration answer? Asked on the same machine, as a container's health check does.

The certificate is not verified: it is for the server's name, and the request goes to a loopback address.
"""

import json
import socket
import ssl
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path

from authproxy.config.document.scalars import Address
from authproxy.config.endpoint import EVERY_ADDRESS
from authproxy.config.settings import Settings
from authproxy.doctor.unverified_tls import unverified_tls
from authproxy.http.client.unreachable import why_unreachable

# OCI Distribution 1.1, "Determining Support": a registry may also ask for credentials.
_ANSWERS = (200, 401)
_API_VERSION = "Docker-Distribution-Api-Version"
_API = "registry/2.0"

_MAX_BODY_BYTES = 64 * 1024


def find_fault(settings: Settings, timeout_s: float) -> str | None:
    """Why the server cannot serve, in a sentence; None if it can. Sends one request, for `/v2/`."""
    where = f"{settings.http.prefix.rstrip('/')}/v2/"
    try:
        with closing(_connect(settings, timeout_s)) as connection:
            connection.request("GET", where, headers={"Host": "localhost", "Connection": "close"})
            answer = connection.getresponse()
            body = answer.read(_MAX_BODY_BYTES)
    except (OSError, HTTPException) as exc:
        return f"{_name(settings.http.addr)} does not answer: {why_unreachable(exc)}"
    if answer.status not in _ANSWERS:
        return f"GET {where} answered {answer.status}: {_message(body) or answer.reason}"
    if answer.getheader(_API_VERSION) != _API:
        return f"the program that listens on {_name(settings.http.addr)} is not a registry"
    return None


def _connect(settings: Settings, timeout_s: float) -> HTTPConnection:
    where = settings.http.addr
    tls = None if settings.http.tls is None else unverified_tls()
    if isinstance(where, Path):
        connection = HTTPConnection("localhost", timeout=timeout_s)
        connection.sock = _connect_unix(where, tls, timeout_s)
        return connection
    here = _here(where)
    if tls is None:
        return HTTPConnection(here.host, here.port, timeout=timeout_s)
    return HTTPSConnection(here.host, here.port, timeout=timeout_s, context=tls)


def _connect_unix(path: Path, tls: ssl.SSLContext | None, timeout_s: float) -> socket.socket:
    plain = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        plain.settimeout(timeout_s)
        plain.connect(str(path))
        return plain if tls is None else tls.wrap_socket(plain, server_hostname="localhost")
    except OSError:
        plain.close()
        raise


def _name(where: Address | Path) -> str:
    return str(where if isinstance(where, Path) else _here(where))


def _here(where: Address) -> Address:
    """The address at which this machine reaches a server that listens there."""
    return Address(EVERY_ADDRESS.get(where.host, where.host), where.port)


def _message(body: bytes) -> str:
    """The message in an error's body (OCI Distribution 1.1, "Error Codes"); "" if there is none."""
    try:
        message = json.loads(body)["errors"][0]["message"]
    except (ValueError, LookupError, TypeError):
        return ""
    return message if isinstance(message, str) else ""
