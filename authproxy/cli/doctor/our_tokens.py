"""Our token server's settings and keys, as the doctor needs them."""

from typing import TYPE_CHECKING

from authproxy.cli.settings import realm_of, token_of
from authproxy.errors import StartError

if TYPE_CHECKING:
    from authproxy.config.settings import Settings
    from authproxy.doctor.tokens.examine import Ours


def read_ours(settings: "Settings", now: float) -> "Ours":
    """The token server of these settings. Raises StartError where it has no keys, or they cannot be read."""
    from authproxy.doctor.tokens.examine import Ours
    from authproxy.token.jose_header import HeaderStyle
    from authproxy.token.keyring import read_ring

    token = token_of(settings)
    try:
        keys = read_ring(token.keys, now)
    except OSError as exc:
        raise StartError(
            f"token.keys: cannot read {exc.filename}: {exc.strerror}; run this as the owner of {token.keys}"
        ) from exc
    return Ours(token.issuer, token.service, realm_of(settings, token), HeaderStyle(token.kid, token.x5c), keys)
