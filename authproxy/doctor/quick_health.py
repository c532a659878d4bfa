"""Whether a server answers as a healthy one, asked on its own machine with as little as a socket needs.

Only "yes" is an answer: `probe.py` finds out what is wrong, and says it in a sentence.
"""

import socket
import time

from authproxy.config.endpoint import Endpoint

MAX_HEAD_BYTES = 64 * 1024

# OCI Distribution 1.1, "Determining Support": a registry may also ask for credentials.
_STATUSES = (b"200", b"401")
_API_VERSION = (b"docker-distribution-api-version", b"registry/2.0")


def is_healthy(endpoint: Endpoint, timeout_s: float) -> bool:
    """Ask for `/v2/`. Raises OSError, TimeoutError after `timeout_s` seconds altogether."""
    deadline = time.monotonic() + timeout_s
    with _connect(endpoint, timeout_s) as connection:
        connection.settimeout(_left(deadline))
        connection.sendall(
            f"GET {endpoint.prefix}v2/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode("ascii")
        )
        head = b""
        while b"\r\n\r\n" not in head and len(head) < MAX_HEAD_BYTES:
            connection.settimeout(_left(deadline))
            piece = connection.recv(MAX_HEAD_BYTES)
            if not piece:
                break
            head += piece
    return _is_well(head)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _connect(endpoint: Endpoint, timeout_s: float) -> socket.socket:
    if endpoint.path:
        plain = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        plain.settimeout(timeout_s)
    else:
        # As bytes: a text, even in ASCII, would load the codec for international names.
        host = endpoint.host.encode("ascii")
        plain = socket.create_connection((host, endpoint.port), timeout_s)  # type: ignore[arg-type]  # it takes both
    try:
        if endpoint.path:
            plain.connect(endpoint.path)
        if not endpoint.has_tls:
            return plain
        from authproxy.doctor.unverified_tls import unverified_tls

        # Without a name: it would load that codec too, and the server has one certificate.
        return unverified_tls().wrap_socket(plain)
    except BaseException:
        plain.close()
        raise


def _is_well(head: bytes) -> bool:
    lines, end, _ = head.partition(b"\r\n\r\n")
    status, *fields = lines.split(b"\r\n")
    version, _, code = status.partition(b" ")
    pairs = (field.partition(b":") for field in fields)
    return (
        bool(end)
        and version in (b"HTTP/1.1", b"HTTP/1.0")
        and code[:3] in _STATUSES
        and code[3:4] in (b" ", b"")
        and _API_VERSION in ((name.lower(), value.strip()) for name, _, value in pairs)
    )
