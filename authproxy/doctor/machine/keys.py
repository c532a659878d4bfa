"""The keys that sign tokens: can they be read, and does one sign."""

from collections.abc import Iterator

from authproxy.doctor.finding import Finding, Level
from authproxy.doctor.machine.files import find_closed
from authproxy.doctor.machine.installation import Installation
from authproxy.errors import StartError
from authproxy.program import command
from authproxy.token.keyring import find_signing, read_ring


def check_keys(installation: Installation) -> Iterator[Finding]:
    """The key ring, if we issue tokens."""
    token = installation.settings.token
    if token is None or find_closed(token.keys) is not None:
        return  # the check of folders reports that it is closed
    place = installation.place("token.keys")
    try:
        keys = read_ring(token.keys, installation.now) if token.keys.is_dir() and any(token.keys.iterdir()) else {}
    except OSError as error:
        what = f"{error.filename} (token.keys) cannot be read: {error.strerror}"
        yield Finding(Level.FAILED, "keys", what, f"give {token.keys} and its content to the server's account")
        return
    except StartError as error:
        what, _, fix = str(error).partition("; ")
        clock = "; if the clock was set back, correct it"
        yield Finding(Level.FAILED, "keys", what, f"{fix or f'{place}: a folder of keys, or an empty one'}{clock}")
        return
    if not keys:
        yield Finding(Level.OK, "keys", f"{token.keys} has no key yet; the first start creates one")
        return
    signing = find_signing(keys, installation.now)
    assert signing is not None, "read_ring refuses a ring without one"
    loose = [path for path in token.keys.iterdir() if path.suffix == ".pem" and path.stat().st_mode & 0o077]
    private = [path for path in loose if b"PRIVATE" in path.read_bytes()]
    if private:
        what = f"{private[0]} can be read by other accounts, which could sign tokens for everything"
        yield Finding(
            Level.FAILED, "keys", what, f"chmod 600 {private[0]}; if someone may have read it: {command('key rotate')}"
        )
    yield Finding(Level.OK, "keys", f"{signing.kid} signs ({signing.algorithm}), of {len(keys)} in {token.keys}")
