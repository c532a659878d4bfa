import base64
import json
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from authproxy.registry_client.docker_config import Login, find_login
from authproxy.registry_client.docker_config_edit import LoginLocation, erase_login, store_login
from authproxy.registry_client.errors import RegistryClientError
from tests.support.program import run

HOST = "registry.example.org:5000"
ALICE = Login("alice", "a:secret with ü")
TOKEN = Login("alice", identity_token="an identity token")

# Keeps each login in a file; `fail` in its folder makes it refuse, with the words that it was told.
HELPER = f"""\
#!{sys.executable}
import json, pathlib, sys
folder = pathlib.Path(__file__).parent / "kept"
folder.mkdir(exist_ok=True)
told = sys.stdin.read()
if (folder / "fail").exists():
    print("cannot keep", told)
    sys.exit(1)
name = json.loads(told)["ServerURL"] if sys.argv[1] == "store" else told
file = folder / name.replace("/", "_")
if sys.argv[1] == "store":
    file.write_text(told)
elif not file.exists():
    print("credentials not found in native keychain")
    sys.exit(1)
elif sys.argv[1] == "get":
    print(file.read_text())
else:
    file.unlink()
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "bin").mkdir()
    return {"HOME": str(tmp_path), "PATH": str(tmp_path / "bin")}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / ".docker" / "config.json"


def add_helper(environment: Mapping[str, str], name: str) -> Path:
    """A credential helper on the PATH; the folder where it keeps logins."""
    program = Path(environment["PATH"]) / f"docker-credential-{name}"
    program.write_text(HELPER)
    program.chmod(0o755)
    return program.parent / "kept"


# Does what its standard input lists, one after another, and prints what came of each: helpers are programs that this
# process may not start.
CHILD = """
import json, os, sys
from authproxy.registry_client.errors import RegistryClientError
from authproxy.registry_client.docker_config import Login, find_login
from authproxy.registry_client.docker_config_edit import erase_login, store_login

def act(what, host, *login):
    match what:
        case "store":
            return store_login(host, Login(*login), os.environ).helper
        case "find":
            found = find_login(host, os.environ)
            return found and [found.user, found.password, found.identity_token]
        case "erase":
            return erase_login(host, os.environ)

try:
    print(json.dumps([act(*words) for words in json.load(sys.stdin)]))
except RegistryClientError as error:
    sys.exit(str(error))
"""


def act(environment: Mapping[str, str], *steps: tuple[str, ...]) -> list[Any]:
    """What comes of some steps in a process of its own. Raises RegistryClientError as they do."""
    done = run(sys.executable, "-P", "-c", CHILD, env=environment, stdin=json.dumps(steps))
    if done.code:
        raise RegistryClientError(done.err)
    results: list[Any] = json.loads(done.out)
    return results


def words_of(login: Login) -> tuple[str, str, str]:
    return login.user, login.password, login.identity_token


def write(config: Path, content: Any, mode: int = 0o600) -> None:
    config.parent.mkdir(exist_ok=True)
    config.write_text(json.dumps(content))
    config.chmod(mode)


def test_a_login_is_found_again(environment: dict[str, str], config: Path) -> None:
    assert store_login(HOST, ALICE, environment) == LoginLocation(config, None)
    assert find_login(HOST, environment) == ALICE
    assert json.loads(config.read_text()) == {
        "auths": {HOST: {"auth": base64.b64encode("alice:a:secret with ü".encode()).decode()}}
    }
    assert (config.stat().st_mode & 0o777, config.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_an_identity_token_stands_in_the_password_s_place(environment: dict[str, str], config: Path) -> None:
    store_login(HOST, TOKEN, environment)
    assert json.loads(config.read_text())["auths"][HOST] == {
        "auth": base64.b64encode(b"alice:").decode(),
        "identitytoken": "an identity token",
    }
    assert find_login(HOST, environment) == Login("", identity_token="an identity token")


def test_all_else_stays_and_a_file_that_others_read_is_closed(environment: dict[str, str], config: Path) -> None:
    others = {
        "HttpHeaders": {"User-Agent": "ünicode", "X": "\ud800"},
        "auths": {"other.example": {"auth": "eDp5", "email": "x@y"}},
        "plugins": {"a": {"b": [1, 2.5, None, True]}},
        "unknown": 12345678901234567890,
    }
    write(config, others, 0o644)
    store_login(HOST, ALICE, environment)
    assert config.stat().st_mode & 0o777 == 0o600
    content = json.loads(config.read_text())
    del content["auths"][HOST]
    assert content == others
    assert list(content) == list(others)


def test_a_link_stays_one(environment: dict[str, str], config: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    config.parent.mkdir()
    config.symlink_to(tmp_path / "elsewhere/config.json")
    store_login(HOST, ALICE, environment)
    assert config.is_symlink()
    assert find_login(HOST, environment) == ALICE


@pytest.mark.parametrize("login", [ALICE, TOKEN], ids=["password", "identity token"])
@pytest.mark.parametrize("named", [{"credsStore": "test"}, {"credHelpers": {HOST: "test"}}], ids=["all", "this host"])
def test_a_helper_keeps_it_where_one_is_named(
    environment: dict[str, str], config: Path, named: dict[str, Any], login: Login
) -> None:
    add_helper(environment, "test")
    write(config, named)
    stored, found = act(environment, ("store", HOST, *words_of(login)), ("find", HOST))
    assert (stored, found[1:]) == ("test", [login.password, login.identity_token])
    assert json.loads(config.read_text()) == named | {"auths": {HOST: {}}}
    assert act(environment, ("erase", HOST), ("find", HOST), ("erase", HOST)) == [True, None, False]
    assert json.loads(config.read_text()) == named | {"auths": {}}


def test_the_system_s_helper_is_taken_where_nothing_was_configured(environment: dict[str, str], config: Path) -> None:
    add_helper(environment, "secretservice")
    write(config, {"auths": {"other.example": {"auth": "eDp5"}}})
    assert store_login(HOST, ALICE, environment).helper is None
    write(config, {"currentContext": "x"})
    stored, found = act(environment, ("store", HOST, *words_of(ALICE)), ("find", HOST))
    assert (stored, found) == ("secretservice", [*words_of(ALICE)])
    assert json.loads(config.read_text())["credsStore"] == "secretservice"


def test_a_helper_that_refuses_is_told_of_without_the_secret(environment: dict[str, str], config: Path) -> None:
    kept = add_helper(environment, "test")
    kept.mkdir()
    (kept / "fail").touch()
    write(config, {"credsStore": "test"})
    with pytest.raises(
        RegistryClientError, match="docker-credential-test cannot store the login: cannot keep"
    ) as failed:
        act(environment, ("store", HOST, "alice", "s3cret"))
    assert "s3cret" not in str(failed.value)
    assert json.loads(config.read_text()) == {"credsStore": "test"}


def test_a_helper_that_is_not_there_is_named(environment: dict[str, str], config: Path) -> None:
    write(config, {"credsStore": "absent"})
    with pytest.raises(RegistryClientError, match="docker-credential-absent, which docker's configuration names"):
        act(environment, ("store", HOST, "alice", "x"))


@pytest.mark.parametrize("name", [HOST, f"https://{HOST}", f"http://{HOST}", f"https://{HOST}/v2/", f"{HOST}/v1/"])
def test_every_name_of_a_registry_is_forgotten(environment: dict[str, str], config: Path, name: str) -> None:
    write(config, {"auths": {name: {"auth": "eDp5"}, "other.example": {"auth": "eDp5"}}})
    assert erase_login(HOST, environment)
    assert json.loads(config.read_text()) == {"auths": {"other.example": {"auth": "eDp5"}}}
    assert not erase_login(HOST, environment)


def test_docker_hub_has_the_name_that_docker_gives_it(environment: dict[str, str], config: Path) -> None:
    store_login("docker.io", ALICE, environment)
    assert list(json.loads(config.read_text())["auths"]) == ["https://index.docker.io/v1/"]
    assert find_login("docker.io", environment) == ALICE
    assert erase_login("docker.io", environment)


def test_nothing_to_forget_makes_no_file(environment: dict[str, str], config: Path) -> None:
    assert not erase_login(HOST, environment)
    assert not config.parent.exists()


@pytest.mark.parametrize("content", ["[]", '{"auths": []}', "{", '{"a": 1e999}'])
def test_a_file_that_cannot_be_understood_stays_as_it_is(
    environment: dict[str, str], config: Path, content: str
) -> None:
    config.parent.mkdir()
    config.write_text(content)
    with pytest.raises(RegistryClientError, match=r"config\.json: "):
        store_login(HOST, ALICE, environment)
    assert config.read_text() == content


def test_two_at_once_lose_no_login(environment: dict[str, str], config: Path) -> None:
    hosts = [f"host{number}.example" for number in range(16)]
    threads = [threading.Thread(target=store_login, args=(host, ALICE, environment)) for host in hosts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(json.loads(config.read_text())["auths"]) == set(hosts)
    assert [path.name for path in config.parent.iterdir()] == ["config.json"]


@pytest.mark.parametrize("command", [("store", HOST, "alice", "x"), ("erase", HOST)])
def test_what_docker_writes_while_a_helper_is_asked_stays(
    environment: dict[str, str], config: Path, command: tuple[str, ...]
) -> None:
    kept = add_helper(environment, "slow")
    write(config, {"credsStore": "slow", "auths": {HOST: {}}})
    act(environment, ("store", HOST, "alice", "x"))
    program = kept.parent / "docker-credential-slow"
    other = {"credsStore": "slow", "auths": {HOST: {}, "other.example": {}}}
    program.write_text(f"{HELPER}\npathlib.Path({str(config)!r}).write_text({json.dumps(other)!r})\n")
    act(environment, command)
    assert "other.example" in json.loads(config.read_text())["auths"]
