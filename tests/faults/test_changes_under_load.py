"""Keys and policies that change under a running server: no request fails, and every version of the rules is in force.

Two workers are asked by new connections all the time, so that what one of them signs or decides meets the other.
"""

import datetime as dt
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from authproxy.token.keyfiles import make_key
from tests.support.image import make_image, push_image
from tests.support.people import ALICE, OPERATOR, User
from tests.support.server import Server, running_server
from tests.support.tokens import read

WORKERS = 2
CHANGES = 20
IN_FORCE_WITHIN_S = 2.0
# Workers know a key two seconds after it is there; the rest is for a busy machine.
SIGNS_AFTER_S = 5.0
WITHIN_S = 30.0

# The whole file is new each time: what the load needs, and what tells this version from the others.
RULES = """\
version: 1
rules:
  - name: alice works in the team
    allow: [pull, push]
    to: {{users: [alice]}}
    on: {{repositories: ["team/**"]}}
  - name: version {number}
    allow: [pull]
    to: {{users: [admin]}}
    on: {{repositories: ["probe/{number}"]}}
  - name: not the version before
    deny: [pull]
    to: {{users: [admin]}}
    on: {{repositories: ["probe/{before}"]}}
"""


@dataclass
class Load:
    """Threads that do their work over and over until the end; the first failure of any is that of the test."""

    server: Server
    ending: threading.Event = field(default_factory=threading.Event)
    rounds: list[str] = field(default_factory=list)  # who did one, in their order
    tokens: dict[str, str] = field(default_factory=dict)  # the last one of each key, by its kid

    def repeat(self, work: Callable[["Load"], None]) -> None:
        """Until the end, or the first failure."""
        while not self.ending.is_set():
            work(self)
            self.rounds.append(work.__name__)

    def fetch_token(self, user: User, scope: str) -> str:
        """From whichever worker takes the connection."""
        with self.server.client() as client:
            answer = client.get("/token", params={"scope": scope}, auth=(user.name, user.password))
        assert answer.status_code == httpx.codes.OK, answer.text
        token: str = answer.json()["token"]
        self.tokens[read(token, 0)["kid"]] = token
        return token

    def with_token(self, token: str) -> httpx.Client:
        """A connection of its own, to whichever worker takes it."""
        client = self.server.client()
        client.headers["Authorization"] = f"Bearer {token}"
        return client


def pushes_and_pulls(load: Load) -> None:
    """Every connection is new, so one worker signs, another takes the push, a third connection reads it back."""
    image = make_image(f"round {len(load.rounds)}")
    token = load.fetch_token(ALICE, "repository:team/app:pull,push")
    with load.with_token(token) as client:
        push_image(client, "team/app", "latest", image)
    with load.with_token(load.fetch_token(ALICE, "repository:team/app:pull")) as client:
        answer = client.get(f"/v2/team/app/manifests/{image.digest}")
        assert (answer.status_code, answer.content) == (httpx.codes.OK, image.manifest), answer.text


def asks_for_tokens(load: Load) -> None:
    """What one worker signs, whichever takes the connection takes."""
    with load.with_token(load.fetch_token(ALICE, "repository:team/app:pull,push")) as client:
        answer = client.get("/v2/team/app/tags/list")
        assert answer.status_code in (httpx.codes.OK, httpx.codes.NOT_FOUND), answer.text  # before the first push


@contextmanager
def under_load(server: Server) -> Iterator[Load]:
    """The threads, for the length of a block; whatever failed in one is raised at its end."""
    load = Load(server)
    with ThreadPoolExecutor() as pool:
        tasks = [pool.submit(load.repeat, work) for work in (pushes_and_pulls, asks_for_tokens)]
        try:
            yield load
        finally:
            load.ending.set()
    for task in tasks:
        task.result()


def write_rules(server: Server, number: int) -> None:
    """In place, as `cat >` does."""
    (server.folder / "policies" / "team.yaml").write_text(RULES.format(number=number, before=number - 1))


def add_key(server: Server) -> str:
    """What `authproxy key rotate` does, with a wait that a test has the time for, and to the fraction of a second."""
    keys = server.folder / "data" / "keys"
    moment = time.time() + SIGNS_AFTER_S
    kid = make_key(keys, "ES256", created=time.time(), signs_from=moment).kid
    metadata = json.loads((keys / f"{kid}.json").read_text())
    metadata["signs_from"] = dt.datetime.fromtimestamp(moment, dt.UTC).isoformat()
    (keys / f".{kid}").write_text(json.dumps(metadata))
    (keys / f".{kid}").replace(keys / f"{kid}.json")
    return kid


def is_in_force(load: Load, number: int) -> bool:
    """Whether a token for both probes has the new one and not the old."""
    scope = f"repository:probe/{number}:pull repository:probe/{number - 1}:pull"
    access = read(load.fetch_token(OPERATOR, scope), 1)["access"]
    return [entry["name"] for entry in access] == [f"probe/{number}"]


def wait_until_in_force(load: Load, number: int, written: float) -> None:
    """The promise: within two seconds every worker has read what was written. Versions are counted from 1."""
    while load.server.output.count("policies loaded") < WORKERS * number:
        assert time.monotonic() < written + IN_FORCE_WITHIN_S, f"version {number} is late:\n{load.server.output}"
        time.sleep(0.02)
    assert all(is_in_force(load, number) for _ in range(3))


def test_no_request_fails_during_twenty_rotations_and_twenty_reloads(tmp_path: Path) -> None:
    with running_server(tmp_path / "server", {"REGISTRY_HTTP_WORKERS": str(WORKERS)}) as server:
        server.add_user(ALICE.name, ALICE.password)
        write_rules(server, 1)
        wait_until_in_force(Load(server), 1, time.monotonic())
        with under_load(server) as load:
            added = [change(load, number) for number in range(2, CHANGES + 2)]
            deadline = time.monotonic() + WITHIN_S
            while added[-1] not in load.tokens:
                assert time.monotonic() < deadline, server.output
                asks_for_tokens(load)
        assert set(added) <= set(load.tokens), "a rotation passed unseen"
        for token in load.tokens.values():
            with load.with_token(token) as client:
                assert client.get("/v2/").status_code == httpx.codes.OK, f"{read(token, 0)['kid']} is refused"
        assert {"pushes_and_pulls", "asks_for_tokens"} <= set(load.rounds), "there was no load"
        assert "the old content stays in force" not in server.output, server.output


def change(load: Load, number: int) -> str:
    """One key more, whose kid is returned, and the next version of the rules."""
    kid = add_key(load.server)
    write_rules(load.server, number)
    wait_until_in_force(load, number, time.monotonic())
    return kid
