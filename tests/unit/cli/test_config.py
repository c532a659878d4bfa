import datetime as dt
import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from authproxy.certificates import make_certificates
from authproxy.cli.config import app
from authproxy.errors import StartError

runner = CliRunner()


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("REGISTRY_CONFIGURATION_PATH", raising=False)
    path = tmp_path / "config.yml"
    storage = f"storage: {{filesystem: {{rootdirectory: {tmp_path}/registry}}}}"
    path.write_text(f"version: 0.1\n{storage}\nhttp: {{secret: geheim}}\nredis: {{addr: r}}\n", encoding="utf-8")
    return path


def test_check_prints_warnings_and_the_mode(config: Path) -> None:
    result = runner.invoke(app, ["check", str(config)])
    assert result.exit_code == 0
    heading, redis, is_open, ok = result.stdout.splitlines()
    assert heading == f"warning: {config}: not in force as written here:"
    assert redis.startswith(f"  redis ({config}:4): nothing is kept in Redis")
    assert is_open.startswith(f"warning: {config}: neither auth nor token")
    assert ok == f"{config}: ok: no login: anyone who reaches it may read, write and delete"


def test_variables_apply_to_check(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_AUTH", "{htpasswd: {realm: r, path: p}}")
    assert runner.invoke(app, ["check", str(config)]).stdout.endswith("ok: a password with each request\n")


def test_check_raises_every_fault_for_the_command_line_to_print(config: Path) -> None:
    config.write_text("version: 0.1\nhttp: {adr: x, tls: y}\n", encoding="utf-8")
    result = runner.invoke(app, ["check", str(config)])
    assert result.exit_code == 1
    assert isinstance(result.exception, StartError)
    assert len(str(result.exception).splitlines()) == 2


def test_show_prints_values_with_sources_and_no_secret(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_HTTP_ADDR", ":5001")
    result = runner.invoke(app, ["show", str(config)])
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert "  addr: :5001  # REGISTRY_HTTP_ADDR" in lines
    assert f"  secret: <hidden>  # {config}:3" in lines
    assert "  workers: 1  # default" in lines
    assert "geheim" not in result.stdout


def test_the_file_is_searched_where_none_is_named(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_CONFIGURATION_PATH", str(config))
    assert f"{config}: ok" in runner.invoke(app, ["check"]).stdout


HASH = "$2y$04$jarkjdyN4syBOFAUG5Wke.Vp4AvfLekncelXMKIMRHArULM5lpa/6"


@pytest.fixture
def htpasswd(tmp_path: Path, config: Path) -> Path:
    config.write_text(
        f"version: 0.1\nstorage: filesystem\nauth: {{htpasswd: {{realm: r, path: {tmp_path}/htpasswd}}}}\n"
    )
    return tmp_path / "htpasswd"


def test_check_warns_of_names_in_several_lines_and_of_entries_that_are_not_bcrypt(config: Path, htpasswd: Path) -> None:
    htpasswd.write_text(f"ann:{HASH}:Ann of sales\nbob:plain\nann:{HASH}\n")
    result = runner.invoke(app, ["check", str(config)])
    assert result.exit_code == 0
    assert "cannot log in: bob; authproxy user password NAME" in result.stdout
    assert "the first one counts: ann (lines 1 and 3); remove the wrong lines" in result.stdout


def test_check_refuses_a_password_file_in_utf_16(config: Path, htpasswd: Path) -> None:
    htpasswd.write_text(f"ann:{HASH}\n", encoding="utf-16")
    result = runner.invoke(app, ["check", str(config)])
    assert result.exit_code == 1
    assert "htpasswd: is UTF-16" in str(result.exception)


def test_check_passes_over_a_password_file_that_is_not_there(config: Path, htpasswd: Path) -> None:
    assert not htpasswd.exists()
    assert runner.invoke(app, ["check", str(config)]).exit_code == 0


def test_check_says_where_a_configuration_lies_in_a_config_map(config: Path) -> None:
    inner = "".join(f"    {line}\n" for line in config.read_text().splitlines())
    config.write_text(f"apiVersion: v1\nkind: ConfigMap\ndata:\n  config.yml: |\n{inner}")
    result = runner.invoke(app, ["check", str(config)])
    assert result.exit_code == 1
    assert f"{config}:4: the file is wrapped in a ConfigMap" in str(result.exception)
    assert "below data → config.yml, as a text" in str(result.exception)


def test_what_check_says_as_json(config: Path) -> None:
    content = json.loads(runner.invoke(app, ["check", str(config), "--json"]).stdout)
    assert (content["config"], content["mode"]) == (str(config), "open")
    assert len(content["warnings"]) == 2


def test_values_and_sources_as_json_without_a_secret(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_HTTP_WORKERS", "3")
    result = runner.invoke(app, ["show", str(config), "--json"])
    assert "geheim" not in result.stdout
    rows = {row["key"]: (row["value"], row["source"]) for row in json.loads(result.stdout)["values"]}
    assert rows["http.secret"] == ("<hidden>", f"{config}:3")
    assert rows["http.workers"] == (3, "REGISTRY_HTTP_WORKERS")
    assert rows["http.addr"] == (":5000", "default")
    assert rows["log.accesslog.disabled"] == (False, "default")


ISSUES = """\
version: 0.1
storage: inmemory
token: {keys: keys}
identities:
  - htpasswd: {path: htpasswd}
policies: {path: rules}
"""


def test_check_warns_of_missing_files_without_which_no_server_starts(
    config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    config.write_text(ISSUES)
    said = runner.invoke(app, ["check", str(config)]).stdout
    assert f"warning: {config}:5: identities.0.htpasswd.path: there is no htpasswd here; no server starts" in said
    assert f"warning: {config}:6: policies.path: there is no rules here; no server starts without it" in said
    assert said.endswith("ok, but 2 paths cannot be used here: it issues its own tokens\n")


def test_check_refuses_a_key_that_does_not_fit_its_certificate(
    config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        make_certificates(tmp_path / name, ["localhost"], now=dt.datetime.now(dt.UTC))
    config.write_text(
        "version: 0.1\nstorage: inmemory\nauth: none\nhttp: {tls: {certificate: a/server.pem, key: b/server.key}}\n"
    )
    result = runner.invoke(app, ["check", str(config)])
    assert result.exit_code == 1
    assert "b/server.key does not match the certificate a/server.pem" in str(result.exception)


def test_check_warns_of_a_storage_beside_an_upstream_in_the_same_file(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text("version: 0.1\nauth: none\nstorage: inmemory\nupstream: {url: 'http://localhost:1'}\n")
    assert f"warning: {config}:3: storage: not used" in runner.invoke(app, ["check", str(config)]).stdout
    config.write_text("version: 0.1\nauth: none\nstorage: inmemory\n")
    monkeypatch.setenv("REGISTRY_UPSTREAM_URL", "http://localhost:1")
    assert "not used" not in runner.invoke(app, ["check", str(config)]).stdout


def test_a_configuration_may_be_named_both_ways_but_not_twice(config: Path) -> None:
    assert runner.invoke(app, ["check", "--config", str(config)]).exit_code == 0
    assert runner.invoke(app, ["check", str(config), "--config", str(config)]).exit_code == 0
    twice = runner.invoke(app, ["check", str(config), "--config", "other.yml"])
    assert (twice.exit_code, "name one" in twice.stderr) == (2, True)


def test_check_refuses_policies_that_no_server_loads(
    config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    config.write_text(ISSUES)
    (tmp_path / "rules").write_text("version: 1\nrulez: []\n")
    result = runner.invoke(app, ["check", str(config)])
    assert result.exit_code == 1
    assert "rules:2: rulez: unknown key" in str(result.exception)


def test_check_refuses_a_folder_without_policies(config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    config.write_text(ISSUES)
    (tmp_path / "rules").mkdir()
    result = runner.invoke(app, ["check", str(config)])
    assert result.exit_code == 1
    assert "rules: contains no policy" in str(result.exception)


BEHIND = """\
version: 0.1
auth: none
upstream: {url: 'https://localhost:1', authorization: basic, username: u, passwordfile: secret}
"""


def test_check_looks_at_the_password_for_an_upstream(
    config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    config.write_text(BEHIND)
    result = runner.invoke(app, ["check", str(config)])
    assert result.exit_code == 0
    assert f"warning: {config}:3: upstream.passwordfile: there is no secret here" in result.stdout
    assert f"{config}: ok, but 1 path cannot be used here: " in result.stdout
    (tmp_path / "secret").write_text("")
    result = runner.invoke(app, ["check", str(config)])
    assert result.exit_code == 1
    assert "secret must contain one line, the password" in str(result.exception)
    (tmp_path / "secret").write_text("geheim\n")
    assert f"{config}: ok: " in runner.invoke(app, ["check", str(config)]).stdout


def test_check_looks_at_the_folder_of_the_storage(
    config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root, key = tmp_path / "registry", "storage.filesystem.rootdirectory"
    config.write_text(f"version: 0.1\nauth: none\nstorage: {{filesystem: {{rootdirectory: {root}}}}}\n")
    assert f"{config}: ok: " in runner.invoke(app, ["check", str(config)]).stdout
    with monkeypatch.context() as patch:  # root may write everywhere
        patch.setattr(os, "access", lambda path, mode, **_: Path(path) != tmp_path or not mode & os.W_OK)
        result = runner.invoke(app, ["check", str(config)])
    assert f"warning: {config}:3: {key}: {root} cannot be written by this account: {tmp_path} is" in result.stdout
    assert (result.exit_code, "ok, but 1 path cannot be used here" in result.stdout) == (0, True)
    root.touch()
    result = runner.invoke(app, ["check", str(config)])
    assert result.exit_code == 1
    assert f"{config}:3: {key}: {root} is not a folder" in str(result.exception)


def test_check_misses_the_folder_of_a_read_only_storage(config: Path, tmp_path: Path) -> None:
    storage = f"{{filesystem: {{rootdirectory: {tmp_path}/registry}}, maintenance: {{readonly: {{enabled: true}}}}}}"
    config.write_text(f"version: 0.1\nauth: none\nstorage: {storage}\n")
    result = runner.invoke(app, ["check", str(config)])
    assert f"there is no folder {tmp_path}/registry here, and no start makes it" in result.stdout


def test_check_refuses_a_file_in_the_place_of_a_folder(
    config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "keys").touch()
    config.write_text(ISSUES)
    assert f"{config}:3: token.keys: keys is not a folder" in str(runner.invoke(app, ["check", str(config)]).exception)
    (tmp_path / "secret").mkdir()
    config.write_text(BEHIND)
    assert "secret: Is a directory" in str(runner.invoke(app, ["check", str(config)]).exception)


def test_check_warns_of_files_that_this_account_cannot_read(
    config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    config.write_text(ISSUES)
    (tmp_path / "htpasswd").touch()
    (tmp_path / "rules").touch()
    stat = Path.stat

    def refuse(path: Path, **how: bool) -> os.stat_result:
        if path.name == "rules":  # as below a closed folder
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **how)

    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda path, mode, **_: Path(path).name not in ("rules", "htpasswd"))
        patch.setattr(Path, "stat", refuse)
        result = runner.invoke(app, ["check", str(config)])
    assert "identities.0.htpasswd.path: htpasswd cannot be read by this account; the" in result.stdout
    assert "policies.path: rules cannot be read by this account: Permission denied" in result.stdout
    assert (result.exit_code, "ok, but 2 paths cannot be used here" in result.stdout) == (0, True)


def test_check_misses_the_folder_of_the_audit_log(
    config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    config.write_text(f"{ISSUES}audit: {{file: {{path: logs/audit.log}}}}\n")
    assert "audit.file.path: there is no folder logs here" in runner.invoke(app, ["check", str(config)]).stdout
    (tmp_path / "logs").mkdir()
    assert "audit.file.path" not in runner.invoke(app, ["check", str(config)]).stdout
