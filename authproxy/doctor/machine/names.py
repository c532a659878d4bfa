"""Do the names that clients use resolve to this machine."""

import errno
import ipaddress
import socket
from collections.abc import Callable, Iterator, Sequence

from authproxy.doctor.finding import Finding, Level
from authproxy.doctor.machine.installation import Installation, name_of

Resolve = Callable[[str], Sequence[str]]


def resolve(name: str) -> Sequence[str]:
    """The addresses of a name, by the hosts file and the DNS. Raises OSError."""
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for _, _, _, _, address in found))


def check_names(installation: Installation, look_up: Resolve = resolve) -> Iterator[Finding]:
    """Each name once."""
    for name in dict.fromkeys(map(name_of, installation.hosts)):
        yield _check(name, look_up)


def _check(name: str, look_up: Resolve) -> Finding:
    if _is_address(name):
        if _is_ours(name):
            return Finding(Level.OK, "dns", f"{name} is an address of this machine")
        return _elsewhere(f"{name} is not an address of this machine")
    try:
        addresses = look_up(name)
    except OSError as error:
        what = f"the name {name} does not resolve here: {error.strerror or error}"
        return Finding(Level.FAILED, "dns", what, f"add it to the DNS, or to /etc/hosts if that is enough: IP {name}")
    if any(map(_is_ours, addresses)):
        return Finding(Level.OK, "dns", f"{name} resolves to this machine ({', '.join(addresses)})")
    return _elsewhere(f"{name} resolves to {', '.join(addresses)}, which is not this machine")


def _elsewhere(what: str) -> Finding:
    fix = "if a proxy or a router there passes requests on to this machine, nothing is wrong"
    return Finding(Level.WARNING, "dns", what, fix)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_ours(address: str) -> bool:
    """Whether it is an address of this machine: only those can be bound. Nothing is sent."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError as error:
        return error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EINVAL)
    return True
