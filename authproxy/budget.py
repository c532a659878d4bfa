"""The server's budget: what a process may hold at once, and how much of it one client may hold.

Every limit that keeps one client from starving the others stands here, with the reason for its size.
"""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address

# One subscriber gets a /64 and picks any address of it at will (RFC 6177 §2, RFC 8981).
IPV6_PREFIX_BITS = 64


@lru_cache(maxsize=4096)
def client_network(address: str) -> str:
    """Whose share an address counts against: an IPv4 address itself, an IPv6 address's /64.

    IPv4-mapped IPv6 is IPv4. A text that is no address (a Unix socket's peer is "") is its own share.
    """
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    host_bits = 128 - IPV6_PREFIX_BITS
    return f"{IPv6Address(int(parsed) >> host_bits << host_bits)}/{IPV6_PREFIX_BITS}"
