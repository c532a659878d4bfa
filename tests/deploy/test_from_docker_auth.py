"""The page docs/how-to/from-docker-auth.md, followed with its own example, to tokens that the rules allow."""

import re
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest

from tests.deploy import pages
from tests.support.program import Outcome, environment, run
from tests.support.server import AUTHPROXY, Server, running_server

PAGE = "from-docker-auth"
# Whose hashes stand in the example.
ANN, ADMIN = ("ann", "123"), ("admin", "badmin")

# Who asks for what, and what the first entry of the list that matches gives them.
ALLOWED = [
    (ADMIN, "repository:team/app:pull,push", ["pull", "push"]),
    (ANN, "repository:ann/app:pull,push", ["pull", "push"]),
    (ANN, "repository:test/app:pull,push", ["pull", "push"]),  # by her label
    (ANN, "repository:team/app:pull,push", ["pull"]),
    (ANN, "repository:internal/app:pull", []),
]

CONFIG = """\
version: 0.1
storage: {inmemory: {}}
http: {addr: ":5000"}
token: {keys: keys}
policies: {path: imported.yaml}
identities: [{users: {path: users.yaml}}]
"""


def example() -> tuple[str, str]:
    """What `cat` shows on the page, and what the import says there."""
    text = (pages.HOW_TO / f"{PAGE}.md").read_text()
    found = re.search(r"^\$ cat auth_config\.yml\n(.*?)^\$ authproxy .*?\n(.*?)^\$", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1], found[2]


def type_in(folder: Path, start: str) -> Outcome:
    words = pages.typed(PAGE, start, folder)
    return run(AUTHPROXY, *words[1:], env=environment(folder), cwd=folder)


@pytest.fixture
def imported(tmp_path: Path) -> Path:
    """A folder with the example and what was made of it."""
    config, report = example()
    (tmp_path / "auth_config.yml").write_text(config)
    outcome = type_in(tmp_path, "authproxy policy import")
    assert (outcome.code, outcome.err) == (0, report)
    return tmp_path


@pytest.fixture
def server(imported: Path) -> Iterator[Server]:
    (imported / "config.yml").write_text(CONFIG)
    with running_server(imported, arguments=["config.yml"], has_tls=False) as it:
        yield it


def test_the_cases_of_the_import_hold(imported: Path) -> None:
    outcome = type_in(imported, "authproxy policy test")
    assert outcome.code == 0, str(outcome)
    assert ", 0 failed" in outcome.out


def test_tokens_allow_what_the_list_allowed(server: Server) -> None:
    for who, scope, actions in ALLOWED:
        with server.client() as client:
            answer = client.get("/token", params={"service": "authproxy", "scope": scope}, auth=who)
        assert answer.status_code == 200, answer.text
        claims = jwt.decode(answer.json()["token"], options={"verify_signature": False})
        granted = [sorted(access["actions"]) for access in claims["access"]]
        assert granted == ([actions] if actions else []), (who, scope)
