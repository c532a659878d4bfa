"""A push outlives its token, but not its user: removed, disabled or revoked, the session is theirs no more."""

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from authproxy.token.jws import seal, to_json
from authproxy.token.keyring import KeyRing
from authproxy.token.verifier import OWN_LEEWAY_S
from tests.support.people import ALICE, BOB, User
from tests.support.program import environment, succeed
from tests.support.server import AUTHPROXY, KNOWN_WITHIN_S, Server, running_server

LIFE_S = 3.0


def dying_token(server: Server, user: User) -> str:
    """A token as the server issues them, which is refused in LIFE_S: the server's own key signs it."""
    with server.client() as client:
        asked = {"scope": f"repository:{user.name}/app:pull,push"}
        token = client.get("/token", params=asked, auth=(user.name, user.password)).json()["token"]
    header, claims = token.split(".")[:2]
    told = json.loads(base64.urlsafe_b64decode(claims + "=="))
    told["exp"] = time.time() + LIFE_S - OWN_LEEWAY_S
    key = KeyRing.open(server.folder / "data" / "keys").signing()
    return seal(header.encode(), to_json(told).encode(), key.sign)


@contextmanager
def pushing(server: Server, user: User) -> Iterator[tuple[httpx.Client, str]]:
    """A client whose token has expired, and the upload session that it opened with this token."""
    with server.client() as client:
        client.headers["Authorization"] = f"Bearer {dying_token(server, user)}"
        opened = client.post(f"/v2/{user.name}/app/blobs/uploads/")
        assert opened.status_code == 202, opened.text
        deadline = time.monotonic() + LIFE_S + KNOWN_WITHIN_S
        while client.get("/v2/").status_code != 401:
            assert time.monotonic() < deadline, "the token does not expire"
            time.sleep(0.1)
        yield client, opened.headers["location"]


@pytest.mark.parametrize("command", [("user", "remove"), ("user", "disable"), ("token", "revoke")], ids=" ".join)
def test_an_expired_token_pushes_until_its_user_is_gone(tmp_path: Path, command: tuple[str, str]) -> None:
    with running_server(tmp_path / "server") as server:
        server.add_user(ALICE.name, ALICE.password)
        server.add_user(BOB.name, BOB.password)
        with pushing(server, ALICE) as (alice, opened), pushing(server, BOB) as (bob, his):
            answer = alice.patch(opened, content=b"he")
            assert answer.status_code == 202, answer.text
            hers = answer.headers["location"]
            succeed(AUTHPROXY, *command, ALICE.name, env=environment(server.folder), cwd=server.folder)
            deadline = time.monotonic() + KNOWN_WITHIN_S
            while (answer := alice.get(hers)).status_code != 401:
                assert time.monotonic() < deadline, f"{answer.status_code}\n{server.output}"
                time.sleep(0.1)
            assert alice.patch(hers, content=b"llo").status_code == 401
            assert alice.put(hers, params=httpx.URL(hers).params.set("digest", "sha256:" + "a" * 64)).status_code == 401
            assert alice.delete(hers).status_code == 401
            assert bob.patch(his, content=b"hello").status_code == 202
