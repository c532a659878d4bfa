"""Which addresses may be the upstream's storage, if the operator has listed none.

The upstream chooses the targets of its redirects, and we can reach services that it may not: those on this machine's
loopback addresses, and those that issue keys to cloud machines. A name can resolve to any address: so the address of
the actual connection is checked. Addresses of this machine in private or public networks pass: a storage may be there.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

# Private networks may contain storages: RFC 1918, RFC 4193.
_PRIVATE = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
_PRIVATE_V6 = IPv6Network("fc00::/7")

# Services with keys for cloud machines at addresses that look public: Azure's and Oracle's.
_KEYS = tuple(map(IPv4Network, ("168.63.129.16/32", "192.0.0.0/24")))
# Over IPv6: several of Amazon's, and Google's, Oracle's, Scaleway's, Akamai's and Alibaba's.
_KEYS_V6 = tuple(
    map(
        IPv6Network,
        (
            "fd00:ec2::/32",
            "fd20:ce::254",
            "fd00:c1::a9fe:a9fe",
            "fd00:42::42",
            "fd00:a9fe:a9fe::1",
            "fd00:100::100:200",
        ),
    )
)

# IPv6 with an IPv4 address in its last 32 bits: mapped and compatible (RFC 4291 §2.5.5), translated (RFC 2765), NAT64
# (RFC 6052). With the local-use prefix (RFC 8215) its place varies.
_ENDS_IN_IPV4 = tuple(map(IPv6Network, ("::ffff:0:0/96", "::/96", "::ffff:0:0:0/96", "64:ff9b::/96")))
_HOLDS_IPV4_SOMEWHERE = IPv6Network("64:ff9b:1::/48")


def may_be_storage(text: str) -> bool:
    """Whether an address is public or in a private network; an embedded IPv4 address counts instead of its carrier."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, IPv4Address):
        return _is_fit(address)
    if any(address in network for network in _ENDS_IN_IPV4):
        return _is_fit(IPv4Address(int(address) & 0xFFFFFFFF))
    if address in _HOLDS_IPV4_SOMEWHERE or address.teredo is not None:
        return False
    if address.sixtofour is not None:
        return _is_fit(address.sixtofour)
    return _is_fit_v6(address)


def _is_fit(address: IPv4Address) -> bool:
    if any(address in network for network in _PRIVATE):
        return True
    return address.is_global and not address.is_multicast and not any(address in network for network in _KEYS)


def _is_fit_v6(address: IPv6Address) -> bool:
    if address in _PRIVATE_V6:
        return not any(address in network for network in _KEYS_V6)
    return address.is_global and not address.is_multicast
