"""Addresses and networks in conditions: `request.address.inNetwork("10.0.0.0/8")`.

The network must be a literal in the condition, so that a wrong one is refused when the file loads.
"""

import re
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

FUNCTION = "inNetwork"

_CALL = re.compile(rf"""{FUNCTION}\s*\(\s*(?:"([^"\\]*)"|'([^'\\]*)')\s*\)""")


class NetworkInvalid(ValueError):
    """A wrong argument of the function. The text says what it accepts."""


def check_networks(expression: str) -> None:
    """Raise NetworkInvalid if an argument in the expression is not a literal network."""
    calls = _CALL.findall(expression)
    if len(calls) != expression.count(FUNCTION):
        raise NetworkInvalid(f'{FUNCTION} takes one network in quotes; allowed: {FUNCTION}("10.0.0.0/8")')
    for double, single in calls:
        _parse_network(double or single)


def is_in_network(address: str, network: str) -> bool:
    """Whether an address lies in a network. Raises ValueError if one of them is invalid."""
    parsed = ip_address(address)
    # An IPv4 peer of a dual-stack socket is ::ffff:a.b.c.d.
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return parsed in _parse_network(network)


@lru_cache(maxsize=1000)
def _parse_network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError as exc:
        raise NetworkInvalid(f"{exc}; allowed: a network such as 10.0.0.0/8 or 2001:db8::/32, or an address") from None
