import base64
import json
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.registry_client import docker_config as login
from authproxy.registry_client.docker_config import Login, StoredLogins, find_login
from authproxy.registry_client.errors import RegistryClientError

HOST = "registry.example.org:5000"


def basic(user: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def write(folder: Path, config: Any) -> dict[str, str]:
    """A home whose docker has this configuration: the environment that names it."""
    (folder / ".docker").mkdir()
    (folder / ".docker" / "config.json").write_text(json.dumps(config))
    return {"HOME": str(folder)}


# What docker (docker/cli) and podman (containers/image) take: (host, docker's configuration, the login).
ALICE = Login("alice", "s")
FOUND: list[tuple[str, str, Any, Login | None]] = [
    ("by host", HOST, {"auths": {HOST: basic("alice", "a:b")}}, Login("alice", "a:b")),
    ("by address", HOST, {"auths": {f"https://{HOST}": basic("alice", "s")}}, ALICE),
    ("by address over HTTP", HOST, {"auths": {f"http://{HOST}": basic("alice", "s")}}, ALICE),
    ("by address with a slash", HOST, {"auths": {f"https://{HOST}/": basic("alice", "s")}}, ALICE),
    ("by address with a version", HOST, {"auths": {f"https://{HOST}/v1/": basic("alice", "s")}}, ALICE),
    ("by address of an API", HOST, {"auths": {f"https://{HOST}/api/v2": basic("alice", "s")}}, ALICE),
    ("by host with a version", HOST, {"auths": {f"{HOST}/v2/": basic("alice", "s")}}, ALICE),
    ("host before address", HOST, {"auths": {f"https://{HOST}": basic("b", "b"), HOST: basic("alice", "s")}}, ALICE),
    ("of another port", HOST, {"auths": {"registry.example.org": basic("alice", "s")}}, None),
    ("of another host that begins alike", HOST, {"auths": {f"{HOST}0": basic("alice", "s")}}, None),
    ("of a namespace alone", HOST, {"auths": {f"{HOST}/team": basic("alice", "s")}}, None),
    ("Docker Hub", "docker.io", {"auths": {"https://index.docker.io/v1/": basic("alice", "s")}}, ALICE),
    ("Docker Hub by podman", "docker.io", {"auths": {"docker.io": basic("alice", "s")}}, ALICE),
    ("Docker Hub by kubectl", "docker.io", {"auths": {"index.docker.io": basic("alice", "s")}}, ALICE),
    ("Docker Hub by its registry", "docker.io", {"auths": {"https://registry-1.docker.io/v2/": basic("alice", "s")}},
     ALICE),
    ("IPv6", "[::1]:5000", {"auths": {"[::1]:5000": basic("alice", "s")}}, ALICE),
    ("username and password", HOST, {"auths": {HOST: {"username": "alice", "password": "s"}}}, ALICE),
    ("the same beside an empty auth", HOST, {"auths": {HOST: {"auth": "", "username": "alice", "password": "s"}}},
     ALICE),
    ("the same beside a null auth", HOST, {"auths": {HOST: {"auth": None, "username": "alice", "password": "s"}}},
     ALICE),
    ("the same and an auth, which counts", HOST,
     {"auths": {HOST: basic("alice", "s") | {"username": "b", "password": "b"}}}, ALICE),
    ("username alone", HOST, {"auths": {HOST: {"username": "alice"}}}, Login("alice", "")),
    ("password alone", HOST, {"auths": {HOST: {"password": "s"}}}, None),
    ("identity token", HOST, {"auths": {HOST: basic("alice", "") | {"identitytoken": "t"}}},
     Login("", identity_token="t")),
    ("identity token without a name", HOST, {"auths": {HOST: {"auth": "Og==", "identitytoken": "t"}}},
     Login("", identity_token="t")),
    ("identity token alone", HOST, {"auths": {HOST: {"identitytoken": "t"}}}, Login("", identity_token="t")),
    ("registry token", HOST, {"auths": {HOST: {"registrytoken": "t"}}}, Login("", registry_token="t")),
    ("padded by an old docker", HOST, {"auths": {HOST: basic("alice", "s\0\0")}}, ALICE),
    ("base64 in lines", HOST, {"auths": {HOST: {"auth": "YWxp\r\nY2U6\ncw==\n"}}}, ALICE),
    ("beyond ASCII", HOST, {"auths": {HOST: basic("zoë", "grün")}}, Login("zoë", "grün")),
    ("empty user and password", HOST, {"auths": {HOST: {"auth": "Og=="}}}, None),
    ("other case, as Go reads it", HOST, {"Auths": {HOST: {"Username": "alice", "PASSWORD": "s"}}}, ALICE),
    ("beside an e-mail", HOST, {"auths": {HOST: basic("alice", "s") | {"email": "a@b.c"}}, "HttpHeaders": {}}, ALICE),
    ("damaged one of another registry", HOST, {"auths": {"a.b": {"auth": "%"}, HOST: basic("alice", "s")}}, ALICE),
    ("empty entry", HOST, {"auths": {HOST: {}}}, None),
    ("empty helper for one", HOST, {"credsStore": "x", "credHelpers": {HOST: ""}, "auths": {HOST: basic("alice", "s")}},
     ALICE),
    ("entry that is no object", HOST, {"auths": {HOST: "alice:s"}}, None),
    ("auths is a list", HOST, {"auths": []}, None),
    ("nothing", HOST, {}, None),
]  # fmt: skip


@pytest.mark.parametrize(("host", "config", "found"), [row[1:] for row in FOUND], ids=[row[0] for row in FOUND])
def test_login_is_found_where_docker_stores_it(tmp_path: Path, host: str, config: Any, found: Login | None) -> None:
    assert find_login(host, write(tmp_path, config)) == found


DAMAGED = [
    ("no base64", {"auth": "%%%"}, "not base64"),
    ("cut off", {"auth": "YWxpY2U6cw="}, "not base64"),
    ("base64 for addresses", {"auth": "YWxpY2U6c_8-"}, "not base64"),
    ("not UTF-8", {"auth": base64.b64encode(b"alice:\xff").decode()}, "not base64"),
    ("no colon", {"auth": base64.b64encode(b"alice").decode()}, "has no colon"),
    ("a number", {"auth": 7}, "not strings"),
    ("a list", {"username": ["alice"]}, "not strings"),
]


@pytest.mark.parametrize(("entry", "why"), [row[1:] for row in DAMAGED], ids=[row[0] for row in DAMAGED])
def test_damaged_entry_is_told_by_its_file_and_key(tmp_path: Path, entry: Any, why: str) -> None:
    environment = write(tmp_path, {"auths": {HOST: entry}})
    with pytest.raises(
        RegistryClientError, match=rf"{tmp_path}/.docker/config.json: the login for {HOST} is damaged.*{why}"
    ):
        find_login(HOST, environment)


@given(st.recursive(st.none() | st.text(max_size=9), lambda inner: st.dictionaries(st.text(max_size=9), inner)))
def test_whatever_an_entry_holds_is_a_login_or_none_or_told(entry: object) -> None:
    with suppress(RegistryClientError):
        found = login._from_entry(entry if isinstance(entry, dict) else {"auth": entry}, "file")
        assert found is None or isinstance(found, Login)


# By podman's rules: the longest of the keys that a repository is below.
NAMESPACES = [
    ("its own", "a/b/c", Login("own", "s")),
    ("its namespace", "a/b/d", Login("namespace", "s")),
    ("a namespace that only begins alike", "a/bc", Login("first", "s")),
    ("its first part", "a/x/y", Login("first", "s")),
    ("the registry", "z", Login("registry", "s")),
    ("no repository", "", Login("registry", "s")),
]


@pytest.mark.parametrize(("repository", "found"), [row[1:] for row in NAMESPACES], ids=[row[0] for row in NAMESPACES])
def test_login_of_the_longest_namespace_is_taken(tmp_path: Path, repository: str, found: Login) -> None:
    keys = {"": "registry", "/a": "first", "/a/b": "namespace", "/a/b/c": "own"}
    auths = {f"{HOST}{path}": basic(user, "s") for path, user in keys.items()}
    assert StoredLogins(write(tmp_path, {"auths": auths})).find(HOST, repository) == found


READ: list[tuple[str, bytes]] = [
    ("as it stands", b""),
    ("byte order mark", b"\xef\xbb\xbf"),
    ("blank lines", b"\n \t\r\n"),
]


@pytest.mark.parametrize("before", [row[1] for row in READ], ids=[row[0] for row in READ])
def test_file_is_read_whatever_stands_before_it(tmp_path: Path, before: bytes) -> None:
    environment = write(tmp_path, {})
    path = tmp_path / ".docker" / "config.json"
    path.write_bytes(before + json.dumps({"auths": {HOST: basic("alice", "s")}}).encode())
    assert find_login(HOST, environment) == ALICE


@pytest.mark.parametrize("content", [b"", b"\n"])
def test_empty_file_holds_no_login(tmp_path: Path, content: bytes) -> None:
    environment = write(tmp_path, {})
    (tmp_path / ".docker" / "config.json").write_bytes(content)
    assert find_login(HOST, environment) is None


# Which comes first, by the user that it names: (which of the places there are, the one that is taken).
PLACES = ["variable", "docker", "stated", "runtime", "config", "dockercfg"]
ORDER = [
    (PLACES, "variable"),
    (PLACES[1:], "docker"),
    (PLACES[2:], "stated"),
    (["runtime", "config", "dockercfg"], "runtime"),
    (["config", "dockercfg"], "config"),
    (["dockercfg"], "dockercfg"),
    ([], None),
]


@pytest.mark.parametrize(("places", "first"), ORDER, ids=[str(row[1]) for row in ORDER])
def test_places_are_looked_at_in_this_order(tmp_path: Path, places: list[str], first: str | None) -> None:
    runtime = tmp_path / "run"
    files = {
        "docker": tmp_path / ".docker" / "config.json",
        "stated": tmp_path / "stated.json",
        "runtime": runtime / "containers" / "auth.json",
        "config": tmp_path / ".config" / "containers" / "auth.json",
    }
    environment = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(runtime)}
    for name in places:
        content = json.dumps({"auths": {HOST: basic(name, "s")}})
        if name == "variable":
            environment["DOCKER_AUTH_CONFIG"] = content
        elif name == "dockercfg":
            (tmp_path / ".dockercfg").write_text(json.dumps({HOST: basic(name, "s")}))
        else:
            files[name].parent.mkdir(parents=True, exist_ok=True)
            files[name].write_text(content)
            environment |= {"REGISTRY_AUTH_FILE": str(files[name])} if name == "stated" else {}
    assert find_login(HOST, environment) == (None if first is None else Login(first, "s"))


def test_file_is_read_and_helper_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = Helper(monkeypatch, json.dumps({"Username": "alice", "Secret": "s"}))
    stored = StoredLogins(write(tmp_path, {"credHelpers": {HOST: "one"}}))
    assert [stored.find(HOST, name) for name in ("a", "b")] == [ALICE, ALICE]
    assert len(helper.asked) == 1


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
    with pytest.raises(RegistryClientError, match=f"{tmp_path}/config.json: the stored logins"):
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
    with pytest.raises(RegistryClientError) as caught:
        find_login(HOST, write(tmp_path, {"credsStore": "all"}))
    assert str(caught.value) == (
        "docker-credential-all, which docker's configuration names, has no login for "
        f"{HOST}: the keychain is locked[31m"
    )


def test_helper_that_is_not_installed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(subprocess, "run", missing)
    with pytest.raises(
        RegistryClientError, match="docker-credential-all, which docker's configuration names, cannot be run"
    ):
        find_login(HOST, write(tmp_path, {"credsStore": "all"}))
