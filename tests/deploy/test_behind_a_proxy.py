"""The page docs/how-to/behind-a-proxy.md: the lines of each proxy that Debian has, in a real one, with real clients.

The clients connect to the proxy at 127.0.0.1, and the proxy to the server at ::1: so an address in a log tells which
of the two it is.
"""

import json
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import trustme
import yaml

from tests.deploy import pages
from tests.support.binaries import ROOT, binary
from tests.support.daemon import Daemon, running_daemon
from tests.support.image import make_image, write_layout
from tests.support.nginx import running_nginx
from tests.support.program import environment, run, succeed
from tests.support.reverse_proxies import running_caddy, running_haproxy
from tests.support.server import ADMIN, ADMIN_PASSWORD, AUTHPROXY, Server, free_port, speaks_tls

PAGE = "behind-a-proxy"
NAME = "registry.example.com"
BEHIND = "127.0.0.1:5000"  # the server, as the page calls it
# More than any of the proxies keeps in memory, and than nginx takes without a line about it.
LAYER_SIZE = 8 << 20

# What the page says that stays as in any configuration.
THE_REST = {
    "storage": {"filesystem": {"rootdirectory": "registry"}},
    "token": {"keys": "keys"},
    "identities": [{"htpasswd": {"path": "htpasswd"}}, {"users": {"path": "users.yaml"}}],
    "policies": {"path": "policies"},
    "audit": {"file": {"path": "audit.log"}},
}


@dataclass(frozen=True, slots=True)
class Front:
    """A proxy in front of a server. `host` is what clients call it."""

    name: str
    host: str
    server: Server
    folder: Path

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=f"https://{self.host}", verify=False, trust_env=False, timeout=60)  # noqa: S501

    def audited(self) -> set[str]:
        """The addresses of clients in the audit log."""
        return {json.loads(line)["client"] for line in (self.folder / "audit.log").read_text().splitlines()} - {""}


def blocks(language: str, heading: str) -> list[str]:
    """The blocks of a language below a heading of the page."""
    text = (pages.HOW_TO / f"{PAGE}.md").read_text()
    section = re.split(r"^##+ ", text.partition(f" {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    return re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def block(language: str, heading: str) -> str:
    (found,) = blocks(language, heading)
    return found


def configuration(folder: Path, heading: str, port: int) -> str:
    """What the page writes below a heading, and the rest of a configuration."""
    written = yaml.safe_load(block("yaml", heading))
    assert written["http"].pop("addr") == BEHIND
    http = {"addr": f":{port}", **written.pop("http")}
    assert http["trustedproxies"] == ["127.0.0.1"]
    # The worst case of the page: the clients of these tests are in these networks too. A connection of a trusted proxy
    # has to begin with the PROXY protocol, where that is on.
    http["trustedproxies"] = ["::1"] if "proxyprotocol" in http else ["private_ranges"]
    if "tls" in http:
        http["tls"] = {"certificate": str(folder / "proxy.pem"), "key": str(folder / "proxy.key")}
    return yaml.safe_dump({**written, "http": http, **THE_REST}, sort_keys=False)


def in_front(text: str, server: Server, folder: Path) -> str:
    """The lines of a proxy with the addresses and files of a test."""
    return text.replace(BEHIND, f"[::1]:{server.port}").replace(NAME, "localhost")


@contextmanager
def nginx(server: Server, folder: Path) -> Iterator[str]:
    lines = in_front(block("nginx", "nginx"), server, folder)
    inner = re.sub(r"^server \{\n|\}\n\Z", "", lines)
    assert "listen 443 ssl;" in inner
    inner = inner.replace("    listen 443 ssl;\n", "")
    inner = inner.replace("/etc/ssl/registry.pem", f"{folder}/proxy.pem")
    inner = inner.replace("/etc/ssl/registry.key", f"{folder}/proxy.key")
    with running_nginx(folder / "nginx", inner, has_tls=True) as url:
        yield url.removeprefix("https://").replace("127.0.0.1", "localhost")


# The headers that Nginx Proxy Manager 2 sets for each host; those of clients that it does not set pass.
HEADERS_OF_MANAGER = """\
{custom}
location / {{
    proxy_set_header Host $host;
    proxy_set_header X-Forwarded-Scheme $scheme;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Real-IP $remote_addr;
    proxy_pass http://{behind};
}}
ssl_certificate {folder}/proxy.pem;
ssl_certificate_key {folder}/proxy.key;
"""


@contextmanager
def nginx_proxy_manager(server: Server, folder: Path) -> Iterator[str]:
    """Debian's nginx with its headers and the page's lines. It drops the port, so the server must know its own URL.

    It appends to X-Forwarded-For, so only its own network may be trusted.
    """
    custom = block("nginx", MANAGER)
    lines = HEADERS_OF_MANAGER.format(custom=custom, behind=f"[::1]:{server.port}", folder=folder)
    with running_nginx(folder / "nginx", lines, has_tls=True) as url:
        host = url.removeprefix("https://").replace("127.0.0.1", "localhost")
        text = (folder / "config.yml").read_text()
        text = text.replace("http:\n", f"http:\n  host: https://{host}\n", 1).replace("private_ranges", "::1")
        (folder / "config.yml").write_text(text)
        server.stop()
        server.start()
        yield host


@contextmanager
def caddy(server: Server, folder: Path) -> Iterator[str]:
    port = free_port()
    lines = in_front(block("caddyfile", "Caddy"), server, folder)
    first = "localhost {\n"
    assert lines.startswith(first)
    site = f"localhost:{port} {{\n\ttls {folder}/proxy.pem {folder}/proxy.key\n" + lines.removeprefix(first)
    with running_caddy(folder / "caddy", site, port):
        yield f"localhost:{port}"


@contextmanager
def haproxy(server: Server, folder: Path, heading: str = "HAProxy") -> Iterator[str]:
    port = free_port()
    (folder / "both.pem").write_bytes((folder / "proxy.pem").read_bytes() + (folder / "proxy.key").read_bytes())
    lines = in_front(block("haproxy", heading), server, folder)
    assert "bind :443" in lines
    lines = lines.replace("bind :443", f"bind 127.0.0.1:{port}")
    lines = lines.replace("/etc/haproxy/registry.pem", str(folder / "both.pem"))
    with running_haproxy(folder / "haproxy", lines, lambda: speaks_tls(port)):
        yield f"localhost:{port}"


@contextmanager
def haproxy_that_passes_tls(server: Server, folder: Path) -> Iterator[str]:
    with haproxy(server, folder, THROUGH) as host:
        yield host


OURS = "authproxy's side"
MANAGER = "Nginx Proxy Manager"
THROUGH = "Pass TLS through: HAProxy"
Proxy = Callable[[Server, Path], AbstractContextManager[str]]
PROXIES: dict[str, tuple[Proxy, str]] = {
    "nginx": (nginx, OURS),
    "caddy": (caddy, OURS),
    "haproxy": (haproxy, OURS),
    "nginx proxy manager": (nginx_proxy_manager, OURS),
    "haproxy that passes TLS": (haproxy_that_passes_tls, THROUGH),
}


@pytest.fixture(scope="module", params=PROXIES)
def front(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    proxy, heading = PROXIES[request.param]
    folder = tmp_path_factory.mktemp("front")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    issued = authority.issue_cert("localhost")
    (folder / "proxy.pem").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(folder / "proxy.key")
    shutil.copytree(ROOT / "policies", folder / "policies")
    port = free_port()
    (folder / "config.yml").write_text(configuration(folder, heading, port))
    # Proxies connect to ::1, and what waits for its start to 127.0.0.1.
    variables = {"REGISTRY_HTTP_ADDR": f":{port}"}
    server = Server(folder, variables, port, arguments=["config.yml"], has_tls=heading == THROUGH)
    server.start()
    try:
        with proxy(server, folder) as host:
            yield Front(request.param, host, server, folder)
    finally:
        server.stop()


def test_the_page_has_lines_for_each_of_them() -> None:
    text = (pages.HOW_TO / f"{PAGE}.md").read_text()
    assert len(re.findall(r"^```(?:nginx|caddyfile|haproxy)$", text, re.MULTILINE)) == len(PROXIES)


@pytest.fixture
def image(tmp_path: Path) -> str:
    """An OCI layout whose layer is larger than what proxies keep."""
    return write_layout(make_image(secrets.token_hex(LAYER_SIZE // 2)), tmp_path / "layout", "1")


def test_skopeo_pushes_and_pulls_a_large_layer(front: Front, image: str, tmp_path: Path) -> None:
    def skopeo(*arguments: str, side: str) -> None:
        options = (f"--{side}-tls-verify=false", f"--{side}-creds", f"{ADMIN}:{ADMIN_PASSWORD}")
        succeed(binary("skopeo"), "--insecure-policy", "copy", *options, *arguments, env=environment(tmp_path))

    remote = f"docker://{front.host}/team/large:1"
    skopeo(image, remote, side="dest")
    skopeo(remote, f"oci:{tmp_path}/pulled:1", side="src")
    assert front.audited() == {"127.0.0.1"}, "the client, and not the proxy"


def test_a_client_is_sent_to_where_it_asked(front: Front) -> None:
    with front.client() as client:
        challenge = client.get("/v2/").headers["www-authenticate"]
        assert f'realm="https://{front.host}/token"' in challenge
        scope = {"scope": "repository:team/app:pull,push"}
        token = client.get("/token", params=scope, auth=(ADMIN, ADMIN_PASSWORD)).json()["token"]
        opened = client.post("/v2/team/app/blobs/uploads/", headers={"Authorization": f"Bearer {token}"})
        assert opened.headers["location"].startswith(f"https://{front.host}/v2/team/app/blobs/uploads/")


FORGED = {
    "X-Forwarded-For": "192.0.2.1",
    "X-Forwarded-Host": "evil.example.com",
    "X-Forwarded-Port": "666",
    "X-Forwarded-Proto": "http",
    "X-Real-IP": "192.0.2.1",
    "Forwarded": "for=192.0.2.1;host=evil.example.com;proto=http",
}


@pytest.mark.parametrize("header", FORGED)
def test_what_a_client_forges_counts_for_nothing(front: Front, header: str) -> None:
    with front.client() as client:
        answer = client.get("/v2/", headers={header: FORGED[header]})
        if (front.name, header) == ("nginx proxy manager", "Forwarded"):
            assert answer.status_code == 400, "it contradicts what the proxy says"
            return
        assert f'realm="https://{front.host}/token"' in answer.headers["www-authenticate"]
        assert client.get("/token", headers={header: FORGED[header]}, auth=(ADMIN, "wrong")).status_code == 401
    assert front.audited() == {"127.0.0.1"}


def test_the_ping_of_the_page_finds_nothing_wrong(front: Front, tmp_path: Path) -> None:
    words = pages.command(PAGE, "authproxy registry ping").replace(NAME, front.host).split()
    done = run(AUTHPROXY, *words[1:], "--ca", str(front.folder / "ca.pem"), env=environment(tmp_path))
    assert done.code == 0, str(done)


def test_docker_logs_in_pushes_and_pulls_through_each_of_them(front: Front, daemon: Daemon) -> None:
    docker = daemon.docker(secrets.token_hex(4))
    assert docker.login(front.host, ADMIN, ADMIN_PASSWORD).code == 0
    name = f"{front.host}/team/docker:1"
    docker.make_image(name, mark=secrets.token_hex(LAYER_SIZE // 2))
    docker.must("push", name)
    docker.must("rmi", name)
    docker.must("pull", name)
    assert front.audited() == {"127.0.0.1"}


def test_a_forged_port_counts_for_nothing_where_the_name_has_none(front: Front) -> None:
    with front.client() as client:
        answer = client.get("/v2/", headers={"Host": "localhost", "X-Forwarded-Port": FORGED["X-Forwarded-Port"]})
    assert re.search(rf'realm="https://(localhost|{front.host})/token"', answer.headers["www-authenticate"])


def test_private_ranges_cover_the_proxy(tmp_path: Path) -> None:
    """The page's other value, by the address of this test's proxies."""
    assert "`[private_ranges]`" in (pages.HOW_TO / f"{PAGE}.md").read_text()
    (tmp_path / "config.yml").write_text("version: 0.1\nhttp: {trustedproxies: [private_ranges]}\nstorage: inmemory\n")
    shown = succeed(AUTHPROXY, "config", "show", "config.yml", env=environment(tmp_path), cwd=tmp_path)
    assert "172.16.0.0/12" in shown.out
    assert "::1" in shown.out


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with running_daemon() as running:
        yield running
