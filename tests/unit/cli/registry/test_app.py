"""What `authproxy registry …` says where nobody has to be asked."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from authproxy.cli import app, main
from authproxy.registry_client.trust import Trust
from tests.support.server import free_port


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Somebody without a login."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.delenv("REGISTRY_AUTH_FILE", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def ask(*arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(app, ["registry", *arguments], input=stdin)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["login", "a/b", "-u", "x", "--password-stdin"], "is not a registry"),
        (["login", "localhost:1", "--password-stdin"], "there is no terminal to ask for the user"),
        (["login", "localhost:1", "-u", "x"], "use --password-stdin"),
        (["login", "localhost:1", "-u", "a:b", "--password-stdin"], "and no colon"),
        (["logout", "a/b"], "is not a registry"),
        (["ping", "https://"], "is not a registry"),
        (["ping", "localhost:1", "--repository", "A"], "--repository"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_wrong_command_is_exit_code_2(arguments: list[str], words: str) -> None:
    result = ask(*arguments, stdin="x")
    assert result.exit_code == 2, result.output
    assert words in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("stdin", "words"),
    [("", "the password is empty"), ("x", "cannot be reached: "), ("x", "what is wrong: authproxy registry ping")],
)
def test_a_login_that_cannot_be_tried_is_a_line(
    stdin: str, words: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    host = f"127.0.0.1:{free_port()}"
    (home / "stdin").write_text(stdin)
    monkeypatch.setattr("sys.argv", ["authproxy", "registry", "login", host, "-u", "x", "--password-stdin"])
    with (home / "stdin").open() as file:
        monkeypatch.setattr("sys.stdin", file)
        with pytest.raises(SystemExit) as ended:
            main()
    assert ended.value.code == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("authproxy: ")
    assert words in line
    assert not (home / "config.json").exists()


def test_a_logout_without_a_login_is_no_fault(home: Path) -> None:
    result = ask("logout", "localhost:5000")
    assert (result.exit_code, result.stdout) == (0, "not logged in to localhost:5000\n")
    assert list(home.iterdir()) == []


def test_a_name_that_does_not_resolve_is_no_matter_of_firewalls() -> None:
    lines = ask("ping", "no-such-name.invalid").stdout.splitlines()
    assert lines[1].endswith("no-such-name.invalid:443 cannot be reached: the name does not resolve")
    assert "check its spelling" in lines[2]


def test_a_suggested_command_has_the_options_of_this_one(tmp_path: Path) -> None:
    trust = Trust(tmp_path / "the ca.pem", plain_http=True)
    assert trust.options == f" --ca '{tmp_path}/the ca.pem' --plain-http"
    assert Trust().options == ""


def test_nobody_there_is_exit_code_1_as_text_and_as_json() -> None:
    host = f"127.0.0.1:{free_port()}"
    result = ask("ping", host)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[:2] == [
        f"https://{host}: failed",
        f"  failed   address: {host} cannot be reached: nothing listens there",
    ]
    content = json.loads(ask("ping", host, "--json").stdout)
    assert (content["registry"], content["address"], content["verdict"]) == (host, f"https://{host}", "failed")
    assert (content["product"], content["auth"]) == (None, None)
    assert [finding["check"] for finding in content["findings"]] == ["address"]
