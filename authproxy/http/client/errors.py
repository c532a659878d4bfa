"""What goes wrong between us and the upstream, and what the client sees of it. The log has the cause.

UpstreamError                     the client sees
├── Busy                          503  as many requests as may be are in flight
├── Unreachable                   502  no connection: nothing has been sent
│   └── ConnectTimedOut           504
├── TimedOut                      504  no answer, or no more of it
├── BrokeOff                      502  the connection ended too soon
│   └── WentStale                 502  an idle one, before the answer to its next request
├── NotHttp                       502  what came is no HTTP
├── UnsafeRedirect                502  a redirect leads to an address that no storage has
├── WrongContent                  502  the storage sent something else than the blob
└── Unsendable                    502  what a client sent would not be HTTP any more if it went on

Messages don't name the upstream's address: clients have no business with it.
"""

from typing import ClassVar

from authproxy.errors import GatewayFailed, GatewayTimedOut, RegistryError, Unavailable


class UpstreamError(Exception):
    """The text is the cause, for the log alone."""

    seen: ClassVar[type[RegistryError]] = GatewayFailed
    message: ClassVar[str]


class Busy(UpstreamError):
    """No connection was given back in time."""

    seen, message = Unavailable, "all connections to the upstream registry are busy"


class Unreachable(UpstreamError):
    """No connection, for whatever reason; a certificate that is not trusted is one."""

    message = "the upstream registry cannot be reached"


class ConnectTimedOut(Unreachable):
    """The connection was not there in time, TLS included."""

    seen, message = GatewayTimedOut, "the upstream registry did not accept a connection in time"


class TimedOut(UpstreamError):
    """Nothing came, or nothing was taken, for too long."""

    seen, message = GatewayTimedOut, "the upstream registry took too long to answer"


class BrokeOff(UpstreamError):
    """The connection ended before the answer was complete."""

    message = "the upstream registry broke the connection before it answered"


class WentStale(BrokeOff):
    """An idle connection that the upstream had given up: it closed without a byte of an answer to a later request."""


class NotHttp(UpstreamError):
    """Not an answer of HTTP/1.1, or one that two readers could read in two ways."""

    message = "the upstream registry did not answer in HTTP"


class UnsafeRedirect(UpstreamError):
    """A redirect leads to this machine, or to where only its neighbours may ask."""

    message = (
        "the upstream registry redirects to an address that is not followed; if the registry's storage is there, the "
        "operator can name it in upstream.redirecthosts"
    )


class WrongContent(UpstreamError):
    """What a redirect led to has another digest."""

    message = "the storage behind the upstream registry sent something else than the blob"


class Unsendable(UpstreamError):
    """A request that cannot be written down as it came."""

    message = "the request cannot be passed on to the upstream registry"


def gateway_error(error: UpstreamError) -> RegistryError:
    """What the client sees of an error that was raised before the answer had begun."""
    return error.seen(error.message)


def refused_credentials(status: int, *, are_ours: bool) -> RegistryError:
    """The error for an upstream that challenges a caller who passes no credentials, or does not take ours.

    Its challenge must not reach clients: they would fetch a token that it never sees, and come again for ever.
    """
    if are_ours:
        return GatewayFailed(
            f"the upstream registry does not take the credentials that it is sent for every caller (HTTP {status})"
        )
    return GatewayFailed(
        f"the upstream registry asks for credentials of its own (HTTP {status}), and the client's are not passed on: "
        "let it trust the front door, or configure the upstream to be sent them"
    )
