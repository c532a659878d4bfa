"""The queue of password checks: which one is next, and which one is refused if too many wait.

Clients take turns, however many checks of each are waiting. Those that have logged in before get every other turn. If
the queue is full, the newest check of the client with the most checks is refused. None of this depends on whether a
name exists. See docs/decisions/0045-share-the-password-queue.md.
"""

from collections.abc import Sequence
from typing import NamedTuple, Self

from authproxy.budget import KNOWN_CLIENT_SHARE, STRANGERS_SHARE


class Turn:
    """A check that waits or runs. It counts for `client`; `is_known`: a login from there has succeeded."""

    __slots__ = ("client", "is_known", "name", "start")

    def __init__(self, client: str, name: str, start: int, *, is_known: bool) -> None:
        self.client = client
        self.name = name
        self.start = start
        self.is_known = is_known

    def __repr__(self) -> str:
        return f"<Turn {self.start} of {self.client!r}>"


class Joined(NamedTuple):
    """A check's place in the queue, and the check that lost its place to it."""

    turn: Turn
    displaced: Turn | None


class Turns:
    """The queue: at most `most` checks wait or run, `most_of_name` of them for one name.

    Fair queueing by start times: each check of a client starts one round after the client's last one, and no earlier
    than the current round. The lowest goes first.
    """

    def __init__(self, most: int, most_of_name: int) -> None:
        self._most = most
        self._most_of_name = most_of_name
        self._waiting: list[Turn] = []  # in order of arrival
        self._running: list[Turn] = []
        self._rounds = {True: 0, False: 0}  # of clients that have logged in before, and of strangers
        self._known_is_next = True

    def join(self, client: str, name: str, *, is_known: bool) -> Joined | None:
        """Wait for a turn; None if this check is refused."""
        displaced = None
        of_name = [turn for turn in self._waiting if turn.name == name]
        running_of_name = sum(turn.name == name for turn in self._running)
        if len(of_name) + running_of_name >= self._most_of_name:
            displaced = _find_over_share(of_name, client, _Privilege.of(self._most_of_name, is_known=is_known))
            if displaced is None:
                return None
        elif len(self._waiting) + len(self._running) >= self._most:
            displaced = _find_over_share(self._waiting, client, _Privilege.of(self._most, is_known=is_known))
            if displaced is None:
                return None
        if displaced is not None:
            self._waiting.remove(displaced)
        own = [turn.start for turn in (*self._waiting, *self._running) if turn.client == client]
        turn = Turn(client, name, max(self._rounds[is_known], max(own, default=-1) + 1), is_known=is_known)
        self._waiting.append(turn)
        return Joined(turn, displaced)

    def begin(self) -> Turn | None:
        """The check whose turn it is, which runs from now on; None if none waits."""
        if not self._waiting:
            return None
        lane = [turn for turn in self._waiting if turn.is_known is self._known_is_next] or self._waiting
        turn = min(lane, key=_start)
        self._known_is_next = not turn.is_known
        self._rounds[turn.is_known] = turn.start
        self._waiting.remove(turn)
        self._running.append(turn)
        return turn

    def leave(self, turn: Turn) -> None:
        """Remove a check that has ended or been given up."""
        (self._running if turn in self._running else self._waiting).remove(turn)


class _Privilege(NamedTuple):
    """When a newcomer may displace strangers."""

    own: int = 0  # while its client has fewer checks than this,
    theirs: int = 0  # and strangers have more than this

    @classmethod
    def of(cls, most: int, *, is_known: bool) -> Self:
        """The privilege in a queue of `most` checks."""
        parts = (max(1, int(most * part)) for part in (KNOWN_CLIENT_SHARE, STRANGERS_SHARE))
        return cls(*parts) if is_known else cls()


def _find_over_share(waiting: Sequence[Turn], client: str, privilege: _Privilege) -> Turn | None:
    """The check that a newcomer of `client` displaces: the newest one of the client with the most checks.

    That client must have at least two more than the newcomer's client, or nothing would become fairer. Within its
    privilege, the newcomer displaces a check of a stranger in any case. None: the newcomer itself is refused.
    """
    counts: dict[str, int] = {}
    for turn in waiting:
        counts[turn.client] = counts.get(turn.client, 0) + 1
    own = counts.get(client, 0)
    strangers = [turn for turn in waiting if not turn.is_known]
    if own < privilege.own and len(strangers) > privilege.theirs:
        most = max(counts[turn.client] for turn in strangers)
        return next(turn for turn in reversed(strangers) if counts[turn.client] == most)
    most = max(counts.values(), default=0)
    if most < own + 2:
        return None
    return next(turn for turn in reversed(waiting) if counts[turn.client] == most)


def _start(turn: Turn) -> int:
    return turn.start
