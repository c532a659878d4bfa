"""Errors between us and the upstream, and what the client sees of them. The log has the cause.

UpstreamError                     the client sees
├── Busy                          503  the limit of requests in flight is reached
├── Unreachable                   502  no connection: no byte has been sent
│   └── ConnectTimedOut           504
├── TimedOut                      504  no response, or not all of it
├── BrokeOff                      502  the connection ended too soon
│   └── WentStale                 502  an idle connection, before the response to its next request
├── NotHttp                       502  the response is not HTTP
├── UnsafeRedirect                502  a redirect leads to an address that no storage should have
├── WrongContent                  502  the storage sent other content than the blob
└── Unsendable                    502  the client's request would not be valid HTTP if it were passed on

Messages don't contain the upstream's address: clients must not learn it.
"""

from typing import ClassVar

from authproxy.errors import GatewayFailed, GatewayTimedOut, RegistryError, Unavailable


class UpstreamError(Exception):
    """The text is the cause, only for the log."""

    seen: ClassVar[type[RegistryError]] = GatewayFailed
    message: ClassVar[str]


class Busy(UpstreamError):
    """No connection became free in time."""

    seen, message = Unavailable, "all connections to the upstream registry are busy"


class Unreachable(UpstreamError):
    """No connection, for any reason, including an untrusted certificate."""

    message = "the upstream registry cannot be reached"


class ConnectTimedOut(Unreachable):
    """The connection, including TLS, was not established in time."""

    seen, message = GatewayTimedOut, "the upstream registry did not accept a connection in time"


class TimedOut(UpstreamError):
    """The upstream sent nothing, or read nothing, for too long."""

    seen, message = GatewayTimedOut, "the upstream registry took too long to answer"


class BrokeOff(UpstreamError):
    """The connection ended before the response was complete."""

    message = "the upstream registry broke the connection before it answered"


class WentStale(BrokeOff):
    """The upstream closed an idle connection: it ended without a byte of the response to its next request."""


class NotHttp(UpstreamError):
    """Not a response of HTTP/1.1, or one that two parsers could read differently."""

    message = "the upstream registry did not answer in HTTP"


class UnsafeRedirect(UpstreamError):
    """A redirect leads to this machine, or to a network that only machines near it should reach."""

    message = (
        "the upstream registry redirects to an address that is not followed; if the registry's storage is there, the "
        "operator can name it in upstream.redirecthosts"
    )


class WrongContent(UpstreamError):
    """The target of a redirect has content with another digest."""

    message = "the storage behind the upstream registry sent other content than the blob"


class Unsendable(UpstreamError):
    """A request that cannot be passed on unchanged."""

    message = "the request cannot be passed on to the upstream registry"


def gateway_error(error: UpstreamError) -> RegistryError:
    """The client's error for an UpstreamError that was raised before the response had begun."""
    return error.seen(error.message)


def refused_credentials(status: int, *, are_ours: bool) -> RegistryError:
    """The error for an upstream that challenges a request without credentials, or refuses ours.

    Its challenge must not reach clients: they would fetch a token that it never receives, and retry for ever.
    """
    if are_ours:
        return GatewayFailed(
            f"the upstream registry does not accept the credentials that are configured for it (HTTP {status})"
        )
    return GatewayFailed(
        f"the upstream registry asks for credentials of its own (HTTP {status}), and the client's are not passed on: "
        "have it trust authproxy, or configure credentials for this upstream"
    )
