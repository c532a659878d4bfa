"""What the pages promise to be in force within two seconds is, on every worker: one test for each kind of file.

A change counts from the moment in which it was written. New connections ask until every one of STEADY_S has the right
answer; a wrong one that was asked for later than promised fails, with a margin for a machine that is busy with other
tests. How long it took is in what the test says (`pytest -rP`).
"""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import bcrypt
import httpx
import pytest
import yaml

from authproxy.http.client.challenge import format_basic
from tests.support.edge import Recorder
from tests.support.program import environment, succeed
from tests.support.server import AUTHPROXY, Server, running_server, wait_until_steady

PROMISED_S = 2.0
MARGIN_S = 8.0
CAROL, PASSWORD, OTHER_PASSWORD = "carol", "carol's password, long", "carol's other password"

RULE = """\
version: 1
rules:
  - name: operators push to the shelf
    allow: [pull, push]
    to: {groups: [operators]}
    on: {repositories: ["shelf/**"]}
"""

# Settings of the second server: users and the upstream's password in files of CNCF Distribution's and our own keys.
CONFIG = """\
version: 0.1
http: {{addr: "127.0.0.1:0", workers: 2}}
auth: {{htpasswd: {{realm: r, path: {folder}/htpasswd}}}}
upstream: {{url: "{url}", authorization: basic, username: front, passwordfile: {folder}/password}}
"""


def in_time(is_right: Callable[[], bool], since: float) -> None:
    """Wait for a change to be in force. `is_right` asks over a new connection; `since`: when it had been written."""
    first_right = wait_until_steady(is_right, since, PROMISED_S + MARGIN_S)
    sys.stdout.write(f"in force after {first_right - since:.2f} s\n")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of two workers, and carol."""
    with running_server(tmp_path_factory.mktemp("promised") / "server", {"REGISTRY_HTTP_WORKERS": "2"}) as running:
        running.add_user(CAROL, PASSWORD)
        yield running


def command(server: Server, *words: str, stdin: str = "") -> float:
    """Run `authproxy …` beside the server: when it had written."""
    succeed(AUTHPROXY, *words, env=environment(server.folder), cwd=server.folder, stdin=stdin)
    return time.monotonic()


def logs_in(server: Server, name: str, password: str) -> bool:
    with server.client() as client:
        return client.get("/token", auth=(name, password)).status_code == httpx.codes.OK


def granted(server: Server, name: str, password: str, scope: str) -> str:
    with server.client() as client:
        form = {"grant_type": "password", "username": name, "password": password, "scope": scope}
        answer = client.post("/token", data=form)
        return str(answer.json().get("scope", ""))


def test_a_password_that_was_changed_in_htpasswd(server: Server) -> None:
    since = command(server, "user", "password", CAROL, "--password-stdin", stdin=OTHER_PASSWORD + "\n")
    in_time(lambda: not logs_in(server, CAROL, PASSWORD) and logs_in(server, CAROL, OTHER_PASSWORD), since)
    since = command(server, "user", "password", CAROL, "--password-stdin", stdin=PASSWORD + "\n")
    in_time(lambda: logs_in(server, CAROL, PASSWORD), since)


def test_a_user_who_was_disabled_in_users_yaml(server: Server) -> None:
    since = command(server, "user", "disable", CAROL)
    in_time(lambda: not logs_in(server, CAROL, PASSWORD), since)
    since = command(server, "user", "enable", CAROL)
    in_time(lambda: logs_in(server, CAROL, PASSWORD), since)


def test_groups_that_an_editor_wrote_into_users_yaml_and_a_policy_for_them(server: Server) -> None:
    scope = "repository:shelf/app:pull,push"
    users = server.folder / "data" / "users.yaml"
    before = users.read_text()
    (server.folder / "policies" / "shelf.yaml").write_text(RULE)
    content = yaml.safe_load(before)
    content["users"][CAROL] = {"groups": ["operators"]}
    users.write_text(yaml.safe_dump(content))
    in_time(lambda: granted(server, CAROL, PASSWORD, scope) == scope, time.monotonic())
    users.write_text(before)
    in_time(lambda: granted(server, CAROL, PASSWORD, scope) == "", time.monotonic())


def test_a_policy_that_was_added_and_removed(server: Server) -> None:
    scope = "repository:attic/app:pull"
    rules = server.folder / "policies" / "attic.yaml"
    rules.write_text(RULE.replace("shelf", "attic").replace("groups: [operators]", f"users: [{CAROL}]"))
    in_time(lambda: granted(server, CAROL, PASSWORD, scope) == scope, time.monotonic())
    rules.unlink()
    in_time(lambda: granted(server, CAROL, PASSWORD, scope) == "", time.monotonic())


def test_a_key_that_was_added(server: Server) -> None:
    def known() -> frozenset[str]:
        with server.client() as client:
            return frozenset(key["kid"] for key in client.get("/.well-known/jwks.json").json()["keys"])

    before = known()
    since = command(server, "key", "rotate")
    in_time(lambda: len(known()) == len(before) + 1, since)


def test_a_revocation(server: Server) -> None:
    with server.client() as client:
        token = client.get("/token", auth=(CAROL, PASSWORD)).json()["token"]
    time.sleep(1.1)  # what is revoked was issued before: seconds count
    since = command(server, "token", "revoke", CAROL)

    def is_refused() -> bool:
        with server.client() as client:
            answer = client.get("/v2/", headers={"Authorization": f"Bearer {token}"})
            return answer.status_code == httpx.codes.UNAUTHORIZED

    in_time(is_refused, since)


def test_a_user_who_was_removed(server: Server) -> None:
    name, password = "dave", "dave's password, long"
    since = command(server, "user", "add", name, "--password-stdin", stdin=password + "\n")
    in_time(lambda: logs_in(server, name, password), since)
    since = command(server, "user", "remove", name)
    in_time(lambda: not logs_in(server, name, password), since)


def test_the_htpasswd_of_distributions_configuration_and_the_upstreams_password(tmp_path: Path) -> None:
    users, password = tmp_path / "htpasswd", tmp_path / "password"
    users.write_text(hashed("erin", "one"))
    password.write_text("first\n")
    with Recorder() as upstream:
        (tmp_path / "config.yml").write_text(CONFIG.format(folder=tmp_path, url=upstream.url))
        arguments = (str(tmp_path / "config.yml"),)
        with running_server(tmp_path / "server", arguments=arguments, has_tls=False) as server:

            def status(word: str) -> int:
                with server.client() as client:
                    return client.get("/v2/a/tags/list", auth=("erin", word)).status_code

            def is_sent(word: str) -> bool:
                before = len(upstream.heads)
                assert status("two") == httpx.codes.OK
                assert len(upstream.heads) > before
                return upstream.header("Authorization") == [format_basic("front", word)]

            assert (status("one"), status("two")) == (httpx.codes.OK, httpx.codes.UNAUTHORIZED)
            users.write_text(hashed("erin", "two"))
            in_time(lambda: status("two") == httpx.codes.OK, time.monotonic())
            assert is_sent("first")
            password.write_text("second\n")
            in_time(lambda: is_sent("second"), time.monotonic())


def hashed(name: str, password: str) -> str:
    """A line of htpasswd."""
    return f"{name}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()}\n"
