"""bcrypt hashes of passwords: made, checked, and stood in for where a user does not exist.

bcrypt reads 72 bytes of a password and no zero byte. We set no password that is longer (CVE-2024-9683 is the silent
cut). Apache's htpasswd does, and cuts it, so a longer password is compared by its first 72 bytes when somebody logs in,
as httpd, nginx and CNCF Distribution compare it; unless these bytes are no secret. Every refusal has the same price.
docs/decisions/0052-compare-72-bytes-of-longer-passwords.md.
"""

import re
import unicodedata

from passlib.hash import bcrypt

# 75 ms on a 2-core machine, where 12 takes 277 ms (docs/decisions/0009): a first login is not felt, and a
# CI fleet that logs in at once is through in seconds. CNCF Distribution's own files have 5 to 10.
DEFAULT_COST = 10
MIN_COST = 4
# 4.6 s. A hash above it would hold a thread for minutes or days whenever somebody tries its user's name.
MAX_COST = 16
MAX_PASSWORD_BYTES = 72

# What begins like this says little about itself in 72 bytes: JSON (the key of a service account), the same in base64 or
# the header of a token, and PEM.
_PUBLIC_BEGINNINGS = (b"{", b"eyJ", b"eyA", b"ewo", b"ew0", b"-----")

# "$2b$", two digits of cost, "$", 22 characters of salt and 31 of hash, each with unused bits of zero in its last.
# $2x$ is a known broken variant.
_HASH = re.compile(r"\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{30}[.CGKOSWaeimquy26]")


def find_cost(hashed: str) -> int | None:
    """The cost of a bcrypt hash that we check, or None: another scheme, a malformed hash, a cost out of bounds."""
    match = _HASH.fullmatch(hashed)
    return int(match[1]) if match and MIN_COST <= int(match[1]) <= MAX_COST else None


def find_problem(password: str) -> str | None:
    """Why bcrypt cannot hold this password, as the end of a sentence, or None where it can."""
    if not password:
        return "a password must not be empty"
    if len(_to_bytes(password)) > MAX_PASSWORD_BYTES:
        return (
            f"a password has at most {MAX_PASSWORD_BYTES} bytes in UTF-8 (bcrypt reads no more); choose a shorter one"
        )
    if any(unicodedata.category(character) == "Cc" for character in password):
        return "a password must not hold control characters; choose another one"
    return None


def hash_password(password: str, cost: int = DEFAULT_COST) -> str:
    """A new hash with a random salt. Takes as long as the cost says. Raises ValueError where `find_problem` has one."""
    if problem := find_problem(password):
        raise ValueError(problem)
    return str(bcrypt.using(rounds=cost, ident="2y").hash(password))  # 2y is what Apache's htpasswd writes


def check_password(password: str, hashed: str) -> bool:
    """Whether the password fits the hash. Computes one bcrypt of the hash's cost whatever the password is.

    `hashed` is one whose cost `find_cost` knows. For a thread: the interpreter lock is released meanwhile.
    """
    content = _to_bytes(password)
    sound = content[:MAX_PASSWORD_BYTES].replace(b"\0", b"?")
    return bool(bcrypt.verify(sound, hashed)) and b"\0" not in content and bool(content) and not is_unprovable(password)


def is_cut(password: str) -> bool:
    """Whether only the first 72 bytes of this password are compared."""
    return len(_to_bytes(password)) > MAX_PASSWORD_BYTES


def is_unprovable(password: str) -> bool:
    """Whether it is cut, and what is left of it is no secret: no hash proves that somebody knows it."""
    return is_cut(password) and _to_bytes(password).startswith(_PUBLIC_BEGINNINGS)


def stand_in(cost: int) -> str:
    """A hash of this cost that no password fits: what an unknown user's password is checked against."""
    return f"$2y${cost:02d}${'.' * 53}"


def _to_bytes(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")
