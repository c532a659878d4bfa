"""bcrypt hashes of passwords: makes and checks them, and makes dummy hashes for users that do not exist.

bcrypt reads 72 bytes of a password, and no zero byte. We set no longer password (CVE-2024-9683 is the silent cut).
Apache's htpasswd does, and cuts it, so at a login a longer password is compared by its first 72 bytes, as httpd, nginx
and CNCF Distribution do; unless these bytes are not secret. Every refusal takes the same time.
docs/decisions/0052-compare-72-bytes-of-longer-passwords.md.
"""

import re
import unicodedata

from passlib.hash import bcrypt

# 75 ms on a 2-core machine, where 12 takes 277 ms (docs/decisions/0009): a first login is not noticed, and a CI fleet
# that logs in at once is done in seconds. CNCF Distribution's own files have 5 to 10.
DEFAULT_COST = 10
MIN_COST = 4
# 4.6 s. A higher cost would occupy a thread for minutes or days at every login with that user's name.
MAX_COST = 16
MAX_PASSWORD_BYTES = 72

# With these beginnings, 72 bytes are hardly secret: JSON (the key of a service account), the same in base64 or the
# header of a token, and PEM.
_PUBLIC_BEGINNINGS = (b"{", b"eyJ", b"eyA", b"ewo", b"ew0", b"-----")

# "$2b$", two digits of cost, "$", 22 characters of salt and 31 of hash, each with unused bits of zero in its last.
# $2x$ is a known broken variant.
_HASH = re.compile(r"\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{30}[.CGKOSWaeimquy26]")


def find_cost(hashed: str) -> int | None:
    """The cost of a bcrypt hash, or None if we can't check it: another scheme, malformed, or a cost out of range."""
    match = _HASH.fullmatch(hashed)
    return int(match[1]) if match and MIN_COST <= int(match[1]) <= MAX_COST else None


def find_problem(password: str) -> str | None:
    """Why this password can't be hashed with bcrypt, as a message, or None if it can."""
    if not password:
        return "a password must not be empty"
    if len(_to_bytes(password)) > MAX_PASSWORD_BYTES:
        return (
            f"a password has at most {MAX_PASSWORD_BYTES} bytes in UTF-8 (bcrypt reads no more); choose a shorter one"
        )
    if any(unicodedata.category(character) == "Cc" for character in password):
        return "a password must not contain control characters; choose another one"
    return None


def hash_password(password: str, cost: int = DEFAULT_COST) -> str:
    """A new hash with a random salt. The cost decides how long it takes. Raises ValueError if there is a problem."""
    if problem := find_problem(password):
        raise ValueError(problem)
    return str(bcrypt.using(rounds=cost, ident="2y").hash(password))  # Apache's htpasswd writes 2y


def check_password(password: str, hashed: str) -> bool:
    """Whether the password matches the hash. Computes one bcrypt of the hash's cost, whatever the password is.

    `hashed` must have a cost by `find_cost`. Call it in a thread: it releases the interpreter lock.
    """
    content = _to_bytes(password)
    readable = content[:MAX_PASSWORD_BYTES].replace(b"\0", b"?")
    return (
        bool(bcrypt.verify(readable, hashed)) and b"\0" not in content and bool(content) and not is_unprovable(password)
    )


def is_cut(password: str) -> bool:
    """Whether only the first 72 bytes of this password are compared."""
    return len(_to_bytes(password)) > MAX_PASSWORD_BYTES


def is_unprovable(password: str) -> bool:
    """Whether it is cut, and the rest is not secret: no hash can prove that the caller knows it."""
    return is_cut(password) and _to_bytes(password).startswith(_PUBLIC_BEGINNINGS)


def stand_in(cost: int) -> str:
    """A hash of this cost that no password matches, to check an unknown user's password against."""
    return f"$2y${cost:02d}${'.' * 53}"


def _to_bytes(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")
