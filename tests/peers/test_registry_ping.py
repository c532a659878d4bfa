"""What `authproxy registry ping` says of real registries: CNCF Distribution 2.8, bare and behind nginx, and ours.

What none of them does (an old clock, a hanging server) small fakes do in tests/unit/doctor/ping.
"""

import datetime as dt
import json
import os
import select
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path

import pytest
import trustme
import yaml
from typer.testing import CliRunner, Result

from authproxy.cli import app
from authproxy.errors import StartError
from authproxy.registry_client.docker_config import Login, find_login
from authproxy.registry_client.docker_config_edit import store_login
from authproxy.token.distribution_export import make_bundle
from authproxy.token.jose_header import HeaderStyle
from authproxy.token.keyring import KeyRing
from tests.support.binaries import binary
from tests.support.nginx import running_nginx
from tests.support.peers import running_docker_registry, running_open_server
from tests.support.server import ADMIN, ADMIN_PASSWORD, Server, running_server

FINE, WRONG = 0, 1
USER, PASSWORD = "alice", "a password, long enough"
LOGIN = Login(USER, PASSWORD)
DISTRIBUTION = "CNCF Distribution, or a registry made from it"


@dataclass(frozen=True, slots=True)
class Site:
    """A folder for everything, and the authority of the registry's certificates."""

    folder: Path
    authority: trustme.CA = field(default_factory=trustme.CA)

    @property
    def ca(self) -> str:
        """The authority's file."""
        self.authority.cert_pem.write_to_path(self.folder / "ca.pem")
        return str(self.folder / "ca.pem")

    def certificate(self, *names: str, days: int = 100) -> dict[str, str]:
        """A certificate and its key, as variables of a registry."""
        issued = self.authority.issue_cert(*names, not_after=dt.datetime.now(dt.UTC) + dt.timedelta(days=days))
        issued.cert_chain_pems[0].write_to_path(self.folder / "server.pem")
        issued.private_key_pem.write_to_path(self.folder / "server.key")
        return {
            "REGISTRY_HTTP_TLS_CERTIFICATE": str(self.folder / "server.pem"),
            "REGISTRY_HTTP_TLS_KEY": str(self.folder / "server.key"),
        }


Start = Callable[[Site], AbstractContextManager[str]]


def distribution(more: str = "", **settings: str) -> Start:
    """CNCF Distribution. `settings` without their `REGISTRY_`."""
    variables = {f"REGISTRY_{name}": value for name, value in settings.items()}
    return lambda site: running_docker_registry(site.folder / "peer", more, variables)


OPEN = distribution()


def with_htpasswd(site: Site) -> AbstractContextManager[str]:
    command = [binary("htpasswd"), "-Bbn", "-C", "5", USER, PASSWORD]
    (site.folder / "htpasswd").write_bytes(subprocess.run(command, capture_output=True, check=True).stdout)
    section = {"auth": {"htpasswd": {"realm": "x", "path": str(site.folder / "htpasswd")}}}
    return running_docker_registry(site.folder / "peer", yaml.safe_dump(section))


def with_realm(site: Site, realm: str) -> AbstractContextManager[str]:
    """It asks for tokens of a realm."""
    style = HeaderStyle(x5c="leaf")
    bundle = site.folder / "bundle.pem"
    bundle.write_bytes(make_bundle([KeyRing.open(site.folder / "keys", style=style).signing()], style))
    token = {"realm": realm, "service": "s", "issuer": "i", "rootcertbundle": str(bundle)}
    return running_docker_registry(site.folder / "peer", yaml.safe_dump({"auth": {"token": token}}))


def with_token_server(answer: str) -> Start:
    """Its token server is an nginx that answers so."""

    @contextmanager
    def start(site: Site) -> Iterator[str]:
        server = f"location / {{ default_type text/html; {answer} }}"
        with running_nginx(site.folder / "tokens", server) as url, with_realm(site, f"{url}/token") as registry:
            yield registry

    return start


def over_tls(*names: str, days: int = 100, host: str = "127.0.0.1") -> Start:
    """It ends TLS itself, and is asked by `host`."""

    @contextmanager
    def start(site: Site) -> Iterator[str]:
        with running_docker_registry(site.folder / "peer", settings=site.certificate(*names, days=days)) as url:
            yield url.replace("127.0.0.1", host)

    return start


def behind_nginx(words: str, inner: Start = OPEN) -> Start:
    """An nginx without TLS before a registry."""

    @contextmanager
    def start(site: Site) -> Iterator[str]:
        location = "location / {{ proxy_pass {}; proxy_set_header Host $http_host; {} }}"
        with inner(site) as registry, running_nginx(site.folder / "nginx", location.format(registry, words)) as url:
            yield url

    return start


@contextmanager
def tls_ended_by_nginx(site: Site) -> Iterator[str]:
    """It does not tell the registry that clients speak TLS."""
    site.certificate("127.0.0.1")
    with running_docker_registry(site.folder / "peer") as registry:
        server = (
            f"ssl_certificate {site.folder}/server.pem; ssl_certificate_key {site.folder}/server.key;"
            f" location / {{ proxy_pass {registry}; proxy_set_header Host $http_host; }}"
        )
        with running_nginx(site.folder / "nginx", server, has_tls=True) as url:
            yield url


@contextmanager
def open_one_of_ours(site: Site) -> Iterator[str]:
    with running_open_server(site.folder / "ours") as server:
        yield server.url


@contextmanager
def nobody(site: Site) -> Iterator[str]:
    with running_docker_registry(site.folder / "peer") as url:
        pass
    yield url


@dataclass(frozen=True, slots=True)
class Case:
    """A registry, and what is said of it: `findings` are those that are no `ok`."""

    what: str
    start: Start
    code: int
    findings: Mapping[str, str]  # check → level
    words: Sequence[str] = ()
    options: Sequence[str] = ()
    login: Login | None = None
    trusts: bool = True  # --ca with the authority
    product: str | None = DISTRIBUTION


PLAIN = {"tls": "warning", "location": "warning"}
NO_LOGIN = PLAIN | {"login": "warning", "anonymous": "warning"}
WRITE = ["--write", "--repository", "team/app"]
CASES: Sequence[Case] = [
    Case(
        "open", distribution(), FINE, PLAIN, ["it asks for no credentials", "docker accepts that only on this machine"]
    ),
    Case(
        "open, asked to write",
        distribution(),
        FINE,
        {"tls": "warning", "referrers": "warning"},
        ["uploads stay"],
        WRITE,
    ),
    Case(
        "a host of its own in Location",
        distribution(HTTP_HOST="https://old.example.org"),
        WRONG,
        {"tls": "warning", "location": "failed"},
        ["it sends uploads to https://old.example.org", "proxy_set_header Host $http_host"],
        ["--write"],
    ),
    Case(
        "TLS that the registry is not told of",
        tls_ended_by_nginx,
        WRONG,
        {"location": "failed"},
        ["it sends uploads to http://127.0.0.1:"],
        ["--write"],
    ),
    Case(
        "passwords, and no login",
        with_htpasswd,
        FINE,
        NO_LOGIN | {"catalog": "warning"},
        ["it asks for a name and a password (Basic)", "authproxy registry login 127.0.0.1:"],
    ),
    Case(
        "passwords, and a login",
        with_htpasswd,
        FINE,
        PLAIN | {"anonymous": "warning"},
        ["the stored login of alice is accepted"],
        login=LOGIN,
    ),
    Case(
        "passwords, and a wrong login",
        with_htpasswd,
        WRONG,
        {"tls": "warning", "login": "failed"},
        ["the stored login of alice is refused (401)", "→ authproxy registry login 127.0.0.1:"],
        login=Login(USER, "another"),
    ),
    Case(
        "the version header taken away",
        behind_nginx("proxy_hide_header Docker-Distribution-Api-Version;"),
        FINE,
        PLAIN | {"headers": "warning"},
        ["pass the header on: registry/2.0"],
        product=None,
    ),
    Case(
        "the challenge taken away",
        behind_nginx("proxy_hide_header WWW-Authenticate;", with_htpasswd),
        WRONG,
        {"tls": "warning", "auth": "failed", "login": "warning"},
        ["it answers 401 without WWW-Authenticate, so no client can log in"],
    ),
    Case(
        "all paths but /v2/ passed on",
        lambda site: running_nginx(site.folder / "nginx", "location / { return 404; }"),
        WRONG,
        {"tls": "warning", "registry": "failed"},
        ["answered 404 with text/html: this is not a registry"],
        product=None,
    ),
    Case(
        "a registry that has moved",
        lambda site: running_nginx(site.folder / "nginx", "location / { return 301 https://new.example.org/v2/; }"),
        WRONG,
        {"tls": "warning", "registry": "failed"},
        ["redirects its clients to https://new.example.org/v2/"],
        product=None,
    ),
    Case(
        "a realm on a foreign domain",
        lambda site: with_realm(site, "https://auth.elsewhere.example/token"),
        WRONG,
        {"tls": "warning", "realm": "failed", "login": "warning"},
        ["its realm https://auth.elsewhere.example/token is not its own", "of the same domain"],
        login=LOGIN,
    ),
    Case(
        "a token endpoint that answers HTML with 200",
        with_token_server('return 200 "<html>log in here</html>";'),
        WRONG,
        {"tls": "warning", "realm": "failed", "login": "warning"},
        ["answered 200 with text/html, in which there is no token"],
    ),
    Case(
        "a token endpoint that is not there",
        with_token_server("return 404;"),
        WRONG,
        {"tls": "warning", "realm": "failed", "login": "warning"},
        ["answered 404: no token is available"],
    ),
    Case(
        "a token server that is down",
        lambda site: with_realm(site, "http://127.0.0.1:1/token"),
        WRONG,
        {"tls": "warning", "realm": "failed", "login": "warning"},
        ["http://127.0.0.1:1/token gave no answer", "start the token server"],
    ),
    Case(
        "tokens that end before clients do",
        with_token_server("""return 200 '{"token": "x", "expires_in": 10}';"""),
        FINE,
        NO_LOGIN | {"realm": "warning", "catalog": "warning"},
        ["gives tokens for 10 s, and clients keep them for 60"],
    ),
    Case(
        "a lifetime that is no number",
        with_token_server("""return 200 '{"token": "x", "expires_in": "5m"}';"""),
        WRONG,
        {"tls": "warning", "realm": "failed", "login": "warning"},
        ["says expires_in: '5m', and clients read a number"],
    ),
    Case(
        "a certificate of an authority that was named",
        over_tls("127.0.0.1"),
        FINE,
        {"location": "warning"},
        ["is for 127.0.0.1, by ", "ca.pem vouches for it; valid until ", "99 days"],
    ),
    Case(
        "a certificate of an authority that nobody knows",
        over_tls("127.0.0.1"),
        WRONG,
        {"tls": "failed", "login": "warning"},
        ["that this machine does not know", "cp ca.pem /etc/docker/certs.d/127.0.0.1:", "or --ca ca.pem here"],
        trusts=False,
    ),
    Case(
        "a certificate that has ended",
        over_tls("127.0.0.1", days=-1),
        WRONG,
        {"tls": "failed", "login": "warning"},
        ["has expired on ", "→ renew it there"],
    ),
    Case("a certificate that ends soon", over_tls("127.0.0.1", days=5), FINE, PLAIN, ["it expires soon: valid until "]),
    Case(
        "a certificate of another name",
        over_tls("registry.example.org", host="localhost"),
        WRONG,
        {"tls": "failed", "login": "warning"},
        ["is for registry.example.org, and not for localhost", "use a name in it"],
    ),
    Case("nobody", nobody, WRONG, {"address": "failed"}, ["nothing listens there"], product=None),
    Case("an open one of ours", open_one_of_ours, FINE, PLAIN, ["authproxy, by its X-Request-ID"], product="authproxy"),
]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Somebody without a login."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.delenv("REGISTRY_AUTH_FILE", raising=False)
    return tmp_path


def ping(url: str, *options: str, login: Login | None = None) -> Result:
    host = url.partition("://")[2]
    if login is not None:
        store_login(host, login, os.environ)
    return CliRunner().invoke(app, ["registry", "ping", host, *options])


def levels(result: Result) -> dict[str, str]:
    """The checks that are no `ok`, of a ping with --json."""
    findings = json.loads(result.stdout)["findings"]
    return {finding["check"]: finding["level"] for finding in findings if finding["level"] != "ok"}


@pytest.mark.parametrize("case", CASES, ids=attrgetter("what"))
def test_a_registry_is_told_of_as_it_is(case: Case, tmp_path: Path) -> None:
    site = Site(tmp_path)
    with case.start(site) as url:
        options = [*case.options, *(["--ca", site.ca] if case.trusts else [])]
        said = ping(url, *options, login=case.login)
        as_json = ping(url, *options, "--json")
    assert (said.exit_code, levels(as_json)) == (case.code, case.findings), said.stdout
    assert as_json.exit_code == case.code
    assert [words for words in case.words if words not in said.stdout] == [], said.stdout
    product = json.loads(as_json.stdout)["product"]
    assert (product and product["name"]) == case.product


@pytest.fixture(scope="module", params=["core", "upstream"])
def ours(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Ours with TLS and tokens, on its own core and in front of another registry."""
    folder = tmp_path_factory.mktemp(request.param)
    with running_docker_registry(folder / "peer") as peer:
        settings = {"REGISTRY_UPSTREAM_URL": peer} if request.param == "upstream" else {}
        with running_server(folder / "server", settings) as server:
            yield server


def test_nothing_is_wrong_with_ours(ours: Server) -> None:
    options = ["--ca", str(ours.ca), *WRITE]
    nobody = ping(ours.url, *options, "--json")
    assert nobody.exit_code == FINE, nobody.stdout
    assert levels(nobody) == {"login": "warning", "catalog": "warning", "referrers": "warning", "location": "warning"}
    said = ping(ours.url, *options, login=Login(ADMIN, ADMIN_PASSWORD))
    assert said.exit_code == FINE, said.stdout
    assert said.stdout.startswith(f"{ours.url} (authproxy, by its service 'authproxy'): ok\n")
    for words in (
        f"ok       tls: the certificate of {ours.url} is for localhost, ",
        f"ok       auth: it asks for tokens of {ours.url}/token (service 'authproxy')",
        f"ok       realm: {ours.url}/token gives tokens without a login, for public access; they last 300 s",
        "ok       login: the stored login of admin is accepted",
        "ok       anonymous: team/app requires a login",
        "ok       location: uploads stay at the host, scheme and port that were asked",
        "ok       clock: ",
    ):
        assert words in said.stdout, said.stdout


def log_in(url: str, password: str) -> Result:
    host = url.partition("://")[2]
    return CliRunner().invoke(app, ["registry", "login", host, "-u", USER, "--password-stdin"], input=password)


def test_a_login_is_tried_at_a_registry_of_passwords(tmp_path: Path) -> None:
    with with_htpasswd(Site(tmp_path)) as url:
        host = url.partition("://")[2]
        refused = log_in(url, "another")
        assert isinstance(refused.exception, StartError)
        assert str(refused.exception).startswith(f"{host} refuses the login of 'alice'")
        assert find_login(host, os.environ) is None
        assert log_in(url, PASSWORD).exit_code == 0
        assert find_login(host, os.environ) == LOGIN


def test_a_registry_that_asks_nobody_takes_any_login_and_it_is_said(tmp_path: Path) -> None:
    with OPEN(Site(tmp_path)) as url:
        result = log_in(url, "anything")
    assert result.exit_code == 0
    assert "does not ask for credentials, so the password was not tried" in result.stderr


def test_what_is_no_registry_takes_no_login(tmp_path: Path) -> None:
    with running_nginx(tmp_path / "nginx", "location / { return 404; }") as url:
        result = log_in(url, "anything")
    assert "does not answer as a registry does: HTTP 404" in str(result.exception)


def test_nothing_is_left_of_an_upload_that_was_begun(tmp_path: Path) -> None:
    with running_docker_registry(tmp_path / "peer") as url:
        assert ping(url, "--write").exit_code == FINE
    assert [path.name for path in (tmp_path / "peer/registry").rglob("startedat")] == []


def test_a_foreign_realm_is_asked_for_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        realm = f"http://localhost:{elsewhere.getsockname()[1]}/token"
        with with_realm(Site(tmp_path), realm) as registry:
            result = ping(registry, login=LOGIN)
        asked, _, _ = select.select([elsewhere], [], [], 0)
    assert result.exit_code == WRONG
    assert f"its realm {realm} is not its own" in result.stdout
    assert asked == []
