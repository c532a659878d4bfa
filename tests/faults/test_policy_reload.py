"""Policies that change under a running server: in force within two seconds, and never half of them."""

from pathlib import Path

import httpx
import pytest

from tests.support.people import ALICE
from tests.support.server import Server, running_server

WITHIN_S = 10.0  # two seconds are promised; the rest is for a busy machine
SCOPE = "repository:team/app:pull,push"
RULE = """\
version: 1
rules:
  - name: alice works in the team
    allow: [pull, push]
    to: {users: [alice]}
    on: {repositories: ["team/**"]}
"""


def granted(server: Server) -> str:
    """The scope that alice's token has."""
    with server.client() as client:
        form = {"grant_type": "password", "username": ALICE.name, "password": ALICE.password, "scope": SCOPE}
        answer = client.post("/token", data=form)
        assert answer.status_code == httpx.codes.OK, answer.text
        return str(answer.json()["scope"])


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_file_that_changes_is_in_force_and_one_that_breaks_is_not(tmp_path: Path, workers: str) -> None:
    with running_server(tmp_path / "server", {"REGISTRY_HTTP_WORKERS": workers}) as server:
        server.add_user(ALICE.name, ALICE.password)
        assert granted(server) == ""
        rules = server.folder / "policies" / "team.yaml"
        rules.write_text(RULE)
        # Each worker says that it has read the file: answers alone may all have come from one of them.
        server.wait_until(lambda: server.output.count("policies loaded") == int(workers), WITHIN_S)
        assert all(granted(server) == SCOPE for _ in range(6))
        rules.write_text(RULE.replace("users:", "usres:"))
        server.wait_until(lambda: server.output.count("the old content stays in force") == int(workers), WITHIN_S)
        assert "policies/team.yaml:5" in server.output
        assert all(granted(server) == SCOPE for _ in range(6))
        rules.unlink()
        server.wait_until(lambda: server.output.count("policies loaded") == 2 * int(workers), WITHIN_S)
        assert all(granted(server) == "" for _ in range(6))
