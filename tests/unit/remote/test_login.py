import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.remote import login
from authproxy.remote.faults import RemoteError
from authproxy.remote.login import Login, find_login

HOST = "registry.example.org:5000"


def basic(user: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def write(folder: Path, config: Any) -> dict[str, str]:
    """A home whose docker has this configuration: the environment that names it."""
    (folder / ".docker").mkdir()
    (folder / ".docker" / "config.json").write_text(json.dumps(config))
    return {"HOME": str(folder)}


FOUND: list[tuple[str, str, Any, Login | None]] = [
    ("by host", HOST, {"auths": {HOST: basic("alice", "a:b")}}, Login("alice", "a:b")),
    ("by address", HOST, {"auths": {f"https://{HOST}": basic("alice", "s")}}, Login("alice", "s")),
    ("of another port", HOST, {"auths": {"registry.example.org": basic("alice", "s")}}, None),
    ("Docker Hub", "docker.io", {"auths": {"https://index.docker.io/v1/": basic("alice", "s")}}, Login("alice", "s")),
    ("identity token", HOST, {"auths": {HOST: basic("alice", "") | {"identitytoken": "t"}}},
     Login("", identity_token="t")),
    ("padded by an old docker", HOST, {"auths": {HOST: basic("alice", "s\0\0")}}, Login("alice", "s")),
    ("empty entry", HOST, {"auths": {HOST: {}}}, None),
    ("no base64", HOST, {"auths": {HOST: {"auth": "%%%"}}}, None),
    ("no colon", HOST, {"auths": {HOST: {"auth": base64.b64encode(b"alice").decode()}}}, None),
    ("null", HOST, {"auths": {HOST: {"auth": None}}}, None),
    ("auths is a list", HOST, {"auths": []}, None),
    ("nothing", HOST, {}, None),
]  # fmt: skip


@pytest.mark.parametrize(("host", "config", "found"), [row[1:] for row in FOUND], ids=[row[0] for row in FOUND])
def test_login_is_found_where_docker_stores_it(tmp_path: Path, host: str, config: Any, found: Login | None) -> None:
    assert find_login(host, write(tmp_path, config)) == found


@given(st.recursive(st.none() | st.text(max_size=9), lambda inner: st.dictionaries(st.text(max_size=9), inner)))
def test_whatever_an_entry_holds_is_a_login_or_none(entry: object) -> None:
    found = login._from_entry(entry if isinstance(entry, dict) else {"auth": entry})
    assert found is None or isinstance(found, Login)


def test_docker_config_and_podmans_file_are_looked_at_in_this_order(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, name, password in ((first, "config.json", "one"), (second, "auth.json", "two")):
        folder.mkdir()
        (folder / name).write_text(json.dumps({"auths": {HOST: basic("alice", password)}}))
    environment = {"DOCKER_CONFIG": str(first), "REGISTRY_AUTH_FILE": str(second / "auth.json")}
    assert find_login(HOST, environment) == Login("alice", "one")
    (first / "config.json").unlink()
    assert find_login(HOST, environment) == Login("alice", "two")
    (second / "containers").mkdir()
    (second / "auth.json").rename(second / "containers" / "auth.json")
    assert find_login(HOST, {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(second)}) == Login("alice", "two")
    assert find_login(HOST, {"HOME": str(tmp_path)}) is None


@pytest.mark.parametrize("content", ["{", "[]", "null"])
def test_file_that_is_none_is_told_by_its_path(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(RemoteError, match=f"{tmp_path}/config.json: the stored logins"):
        find_login(HOST, {"DOCKER_CONFIG": str(tmp_path)})


class Helper:
    """What a credential helper was asked, and what it says. Real ones run in tests/images/test_logins.py."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, stdout: str, code: int = 0) -> None:
        self.asked: list[tuple[str, str]] = []
        self.stdout, self.code = stdout, code
        monkeypatch.setattr(subprocess, "run", self._run)

    def _run(self, command: list[str], *, input: bytes, **_: object) -> subprocess.CompletedProcess[bytes]:  # noqa: A002
        self.asked.append((" ".join(command), input.decode()))
        return subprocess.CompletedProcess(command, self.code, self.stdout.encode(), b"")


def test_helper_of_a_registry_comes_before_that_of_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = Helper(monkeypatch, json.dumps({"Username": "alice", "Secret": "s"}))
    environment = write(tmp_path, {"credsStore": "all", "credHelpers": {HOST: "one"}})
    assert find_login(HOST, environment) == Login("alice", "s")
    assert helper.asked == [("docker-credential-one get", HOST)]


def test_helper_gives_an_identity_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Helper(monkeypatch, json.dumps({"Username": "<token>", "Secret": "t"}))
    assert find_login(HOST, write(tmp_path, {"credsStore": "all"})) == Login("", identity_token="t")


def test_what_a_helper_does_not_have_is_looked_for_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Helper(monkeypatch, "credentials not found in native keychain\n", 1)
    environment = write(tmp_path, {"credsStore": "all", "auths": {HOST: basic("alice", "s")}})
    assert find_login(HOST, environment) == Login("alice", "s")


def test_helper_that_fails_is_told_in_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Helper(monkeypatch, "the keychain is locked\x1b[31m\n", 1)
    with pytest.raises(RemoteError) as caught:
        find_login(HOST, write(tmp_path, {"credsStore": "all"}))
    assert str(caught.value) == (
        "docker-credential-all, which docker's configuration names, has no login for "
        f"{HOST}: the keychain is locked[31m"
    )


def test_helper_that_is_not_installed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(subprocess, "run", missing)
    with pytest.raises(RemoteError, match="docker-credential-all, which docker's configuration names, cannot be asked"):
        find_login(HOST, write(tmp_path, {"credsStore": "all"}))
