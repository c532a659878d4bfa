"""The shapes on the page of commands are those of real output; commands that ask registries: tests/images."""

import datetime as dt
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from authproxy.cli import app
from authproxy.cli.reference.json_shapes import SHAPES
from authproxy.config.embedded import Layout
from authproxy.own_certificate import keep_certificate
from authproxy.policy import DEFAULT_POLICY
from authproxy.token.keyring import KeyRing
from tests.unit.cli.policy.test_replay import allowed, write

# What follows the shape is about it.
SHAPE = re.compile(r"(?:.*?)(\{.*\}).*?", re.DOTALL)
DRAFT = DEFAULT_POLICY.replace("[pull]", "[pull, delete]")

OUTPUTS = {
    "trust": ["nas.lan"],
    "version": [],
    "audit verify": [],
    "config check": [],
    "config show": [],
    "key list": [],
    "key rotate": [],
    "policy explain": ["alice", "push", "bob/app:v1"],
    "policy can-i": ["push", "bob/app:v1", "--as", "alice"],
    "policy test": [],
    "policy check": [],
    "policy who-can": ["push", "alice/app:v1"],
    "policy diff": ["policies", "draft.yaml"],
    "policy replay": ["draft.yaml"],
    "token revoke": ["alice"],
    "user add": ["carol", "--password-stdin", "--cost", "4"],
    "user password": ["alice", "--password-stdin", "--cost", "4"],
    "user disable": ["alice"],
    "user enable": ["alice"],
    "user expire": ["alice", "never"],
    "user remove": ["alice"],
    "user list": [],
}


@pytest.fixture(autouse=True)
def _started(folder: Path) -> None:
    """The embedded default after its first start, with rules and lines of its log that fill each list."""
    KeyRing.open(folder / "data/keys")
    keep_certificate(Layout(folder), ["nas.lan"], now=dt.datetime.now(dt.UTC))
    write([allowed("repository:team/app:push")])
    (folder / "draft.yaml").write_text(DRAFT, encoding="utf-8")
    (folder / "data/users.yaml").write_text("users: {root: {groups: [admins]}}\n", encoding="utf-8")
    (folder / "data/htpasswd").write_text("alice:x\npublic:x\n", encoding="utf-8")
    (folder / "policies/more.yaml").write_text(
        "version: 1\nrules:\n  - {name: again, allow: [pull], to: {users: [zoe]}, on: {repositories: ['public/a']}}\n"
        "tests:\n  - {who: {user: zoe}, what: 'repository:b:pull', expected: allow}\n",
        encoding="utf-8",
    )


def keys_of(value: Any) -> Iterator[str]:
    """All names of fields, at any depth."""
    if isinstance(value, list):
        for one in value:
            yield from keys_of(one)
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            if key not in ("libraries", "aside", "claims", "lines"):  # the names in these are data
                yield from keys_of(inner)


def names_in(shape: str) -> set[str]:
    found = SHAPE.fullmatch(shape)
    assert found is not None, shape
    return set(re.findall(r"[a-z_]+", found[1]))


@pytest.mark.parametrize("command", OUTPUTS)
def test_a_shape_has_the_names_of_the_output(command: str) -> None:
    result = CliRunner().invoke(app, [*command.split(), *OUTPUTS[command], "--json"], input="secret")
    assert result.stdout, result.output
    content = json.loads(result.stdout)
    printed, named = set(keys_of(content)), names_in(SHAPES[command])
    assert printed - named == set()
    first = content[0] if isinstance(content, list) else content
    assert set(first) <= named
