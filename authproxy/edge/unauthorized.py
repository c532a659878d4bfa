"""The 401 of `Authorize`: credentials are missing, wrong or grant too little.

`challenge.py` makes its `WWW-Authenticate`, and the writer of errors in `errors.py` the response.
"""

from authproxy.access import Access
from authproxy.client_view import ClientView
from authproxy.edge.challenge import BearerError, ChallengeMaker
from authproxy.errors import Unauthorized


def unauthorized(
    challenge: ChallengeMaker, view: ClientView, needs: tuple[Access, ...], error: BearerError, message: str
) -> Unauthorized:
    """The error to raise: a message, the challenge for `needs`, and `needs` as `detail`, as in CNCF Distribution.

    `error` says what is wrong with the credentials; None if none were sent, or if a login failed.
    """
    detail = [{"Type": access.type, "Name": access.name, "Action": access.action} for access in needs] or None
    return Unauthorized(message, challenge=challenge(view, needs, error, message), detail=detail)
