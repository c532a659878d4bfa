import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from authproxy.cli import app
from authproxy.token.distribution_export import make_bundle
from authproxy.token.jose_header import HeaderStyle
from authproxy.token.keyring import KeyRing
from tests.support.server import free_port

OURS = """\
version: 0.1
storage: {filesystem: {rootdirectory: registry}}
http: {host: "https://registry.example.org"}
token: {keys: ring, x5c: leaf}
policies: {path: policies}
"""
THEIRS = """\
auth:
  token:
    realm: https://registry.example.org/token
    service: authproxy
    issuer: authproxy
    rootcertbundle: bundle.pem
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry that was told of our authority."""
    monkeypatch.chdir(tmp_path)
    for name in ("REGISTRY_TOKEN_X5C", "REGISTRY_TOKEN_KID"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "config.yml").write_text(OURS)
    (tmp_path / "registry.yml").write_text(THEIRS)
    style = HeaderStyle(x5c="leaf")
    (tmp_path / "bundle.pem").write_bytes(make_bundle([KeyRing.open(Path("ring"), style=style).signing()], style))
    return tmp_path


def invoke(*arguments: str) -> Result:
    result = CliRunner().invoke(app, ["doctor", "--registry", "registry.yml", *arguments])
    assert isinstance(result.exception, SystemExit | None), result.output
    return result


def replace(old: str, new: str) -> None:
    Path("registry.yml").write_text(THEIRS.replace(old, new))


def test_tokens_that_would_be_taken_are_exit_code_0() -> None:
    result = invoke("config.yml")
    assert result.exit_code == 0, result.output
    assert (
        "registry.yml, read by CNCF Distribution 2.8 and 3.0 and 3.1: ok, it would accept our tokens" in result.stdout
    )
    assert "https://registry.example.org/token, the address of our token server" in result.stdout


def test_tokens_that_would_be_refused_are_exit_code_1_with_the_line_and_the_fix() -> None:
    replace("issuer: authproxy", "issuer: somebody")
    result = invoke("config.yml")
    assert result.exit_code == 1
    assert "→ registry.yml:5: auth.token.issuer: authproxy; or token.issuer: somebody in our" in result.stdout


def test_versions_that_differ_are_exit_code_2_until_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_TOKEN_X5C", "none")
    monkeypatch.setenv("REGISTRY_TOKEN_KID", "libtrust")
    key = KeyRing.open(Path("ring"), style=HeaderStyle(x5c="leaf")).signing()
    Path("bundle.pem").write_bytes(make_bundle([key], HeaderStyle("libtrust")))
    result = invoke("config.yml")
    assert result.exit_code == 2
    assert "name the registry's: --version 2.8" in result.stdout
    assert invoke("config.yml", "--version", "2.8").exit_code == 0
    assert invoke("config.yml", "--version", "3.0").exit_code == 1


def test_the_same_as_json() -> None:
    replace("service: authproxy", "service: other")
    content = json.loads(invoke("config.yml", "--json", "--version", "2.8").stdout)
    assert (content["registry"], content["verdict"]) == ("registry.yml", "failed")
    (version,) = content["versions"]
    levels = {finding["check"]: finding["level"] for finding in version["findings"]}
    assert levels == {
        "issuer": "ok",
        "service": "failed",
        "algorithm": "ok",
        "key": "ok",
        "signature": "ok",
        "realm": "ok",
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["absent.yml"], "absent.yml: cannot be read"),
        (["config.yml", "--env-file", "absent"], "--env-file absent"),
        ([], "no configuration: REGISTRY_CONFIGURATION_PATH is not set"),
        (["without-token.yml"], "there is no token section"),
    ],
    ids=repr,
)
def test_what_cannot_be_read_is_exit_code_2(arguments: list[str], words: str) -> None:
    Path("without-token.yml").write_text("version: 0.1\nstorage: inmemory\nauth: none\n")
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr


def test_no_file_is_written(folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    invoke("config.yml")
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_an_upstream_is_told_of_in_words(tmp_path: Path) -> None:
    Path("front.yml").write_text(f"version: 0.1\nauth: none\nupstream:\n  url: http://127.0.0.1:{free_port()}\n")
    result = CliRunner().invoke(app, ["doctor", "--upstream", "front.yml"])
    assert result.exit_code == 1
    assert result.stdout.startswith("front.yml: upstream, http://127.0.0.1:")
    assert "failed\n  failed   address: " in result.stdout
    assert "→ start it, or front.yml:4: upstream.url: where it is" in result.stdout


def test_every_registry_behind_us_is_told_of_once() -> None:
    dead, other = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    Path("front.yml").write_text(
        "version: 0.1\nauth: none\nstorage: inmemory\nupstreams:\n"
        f"- {{match: a/**, url: '{dead}'}}\n- {{match: b/**, url: '{dead}', rename: {{strip: b/}}}}\n"
        f"- {{match: c/**, backend: core}}\n- {{match: '**', url: ['{other}', '{dead}']}}\n"
    )
    result = CliRunner().invoke(app, ["doctor", "--upstream", "--json", "front.yml"])
    assert result.exit_code == 1
    content = json.loads(result.stdout)
    assert (content["config"], content["verdict"]) == ("front.yml", "failed")
    told = {upstream["upstream"]: upstream["addresses"] for upstream in content["upstreams"]}
    assert told == {"upstreams.0": [dead], "upstreams.3": [other, dead]}
    fixes = [finding["fix"] for finding in content["upstreams"][1]["findings"]]
    assert fixes == ["start it, or front.yml:8: upstreams.3.url: where it is"] * 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--registry", "registry.yml", "--host", "x"], "--host is about our server"),
        (["--upstream", "--host", "https://a", "--host", "https://b"], "give one --host"),
        (["--upstream", "--registry", "registry.yml"], "--registry CONFIG, or --upstream"),
        (["--upstream", "--live", "http://x", "--ca", "ca.pem"], "--live, --ca: only for --registry"),
        (["--registry", "registry.yml", "--write"], "--write: only for --upstream"),
        (["--upstream", "--repository", "A", "config.yml"], "--repository A: "),
        (["--upstream", "--host", "registry", "config.yml"], "--host registry: not a usable URL"),
        (["--upstream", "config.yml"], "config.yml: there is no upstream to examine; write upstream: {url:"),
        (["--upstream", "absent.yml"], "absent.yml: cannot be read"),
    ],
    ids=repr,
)
def test_what_cannot_be_asked_is_exit_code_2(arguments: list[str], words: str) -> None:
    Path("ca.pem").touch()
    result = CliRunner().invoke(app, ["doctor", *arguments], env={"COLUMNS": "300"})
    assert isinstance(result.exception, SystemExit)
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.split())
