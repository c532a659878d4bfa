"""A ring that changes under several nodes, by a clock that is set."""

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from cryptography.exceptions import InvalidSignature
from hypothesis import given, settings
from hypothesis import strategies as st

from authproxy.access import Grant, InvalidToken, pull
from authproxy.authorization import Bearer
from authproxy.errors import StartError
from authproxy.principal import Principal
from authproxy.token.issuer import Issuer
from authproxy.token.keyring import JWKS_MAX_AGE_S, KeyRing
from authproxy.token.rotation import KNOWN_TO_ALL_S, KNOWN_TO_NODES_S, outlives, retire, rotate
from authproxy.token.verifier import own_verifier
from tests.support.tokens import START, FakeClock, read

LIFETIME_S = 300
GRANT = Grant("alice", frozenset({pull("a")}), Principal("alice"))


class Node:
    """A ring of its own over the shared folder, with what signs and verifies by it."""

    def __init__(self, folder: Path, clock: Callable[[], float]) -> None:
        self.ring = KeyRing.open(folder, now=clock)
        self.issuer = Issuer(self.ring, "issuer", "registry", LIFETIME_S, clock)
        self._clock = clock

    def issue(self) -> str:
        """A token by the key that signs now."""
        return self.issuer.issue(Principal("alice"), [pull("a")]).token

    def verify(self, token: str) -> Grant:
        """By a verifier that remembers nothing."""
        return own_verifier(self.ring, issuer="issuer", service="registry", now=self._clock).verify(Bearer(token))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def folder(tmp_path: Path, clock: FakeClock) -> Path:
    KeyRing.open(tmp_path / "keys", now=clock)
    return tmp_path / "keys"


@pytest.fixture
def nodes(folder: Path, clock: FakeClock) -> tuple[Node, Node]:
    return Node(folder, clock), Node(folder, clock)


def kid_of(token: str) -> str:
    return str(read(token, 0)["kid"])


def test_a_new_key_signs_only_after_the_last_key_set_without_it_has_ended(folder: Path) -> None:
    key = rotate(folder, "ES256", now=START)
    assert key.signs_from >= START + 2 + JWKS_MAX_AGE_S
    assert key.signs_from == START + KNOWN_TO_ALL_S


def test_without_the_wait_for_key_sets_our_own_nodes_are_waited_for(folder: Path) -> None:
    assert rotate(folder, "ES256", now=START, for_nodes_alone=True).signs_from == START + KNOWN_TO_NODES_S


def test_a_fraction_of_a_second_makes_no_wait_shorter(folder: Path) -> None:
    assert rotate(folder, "ES256", now=START + 0.4).signs_from == START + KNOWN_TO_ALL_S + 1


def test_both_nodes_sign_with_the_new_key_from_the_same_moment_on(
    folder: Path, nodes: tuple[Node, Node], clock: FakeClock
) -> None:
    new = rotate(folder, "EdDSA", now=clock()).kid
    for node in nodes:
        node.ring.refresh()
    clock.now = START + KNOWN_TO_ALL_S - 1
    before = [node.issue() for node in nodes]
    clock.now += 1
    after = [node.issue() for node in nodes]
    assert new not in map(kid_of, before)
    assert {kid_of(token) for token in after} == {new}
    assert all(node.verify(token) == GRANT for node in nodes for token in [*before, *after])


def test_the_last_token_of_a_key_is_good_until_it_expires(
    folder: Path, nodes: tuple[Node, Node], clock: FakeClock
) -> None:
    old = nodes[0].ring.signing().kid
    rotate(folder, "ES256", now=clock(), for_nodes_alone=True)
    clock.now += KNOWN_TO_NODES_S
    nodes[0].ring.refresh()
    retire(folder, old, now=clock(), after_s=outlives(LIFETIME_S))
    nodes[0].ring.refresh()
    assert kid_of(nodes[0].issue()) != old, "a key whose end is set signs no more"
    clock.now += 2  # the other node has not looked yet
    token = nodes[1].issue()
    assert kid_of(token) == old
    clock.now += LIFETIME_S
    for node in nodes:
        node.ring.refresh()
        assert node.verify(token) == GRANT
    clock.now += 60
    for node in nodes:
        with pytest.raises(InvalidToken):
            node.verify(token)


def test_retired_at_once_its_tokens_are_refused_at_once(
    folder: Path, nodes: tuple[Node, Node], clock: FakeClock
) -> None:
    old = nodes[0].ring.signing().kid
    token = nodes[0].issue()
    rotate(folder, "ES256", now=clock(), for_nodes_alone=True)
    clock.now += KNOWN_TO_NODES_S
    retired = retire(folder, old, now=clock(), after_s=0)
    nodes[1].ring.refresh()
    with pytest.raises(InvalidToken, match="trusted keys: "):
        nodes[1].verify(token)
    assert retired.signing == nodes[1].ring.signing().kid


def test_a_key_that_does_not_sign_yet_may_go(folder: Path, nodes: tuple[Node, Node]) -> None:
    next_one = rotate(folder, "ES256", now=START)
    assert retire(folder, next_one.kid, now=START, after_s=0).signing == nodes[0].ring.signing().kid


def refuse_the_only_key(folder: Path, own: str) -> str:
    del folder
    return own


def refuse_the_one_whose_successor_waits(folder: Path, own: str) -> str:
    rotate(folder, "ES256", now=START)
    return own


def refuse_the_one_beside_a_key_that_ends(folder: Path, own: str) -> str:
    other = rotate(folder, "ES256", now=START)
    retire(folder, other.kid, now=START, after_s=1000)
    return own


def refuse_what_is_retired(folder: Path, own: str) -> str:
    del own
    other = rotate(folder, "ES256", now=START)
    retire(folder, other.kid, now=START, after_s=10)
    return other.kid


def refuse_an_unknown_one(folder: Path, own: str) -> str:
    del folder, own
    return "../secret"


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (refuse_the_only_key, "is the only key that signs; add one first"),
        (refuse_the_one_whose_successor_waits, r"until 2027-01-15T08:05:12Z"),
        (refuse_the_one_beside_a_key_that_ends, "is the only key that signs; add one first"),
        (refuse_what_is_retired, "is already retired from 2027-01-15T08:00:10Z on"),
        (refuse_an_unknown_one, "there is no key"),
    ],
)
def test_a_key_that_cannot_go_stays(folder: Path, prepare: Callable[[Path, str], str], reason: str) -> None:
    kid = prepare(folder, KeyRing.open(folder, now=FakeClock()).signing().kid)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(StartError, match=reason):
        retire(folder, kid, now=START, after_s=1000)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_an_end_that_is_set_may_come_sooner(folder: Path, clock: FakeClock) -> None:
    other = rotate(folder, "ES256", now=START)
    retire(folder, other.kid, now=START, after_s=1000)
    assert retire(folder, other.kid, now=START + 5, after_s=0).moment == START + 5


def test_a_ring_that_cannot_be_read_does_not_grow(folder: Path) -> None:
    (folder / "broken.json").write_text("{")
    before = set(folder.iterdir())
    with pytest.raises(StartError):
        rotate(folder, "ES256", now=START)
    assert set(folder.iterdir()) == before


# What may happen between two moments: (what, seconds that pass before it). Longer waits let keys and tokens end.
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["rotate", "rotate now", "retire oldest", "retire newest", "refresh 0", "refresh 1", "wait"]),
        st.sampled_from([0.0, 0.3, 0.9, 1.9, 11.0, 150.0, 313.0]),
    ),
    max_size=8,
)


class Cluster:
    """Two nodes that look at the folder at least every two seconds, and all tokens that are good still."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.nodes = [Node(folder, self.clock) for _ in range(2)]
        self.looked = [self.clock(), self.clock()]
        self.tokens: list[tuple[float, str]] = []

    def pass_time(self, seconds: float) -> None:
        """Let time pass in pieces of at most two seconds, after which a node looks that has not for so long.

        In the middle of a long wait nothing but time happens: it is passed at once.
        """
        end = self.clock() + seconds
        if seconds > 20:
            self.pass_time(4)
            self.clock.now = end - 10
            for index in range(len(self.nodes)):
                self.look(index)
        while self.clock() < end:
            self.clock.now = min([end, *(looked + 2 for looked in self.looked)])
            self.check()  # in the worst moment: before they look
            for index, looked in enumerate(self.looked):
                if looked + 2 <= self.clock():
                    self.look(index)

    def look(self, index: int) -> None:
        """What `Watch` does at each look."""
        self.nodes[index].ring.refresh()
        self.looked[index] = self.clock()

    def do(self, what: str) -> None:
        """One step of an operator or a node."""
        now = self.clock()
        match what.split():
            case ["rotate", *words]:
                rotate(self.folder, "ES256", now=now, for_nodes_alone=bool(words))
            case ["retire", which]:
                keys = sorted(self._keys(), key=lambda kid: self._keys()[kid])
                try:
                    retire(self.folder, keys[0 if which == "oldest" else -1], now=now, after_s=outlives(LIFETIME_S))
                except StartError as error:  # the operator is told, and nothing has changed
                    assert "only key" in str(error) or "already" in str(error)
            case ["refresh", index]:
                self.look(int(index))

    def check(self) -> None:
        """Every token that any node signed and that has not expired verifies on every node."""
        now = self.clock()
        self.tokens = [(until, token) for until, token in self.tokens if now < until][-40:]
        for node in self.nodes:
            self.tokens.append((int(now) + LIFETIME_S, node.issue()))
        for node, (_, token) in self._pairs():
            try:
                assert node.verify(token) == GRANT
            except (InvalidToken, InvalidSignature) as error:
                raise AssertionError(f"at {now - START} a node refuses a token of {kid_of(token)}") from error

    def _pairs(self) -> Iterator[tuple[Node, tuple[float, str]]]:
        by_kid = {kid_of(token): (until, token) for until, token in self.tokens}  # the youngest of each key
        return ((node, token) for node in self.nodes for token in by_kid.values())

    def _keys(self) -> dict[str, float]:
        ring = KeyRing.open(self.folder, now=self.clock)
        return {kid: key.signs_from for kid, key in ring.current.items()}


@settings(deadline=None, max_examples=25)
@given(STEPS)
def test_what_any_node_signs_verifies_on_every_node(steps: list[tuple[str, float]]) -> None:
    with TemporaryDirectory() as folder:
        cluster = Cluster(Path(folder) / "keys")
        for what, seconds in steps:
            cluster.pass_time(seconds)
            cluster.do(what)
            cluster.check()
        cluster.pass_time(20)
