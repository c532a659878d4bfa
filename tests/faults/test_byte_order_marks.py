"""Every file of an operator's saved by an editor that puts a byte order mark before it, or in UTF-16."""

import shutil
from pathlib import Path

import httpx
import pytest

from authproxy.identity.bcrypt_hash import hash_password
from tests.support.program import environment, run
from tests.support.server import AUTHPROXY, free_port, running_server

CONFIG = """\
version: 0.1
storage: inmemory
http: {addr: "127.0.0.1:5000", tls: {certificate: server.pem, key: server.key}}
token: {service: s, keys: keys}
identities:
  - htpasswd: {path: htpasswd}
  - users: {path: users.yaml}
policies: {path: rules.yaml}
"""
RULES = """\
version: 1
rules:
  - {name: team, allow: [pull], to: {groups: [team]}, on: {repositories: ["team/**"]}}
"""
FILES = {"config.yml": CONFIG, "rules.yaml": RULES, "users.yaml": "users: {ann: {groups: [team]}}\n"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Everything that a server needs, without marks."""
    with running_server(tmp_path / "first") as first:
        for path in ("certs/server.pem", "data/server.key"):
            shutil.copy(first.folder / path, tmp_path)
    for name, text in (FILES | {"htpasswd": f"ann:{hash_password('secret', 4)}\n"}).items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_server_whose_every_file_begins_with_a_mark(folder: Path) -> None:
    marked = [*FILES, "htpasswd", "server.pem", "server.key"]
    for name in marked:
        (folder / name).write_text((folder / name).read_text(), encoding="utf-8-sig")
    (folder / "secret").write_text("x" * 32 + "\n", encoding="utf-8-sig")
    settings = {"REGISTRY_HTTP_SECRET_FILE": str(folder / "secret")}
    with (
        running_server(folder, settings, arguments=["config.yml"]) as server,
        httpx.Client(base_url=server.url, verify=False, trust_env=False) as client,  # noqa: S501 - not asked here
    ):
        query = {"service": "s", "scope": "repository:team/app:pull"}
        assert client.get("/token", params=query, auth=("ann", "secret")).status_code == httpx.codes.OK
    checked = run(AUTHPROXY, "config", "check", "config.yml", cwd=folder, env=environment(folder))
    assert checked.code == 0, str(checked)
    assert checked.out.endswith("config.yml: ok: it issues its own tokens\n")


@pytest.mark.parametrize("name", [*FILES, "htpasswd"])
def test_a_file_in_utf_16_stops_the_start_and_is_named_with_the_fix(folder: Path, name: str) -> None:
    (folder / name).write_text((folder / name).read_text(), encoding="utf-16")
    env = environment(folder, REGISTRY_HTTP_ADDR=f"127.0.0.1:{free_port()}")
    started = run(AUTHPROXY, "serve", "config.yml", cwd=folder, env=env, timeout_s=60)
    assert started.code == 1, str(started)
    assert f"{name}: is UTF-16" in started.err
    assert f"Set-Content -Encoding utf8 {name}" in started.err
