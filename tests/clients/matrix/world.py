"""The server of the matrix, with its rules, its people and what it holds before the first deed."""

import datetime as dt
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import httpx
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from authproxy.principal import Principal
from authproxy.token.keyring import KeyRing
from authproxy.token.refresh import RefreshTokens
from tests.clients.matrix.driver import TAG, Login, Setting
from tests.clients.matrix.table import Credentials, Place
from tests.support.image import make_image, push_image
from tests.support.people import ALICE, BOB
from tests.support.program import environment, succeed
from tests.support.served import ISSUER, SERVICE
from tests.support.server import ADMIN, ADMIN_PASSWORD, AUTHPROXY, Server, running_server
from tests.support.tokens import forge, read

KNOWN_WITHIN_S = 10.0
MINUTE_S = 60
HOUR_S = 60 * MINUTE_S

REASON = "Only the release job publishes here."
POLICY = f"""\
version: 1
rules:
  - name: operators
    allow: ["*"]
    to: {{groups: [admins]}}
    on: {{repositories: ["**"]}}
  - name: public
    allow: [pull]
    to: {{everyone: true}}
    on: {{repositories: ["public/**"]}}
  - name: own space
    allow: [pull, push, delete]
    to: {{signed-in: true}}
    on: {{repositories: ["{{user}}/**"]}}
  - name: releases
    description: {REASON}
    deny: [push, delete]
    to: {{groups: [people], anonymous: true}}
    on: {{repositories: ["public/**"]}}
"""


@dataclass(frozen=True, slots=True)
class World:
    """The running server, and what it can be asked from behind."""

    setting: Setting
    logins: dict[Credentials, Login]
    operator: httpx.Client = field(repr=False)  # may do everything

    def seed(self, repository: str) -> None:
        """Put an image there that may be deleted."""
        push_image(self.operator, repository, TAG, self.setting.bases[f"{Place.OWN}/base"])

    def digest(self, repository: str) -> str | None:
        """What the tag stands for, or None where there is none."""
        answer = self.operator.head(f"/v2/{repository}/manifests/{TAG}")
        return answer.headers["docker-content-digest"] if answer.status_code == httpx.codes.OK else None

    def was_mounted(self, repository: str) -> bool:
        """Whether a blob came into this repository by a mount; by the access log, in which each line stands at last."""
        deadline = time.monotonic() + KNOWN_WITHIN_S
        path = rf"path=/v2/{re.escape(repository)}"
        while not re.search(rf"method=PUT {path}/manifests/{TAG} status=201", said := self.setting.server.output):
            assert time.monotonic() < deadline, f"no manifest was pushed to {repository}"
            time.sleep(0.05)
        return re.search(rf"method=POST {path}/blobs/uploads/ status=201", said) is not None


@contextmanager
def running_world(folder: Path) -> Iterator[World]:
    """The world for the length of a block."""
    (folder / "policies").mkdir(parents=True)
    (folder / "policies" / "matrix.yaml").write_text(POLICY)
    with running_server(folder) as server, server.client() as operator:
        operator.auth = httpx.BasicAuth(ADMIN, ADMIN_PASSWORD)
        server.add_user(ALICE.name, ALICE.password, "people")
        server.add_user(BOB.name, BOB.password, "people")
        names = [f"{place}/{name}" for place in Place for name in ("app", "base")]
        # New in every run: skopeo remembers on this machine, past the run, which registry has which layer.
        run_mark = uuid4().hex
        setting = Setting(
            server=server,
            right=Login(ALICE.name, ALICE.password),
            bases={name: make_image(f"{name} {run_mark}") for name in names},
            fresh=make_image(f"fresh {run_mark}"),
        )
        for name, image in setting.bases.items():
            push_image(operator, name, TAG, image)
        expired, refreshed = _expired(server), _refresh_token(server)
        logins = {
            Credentials.ANONYMOUS: Login(),
            Credentials.RIGHT: setting.right,
            Credentials.WRONG: Login(ALICE.name, BOB.password),
            Credentials.EXPIRED: Login(access_token=expired),
            Credentials.RENEWED: Login(ALICE.name, ALICE.password, access_token=expired),
            Credentials.ENDED: Login(ALICE.name, refresh_token=_ended(server, refreshed)),
            Credentials.REFRESHED: Login(ALICE.name, refresh_token=refreshed),
        }
        yield World(setting, logins, operator)


def _refresh_token(server: Server) -> str:
    """What a login leaves with the client."""
    with server.client() as client:
        answer = client.get("/token", params={"offline_token": "true"}, auth=(ALICE.name, ALICE.password))
        assert answer.status_code == httpx.codes.OK, answer.text
        return str(answer.json()["refresh_token"])


def _ended(server: Server, refresh_token: str) -> str:
    """A refresh token like this one, of a login two hours ago, after all logins until an hour ago were revoked."""
    ring = KeyRing.open(_keys(server))
    refresh = RefreshTokens(ring.secret("refresh tokens"), issuer=ISSUER, service=SERVICE)
    read = refresh.read(refresh_token)
    old = refresh.issue(Principal(read.subject, stamp=read.stamp), int(time.time()) - 2 * HOUR_S)
    moment = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=HOUR_S)
    form = {"grant_type": "refresh_token", "refresh_token": old}
    deadline = time.monotonic() + KNOWN_WITHIN_S
    with server.client() as client:
        assert client.post("/token", data=form).status_code == httpx.codes.OK  # it is good but for the revocation
        arguments = ("token", "revoke", ALICE.name, "--before", moment.isoformat(timespec="seconds"))
        succeed(AUTHPROXY, *arguments, env=environment(server.folder), cwd=server.folder)
        while client.post("/token", data=form).status_code != httpx.codes.UNAUTHORIZED:
            assert time.monotonic() < deadline, "the revoked login goes on"
            time.sleep(0.1)
    return old


def _expired(server: Server) -> str:
    """An access token that the server signs now, as it would have signed it ten minutes before it ran out."""
    wanted = {"scope": f"repository:{Place.OWN}/app:pull,push,delete"}
    with server.client() as client:
        token = client.get("/token", params=wanted, auth=(ALICE.name, ALICE.password)).json()["token"]
    header, claims = read(token, 0), read(token, 1)
    earlier = {name: claims[name] - claims["exp"] + int(time.time()) - 10 * MINUTE_S for name in ("iat", "nbf", "exp")}
    key = load_pem_private_key((_keys(server) / f"{header['kid']}.pem").read_bytes(), None)
    return forge(header, claims | earlier, key)


def _keys(server: Server) -> Path:
    return server.folder / "data" / "keys"
