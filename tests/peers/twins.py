"""Two registries that are asked the same, ours and a peer, and the judgement on what they answer."""

import http.client
import itertools
import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.peers.call import OURS, THEIRS, Answer, Call, Pair, Session
from tests.peers.differences import DIFFERENCES, Difference
from tests.support.peers import running_docker_registry, running_open_server
from tests.support.people import OPERATOR
from tests.support.server import Server, running_server

TIMEOUT_S = 60.0
# Servers end connections on which nothing is asked for long; the shortest of ours and theirs is two minutes.
MAX_IDLE_S = 60.0
SHOWN_CALLS = 60


class Side:
    """One registry, asked over one connection. `trust` None: plain HTTP.

    `hangs_up`: it ends connections after errors, unannounced, so the next request needs another.
    """

    def __init__(self, name: str, host: str, *, trust: ssl.SSLContext | None = None, hangs_up: bool = False) -> None:
        self.name = name
        self.hangs_up = hangs_up
        self.authorization: str | None = None
        self._asked_at = 0.0
        self._connection: http.client.HTTPConnection = (
            http.client.HTTPConnection(host, timeout=TIMEOUT_S)
            if trust is None
            else http.client.HTTPSConnection(host, timeout=TIMEOUT_S, context=trust)
        )

    def ask(self, call: Call) -> Answer:
        """Send a request as it is and read the whole answer."""
        headers = dict(call.headers)
        if self.authorization is not None:
            headers["Authorization"] = self.authorization
        if time.monotonic() - self._asked_at > MAX_IDLE_S:
            self.close()
        self._asked_at = time.monotonic()
        # One that has heard enough may answer and hang up before all is sent.
        with suppress(BrokenPipeError, ConnectionResetError):
            self._connection.request(call.method, call.target(self.name), call.body or None, headers)
        response = self._connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        try:
            answer = Answer(response.status, found, response.read())
        except http.client.IncompleteRead as cut:
            answer = Answer(response.status, found, cut.partial, is_whole=False)
        if not answer.is_whole or (self.hangs_up and not answer.is_success):
            self.close()
        return answer

    def close(self) -> None:
        """Hang up; the next request dials again."""
        self._connection.close()


@dataclass
class Twins:
    """Asks both and compares. Every call is made in the repositories of one generation, below a prefix of their own.

    Where an accepted difference leaves the two with other content, what follows would differ too: then a new
    generation begins, of repositories that neither has seen.
    """

    ours: Side
    theirs: Side
    authorise: Callable[[Sequence[str]], str | None] = lambda _: None  # repositories → our `Authorization`
    applied: Counter[str] = field(default_factory=Counter)  # by the name of the difference
    log: list[str] = field(default_factory=list)  # what was asked in this generation, for a failed test
    prefix: str = ""
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def begin(self, *names: str) -> None:
        """Go on in a new generation of repositories."""
        self.prefix = f"g{next(self.numbers):05}"
        self.ours.authorization = self.authorise([self.name(name) for name in names])
        self.log.clear()

    def name(self, name: str) -> str:
        """The full name of a repository in this generation."""
        return f"{self.prefix}/{name}"

    def send(self, call: Call) -> tuple[Pair, list[Difference]]:
        """Ask both: their answers, and the accepted differences. Raises AssertionError where they differ otherwise."""
        pair = Pair(call, self.ours.ask(call), self.theirs.ask(call))
        self.log.append(f"{call} → {pair.ours.status}, {pair.theirs.status}")
        found, unexplained = judge(pair)
        assert not unexplained, self._words(pair, unexplained)
        assert pair.ours.status < 500, self._words(pair, {"status"})
        assert pair.ours.is_whole, self._words(pair, {"body"})
        self.applied.update(entry.name for entry in found)
        if call.session is not None:
            _follow(call.session, pair)
        return pair, found

    def open_session(self, repository: str, query: Sequence[tuple[str, str]] = ()) -> tuple[Session | None, Pair]:
        """Ask for an upload session. None where not both opened one."""
        pair, _ = self.send(Call("POST", f"/v2/{repository}/blobs/uploads/", query))
        if pair.statuses != (202, 202):
            return None, pair
        return Session(repository, {OURS: [pair.ours.address], THEIRS: [pair.theirs.address]}), pair

    def _words(self, pair: Pair, aspects: set[str]) -> str:
        differing = pair.differing()
        told = {name: differing[name] for name in sorted(aspects & differing.keys())}
        return "\n".join(
            [
                f"{pair.call}\nno entry of tests/peers/differences.py explains:",
                *(f"  {name}: ours {ours!r}, theirs {theirs!r}" for name, (ours, theirs) in told.items()),
                f"  ours    {pair.ours.status} {pair.ours.body[:300]!r}",
                f"  theirs  {pair.theirs.status} {pair.theirs.body[:300]!r}",
                f"the last {SHOWN_CALLS} calls, and both statuses:",
                *(f"  {line}" for line in self.log[-SHOWN_CALLS:]),
            ]
        )


def judge(pair: Pair) -> tuple[list[Difference], set[str]]:
    """The entries that explain something of how a pair differs, and the aspects that none explains."""
    unexplained = set(pair.differing())
    found = [entry for entry in DIFFERENCES if unexplained & entry.aspects and entry.applies(pair)]
    return found, unexplained.difference(*(entry.aspects for entry in found))


def _follow(session: Session, pair: Pair) -> None:
    for side, answer in ((OURS, pair.ours), (THEIRS, pair.theirs)):
        if answer.status in (202, 204) and "location" in answer.headers:
            session.addresses[side].append(answer.address)
    if pair.call.method == "PATCH" and pair.statuses == (202, 202):
        session.received += pair.call.body
    if pair.call.method == "PUT" and pair.ours.codes == pair.theirs.codes == ("DIGEST_INVALID",):
        session.was_refused = True


@contextmanager
def running_twins(folder: Path) -> Iterator[Twins]:
    """`authproxy serve` and `docker-registry`, open and over plain HTTP, for the length of a block."""
    with (
        running_docker_registry(folder / "theirs") as peer,
        running_open_server(folder / "ours") as server,
        closing(Side(OURS, server.host)) as ours,
        closing(_peer(peer)) as theirs,
    ):
        yield Twins(ours, theirs)


@contextmanager
def running_guarded_twins(folder: Path) -> Iterator[Twins]:
    """The same, but ours has TLS and wants tokens: the embedded default, asked by its admin."""
    with running_docker_registry(folder / "theirs") as peer, running_server(folder / "ours") as server:
        trust = ssl.create_default_context(cafile=str(server.ca))
        with closing(Side(OURS, server.host, trust=trust)) as ours, closing(_peer(peer)) as theirs:
            yield Twins(ours, theirs, partial(_authorise, server))


def _peer(url: str) -> Side:
    return Side(THEIRS, url.removeprefix("http://"), hangs_up=True)


def _authorise(server: Server, repositories: Sequence[str]) -> str:
    scopes = [f"repository:{name}:pull,push,delete" for name in repositories]
    with server.client_for(OPERATOR.name, OPERATOR.password, "registry:catalog:*", *scopes) as client:
        return client.headers["Authorization"]
