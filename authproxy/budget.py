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


# Upstreams (authproxy/http/client/request_queue.py): of one worker.

# Requests in flight to one address of an upstream: each has a connection of its own, and more wait for one. Below the
# usual limit of 1024 open files.
UPSTREAM_CONNECTIONS = 400

# Of them, for one user or, without a login, for one address: a hundred connections fill any line, and three callers
# with full shares leave room for a fourth.
CALLER_SHARE = 1 / 4

# Of them, for all clients without a login together, where others log in: addresses are easier to get than users.
GUESTS_SHARE = 3 / 4

# A transfer may be slower while nobody waits for its connection. Otherwise it ends when its client has been behind this
# speed for MAY_STALL_FOR_S: a piece of 256 KiB takes 20 s at 13 KB/s, a modem has 5 KB/s.
LEAST_BYTES_PER_S = 8 * 1024
MAY_STALL_FOR_S = 20.0

# When to come back, in seconds, for callers over their share.
RETRY_AFTER_S = 5


# Connections (http/server/connection_limit.py). Each worker has a limit of descriptors of its own, and so a budget.

# Descriptors for what isn't a client's connection: listening sockets, logs, keys, the debug port, files being read.
RESERVED_DESCRIPTORS = 64
# An idle connection over TLS takes some 50 KB of memory: descriptors alone would allow hundreds of thousands.
MAX_CONNECTIONS = 16_384
# Half: all clients may stand behind one address, and one address alone must not fill a server.
CLIENT_SHARE = 0.5
# How many connections make room at once, as a part of the budget: to choose them, all are looked at.
MADE_ROOM_SHARE = 1 / 64
# Where no connection could make room, how long newcomers are refused without looking again, in seconds.
LOOK_AGAIN_S = 0.1
# From this part of the budget on the server measures how fast bodies and answers move, and how often, in seconds.
MEASURE_FROM_SHARE = 0.75
MEASURE_EVERY_S = 10.0
# A client that is slower than this, in bytes a second, makes room for others. Never where there is room without it.
SLOW_BYTES_S = 4096.0


def max_connections(descriptors: int) -> int:
    """How many connections a process may hold, by the number of descriptors that it may open.

    Half of what is left after the reserve: a request needs another descriptor, for a file or the upstream. A system
    without a limit says RLIM_INFINITY, which is negative.
    """
    if descriptors < 0:
        return MAX_CONNECTIONS
    return max(1, min(MAX_CONNECTIONS, (descriptors - RESERVED_DESCRIPTORS) // 2))


# Passwords (authproxy/identity/password_queue.py): of one worker, as bcrypt takes a core for 75 ms each time.

# That wait to be checked. At 75 ms a check the last of them waits 3.7 s where the machine has nothing else to do.
MAX_PASSWORDS_WAITING = 32
# Different passwords for one name at a time, in the queue or being checked: guesses at one user leave it to all others.
MAX_PASSWORDS_OF_ONE_NAME = 8
# Of both, what a known client may take from strangers: a user may guess, too. A quarter lets eight logins at once past
# a queue full of strangers, and leaves them the rest.
KNOWN_CLIENT_SHARE = 1 / 4
# Of both, what strangers keep however many clients are known: a user may log in from many addresses, and guess there.
STRANGERS_SHARE = 1 / 4
# How long a client is known by a login that succeeded, in seconds, and how many clients.
KNOWN_CLIENT_S = 24 * 3600.0
MAX_KNOWN_CLIENTS = 10_000


# Time of the event loop: what one request may cost, in milliseconds rather than hundreds of them.

# Manifests: they are parsed on the event loop, and the parser keeps the interpreter's lock, so a thread would not help.
# Objects, lists and commas of one. Parsing costs by these, not by bytes: 100,000 take some 50 ms, the 2.8 million that
# fit into the 4 MiB of a manifest ten times as long. Real ones have some hundred.
MAX_MANIFEST_PARTS = 100_000
# Layers of an image, or entries of an index, each a digest to parse (some 20 µs) and a link to look for. overlayfs
# takes 500 layers.
MAX_DESCRIPTORS = 2_000
# What a list of referrers says of one, as JSON, in bytes: a page holds 4 MiB, and eight are read at once. Signatures
# have some ten thousand bytes of annotations. Counted as JSON, where one byte of a manifest may become six.
MAX_LISTED_BYTES = 512 * 1024
# Of the scopes of one request for a token. A push with its mounts asks for a handful; each is decided by the policies.
MAX_ACTIONS = 256
# Of all lists that proxies write about the side that asked them, together: a client behind a trusted proxy chooses how
# they begin. 7,000 addresses of trusted proxies took 114 ms to read; real requests have a handful.
MAX_FORWARDED_PARTS = 200


# The log (authproxy/edge/untrusted_peers.py).

# Peers whose disbelieved forwarded headers the log warns of: enough for the proxies of one registry, and too few for
# strangers to fill the log with.
MAX_DISBELIEVED_PEERS = 64
