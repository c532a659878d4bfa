"""What a new user is told who runs a command in the wrong folder, or gives it the wrong file: a line that helps."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from authproxy.cli import app, main

NONE = "data/htpasswd (`authproxy serve --embedded` creates it), and no "
WRONG_FILES = {
    "a folder": None,
    "no text": b"\x7fELF\x02\xff\xfe",
    "nothing": b"",
    "broken YAML": b"a: [\n",
    "a list": b"[1, 2]\n",
    "a word": b"hello\n",
}
COMMANDS = [
    ["config", "check", "FILE"],
    ["config", "show", "FILE"],
    ["doctor", "FILE"],
    ["doctor", "--upstream", "FILE"],
    ["key", "list", "--config", "FILE"],
    ["user", "list", "--config", "FILE"],
    ["token", "revoke", "alice", "--config", "FILE"],
    ["audit", "verify", "FILE"],
    ["audit", "search", "--config", "FILE"],
    ["policy", "check", "--policies", "FILE"],
    ["policy", "test", "--config", "FILE"],
    ["policy", "diff", "FILE", "FILE"],
    ["policy", "replay", "FILE"],
    ["policy", "import", "docker_auth", "FILE"],
    ["policy", "import", "zot", "FILE"],
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def ask(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def said(arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code and what stands on standard error, as the program `authproxy` has them."""
    monkeypatch.setattr("sys.argv", ["authproxy", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert isinstance(ended.value.code, int)
    return ended.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["policy", "check"], NONE),
        (["policy", "test"], "or name its configuration: --config FILE"),
        (["policy", "explain", "alice", "pull", "a"], NONE),
        (["policy", "replay"], NONE),
        (["user", "list"], NONE),
        (["token", "revoke", "alice"], NONE),
        (["key", "list"], NONE),
        (["doctor", "--upstream"], NONE),
        (["doctor"], NONE),
        (["audit", "verify"], NONE),
        (["config", "check"], NONE),
        (["health"], NONE),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_in_an_empty_folder_it_is_told_where_to_go(
    arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, errors = said(arguments, monkeypatch, capsys)
    assert code in (1, 2)
    assert words in errors


@pytest.mark.parametrize("content", WRONG_FILES.values(), ids=WRONG_FILES)
@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_wrong_file_is_told_in_lines_that_name_it(
    arguments: list[str], content: bytes | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is None:
        Path("FILE").mkdir()
    else:
        Path("FILE").write_bytes(content)
    code, errors = said(arguments, monkeypatch, capsys)
    assert code in (1, 2)
    lines = errors.splitlines()
    assert lines
    # The first line says which configuration was read.
    assert [line for line in lines[1:] if not line.startswith("authproxy: ")] == []
    assert lines[0].startswith(("configuration: ", "authproxy: "))
    assert "FILE" in errors or "these files hold no audit lines" in errors


def test_a_doctor_without_our_keys_says_how_it_is_told_of_them() -> None:
    Path("registry.yml").write_text("auth: {token: {}}\n")
    result = ask("doctor", "--registry", "registry.yml")
    assert result.exit_code == 2
    assert "go to the folder where the server runs, or name its configuration: --config FILE" in result.stderr


def test_a_folder_for_a_password_file_is_told_as_such(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("config.yml").write_text(
        "version: 0.1\nhttp: {addr: 127.0.0.1:0}\nstorage: inmemory\nauth: {htpasswd: {realm: x, path: .}}\n"
    )
    code, errors = said(["serve", "config.yml"], monkeypatch, capsys)
    assert code == 1
    assert "the htpasswd file . is a folder; name a file as auth.htpasswd.path" in errors


def test_a_log_without_a_line_is_not_whole() -> None:
    Path("audit.log").write_text("")
    result = ask("audit", "verify", "audit.log")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "nothing was verified" in result.stderr
