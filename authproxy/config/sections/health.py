"""`health`: checks while the registry runs, CNCF Distribution's section.

While a check fails, every request gets a 503, and `/debug/health` on the debug port gives the reason.
"""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from authproxy.config.document.scalars import Boolean, Count, Duration, Integer, ListenAddress, parse_url
from authproxy.config.document.schema import Section
from authproxy.config.sections.headers import SecretHeaders

TEN_SECONDS = timedelta(seconds=10)


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta():
        raise ValueError("too short; allowed: more than 0s")
    return value


def _checked_uri(uri: str) -> str:
    parse_url(uri.partition("?")[0])
    if not uri.isascii() or not uri.isprintable() or " " in uri:
        raise ValueError("a URL with characters that must be escaped")
    return uri


Uri = Annotated[str, AfterValidator(_checked_uri)]
Period = Annotated[Duration, AfterValidator(_positive)]


class StorageCheck(Section):
    """A check that the storage answers."""

    enabled: Boolean = False
    """Whether it is checked. Default `false`."""

    interval: Period = TEN_SECONDS
    """The time between two checks. Default `10s`."""

    threshold: Count = 1
    """How many failures in a row make it unhealthy. Default 1."""


class FileCheck(Section):
    """Unhealthy while a file exists: a switch to take a node out of service."""

    file: Path
    """The file that must not exist: `/run/authproxy/out-of-service`."""

    interval: Period = TEN_SECONDS
    """The time between two checks. Default `10s`."""


class HttpCheck(Section):
    """Unhealthy while a server does not answer `HEAD` with the expected status."""

    uri: Uri
    """The URL of the request, query included: `http://token.internal/ready?now`."""

    headers: SecretHeaders = Field(default_factory=dict)
    """Headers to send, each with the list of its values. Default: none. They are never shown."""

    statuscode: Integer = 200
    """The expected status. Default 200."""

    timeout: Period = TEN_SECONDS
    """How long the response may take. Default `10s`."""

    interval: Period = TEN_SECONDS
    """The time between two checks. Default `10s`."""

    threshold: Count = 1
    """How many failures in a row make it unhealthy. Default 1."""


class TcpCheck(Section):
    """Unhealthy while an address does not accept connections."""

    addr: ListenAddress
    """The address to connect to: `host:port`."""

    timeout: Period = TEN_SECONDS
    """How long a connection may take. Default `10s`."""

    interval: Period = TEN_SECONDS
    """The time between two checks. Default `10s`."""

    threshold: Count = 1
    """How many failures in a row make it unhealthy. Default 1."""


class Health(Section):
    """Checks while the registry runs. While one fails, every request to the registry gets a 503."""

    storagedriver: StorageCheck = StorageCheck()

    file: tuple[FileCheck, ...] = ()
    """Files that must not exist. Default: none."""

    http: tuple[HttpCheck, ...] = ()
    """Servers that must answer. Default: none."""

    tcp: tuple[TcpCheck, ...] = ()
    """Addresses that must accept connections. Default: none."""
