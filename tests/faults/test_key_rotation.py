"""Keys that change under a running server: every token that one worker signs is good at the other, at every moment."""

import datetime as dt
import json
import time
from pathlib import Path

import httpx

from authproxy.token.keyfiles import make_key
from tests.support.server import ADMIN, ADMIN_PASSWORD, Server, running_server
from tests.support.tokens import read

ROTATIONS = 20
EVERY_S = 0.25
# Workers know a key two seconds after it is there; the rest is for a busy machine.
SIGNS_AFTER_S = 5.0
WITHIN_S = 60.0


def add_key(keys: Path) -> str:
    """What `authproxy key rotate` does, with a wait that a test has the time for, and to the fraction of a second."""
    moment = time.time() + SIGNS_AFTER_S
    kid = make_key(keys, "ES256", created=time.time(), signs_from=moment).kid
    metadata = json.loads((keys / f"{kid}.json").read_text())
    metadata["signs_from"] = dt.datetime.fromtimestamp(moment, dt.UTC).isoformat()
    (keys / f".{kid}").write_text(json.dumps(metadata))
    (keys / f".{kid}").replace(keys / f"{kid}.json")
    return kid


def fetch_token(server: Server) -> str:
    """From whichever worker takes the connection."""
    with server.client() as client:
        answer = client.get("/token", auth=(ADMIN, ADMIN_PASSWORD))
    assert answer.status_code == httpx.codes.OK, answer.text
    token: str = answer.json()["token"]
    return token


def check(server: Server, token: str) -> None:
    """That whichever worker takes the connection takes the token."""
    with server.client() as client:
        answer = client.get("/v2/", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == httpx.codes.OK, f"{read(token, 0)['kid']} is refused: {answer.text}\n{server.output}"


def test_no_request_fails_during_twenty_rotations(tmp_path: Path) -> None:
    with running_server(tmp_path / "server", {"REGISTRY_HTTP_WORKERS": "2"}) as server:
        keys = server.folder / "data" / "keys"
        added: list[str] = []
        tokens: dict[str, str] = {}
        deadline, due = time.monotonic() + WITHIN_S, time.monotonic()
        while not added or added[-1] not in tokens or len(added) < ROTATIONS:
            assert time.monotonic() < deadline, server.output
            if len(added) < ROTATIONS and time.monotonic() >= due:
                added.append(add_key(keys))
                due += EVERY_S
            token = fetch_token(server)
            tokens[read(token, 0)["kid"]] = token
            check(server, token)
        for token in tokens.values():
            check(server, token)
        assert len(tokens) > ROTATIONS / 2, "the rotations passed unseen"
