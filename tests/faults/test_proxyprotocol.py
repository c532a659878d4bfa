"""A balancer that passes TLS through, in front of a server with two workers: the log names the client behind it."""

import socket
import ssl
from pathlib import Path

import pytest

from tests.support.server import Server

PREAMBLE = b"PROXY TCP4 203.0.113.7 127.0.0.1 567 443\r\n"


class BehindBalancer(Server):
    """A server that is asked as a balancer does."""

    def ask(self, preamble: bytes = PREAMBLE) -> bytes:
        """The answer to GET /v2/."""
        trust = ssl.create_default_context(cafile=str(self.ca))
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as plain:
            plain.sendall(preamble)
            with trust.wrap_socket(plain, server_hostname="localhost") as wrapped:
                wrapped.sendall(b"GET /v2/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                return wrapped.recv(65536)

    def _serves(self) -> bool:
        try:
            return self.ask().startswith(b"HTTP/1.1 401 ")
        except OSError:  # nobody listens, or the certificate is not made yet
            return False


def test_the_client_behind_the_balancer_is_in_the_log(tmp_path: Path) -> None:
    settings = {
        "REGISTRY_HTTP_PROXYPROTOCOL": "true",
        "REGISTRY_HTTP_TRUSTEDPROXIES": "[127.0.0.1]",
        "REGISTRY_HTTP_WORKERS": "2",
    }
    server = BehindBalancer(tmp_path, settings)
    server.start()
    try:
        with pytest.raises(OSError, match=r".*"):
            server.ask(b"")
    finally:
        server.stop()
    assert "client=203.0.113.7" in server.output
    assert 'event="no PROXY preamble"' in server.output
