"""The server's budget: what a process may hold at once, and how much of it one client may hold.

Every limit that keeps one client from starving the others is here, with the reason for its size.
"""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address

# One subscriber gets a /64 and picks any address of it at will (RFC 6177 §2, RFC 8981).
IPV6_PREFIX_BITS = 64


@lru_cache(maxsize=4096)
def client_network(address: str) -> str:
    """The network that an address counts against: an IPv4 address itself, the /64 of an IPv6 address.

    IPv4-mapped IPv6 is IPv4. A text that is not an address (the peer of a Unix socket is "") counts for itself.
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


# Upstreams (authproxy/http/client/request_queue.py): of one worker.

# Requests in flight to one address of an upstream: each has its own connection, further ones wait. Below the usual
# limit of 1024 open files.
UPSTREAM_CONNECTIONS = 400

# The share of one user or, without a login, of one address: a hundred connections fill any line, and three callers with
# full shares leave room for a fourth.
CALLER_SHARE = 1 / 4

# The share of all clients without a login together, if others log in: addresses are easier to get than users.
GUESTS_SHARE = 3 / 4

# A transfer below this speed ends after MAY_STALL_FOR_S if another request waits for its connection; otherwise it may
# be slower. A piece of 256 KiB takes 20 s at 13 KB/s, a modem has 5 KB/s.
LEAST_BYTES_PER_S = 8 * 1024
MAY_STALL_FOR_S = 20.0

# `Retry-After`, in seconds, for callers over their share.
RETRY_AFTER_S = 5


# Connections (http/server/connection_limit.py). Each worker has its own limit of descriptors, and so a budget.

# Descriptors for everything but clients' connections: listening sockets, logs, keys, the debug port, open files.
RESERVED_DESCRIPTORS = 64
# An idle connection over TLS takes some 50 KB of memory: descriptors alone would allow hundreds of thousands.
MAX_CONNECTIONS = 16_384
# Half: all clients may share one address, and one address alone must not fill a server.
CLIENT_SHARE = 0.5
# How many connections are closed at once to make room, as a share of the budget: choosing them scans all connections.
MADE_ROOM_SHARE = 1 / 64
# If no connection could be closed, how long new ones are refused before the next scan, in seconds.
LOOK_AGAIN_S = 0.1
# From this share of the budget on the server measures the speed of bodies and responses, and how often, in seconds.
MEASURE_FROM_SHARE = 0.75
MEASURE_EVERY_S = 10.0
# A client slower than this, in bytes a second, may be closed to make room for others, and only then.
SLOW_BYTES_S = 4096.0


def max_connections(descriptors: int) -> int:
    """How many connections a process may hold with this limit of descriptors.

    Half of what remains after the reserve: a request needs a second descriptor, for a file or the upstream.
    RLIM_INFINITY, no limit, is negative.
    """
    if descriptors < 0:
        return MAX_CONNECTIONS
    return max(1, min(MAX_CONNECTIONS, (descriptors - RESERVED_DESCRIPTORS) // 2))


# Passwords (authproxy/identity/password_queue.py): of one worker, as bcrypt takes a core for 75 ms each time.

# Passwords that wait to be checked. At 75 ms a check the last one waits 3.7 s on an otherwise idle machine.
MAX_PASSWORDS_WAITING = 32
# Different passwords for one name, waiting or being checked: guesses at one user must not fill the queue.
MAX_PASSWORDS_OF_ONE_NAME = 8
# The part of both limits that known clients may take from unknown ones: a user may guess too. A quarter lets eight
# logins at once past a queue full of unknown clients, and leaves those the rest.
KNOWN_CLIENT_SHARE = 1 / 4
# The part of both limits that unknown clients keep: a user may log in from many addresses, and guess there.
STRANGERS_SHARE = 1 / 4
# How long a successful login makes a client known, in seconds, and how many clients are known.
KNOWN_CLIENT_S = 24 * 3600.0
MAX_KNOWN_CLIENTS = 10_000


# Time on the event loop: one request may cost milliseconds, not hundreds of them.

# Objects, lists and commas of a manifest. Manifests are parsed on the event loop, and a thread would not help: the
# parser holds the interpreter lock. The cost grows with these, not with bytes: 100,000 take some 50 ms, the 2.8 million
# that fit into the 4 MiB of a manifest ten times as long. Real manifests have some hundred.
MAX_MANIFEST_PARTS = 100_000
# Layers of an image, or entries of an index: each is a digest to parse (some 20 µs) and a link to look up. overlayfs
# supports 500 layers.
MAX_DESCRIPTORS = 2_000
# One entry of a list of referrers, in bytes of JSON, where one byte of a manifest may become six: a page holds 4 MiB,
# and eight entries are read at once. Signatures have some ten thousand bytes of annotations.
MAX_LISTED_BYTES = 512 * 1024
# Actions in the scopes of one token request. A push with its mounts asks for a handful; the policies decide each.
MAX_ACTIONS = 256
# Entries in all forwarded headers of a request together: a client behind a trusted proxy chooses how they begin. 7,000
# addresses of trusted proxies took 114 ms to read; real requests have a handful.
MAX_FORWARDED_PARTS = 200


# The log (authproxy/edge/untrusted_peers.py).

# Peers that the log warns of, because their forwarded headers were dropped: enough for the proxies of one registry, too
# few to fill the log with.
MAX_DISBELIEVED_PEERS = 64
