"""What clients may call this machine: its names and its addresses, as Linux says them."""

import fcntl
import socket
import struct
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

# RFC 1035 §2.3.4.
_MAX_NAME, _MAX_LABEL = 253, 63
LOOPBACK = ("localhost", "127.0.0.1", "::1")

# linux/sockios.h: the IPv4 address of an interface.
_SIOCGIFADDR = 0x8915
# Each line: address, interface index, prefix length, scope, flags, interface.
_IF_INET6 = Path("/proc/net/if_inet6")
_GLOBAL = 0x00
# linux/if_addr.h: of a privacy address, which changes daily; and of those that are not to be used, or not yet.
_UNUSABLE = 0x01 | 0x08 | 0x20 | 0x40


def host_names() -> list[str]:
    """localhost, 127.0.0.1 and ::1, then the host's name, that name in mDNS (NAME.local), and the addresses."""
    own = socket.gethostname().lower().rstrip(".")
    names = [own, f"{own.partition('.')[0]}.local"] if is_dns_name(own) else []
    return list(dict.fromkeys([*LOOPBACK, *names, *addresses()]))


def addresses() -> list[str]:
    """The addresses of the interfaces that others can use: no loopback and link-local ones, no temporary IPv6 ones."""
    found: list[IPv4Address | IPv6Address] = [*_ipv4(), *_ipv6()]
    usable = (one for one in found if not (one.is_loopback or one.is_link_local or one.is_unspecified))
    return list(dict.fromkeys(map(str, usable)))


def is_loopback(host: str) -> bool:
    """Whether a host, with a port or without, is this machine wherever it is asked from (RFC 6761 §6.3)."""
    name = _without_port(host)
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def is_this_machine(host: str) -> bool:
    """Whether a host, with a port or without, is one of this machine's own names or addresses."""
    name = _without_port(host)
    return is_loopback(name) or name.lower() in host_names()


def bracketed(host: str) -> str:
    """A host as a URL has it: an IPv6 address in brackets (RFC 3986 §3.2.2)."""
    return f"[{host}]" if ":" in host else host


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host if host.count(":") > 1 else host.partition(":")[0]


def is_dns_name(name: str) -> bool:
    """Whether a certificate can have it as the name of a host: labels of letters, digits and hyphens (RFC 1123)."""
    labels = name.split(".")
    return len(name) <= _MAX_NAME and name.isascii() and all(map(_is_label, labels)) and not labels[-1].isdecimal()


def _is_label(label: str) -> bool:
    return 0 < len(label) <= _MAX_LABEL and label.replace("-", "a").isalnum() and label[0] != "-" != label[-1]


def _ipv4() -> Iterator[IPv4Address]:
    try:
        interfaces = socket.if_nameindex()
    except OSError:
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for _, name in interfaces:
            try:
                answer = fcntl.ioctl(any_socket, _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            except OSError:  # it has no IPv4 address
                continue
            yield IPv4Address(answer[20:24])


def _ipv6() -> Iterator[IPv6Address]:
    try:
        lines = _IF_INET6.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):  # no IPv6
        return
    for line in lines:
        address, _, _, scope, flags, _ = line.split()
        if int(scope, 16) == _GLOBAL and not int(flags, 16) & _UNUSABLE:
            yield IPv6Address(bytes.fromhex(address))


def parse_host(text: str) -> str:
    """A name or an address that clients use, without a port: `nas.lan`, `192.168.1.5`, `::1`. Raises ValueError."""
    name = text.strip().lower().rstrip(".")
    try:
        address = ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        pass
    else:
        if isinstance(address, IPv6Address) and address.scope_id is not None:
            raise ValueError(f"{text}: an address with a zone is good on one machine only; leave out the part behind %")
        if address.is_unspecified:
            raise ValueError(f"{text}: name an address that clients use; the server listens on all of them anyway")
        return str(address)
    if "://" in name or "/" in name:
        raise ValueError(f"{text}: write only the name, such as nas.lan")
    host, colon, port = name.rpartition(":")
    if colon and port.isdecimal() and ":" not in host:
        raise ValueError(f"{text}: leave out the port; REGISTRY_HTTP_ADDR=:{port} sets it")
    if not is_dns_name(name):
        raise ValueError(f"{text}: not a host's name or address; write nas.lan or 192.168.1.5")
    return name
