"""Listening sockets: TCP for a host and a port, or a Unix socket at a path."""

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from authproxy.config.document.scalars import Address
from authproxy.errors import StartError
from authproxy.files.owner_rights import rights_at

# The default for the configuration key of an address.
KEY = "http.addr"
# How many connections the kernel keeps until they are accepted.
BACKLOG = 2048
# To connect needs the right to write: the owner and the group have it, and a proxy in front can be in the group.
UNIX_MODE = 0o660


@contextmanager
def listening(where: Address | Path, *, key: str = KEY) -> Iterator[Sequence[socket.socket]]:
    """Listening sockets for an address, closed at the end; the file of a Unix socket is then removed.

    `key` is the configuration key of the address, for errors.

    Raises StartError if it can't listen there.
    """
    sockets = [bind_unix(where, key=key)] if isinstance(where, Path) else bind(where.host, where.port, key=key)
    made = _identity(where) if isinstance(where, Path) else None
    try:
        yield sockets
    finally:
        for opened in sockets:
            opened.close()
        # Another server may have put its own socket at the path in the meantime.
        if isinstance(where, Path) and made is not None and made == _identity(where):
            with contextlib.suppress(OSError), rights_at(where.parent):
                where.unlink()


def bind(host: str, port: int, *, key: str = "http.addr") -> list[socket.socket]:
    """Listening sockets for an address of the configuration.

    "" is every address, IPv4 and IPv6; a name is all addresses that it resolves to (`localhost`: 127.0.0.1 and ::1), at
    least one of which must exist here. Port 0 takes any free port, the same for all. Raises StartError if it fails.
    """
    with ExitStack() as opened:
        sockets: list[socket.socket] = []
        refusal: OSError | None = None
        for family, address in _resolve(host, port, key):
            try:
                bound = _listen(family, address, sockets[0].getsockname()[1] if sockets and port == 0 else port)
            except OSError as exc:
                # A machine without IPv6 still has an address in its hosts file.
                if exc.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    refusal = exc
                    continue
                raise _bind_error(host, port, key, exc) from exc
            sockets.append(opened.enter_context(bound))
        if not sockets:
            assert refusal is not None
            raise _bind_error(host, port, key, refusal)
        opened.pop_all()
        return sockets


def bind_unix(path: Path, *, key: str = KEY) -> socket.socket:
    """A listening Unix socket at `path`, open to its owner and group. Raises StartError if it fails.

    The socket of a server that was killed is replaced; a socket with a listener, or any other file, never is. In a
    folder that isn't root's, root makes it as the owner of the folder, to whom it then belongs.
    """
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with rights_at(path.parent):
            _remove_stale(path, key)
            bound.bind(os.fspath(path))
            path.chmod(UNIX_MODE)  # before it listens, so that the umask lets no one else connect
        bound.listen(BACKLOG)
    except StartError:
        bound.close()
        raise
    except OSError as exc:  # a path that is too long has no errno
        bound.close()
        raise StartError(f"{key}: cannot listen on {path}: {exc.strerror or exc}") from exc
    return bound


def _remove_stale(path: Path, key: str) -> None:
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise StartError(f"{key}: cannot listen on {path}: it exists and is not a socket; choose another path")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.connect(os.fspath(path))
    except FileNotFoundError:
        return
    except ConnectionRefusedError:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
    except OSError as exc:
        raise StartError(f"{key}: cannot listen on {path}: {exc.strerror or exc}") from exc
    else:
        raise StartError(f"{key}: cannot listen on {path}: another program listens there; stop it")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _resolve(host: str, port: int, key: str) -> list[tuple[socket.AddressFamily, tuple[Any, ...]]]:
    if not host:
        # If the system has both, one IPv6 socket accepts IPv4 too.
        family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
        return [(family, ("", port))]
    if host == "localhost":  # both loopback addresses (RFC 6761 §6.3), whatever the hosts file lists
        return [(socket.AF_INET, ("127.0.0.1", port)), (socket.AF_INET6, ("::1", port))]
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as exc:
        raise StartError(f"{key}: cannot find the address of {host!r}: {exc.strerror}") from exc
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


def _listen(family: socket.AddressFamily, address: tuple[Any, ...], port: int) -> socket.socket:
    bound = socket.create_server(
        (address[0], port),
        family=family,
        backlog=BACKLOG,
        dualstack_ipv6=family is socket.AF_INET6 and address[0] == "",
    )
    # Accepted sockets inherit it. asyncio sets it only on sockets made with IPPROTO_TCP, which these are not; without
    # it, head and body of a small response are 40 ms apart: the client's delayed acknowledgement.
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return bound


def _bind_error(host: str, port: int, key: str, exc: OSError) -> StartError:
    where = f"{key}: cannot listen on {host or '*'}:{port}"
    match exc.errno:
        case errno.EADDRINUSE:
            return StartError(
                f"{where}: another program uses this port; stop it, or choose another port with"
                f" REGISTRY_{key.upper().replace('.', '_')}={host}:{port + 1}"
            )
        case errno.EACCES:
            return StartError(f"{where}: not permitted; ports below 1024 need root or CAP_NET_BIND_SERVICE")
        case _:
            return StartError(f"{where}: {exc.strerror}")
