"""Who logs in during the tests. The embedded policy gives each `<name>/**`, and the admin everything."""

import re
from dataclasses import dataclass

from tests.support.server import ADMIN, ADMIN_PASSWORD


@dataclass(frozen=True, slots=True)
class User:
    """Somebody with a password."""

    name: str
    password: str


OPERATOR = User(ADMIN, ADMIN_PASSWORD)
ALICE = User("alice", "alice's own password")
BOB = User("bob", "bob's own password")

# How docker, podman and skopeo say that a token may not do what was asked: in the challenge's words, or else in those
# that each has in its own code.
DENIED = re.compile(
    r"denied: (alice|bob|anonymous) may not (pull|push) |denied: requested access to the resource is denied"
)

# A repository of alice's that nobody pushes to, and what they are told.
FROZEN = f"{ALICE.name}/frozen"
FROZEN_REASON = "Releases are frozen until Monday."
# Tags in all of alice's repositories that are set once.
RELEASE_REASON = "A release stays what it is; push the next one."
FROZEN_RULE = f"""\
version: 1
rules:
  - name: releases stay
    description: {RELEASE_REASON}
    deny: [overwrite, delete]
    to: {{everyone: true}}
    on: {{repositories: ["{ALICE.name}/**"], tags: ["release-*"]}}
  - name: frozen
    description: {FROZEN_REASON}
    deny: [push]
    to: {{signed-in: true}}
    on: {{repositories: [{FROZEN}]}}
"""
