"""A random sequence of calls to two registries, in which no answer may differ without a reason.

Few repositories, blobs and tags, so that calls meet what earlier ones left.
"""

import json
from collections.abc import Iterable

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from tests.peers.call import Call, Session
from tests.peers.row import Row
from tests.peers.rows_that_read import READING
from tests.peers.stock import ACCEPT, BLOBS, MANIFESTS, REFUSED, REPOSITORIES, Document, Shelf
from tests.peers.twins import Twins
from tests.support.registry import sha256, sha512

STEPS = 30

repositories = st.sampled_from(REPOSITORIES)
blobs = st.sampled_from(sorted(BLOBS))
manifests = st.sampled_from(sorted(MANIFESTS))
tags = st.sampled_from(["v1", "v10", "V1", "_x", "latest"])
reading = st.sampled_from(["GET", "HEAD"])
# Pieces of which "hello world" can be made, beside others.
CHUNKS = {"none": b"", "hello": b"hello", "world": b" world", "all": b"hello world", "large": BLOBS["large"]}
chunks = st.sampled_from(sorted(CHUNKS))
ranges = st.sampled_from(
    ["bytes=0-0", "bytes=3-", "bytes=-5", "bytes=-0", "bytes=0-400000", "bytes=5-2", "bytes=400000-", "bytes=x"]
)
accepts = st.sampled_from([ACCEPT, ACCEPT, ACCEPT, ACCEPT, ""])
pages = st.fixed_dictionaries(
    {},
    optional={"n": st.sampled_from(["0", "1", "2", "100", "x"]), "last": st.sampled_from(["", "V1", "v1", "v5", "zz"])},
)
picks = st.integers(0, 11)
MOST_PICKS = 9
# The condition of a read; the question mark is what it asks for.
conditions = st.sampled_from([None, None, None, '"?"', '"sha256:0"'])


class Conversation(RuleBasedStateMachine):
    """One sequence. The model of what is right is the peer."""

    twins: Twins

    @initialize()
    def begin(self) -> None:
        """Repositories that neither has seen."""
        self.shelf = Shelf(self.twins)
        self.start_over()

    def start_over(self) -> None:
        """Leave behind what the two no longer agree on, and begin with one image."""
        self.twins.begin(*REPOSITORIES)
        self.sessions: list[Session] = []
        self.held: list[tuple[str, str]] = []  # what was pushed: repositories, and paths in them; deleted ones too
        self.wide: set[str] = set()  # paths of blobs that were pushed by sha512, by either name
        self.push("a", "oci", "v1")

    def send(self, call: Call, *held: tuple[str, str]) -> None:
        """Ask both, and start over where they part. `held` is what they have afterwards if they created something."""
        pair, _ = self.twins.send(call)
        if pair.parts_ways:
            self.start_over()
        elif pair.statuses == (201, 201):
            self.held += held

    def choose(self, pick: int, repository: str, kind: str, reference: str) -> str:
        """The path of something that was pushed, for most picks; or of this."""
        held = [self.path(*there) for there in self.held if there[1].startswith(kind)]
        return held[pick % len(held)] if held and pick < MOST_PICKS else self.path(repository, f"{kind}/{reference}")

    def put_on_shelf(self, repository: str, blobs: Iterable[str], manifests: Iterable[str] = (), tag: str = "") -> None:
        """Remember what was pushed."""
        self.held += [(repository, f"blobs/{sha256(BLOBS[blob])}") for blob in blobs]
        self.held += [(repository, f"manifests/{sha256(MANIFESTS[name].content)}") for name in manifests]
        self.held += [(repository, f"manifests/{tag}")] if tag else []

    def path(self, repository: str, rest: str) -> str:
        """Below a repository of this generation."""
        return f"/v2/{self.twins.name(repository)}/{rest}"

    def session(self, pick: int) -> Session:
        """One of those that were opened, the closed and cancelled among them."""
        return self.sessions[pick % len(self.sessions)]

    @rule(repository=repositories, manifest=manifests, tag=tags)
    def push(self, repository: str, manifest: str, tag: str) -> None:
        """All of an image or index, as a client does."""
        self.shelf.pushed.clear()
        self.shelf.push_manifest(repository, manifest, tag)
        document = MANIFESTS[manifest]
        self.put_on_shelf(repository, document.blobs, (manifest, *document.manifests), tag)

    @rule(repository=repositories, blob=blobs)
    def push_blob(self, repository: str, blob: str) -> None:
        """One blob, again and again."""
        self.shelf.pushed.clear()
        self.shelf.push_blob(repository, blob)
        self.put_on_shelf(repository, [blob])

    @rule(repository=repositories, manifest=manifests, tag=tags, by_digest=st.booleans())
    def put_manifest(self, repository: str, manifest: str, tag: str, *, by_digest: bool) -> None:
        """A manifest alone, whether what it names is there or not."""
        document = MANIFESTS[manifest]
        reference = sha256(document.content) if by_digest else tag
        self.send(self.shelf.put(repository, reference, document), (repository, f"manifests/{reference}"))

    @rule(repository=repositories, refused=st.sampled_from(sorted(REFUSED.keys() - {"too large"})), tag=tags)
    def put_nonsense(self, repository: str, refused: str, tag: str) -> None:
        """What is no manifest, or is one sent as something else."""
        self.send(self.shelf.put(repository, tag, Document(*REFUSED[refused])))

    @rule(repository=repositories, hint=st.sampled_from(["", "", "sha512"]), pieces=st.lists(chunks, max_size=3))
    def open_session(self, repository: str, hint: str, pieces: list[str]) -> None:
        """An upload session, with or without a hint at its digest, and its first chunks."""
        query = [("digest-algorithm", hint)] if hint else []
        session, _ = self.twins.open_session(self.twins.name(repository), query)
        assert session is not None
        self.sessions.append(session)
        for piece in pieces:
            self.send(Call("PATCH", body=CHUNKS[piece], session=session))

    @precondition(lambda self: self.sessions)
    @rule(pick=picks, chunk=chunks, place=st.sampled_from([None, None, 0, 0, 1, -5]), old=st.booleans())
    def patch(self, pick: int, chunk: str, place: int | None, *, old: bool) -> None:
        """A chunk; where `place` is not None, with its offset, so far from where it should be."""
        session = self.session(pick)
        headers = {"Content-Type": "application/octet-stream"}
        first = len(session.received) + (place or 0)
        body = CHUNKS[chunk]
        if place is not None and body and first >= 0:
            headers["Content-Range"] = f"{first}-{first + len(body) - 1}"
        self.send(Call("PATCH", headers=headers, body=body, session=session, is_old_address=old and pick == 0))

    @precondition(lambda self: self.sessions)
    @rule(
        pick=picks,
        chunk=chunks,
        digest=st.sampled_from(["right", "right", "right", "sha512", "wrong", "malformed", "absent"]),
    )
    def close(self, pick: int, chunk: str, digest: str) -> None:
        """The end of a session, with a last chunk."""
        session = self.session(pick)
        content = session.received + CHUNKS[chunk]
        names = {
            "right": sha256(content),
            "sha512": sha512(content),
            "wrong": sha256(content + b"?"),
            "malformed": "sha256:0",
        }
        query = [("digest", names[digest])] if digest in names else []
        repository = session.repository.removeprefix(self.twins.name(""))
        held = [(repository, f"blobs/{names[name]}") for name in ("right", "sha512")]
        if digest == "sha512":
            self.wide |= {self.path(*there) for there in held}
        self.send(Call("PUT", query=query, body=CHUNKS[chunk], session=session), *held)

    @precondition(lambda self: self.sessions)
    @rule(pick=picks, method=reading, old=st.booleans(), repository=st.one_of(st.none(), repositories))
    def status(self, pick: int, method: str, repository: str | None, *, old: bool) -> None:
        """How much has come, also asked in another repository or at an older address."""
        session = self.session(pick)
        foreign = repository and self.twins.name(repository)
        foreign = None if foreign == session.repository else foreign
        self.send(Call(method, session=session, is_old_address=old, foreign=foreign))

    @precondition(lambda self: self.sessions)
    @rule(pick=picks)
    def cancel(self, pick: int) -> None:
        """The session's end without a blob."""
        self.send(Call("DELETE", session=self.session(pick)))

    @rule(repository=repositories, source=repositories, blob=blobs)
    def mount(self, repository: str, source: str, blob: str) -> None:
        """A blob of another repository, or else a session."""
        query = [("mount", sha256(BLOBS[blob])), ("from", self.twins.name(source))]
        session, pair = self.twins.open_session(self.twins.name(repository), query)
        if session is not None:
            self.sessions.append(session)
        elif pair.statuses == (201, 201):
            self.held.append((repository, f"blobs/{sha256(BLOBS[blob])}"))

    @rule(method=reading, pick=picks, repository=repositories, tag=tags, accept=accepts, condition=conditions)
    def read_manifest(
        self, method: str, pick: int, repository: str, tag: str, accept: str, condition: str | None
    ) -> None:
        """By tag or digest."""
        headers = {"Accept": accept} if accept else {}
        path = self.choose(pick, repository, "manifests", tag)
        headers |= {"If-None-Match": condition.replace("?", path.rpartition("/")[2])} if condition else {}
        self.send(Call(method, path, headers=headers))

    @rule(
        method=reading,
        pick=picks,
        repository=repositories,
        blob=blobs,
        parts=st.lists(ranges, max_size=6),
        condition=conditions,
    )
    def read_blob(
        self, method: str, pick: int, repository: str, blob: str, parts: list[str], condition: str | None
    ) -> None:
        """A blob, and parts of it."""
        path = self.choose(pick, repository, "blobs", sha512(BLOBS[blob]))
        condition = condition and condition.replace("?", path.rpartition("/")[2])
        self.send(Call(method, path, headers={"If-None-Match": condition} if condition else {}))
        for part in parts:
            self.send(Call(method, path, headers={"Range": part}))

    @rule(row=st.sampled_from(READING))
    def read_anything(self, row: Row) -> None:
        """A row of tests/peers/rows_that_read.py, where its content may be there or not."""
        self.send(row.call(self.shelf.words(), None))

    @rule(pick=picks, repository=repositories, tag=tags)
    def delete_manifest(self, pick: int, repository: str, tag: str) -> None:
        """By digest, its tags with it; or by tag, the tag alone."""
        self.send(Call("DELETE", self.choose(pick, repository, "manifests", tag)))

    @rule(pick=picks, repository=repositories, blob=blobs)
    def delete_blob(self, pick: int, repository: str, blob: str) -> None:
        """From one repository, also while a manifest names it."""
        path = self.choose(pick, repository, "blobs", sha512(BLOBS[blob]))
        is_wide = path in self.wide
        self.send(Call("DELETE", path))
        if is_wide:  # see "a blob is gone by all its names"
            self.start_over()

    @rule(method=reading, repository=repositories, page=pages)
    def list_tags(self, method: str, repository: str, page: dict[str, str]) -> None:
        """A page of the tags."""
        self.send(Call(method, self.path(repository, "tags/list"), list(page.items())))

    @rule(page=pages)
    def list_repositories(self, page: dict[str, str]) -> None:
        """A page of the catalog, from this generation on: it is the last."""
        last = ("last", f"{self.twins.prefix}/{page.get('last', '')}")
        number = [("n", page["n"])] if "n" in page else []
        self.send(Call("GET", "/v2/_catalog", [*number, last]))

    def teardown(self) -> None:
        """Whatever happened: both hold the same now."""
        if not hasattr(self, "sessions"):
            return
        # What the catalog shows may differ with reason; ours has to agree with ours.
        catalog, _ = self.twins.send(Call("GET", "/v2/_catalog", [("last", f"{self.twins.prefix}/")]))
        listed = json.loads(catalog.ours.body)["repositories"]
        for repository in REPOSITORIES:
            tags, _ = self.twins.send(Call("GET", self.path(repository, "tags/list")))
            assert tags.ours.is_success == (self.twins.name(repository) in listed), self.twins.log
        for repository, rest in dict.fromkeys(self.held):
            self.send(Call("GET", self.path(repository, rest), headers={"Accept": ACCEPT}))


def converse(twins: Twins, sequences: settings) -> None:
    """Run as many sequences as the settings say."""

    class Both(Conversation):
        pass

    Both.twins = twins
    run_state_machine_as_test(
        Both,
        settings=settings(sequences, stateful_step_count=STEPS, deadline=None, suppress_health_check=list(HealthCheck)),
    )
