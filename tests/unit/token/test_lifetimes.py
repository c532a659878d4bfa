"""The lifetime that a policy's rule says reaches the token."""

from dataclasses import replace
from pathlib import Path

import pytest

from authproxy.access import Access, pull
from authproxy.authorization import Basic
from authproxy.policy.live import Policies
from authproxy.token.request import TokenRequest
from tests.support.token_server import World
from tests.support.tokens import START, read

RULES = """\
version: 1
rules:
  - {name: short, allow: [pull], to: {everyone: true}, on: {repositories: [short]}, lifetime: 1m30s}
  - {name: long, allow: [pull], to: {everyone: true}, on: {repositories: [long]}, lifetime: 24h}
  - {name: plain, allow: [pull], to: {everyone: true}, on: {repositories: [plain]}}
"""

ROWS = [
    ("a shorter one", [pull("short")], 90),
    ("a longer one never lengthens it", [pull("long")], 300),
    ("none", [pull("plain")], 300),
    ("the shortest of several", [pull("plain"), pull("short"), pull("long")], 90),
    ("of what is granted alone", [pull("plain"), Access("repository", "short", "push")], 300),
    ("nothing is granted", [pull("other")], 300),
]


@pytest.mark.parametrize(("accesses", "lifetime_s"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
async def test_lifetime(world: World, tmp_path: Path, accesses: list[Access], lifetime_s: int) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(RULES, encoding="utf-8")
    policies = Policies(path)
    service = replace(world.service, policies=policies, lifetimes=policies.lifetime_s)
    request = TokenRequest(service=None, accesses=tuple(accesses), credentials=Basic("alice", "wonderland"))
    answer = await service.answer(request)
    assert answer.issued.expires_in == lifetime_s
    assert read(answer.issued.token, 1)["exp"] == START + lifetime_s
