"""Ports that servers of this machine use: a test that binds one fails beside `make serve`, and so it fails always."""

# Those of our defaults and pages (5000, 5443, 5001), of HTTP, and of what commonly stands before a registry.
DEFAULT_PORTS = frozenset({80, 443, 5000, 5001, 5443, 8000, 8080, 8443})


def refuse_default_ports(event: str, arguments: tuple[object, ...]) -> None:
    """Python's audit hook: fails a test whose own process binds such a port. Port 0 lets the kernel choose one."""
    if event != "socket.bind":
        return
    address = arguments[1]
    if isinstance(address, tuple) and address[1] in DEFAULT_PORTS:
        raise AssertionError(f"a test binds port {address[1]}, which a server of this machine may use: bind port 0")
