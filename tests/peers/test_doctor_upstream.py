"""What `authproxy doctor --upstream` says of a registry behind us is what our clients meet there.

The registries are real: CNCF Distribution 2.8, bare and behind nginx, nginx alone, and ours. What none of them does (an
old clock, garbage, a server that hangs) small fakes do in tests/unit/doctor/upstream.
"""

import asyncio
import datetime as dt
import hashlib
import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
import yaml
from typer.testing import CliRunner

from authproxy.access import pull, push
from authproxy.cli import app
from authproxy.errors import StartError
from authproxy.policy import DEFAULT_POLICY
from authproxy.principal import Principal
from authproxy.token.distribution_export import make_bundle
from authproxy.token.issuer import Issuer
from authproxy.token.jose_header import HeaderStyle
from authproxy.token.keyring import KeyRing
from tests.support.application import serving
from tests.support.binaries import binary
from tests.support.nginx import running_nginx
from tests.support.peers import running_docker_registry, running_open_server
from tests.support.server import free_port, running_server

FINE, WRONG = 0, 1
OUR_HOST = "https://registry.example.org"
USER, PASSWORD = "alice", "a password, long enough"
LEAF = HeaderStyle(x5c="leaf")

ALICE_DOES_ALL = """\
version: 1
rules:
- {name: all, to: {users: [alice]}, on: {repositories: ["**"]}, allow: [pull, push, delete]}
"""

Words = Mapping[str, Any]
Start = Callable[["Site"], AbstractContextManager[str]]


@dataclass(frozen=True, slots=True)
class Site:
    """A folder for everything, and the authority of the upstream's certificates."""

    folder: Path
    authority: trustme.CA = field(default_factory=trustme.CA)

    @property
    def config(self) -> Path:
        """Ours."""
        return self.folder / "config.yml"

    def certificate(self, *names: str, until: dt.datetime | None = None) -> dict[str, str]:
        """A certificate and its key, as variables of a registry."""
        issued = self.authority.issue_cert(*names, not_after=until)
        issued.cert_chain_pems[0].write_to_path(self.folder / "server.pem")
        issued.private_key_pem.write_to_path(self.folder / "server.key")
        return {
            "REGISTRY_HTTP_TLS_CERTIFICATE": str(self.folder / "server.pem"),
            "REGISTRY_HTTP_TLS_KEY": str(self.folder / "server.key"),
        }

    def ca(self, name: str = "ca.pem", authority: trustme.CA | None = None) -> str:
        """A file of an authority's certificate."""
        (authority or self.authority).cert_pem.write_to_path(self.folder / name)
        return str(self.folder / name)

    def htpasswd(self) -> str:
        """A password file with one user."""
        path = self.folder / "htpasswd"
        command = [binary("htpasswd"), "-Bbn", "-C", "5", USER, PASSWORD]
        path.write_bytes(subprocess.run(command, capture_output=True, check=True).stdout)
        return str(path)

    def ring(self, name: str = "keys") -> KeyRing:
        """The keys of a token server."""
        return KeyRing.open(self.folder / name, style=LEAF)


def distribution(more: str = "", **settings: str) -> Start:
    """CNCF Distribution 2.8. `settings` without their `REGISTRY_`."""
    variables = {f"REGISTRY_{name}": value for name, value in settings.items()}
    return lambda site: running_docker_registry(site.folder / "peer", more, variables)


def with_htpasswd(site: Site) -> AbstractContextManager[str]:
    section = {"auth": {"htpasswd": {"realm": "x", "path": site.htpasswd()}}}
    return running_docker_registry(site.folder / "peer", yaml.safe_dump(section))


def with_tokens(ring: str, realm: str = f"{OUR_HOST}/token") -> Start:
    """It verifies tokens that this ring signs."""

    def start(site: Site) -> AbstractContextManager[str]:
        bundle = site.folder / "bundle.pem"
        bundle.write_bytes(make_bundle([site.ring(ring).signing()], LEAF))
        token = {"realm": realm, "service": "authproxy", "issuer": "authproxy", "rootcertbundle": str(bundle)}
        return running_docker_registry(site.folder / "peer", yaml.safe_dump({"auth": {"token": token}}))

    return start


@contextmanager
def with_a_token_server(site: Site) -> Iterator[str]:
    """Its token server is another authproxy, which knows one user."""
    folder = site.folder / "tokens"
    folder.mkdir()
    values: dict[str, Any] = {"version": "0.1", "storage": {"inmemory": {}}}
    (folder / "policy.yaml").write_text(ALICE_DOES_ALL)
    site.htpasswd()
    KeyRing.open(folder / "keys", style=LEAF)
    values |= {"token": {"keys": "keys", "x5c": "leaf"}, "policies": {"path": "policy.yaml"}}
    values |= {"identities": [{"htpasswd": {"path": str(site.folder / "htpasswd")}}]}
    (folder / "config.yml").write_text(yaml.safe_dump(values))
    with ExitStack() as running:
        server = running.enter_context(running_server(folder, arguments=["config.yml"], has_tls=False))
        yield running.enter_context(with_tokens("tokens/keys", f"http://127.0.0.1:{server.port}/token")(site))


def over_tls(*names: str, days: int | None = None, host: str = "127.0.0.1", scheme: str = "https") -> Start:
    """It ends TLS itself."""

    @contextmanager
    def start(site: Site) -> Iterator[str]:
        until = None if days is None else dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
        with running_docker_registry(site.folder / "peer", settings=site.certificate(*names, until=until)) as url:
            yield url.replace("http:", f"{scheme}:").replace("127.0.0.1", host)

    return start


@contextmanager
def wanting_a_certificate(site: Site) -> Iterator[str]:
    settings = site.certificate("127.0.0.1") | {"REGISTRY_HTTP_TLS_CLIENTCAS": f"[{site.ca()}]"}
    with running_docker_registry(site.folder / "peer", settings=settings) as url:
        yield url.replace("http:", "https:")


def nginx(server: str) -> Start:
    return lambda site: running_nginx(site.folder / "nginx", server)


@contextmanager
def nginx_wanting_a_certificate(site: Site) -> Iterator[str]:
    site.certificate("127.0.0.1")
    server = (
        f"ssl_certificate {site.folder}/server.pem; ssl_certificate_key {site.folder}/server.key;"
        f" ssl_client_certificate {site.ca()}; ssl_verify_client on;"
    )
    with running_nginx(site.folder / "nginx", server, has_tls=True) as url:
        yield url


@contextmanager
def nginx_that_hides_the_host(site: Site) -> Iterator[str]:
    """nginx's default is to send the name of the registry itself as `Host`."""
    hide = "".join(f"proxy_set_header {name} '';" for name in ("Forwarded", "X-Forwarded-Host", "X-Forwarded-Proto"))
    with (
        running_docker_registry(site.folder / "peer") as registry,
        running_nginx(site.folder / "nginx", f"location / {{ proxy_pass {registry}; {hide} }}") as url,
    ):
        yield url


@contextmanager
def secure_but_called_plain(site: Site) -> Iterator[str]:
    with running_docker_registry(site.folder / "peer") as url:
        yield url.replace("http:", "https:")


@contextmanager
def ours(site: Site) -> Iterator[str]:
    with running_open_server(site.folder / "ours") as server:
        yield server.url


@dataclass(frozen=True, slots=True)
class Case:
    """An upstream, our configuration of it, and what the doctor says: `findings` are those that are no `ok`."""

    what: str
    start: Start
    verdict: int
    findings: Mapping[str, str]  # check → level
    words: Sequence[str] = ()
    upstream: Callable[[Site], Words] = lambda site: {}
    rest: Callable[[Site], Words] = lambda site: {"auth": "none"}


def trusting(site: Site) -> Words:
    return {"ca": site.ca()}


def trusting_somebody_else(site: Site) -> Words:
    return {"ca": site.ca("other.pem", trustme.CA())}


def showing(site: Site, authority: trustme.CA) -> Words:
    issued = authority.issue_cert("authproxy.example")
    issued.private_key_and_cert_chain_pem.write_to_path(site.folder / "client.pem")
    return {"ca": site.ca(), "certificate": str(site.folder / "client.pem"), "key": str(site.folder / "client.pem")}


def showing_a_certificate(site: Site) -> Words:
    return showing(site, site.authority)


def showing_somebody_elses(site: Site) -> Words:
    return showing(site, trustme.CA())


def passing(site: Site) -> Words:
    return {"authorization": "pass"}


def by_password(site: Site, authorization: str = "basic", password: str = PASSWORD) -> Words:
    (site.folder / "password").write_text(password)
    return {"authorization": authorization, "username": USER, "passwordfile": str(site.folder / "password")}


def by_another_password(site: Site, authorization: str = "basic") -> Words:
    return by_password(site, authorization, "another password, long enough")


def minting(site: Site, service: str = "authproxy") -> Words:
    return {"authorization": "mint", "service": service}


def issuing(site: Site) -> Words:
    site.ring()
    (site.folder / "policy.yaml").write_text(DEFAULT_POLICY)
    token = {"keys": str(site.folder / "keys"), "x5c": "leaf"}
    return {"token": token, "policies": {"path": str(site.folder / "policy.yaml")}}


def with_our_htpasswd(site: Site) -> Words:
    return {"auth": {"htpasswd": {"realm": "x", "path": site.htpasswd()}}}


PAST = {"location": "failed"}
CASES: Sequence[Case] = [
    Case("open to everybody", distribution(), FINE, {}, ["it uses X-Forwarded-Host and X-Forwarded-Proto"]),
    Case("ours", ours, FINE, {"location": "warning"}, ["not X-Forwarded-Proto: it answers with http"]),
    Case("paths for addresses", distribution(HTTP_RELATIVEURLS="true"), FINE, {}, ["it answers with paths"]),
    Case(
        "a host of its own",
        distribution(HTTP_HOST="https://elsewhere.example"),
        WRONG,
        PAST,
        ["take http.host out of", "config.yml: http.host: https://elsewhere.example"],
    ),
    Case("the host that is ours", distribution(HTTP_HOST=OUR_HOST), FINE, {}, ["with the client's host"]),
    Case(
        "behind an nginx that hides the host",
        nginx_that_hides_the_host,
        WRONG,
        PAST,
        ["past authproxy", "nginx: proxy_set_header Host"],
    ),
    Case("no deletes", distribution(STORAGE_DELETE_ENABLED="false"), FINE, {"deletes": "warning"}, ["it answers 405"]),
    Case(
        "read-only",
        distribution(STORAGE_MAINTENANCE_READONLY="{enabled: true}"),
        FINE,
        {"deletes": "warning", "location": "warning"},
        ["it accepts no uploads (405)"],
    ),
    Case(
        "passwords of its own",
        with_htpasswd,
        WRONG,
        {"auth": "failed"},
        ["upstream.authorization: basic, with username"],
    ),
    Case(
        "the passwords of our clients",
        with_htpasswd,
        FINE,
        {"auth": "warning", "content": "warning"},
        ["whether it knows them was not tried"],
        passing,
        with_our_htpasswd,
    ),
    Case(
        "passwords where clients bring tokens",
        with_htpasswd,
        WRONG,
        {"auth": "failed"},
        ["our clients send our tokens"],
        passing,
        issuing,
    ),
    Case("our tokens", with_tokens("keys"), FINE, {}, ["it accepts our token"], passing, issuing),
    Case(
        "somebody else's tokens",
        with_tokens("others", "https://auth.example/token"),
        WRONG,
        {"auth": "failed"},
        ["it refuses our token (401); it asks for tokens of https://auth.example/token (service 'authproxy')"],
        passing,
        issuing,
    ),
    Case(
        "tokens, and none is passed on",
        with_tokens("keys"),
        WRONG,
        {"auth": "failed"},
        ["mint, with service: authproxy"],
    ),
    Case("tokens, and anything is passed on", with_tokens("keys"), FINE, {"content": "warning"}, [], passing),
    Case("a password that it knows", with_htpasswd, FINE, {}, ["it accepts alice with the password of"], by_password),
    Case(
        "a password that it does not know",
        with_htpasswd,
        WRONG,
        {"auth": "failed"},
        ["it refuses alice with the password of", "(401)", "upstream.username and passwordfile"],
        by_another_password,
    ),
    Case(
        "a password that is not there",
        with_htpasswd,
        WRONG,
        {"auth": "failed"},
        ["upstream.passwordfile: cannot read /nowhere"],
        lambda site: {"authorization": "basic", "username": USER, "passwordfile": "/nowhere"},
    ),
    Case(
        "a password that nobody asked for",
        distribution(),
        FINE,
        {"auth": "warning"},
        ["a name and a password is sent without effect"],
        by_password,
    ),
    Case(
        "a password where it wants tokens",
        with_tokens("keys", "https://auth.example/token"),
        WRONG,
        {"auth": "failed"},
        ["upstream.authorization: bearer, with username", "realms: [https://auth.example]", "mint, with service:"],
        by_password,
    ),
    Case(
        "its own token server",
        with_a_token_server,
        FINE,
        {"catalog": "warning"},
        ["gave alice"],
        lambda site: by_password(site, "bearer"),
    ),
    Case(
        "its own token server, and another password",
        with_a_token_server,
        WRONG,
        {"auth": "failed"},
        ["token server does not accept the credentials", "a user whom that token server knows"],
        lambda site: by_another_password(site, "bearer"),
    ),
    Case(
        "a token server elsewhere",
        with_tokens("keys", "https://auth.example/token"),
        WRONG,
        {"auth": "failed"},
        ["https://auth.example/token for tokens, which is not its own host", "realms: [https://auth.example]"],
        lambda site: by_password(site, "bearer"),
    ),
    Case("a token of ours", with_tokens("keys"), FINE, {}, ["it accepts our token"], minting, issuing),
    Case(
        "a token of ours for somebody else",
        with_tokens("keys"),
        WRONG,
        {"auth": "failed"},
        ["it refuses our token (401)", "upstream.service: authproxy"],
        lambda site: minting(site, "another"),
        issuing,
    ),
    Case("anybody, and tokens are passed on", distribution(), FINE, {"auth": "warning"}, ["strip"], passing, issuing),
    Case("TLS", over_tls("127.0.0.1"), FINE, {}, ["verifies, and is valid until"], trusting),
    Case("TLS that ends soon", over_tls("127.0.0.1", days=3), FINE, {"tls": "warning"}, ["expires soon: on"], trusting),
    Case("TLS that has ended", over_tls("127.0.0.1", days=-3), WRONG, {"tls": "failed"}, ["has expired on"], trusting),
    Case(
        "TLS of an unknown authority",
        over_tls("127.0.0.1"),
        WRONG,
        {"tls": "failed"},
        ["that this machine does not know", "upstream.ca: a PEM file"],
    ),
    Case(
        "TLS of another authority",
        over_tls("127.0.0.1"),
        WRONG,
        {"tls": "failed"},
        ["other.pem does not know"],
        trusting_somebody_else,
    ),
    Case(
        "TLS for another name",
        over_tls("registry.example", "::1", host="localhost"),
        WRONG,
        {"tls": "failed"},
        ["is for registry.example, ::1, and not for localhost"],
        trusting,
    ),
    Case(
        "a wish for certificates",
        wanting_a_certificate,
        WRONG,
        {"tls": "failed"},
        ["requires a client certificate"],
        trusting,
    ),
    Case("a certificate that it wants", wanting_a_certificate, FINE, {}, [], showing_a_certificate),
    Case(
        "another certificate than it wants",
        wanting_a_certificate,
        WRONG,
        {"tls": "failed"},
        ["client.pem, the certificate that it gets"],
        showing_somebody_elses,
    ),
    Case(
        "a file that is no authority",
        over_tls("127.0.0.1"),
        WRONG,
        {"tls": "failed"},
        ["server.key contains a private key, expected certificates in PEM"],
        lambda site: {"ca": str(site.folder / "server.key")},
    ),
    Case(
        "TLS for the name that is written",
        over_tls("registry.example"),
        FINE,
        {},
        [],
        lambda site: {"ca": site.ca(), "servername": "registry.example"},
    ),
    Case(
        "nginx's wish for certificates",
        nginx_wanting_a_certificate,
        WRONG,
        {"tls": "failed"},
        ["requires a client certificate"],
        trusting,
    ),
    Case(
        "TLS that is asked for in the clear",
        over_tls("::1", scheme="http"),
        WRONG,
        {"registry": "failed"},
        ["TLS only"],
    ),
    Case("no TLS where we want it", secure_but_called_plain, WRONG, {"tls": "failed"}, ["speaks no TLS", "url: http:"]),
    Case(
        "nobody",
        lambda site: nullcontext(f"http://127.0.0.1:{free_port()}"),
        WRONG,
        {"address": "failed"},
        ["nothing listens there"],
    ),
    Case(
        "no registry",
        nginx("return 404;"),
        WRONG,
        {"registry": "failed"},
        ["404 with text/html: this is not a registry"],
    ),
    Case("a page for everything", nginx("return 200 '<html>';"), WRONG, {"registry": "failed"}, ["not a registry"]),
    Case(
        "sent elsewhere",
        nginx("return 301 https://elsewhere.example$request_uri;"),
        WRONG,
        {"registry": "failed"},
        ["redirects its clients to https://elsewhere.example/v2/", 'upstream.url: https://elsewhere.example"'],
    ),
    Case("an nginx without its registry", nginx("return 502;"), WRONG, {"registry": "failed"}, ["it is not well"]),
]


@pytest.mark.parametrize("case", CASES, ids=attrgetter("what"))
def test_the_doctor_says_what_clients_meet(tmp_path: Path, case: Case) -> None:
    site = Site(tmp_path)
    with case.start(site) as url:
        values: dict[str, Any] = {"version": "0.1", "http": {"host": OUR_HOST}} | dict(case.rest(site))
        values |= {"upstream": {"url": url} | dict(case.upstream(site))}
        site.config.write_text(yaml.safe_dump(values))
        code, report = says(site)
        assert serves(site, values) == (code == FINE)
    [upstream] = report["upstreams"]
    other = {one["check"]: one["level"] for one in upstream["findings"] if one["level"] != "ok"}
    assert (code, other) == (case.verdict, case.findings), report
    text = json.dumps(upstream["findings"], ensure_ascii=False)
    assert [words for words in case.words if words not in text] == [], text


def says(site: Site) -> tuple[int, Any]:
    """Exit code and report."""
    result = CliRunner().invoke(app, ["doctor", "--upstream", "--write", "--json", str(site.config)])
    assert isinstance(result.exception, SystemExit | None), result.output
    return result.exit_code, json.loads(result.stdout)


def test_each_address_is_looked_at_and_one_is_asked_for_the_rest(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with running_docker_registry(site.folder / "peer") as url:
        dead = f"http://127.0.0.1:{free_port()}"
        upstream = {"url": [dead, url, url.replace("127.0.0.1", "localhost")]}
        site.config.write_text(yaml.safe_dump({"version": "0.1", "auth": "none", "upstream": upstream}))
        code, report = says(site)
    [found] = report["upstreams"]
    checks = [(one["check"], one["level"]) for one in found["findings"]]
    entry = [("address", "ok"), ("registry", "ok")]
    rest = [("auth", "ok"), ("catalog", "ok"), ("deletes", "ok"), ("location", "ok")]
    assert (code, checks) == (WRONG, [("address", "failed"), *entry, *rest, *entry])


@pytest.mark.parametrize(
    ("start", "levels", "words"),
    [
        (distribution(), {"catalog": "ok", "tags": "warning"}, "its list of a/b has no pages"),
        (ours, {"catalog": "ok", "tags": "ok"}, "its list of a/b comes in pages"),
    ],
    ids=["CNCF Distribution", "ours"],
)
def test_lists_are_read_and_an_upload_leaves_nothing(
    tmp_path: Path, start: Start, levels: Mapping[str, str], words: str
) -> None:
    site = Site(tmp_path)
    with start(site) as url:
        for repository in ("a/b", "c"):
            push_two_tags(url, repository)
        before = files_of(tmp_path)
        site.config.write_text(yaml.safe_dump({"version": "0.1", "auth": "none", "upstream": {"url": url}}))
        code, report = says(site)
        assert httpx.get(f"{url}/v2/_catalog", trust_env=False).json() == {"repositories": ["a/b", "c"]}
        assert files_of(tmp_path) - before == set()
    findings = report["upstreams"][0]["findings"]
    found = {one["check"]: one["level"] for one in findings if one["check"] in levels}
    assert (code, found) == (FINE, levels), findings
    assert words in json.dumps(findings)


def files_of(folder: Path) -> set[Path]:
    """The files below the storages of registries; but CNCF Distribution 2.8 forgets one in a cancelled upload."""
    files = (path for path in folder.rglob("*") if path.is_file() and "repositories" in path.parts)
    return {path for path in files if "hashstates" not in path.parts}


def push_two_tags(url: str, repository: str) -> None:
    with httpx.Client(base_url=url, trust_env=False) as client:
        config = b"{}"
        digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
        begun = client.post(f"/v2/{repository}/blobs/uploads/").headers["Location"]
        ended = client.put(begun, params=httpx.URL(begun).params.set("digest", digest), content=config)
        assert ended.status_code == httpx.codes.CREATED
        kind = "application/vnd.oci.image.manifest.v1+json"
        config_row = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": len(config)}
        manifest = json.dumps({"schemaVersion": 2, "mediaType": kind, "config": config_row, "layers": []})
        for tag in ("1", "2"):
            path = f"/v2/{repository}/manifests/{tag}"
            put = client.put(path, content=manifest, headers={"Content-Type": kind})
            assert put.status_code == httpx.codes.CREATED, put.text


def serves(site: Site, values: Words) -> bool:
    """Whether a client of ours can begin an upload and stays with us, or is told that there are none."""
    try:
        answer = asyncio.run(begin_upload(site, values))
    except StartError:
        return False
    if answer.status_code == httpx.codes.METHOD_NOT_ALLOWED:
        return True
    return answer.status_code == httpx.codes.ACCEPTED and answer.headers["Location"].startswith(f"{OUR_HOST}/")


async def begin_upload(site: Site, values: Words) -> httpx.Response:
    """Through our server, with what it asks for, or a token of ours that it passes on."""
    if "auth" in values and values["auth"] != "none":
        credentials = httpx.BasicAuth(USER, PASSWORD)._auth_header
    else:
        issuer = Issuer(site.ring(), "authproxy", "authproxy", 300, time.time, style=LEAF)
        credentials = f"Bearer {issuer.issue(Principal(USER), [pull('a'), push('a')]).token}"
    async with serving(values, base_url=OUR_HOST) as client:
        return await client.post("/v2/a/blobs/uploads/", headers={"Authorization": credentials})
