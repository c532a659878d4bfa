"""What went wrong between us and the upstream, as the error that the client sees. The log has the cause.

Messages don't name the upstream's address: clients have no business with it.
"""

import httpcore
import httpx

from authproxy.errors import GatewayFailed, GatewayTimedOut, RegistryError, Unavailable

# The first that fits, so subclasses stand before their bases. httpx raises its own only for an unusable redirect.
FAILURES: tuple[tuple[type[Exception], type[RegistryError], str], ...] = (
    (httpcore.ConnectTimeout, GatewayTimedOut, "the upstream registry did not accept a connection in time"),
    (httpcore.PoolTimeout, Unavailable, "all connections to the upstream registry are busy"),
    (httpcore.TimeoutException, GatewayTimedOut, "the upstream registry took too long to answer"),
    (httpcore.ConnectError, GatewayFailed, "the upstream registry cannot be reached"),
    (httpcore.NetworkError, GatewayFailed, "the upstream registry broke the connection before it answered"),
    (httpcore.RemoteProtocolError, GatewayFailed, "the upstream registry did not answer in HTTP"),
    (httpcore.LocalProtocolError, GatewayFailed, "the request cannot be passed on to the upstream registry"),
    (httpx.RemoteProtocolError, GatewayFailed, "the upstream registry redirects to something that is no address"),
)

FOREIGN = tuple(foreign for foreign, _, _ in FAILURES)


def gateway_error(exc: Exception) -> RegistryError:
    """The error for one of FOREIGN, raised before the answer had begun."""
    return next(ours(message) for foreign, ours, message in FAILURES if isinstance(exc, foreign))


def refused_credentials(status: int) -> RegistryError:
    """The error for an upstream that challenges a caller who passes no credentials.

    Its challenge must not reach clients: they would fetch a token that it never sees, and come again for ever.
    """
    return GatewayFailed(
        f"the upstream registry asks for credentials of its own (HTTP {status}), and the client's are not passed on: "
        "let it trust the front door, or configure the upstream to be sent them"
    )
