"""What people read where something is refused, and what of it may differ between what exists and what does not."""

import re

from tests.clients.matrix.table import DONE_SOMEHOW, Answer, Cell, Client, Credentials
from tests.clients.matrix.world import REASON
from tests.support.program import Outcome

_DENIED = "{who} may not [a-z ]*{target}"

# The same from every client: each of them shows the challenge's `error_description`, or the message of the body.
WORDS = {
    Answer.DENIED: _DENIED,
    Answer.EXPLAINED: f"{_DENIED}: {re.escape(REASON)}",
    Answer.REFUSED: "incorrect username or password",
    Answer.OVER: "this login has ended; log in again",
    Answer.EXPIRED: "the token is invalid or expired",
}

# containerd forgets what its POST was answered, goes on with GET, and shows the status alone.
EXCEPTIONS = {(Client.CONTAINERD, Answer.OVER): "failed to fetch oauth token\nstatus 401"}

# Lines that come in any order, or not, as layers happen to be ready; and what no two answers share.
_PROGRESS = re.compile(r"^(Copying|Getting|[0-9a-f]{12}:) .*\n", re.MULTILINE)
_VARYING = re.compile(r'^(date|x-request-id): .*\n|time="[^"]*"', re.MULTILINE)


def words(cell: Cell) -> re.Pattern[str]:
    """What the client must print; anything where it is done."""
    if cell.row.answer in DONE_SOMEHOW:
        return re.compile("")
    who = "anonymous" if cell.row.credentials is Credentials.ANONYMOUS else "alice"
    pattern = EXCEPTIONS.get((cell.client, cell.row.answer), WORDS[cell.row.answer])
    return re.compile(pattern.format(who=who, target=re.escape(cell.target)))


def without_name(outcome: Outcome, repository: str) -> str:
    """All that was said, but for the name of the repository and for what differs between any two."""
    return _VARYING.sub("", _PROGRESS.sub("", outcome.text)).replace(repository, "…")
