"""How an upload session was opened, signed into its address.

A push of many gigabytes outlives its token, so the address of a session carries who opened it and with which
credentials: one query field, bound to repository, session and an end.

    _session=<end, seconds since 1970>.<credentials>.<opener>.<MAC>

Credentials and opener are keyed hashes: nobody who sees an address learns a token, a password or a name from it.
"""

import base64
import hmac
import re
from dataclasses import dataclass

from authproxy.route import Kind, Route

FIELD = "_session"

_VALUE = re.compile(r"([0-9]{1,15})\.([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class Opening:
    """Until when a session may live, and whose it is."""

    end: int  # seconds since 1970
    credentials: str  # of the `Authorization` header that it was opened with
    opener: str  # of the name of who opened it, "" for nobody in particular


class SessionSigner:
    """Makes and reads the field's value."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def open(self, authorization: str, subject: str, end: int) -> Opening:
        """The opening of a session by these credentials, which are `subject`'s."""
        return Opening(end, self._hash("credentials", authorization), self._hash("opener", subject))

    def was_opened_by(self, opening: Opening, subject: str) -> bool:
        """Whether it is this one's session."""
        return hmac.compare_digest(opening.opener, self._hash("opener", subject))

    def was_opened_with(self, opening: Opening, authorization: str) -> bool:
        """Whether these very credentials opened it."""
        return hmac.compare_digest(opening.credentials, self._hash("credentials", authorization))

    def sign(self, repository: str, session: str, opening: Opening) -> str:
        """The value for one session of one repository."""
        return f"{opening.end}.{opening.credentials}.{opening.opener}.{self._mac(repository, session, opening)}"

    def read(self, route: Route) -> Opening | None:
        """What was signed for the session that is asked for, or None where it was not: forged, or another session's."""
        value = route.parameter(FIELD)
        if value is None or route.kind is not Kind.UPLOAD or route.repository is None or route.session is None:
            return None
        match = _VALUE.fullmatch(value)
        if match is None:
            return None
        opening = Opening(int(match[1]), match[2], match[3])
        return opening if hmac.compare_digest(match[4], self._mac(route.repository, route.session, opening)) else None

    def _hash(self, purpose: str, text: str) -> str:
        return _text(hmac.digest(self._secret, f"{purpose}\n{text}".encode("utf-8", "surrogatepass"), "sha256")[:16])

    def _mac(self, repository: str, session: str, opening: Opening) -> str:
        # None of the parts can hold a line break, so the joined text is unambiguous.
        text = f"session\n{repository}\n{session}\n{opening.end}\n{opening.credentials}\n{opening.opener}"
        return _text(hmac.digest(self._secret, text.encode(), "sha256"))


def _text(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
