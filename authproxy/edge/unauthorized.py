"""The 401: made here alone for requests whose credentials are missing, wrong or grant too little.

Its `WWW-Authenticate` is made in `challenge.py`, the response by the writer of errors in `errors.py`.
"""

from authproxy.access import Access
from authproxy.client_view import ClientView
from authproxy.edge.challenge import BearerError, ChallengeMaker
from authproxy.errors import Unauthorized


def unauthorized(
    challenge: ChallengeMaker, view: ClientView, needs: tuple[Access, ...], error: BearerError, message: str
) -> Unauthorized:
    """The error to raise: a message, the challenge for `needs`, and those once more as `detail`, as CNCF Distribution.

    `error` says what is wrong with the credentials that were sent; None where none were, or where a login failed.
    """
    detail = [{"Type": access.type, "Name": access.name, "Action": access.action} for access in needs] or None
    return Unauthorized(message, challenge=challenge(view, needs, error, message), detail=detail)
