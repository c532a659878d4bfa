"""Who may do what with which client, and what they read where they may not: the one table of the matrix.

A row says what becomes of one deed with one kind of credentials at one place, whatever the client. Every client does
every row, but for those that `CANNOT` names with the reason.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Client(StrEnum):
    """What is used. The slow ones stand first: they begin first."""

    DOCKER = "docker"
    PODMAN = "podman"
    BUILDAH = "buildah"
    SKOPEO = "skopeo"
    CURL = "curl"
    CONTAINERD = "containerd"  # the bytes that it sends
    ORAS = "oras"  # the same


class Credentials(StrEnum):
    """What the client has of alice, who is the caller wherever there is one."""

    ANONYMOUS = "anonymous"  # nothing
    RIGHT = "right"  # name and password
    WRONG = "wrong"  # name and a password that is not hers
    EXPIRED = "expired"  # an access token whose time is over, and nothing to get another one with
    RENEWED = "renewed"  # the same, and name and password
    ENDED = "ended"  # the refresh token of a login that has been revoked
    REFRESHED = "refreshed"  # the refresh token of a login that is good


class Verb(StrEnum):
    """What is done."""

    PULL = "pull"
    PUSH = "push"
    DELETE = "delete"
    MOUNT = "mount"  # a push of what the registry has elsewhere: `source` in the row


class Place(StrEnum):
    """The first segment of a repository's name."""

    OWN = "alice"
    FOREIGN = "bob"
    PUBLIC = "public"


class Answer(StrEnum):
    """What becomes of it."""

    DONE = "is done"
    MOUNTED = "is done without sending a layer"
    COPIED = "is done, and every layer is sent"
    DENIED = "is denied"
    EXPLAINED = "is denied in the words of the rule"
    REFUSED = "is refused for the password"
    OVER = "is refused for the login that has ended"
    EXPIRED = "is refused for the token that has expired"


DONE_SOMEHOW = (Answer.DONE, Answer.MOUNTED, Answer.COPIED)


@dataclass(frozen=True, slots=True)
class Row:
    """One rule. `source` is where a mount takes its layers from."""

    credentials: Credentials
    verb: Verb
    place: Place
    answer: Answer
    source: Place | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """One row with one client."""

    client: Client
    row: Row

    @property
    def target(self) -> str:
        """The repository that it is about: one of its own where it changes something, else one that is there."""
        row = self.row
        if row.verb is Verb.PULL or row.answer not in DONE_SOMEHOW:
            return f"{row.place}/app"
        return f"{row.place}/{self.client}-{row.credentials}-{row.verb}" + (f"-{row.source}" if row.source else "")

    @property
    def missing(self) -> str:
        """A repository at the same place that does not exist."""
        return f"{self.row.place}/not"

    def __str__(self) -> str:
        source = f" from {self.row.source}" if self.row.source else ""
        return f"{self.client} {self.row.credentials}: {self.row.verb} {self.row.place}{source} {self.row.answer}"


_C, _V, _P, _A = Credentials, Verb, Place, Answer

ROWS = (
    Row(_C.ANONYMOUS, _V.PULL, _P.PUBLIC, _A.DONE),
    Row(_C.ANONYMOUS, _V.PULL, _P.FOREIGN, _A.DENIED),
    Row(_C.ANONYMOUS, _V.PUSH, _P.FOREIGN, _A.DENIED),
    Row(_C.ANONYMOUS, _V.PUSH, _P.PUBLIC, _A.EXPLAINED),
    Row(_C.ANONYMOUS, _V.DELETE, _P.FOREIGN, _A.DENIED),
    Row(_C.ANONYMOUS, _V.DELETE, _P.PUBLIC, _A.EXPLAINED),
    Row(_C.ANONYMOUS, _V.MOUNT, _P.FOREIGN, _A.DENIED, _P.PUBLIC),
    Row(_C.RIGHT, _V.PULL, _P.OWN, _A.DONE),
    Row(_C.RIGHT, _V.PULL, _P.PUBLIC, _A.DONE),
    Row(_C.RIGHT, _V.PULL, _P.FOREIGN, _A.DENIED),
    Row(_C.RIGHT, _V.PUSH, _P.OWN, _A.DONE),
    Row(_C.RIGHT, _V.PUSH, _P.FOREIGN, _A.DENIED),
    Row(_C.RIGHT, _V.PUSH, _P.PUBLIC, _A.EXPLAINED),
    Row(_C.RIGHT, _V.DELETE, _P.OWN, _A.DONE),
    Row(_C.RIGHT, _V.DELETE, _P.FOREIGN, _A.DENIED),
    Row(_C.RIGHT, _V.DELETE, _P.PUBLIC, _A.EXPLAINED),
    Row(_C.RIGHT, _V.MOUNT, _P.OWN, _A.MOUNTED, _P.OWN),
    Row(_C.RIGHT, _V.MOUNT, _P.OWN, _A.MOUNTED, _P.PUBLIC),
    Row(_C.RIGHT, _V.MOUNT, _P.OWN, _A.COPIED, _P.FOREIGN),
    Row(_C.RIGHT, _V.MOUNT, _P.FOREIGN, _A.DENIED, _P.OWN),
    Row(_C.WRONG, _V.PULL, _P.OWN, _A.REFUSED),
    Row(_C.WRONG, _V.PULL, _P.PUBLIC, _A.REFUSED),  # never quietly anonymous
    Row(_C.WRONG, _V.PUSH, _P.OWN, _A.REFUSED),
    Row(_C.WRONG, _V.DELETE, _P.OWN, _A.REFUSED),
    Row(_C.WRONG, _V.MOUNT, _P.OWN, _A.REFUSED, _P.OWN),
    Row(_C.EXPIRED, _V.PULL, _P.OWN, _A.EXPIRED),
    Row(_C.EXPIRED, _V.PUSH, _P.OWN, _A.EXPIRED),
    Row(_C.EXPIRED, _V.DELETE, _P.OWN, _A.EXPIRED),
    Row(_C.EXPIRED, _V.MOUNT, _P.OWN, _A.EXPIRED, _P.OWN),
    Row(_C.RENEWED, _V.PULL, _P.OWN, _A.DONE),
    Row(_C.RENEWED, _V.PUSH, _P.OWN, _A.DONE),
    Row(_C.RENEWED, _V.DELETE, _P.OWN, _A.DONE),
    Row(_C.RENEWED, _V.MOUNT, _P.OWN, _A.MOUNTED, _P.OWN),
    Row(_C.ENDED, _V.PULL, _P.OWN, _A.OVER),
    Row(_C.ENDED, _V.PUSH, _P.OWN, _A.OVER),
    Row(_C.ENDED, _V.DELETE, _P.OWN, _A.OVER),
    Row(_C.ENDED, _V.MOUNT, _P.OWN, _A.OVER, _P.OWN),
    Row(_C.REFRESHED, _V.PULL, _P.OWN, _A.DONE),
    Row(_C.REFRESHED, _V.PULL, _P.FOREIGN, _A.DENIED),
    Row(_C.REFRESHED, _V.PUSH, _P.OWN, _A.DONE),
    Row(_C.REFRESHED, _V.PUSH, _P.FOREIGN, _A.DENIED),
    Row(_C.REFRESHED, _V.DELETE, _P.OWN, _A.DONE),
    Row(_C.REFRESHED, _V.MOUNT, _P.OWN, _A.MOUNTED, _P.OWN),
)


@dataclass(frozen=True, slots=True)
class Lack:
    """Something that a client has no way to do; None stands for any."""

    client: Client
    verb: Verb | None = None
    credentials: Credentials | None = None
    source: Place | None = None

    def covers(self, cell: Cell) -> bool:
        """Whether a cell is such a thing."""
        row = cell.row
        return (
            self.client is cell.client
            and self.verb in (None, row.verb)
            and self.credentials in (None, row.credentials)
            and self.source in (None, row.source)
        )


CANNOT = (
    # docker, podman and buildah delete local images alone, and containerd's remotes know no delete.
    Lack(Client.DOCKER, verb=Verb.DELETE),
    Lack(Client.PODMAN, verb=Verb.DELETE),
    Lack(Client.BUILDAH, verb=Verb.DELETE),
    Lack(Client.CONTAINERD, verb=Verb.DELETE),
    # They take no access token from outside: one that has expired can only be their own, and then they renew it.
    Lack(Client.PODMAN, credentials=Credentials.EXPIRED),
    Lack(Client.BUILDAH, credentials=Credentials.EXPIRED),
    Lack(Client.CONTAINERD, credentials=Credentials.EXPIRED),
    # Access tokens die with the command, in docker with the pull or push: there is none yet that could have expired.
    Lack(Client.DOCKER, credentials=Credentials.RENEWED),
    Lack(Client.PODMAN, credentials=Credentials.RENEWED),
    Lack(Client.BUILDAH, credentials=Credentials.RENEWED),
    Lack(Client.SKOPEO, credentials=Credentials.RENEWED),
    # A script that goes on after a 401 is the script of the row `right`.
    Lack(Client.CURL, credentials=Credentials.RENEWED),
    # They mount by what they have pulled or pushed themselves, so never from where the caller may not pull.
    Lack(Client.DOCKER, verb=Verb.MOUNT, credentials=Credentials.RIGHT, source=Place.FOREIGN),
    Lack(Client.PODMAN, verb=Verb.MOUNT, credentials=Credentials.RIGHT, source=Place.FOREIGN),
    Lack(Client.BUILDAH, verb=Verb.MOUNT, credentials=Credentials.RIGHT, source=Place.FOREIGN),
    Lack(Client.SKOPEO, verb=Verb.MOUNT, credentials=Credentials.RIGHT, source=Place.FOREIGN),
)


def cells() -> Iterator[Cell]:
    """The table of all clients, one client after the other."""
    for client in Client:
        for row in ROWS:
            cell = Cell(client, row)
            if not any(lack.covers(cell) for lack in CANNOT):
                yield cell
