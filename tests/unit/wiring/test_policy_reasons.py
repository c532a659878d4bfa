"""Why somebody may not, in the words of the rules' authors."""

from pathlib import Path

import pytest

from authproxy.access import Access, delete, pull, push
from authproxy.client_view import UNKNOWN
from authproxy.edge.authorize import Denial
from authproxy.policy.policies import Policies
from authproxy.principal import Principal
from authproxy.wiring.policy import PolicyReasons

RULES = """
version: 1
rules:
  - name: everybody
    allow: [pull, push, delete]
    to: {everyone: true}
    on: {repositories: ["**"]}
  - name: ci pushes
    description: Only the group ci pushes to team.
    deny: [push]
    to: {users: [alice]}
    on: {repositories: ["team/**"]}
  - name: no reason
    deny: [delete]
    to: {everyone: true}
    on: {repositories: ["team/**"]}
  - name: visitors
    description: Sign in to push.
    deny: [push]
    to: {anonymous: true}
    on: {repositories: ["**"]}
"""


class Users:
    async def find(self, name: str) -> Principal | None:
        return Principal(name) if name in ("alice", "bob") else None


@pytest.mark.parametrize(
    ("subject", "lacking", "denied", "reason"),
    [
        ("alice", [push("team/app")], [push("team/app")], "Only the group ci pushes to team."),
        (
            "alice",
            [delete("team/app"), push("team/app")],
            [delete("team/app"), push("team/app")],
            "Only the group ci pushes to team.",
        ),
        ("alice", [pull("team/app"), push("team/app")], [push("team/app")], "Only the group ci pushes to team."),
        ("alice", [delete("team/app")], [delete("team/app")], None),
        ("alice", [pull("team/app")], [], None),
        ("bob", [push("team/app")], [], None),
        ("", [push("app")], [push("app")], "Sign in to push."),
        ("gone", [push("team/app")], [push("team/app")], None),
    ],
)
async def test_what_the_rules_deny_is_told_in_their_authors_words(
    tmp_path: Path, subject: str, lacking: list[Access], denied: list[Access], reason: str | None
) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(RULES)
    denial = await PolicyReasons(Users(), Policies(file)).deny(subject, lacking, UNKNOWN)
    assert denial == Denial(tuple(denied), reason)
