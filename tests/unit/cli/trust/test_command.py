"""`authproxy trust` of configurations of every kind; what clients do with the lines: tests/clients/test_trust.py."""

import datetime as dt
import json
import ssl
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from authproxy.certificates import make_certificates
from authproxy.cli import app
from authproxy.cli.trust import served
from authproxy.cli.trust.lines import Client
from authproxy.config.embedded import Layout
from authproxy.own_certificate import keep_certificate
from tests.support.certificates import make_chain

NOW = dt.datetime.now(dt.UTC)
CONFIG = """\
version: 0.1
storage: inmemory
auth: none
http:
  addr: :443
  tls: {certificate: tls/server.pem, key: tls/server.key}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tls").mkdir()
    (tmp_path / "config.yml").write_text(CONFIG)
    return tmp_path


@pytest.fixture
def embedded(folder: Path) -> Layout:
    """It has been started with two names."""
    layout = Layout(folder)
    keep_certificate(layout, ["nas.lan", "192.0.2.9"], now=NOW)
    layout.htpasswd.touch()
    return layout


def trust(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["trust", *arguments])


def test_the_names_of_the_start_are_those_of_the_lines(embedded: Layout) -> None:
    result = trust("--for", "docker")
    assert result.exit_code == 0
    assert result.stdout.startswith("for host in nas.lan:5000 192.0.2.9:5000; do\n")
    assert embedded.authority.read_text() in result.stdout
    assert result.stderr == f"configuration: embedded default in {embedded.folder}\n"


def test_one_name_and_its_port_are_taken_as_they_are_given(embedded: Layout) -> None:
    result = trust("NAS.lan:8443", "--for", "podman")
    assert result.stdout.startswith("sudo mkdir -p /etc/containers/certs.d/nas.lan:8443\nsudo tee ")
    assert "warning" not in result.stderr


def test_a_name_that_the_certificate_lacks_is_a_warning(embedded: Layout) -> None:
    result = trust("other.lan", "--for", "docker")
    assert (result.exit_code, "/certs.d/other.lan:5000/ca.crt" in result.stdout) == (0, True)
    assert "certs/server.pem is not for other.lan" in result.stderr
    assert "serve --embedded --host other.lan" in result.stderr


def test_each_client_has_a_heading_where_several_are_printed(embedded: Layout) -> None:
    result = trust("nas.lan")
    headings = [line.split()[2].rstrip(":") for line in result.stdout.splitlines() if line.startswith("# --for ")]
    assert headings == ["docker", "podman", "containerd", "k3s"]
    rest = "# Others: --for curl, system, mac, windows. With system, mac and windows the machine trusts this CA for"
    assert f"{rest} every name." in result.stdout.splitlines()
    assert {client.value for client in Client} == {*headings, "curl", "system", "mac", "windows"}


def test_json_has_the_certificate_and_the_lines(embedded: Layout) -> None:
    content = json.loads(trust("--json", "--for", "curl").stdout)
    assert content["hosts"] == ["nas.lan:5000", "192.0.2.9:5000"]
    assert content["ca"] == embedded.authority.read_text()
    assert list(content["lines"]) == ["curl"]


@pytest.mark.parametrize("host", ["a$(id)", "a;b", "nas.lan:0", "nas.lan:99999", "a b", "https://nas.lan", "a`b`", "'"])
@pytest.mark.usefixtures("embedded")
def test_nothing_that_means_anything_to_a_shell_is_a_host(host: str) -> None:
    result = trust(host)
    assert (result.exit_code, result.stdout) == (2, "")


def test_a_chain_that_ends_in_its_ca_needs_that(folder: Path) -> None:
    made = make_chain()
    (folder / "tls/server.pem").write_bytes(made.certificate + made.authority)
    result = trust("localhost", "--config", "config.yml", "--for", "docker")
    assert "/certs.d/localhost/ca.crt" in result.stdout, "443 is no part of a name"
    assert made.authority.decode().strip() in result.stdout


def test_a_chain_without_its_ca_says_which_one_is_missing(folder: Path) -> None:
    (folder / "tls/server.pem").write_bytes(make_chain().certificate)
    result = trust("localhost", "--config", "config.yml")
    assert result.exit_code == 1
    assert "was issued by CN=root, whose certificate is not in the file" in str(result.exception)


def test_a_ca_of_the_system_needs_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_chain()
    (folder / "tls/server.pem").write_bytes(made.certificate)
    monkeypatch.setattr(served, "_system_authorities", lambda: [ssl.PEM_cert_to_DER_cert(made.authority.decode())])
    result = trust("localhost", "--config", "config.yml")
    assert result.exit_code == 0
    assert "this machine trusts CN=root, which issued the certificate; nothing is needed" in result.stdout


def test_the_systems_cas_can_be_read() -> None:
    for authority in served._system_authorities():
        assert authority.startswith(b"0")


def test_names_of_a_configuration_are_those_of_its_certificate(folder: Path) -> None:
    make_certificates(folder / "tls", ["localhost", "registry.example", "*.example", "$(id).example"], now=NOW)
    chain = (folder / "tls/server.pem").read_bytes() + (folder / "tls/ca.pem").read_bytes()
    (folder / "tls/server.pem").write_bytes(chain)
    assert json.loads(trust("--config", "config.yml", "--json").stdout)["hosts"] == ["registry.example"]
    public = CONFIG + "  host: https://public.example:8443\n"
    (folder / "config.yml").write_text(public)
    assert json.loads(trust("--config", "config.yml", "--json").stdout)["hosts"] == ["public.example:8443"]


def test_without_tls_there_is_nothing_to_trust(folder: Path) -> None:
    (folder / "config.yml").write_text("version: 0.1\nstorage: inmemory\nauth: none\n")
    result = trust("localhost", "--config", "config.yml")
    assert (result.exit_code, "http.tls is not set" in str(result.exception)) == (1, True)


def test_before_the_first_start_there_is_no_certificate(folder: Path) -> None:
    result = trust("localhost", "--config", "config.yml")
    assert (result.exit_code, "there is no tls/server.pem" in str(result.exception)) == (1, True)
