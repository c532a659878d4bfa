"""`health`: what is checked while the registry runs, CNCF Distribution's section.

While a check fails every request is answered 503, and `/debug/health` on the debug port says why.
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


def _asked(uri: str) -> str:
    parse_url(uri.partition("?")[0])
    if not uri.isascii() or not uri.isprintable() or " " in uri:
        raise ValueError("a URL with characters that must be escaped")
    return uri


Uri = Annotated[str, AfterValidator(_asked)]
Period = Annotated[Duration, AfterValidator(_positive)]


class StorageCheck(Section):
    """Looking whether the storage answers."""

    enabled: Boolean = False
    """Whether it is looked at. Default `false`."""

    interval: Period = TEN_SECONDS
    """How long to wait between two looks. Default `10s`."""

    threshold: Count = 1
    """How many failures in a row make it unhealthy. Default 1."""


class FileCheck(Section):
    """Unhealthy while a file exists: a switch by which a node is taken out of service."""

    file: Path
    """The file that must not be there: `/run/authproxy/out-of-service`."""

    interval: Period = TEN_SECONDS
    """How long to wait between two looks. Default `10s`."""


class HttpCheck(Section):
    """Unhealthy while a server does not answer `HEAD` as it should."""

    uri: Uri
    """The URL that is asked, a query included: `http://token.internal/ready?now`."""

    headers: SecretHeaders = Field(default_factory=dict)
    """Headers to send, each with the list of its values. Default: none. They are never shown."""

    statuscode: Integer = 200
    """The status that the answer should have. Default 200."""

    timeout: Period = TEN_SECONDS
    """How long an answer may take. Default `10s`."""

    interval: Period = TEN_SECONDS
    """How long to wait between two questions. Default `10s`."""

    threshold: Count = 1
    """How many failures in a row make it unhealthy. Default 1."""


class TcpCheck(Section):
    """Unhealthy while nobody takes a connection."""

    addr: ListenAddress
    """The address to connect to: `host:port`."""

    timeout: Period = TEN_SECONDS
    """How long a connection may take. Default `10s`."""

    interval: Period = TEN_SECONDS
    """How long to wait between two connections. Default `10s`."""

    threshold: Count = 1
    """How many failures in a row make it unhealthy. Default 1."""


class Health(Section):
    """What is checked while the registry runs. While a check fails every request to the registry is answered 503."""

    storagedriver: StorageCheck = StorageCheck()

    file: tuple[FileCheck, ...] = ()
    """Files that must not be there. Default: none."""

    http: tuple[HttpCheck, ...] = ()
    """Servers that must answer. Default: none."""

    tcp: tuple[TcpCheck, ...] = ()
    """Addresses that must take connections. Default: none."""
