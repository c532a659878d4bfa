"""The peer: Debian's docker-registry, bare or behind nginx with TLS, as its users run it.

The registry has the settings of its Debian package (descriptors cached in memory, deletes on, its own log) without the
password file; nginx has Debian's defaults and the recipe of Distribution's documentation, with request buffering off
and connections to the registry kept open, which that recipe omits and which only makes the peer faster.
"""

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trustme

from benchmarks.process import Server, free_port, running
from benchmarks.programs import find_program, program
from benchmarks.target import Target, answers

NAME = "docker-registry + nginx"

_REGISTRY = """\
version: 0.1
log:
  fields:
    service: registry
storage:
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: {storage}
  delete:
    enabled: true
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
http:
  addr: 127.0.0.1:{port}
  headers:
    X-Content-Type-Options: [nosniff]
"""

# The end of the section `http` if the registry terminates TLS itself.
_REGISTRY_TLS = """\
  tls:
    certificate: {folder}/server.pem
    key: {folder}/server.key
"""

# The paths are absolute, so that nothing outside the folder is read or written except the program itself.
_NGINX = """\
{user}
worker_processes auto;
daemon off;
pid {folder}/nginx.pid;
error_log stderr;

events {{ worker_connections 768; }}

http {{
    access_log {folder}/nginx-access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;

    sendfile on;
    tcp_nopush on;
    ssl_protocols TLSv1.2 TLSv1.3;

    upstream registry {{
        server 127.0.0.1:{registry_port};
        keepalive 32;
    }}

    map $upstream_http_docker_distribution_api_version $api_version {{
        '' 'registry/2.0';
    }}

    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {folder}/server.pem;
        ssl_certificate_key {folder}/server.key;
        client_max_body_size 0;
        chunked_transfer_encoding on;

        location /v2/ {{
            add_header Docker-Distribution-Api-Version $api_version always;
            proxy_pass http://registry;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_read_timeout 900;
            proxy_request_buffering off;
        }}
    }}
}}
"""


def missing_programs() -> list[str]:
    """The programs of the peer that are not installed."""
    return [name for name in ("docker-registry", "nginx") if find_program(name) is None]


@contextmanager
def start_registry(folder: Path) -> Iterator[tuple[Server, int]]:
    """Debian's docker-registry on a port of loopback, plain HTTP, without authentication."""
    folder.mkdir(parents=True)
    port = free_port()
    config = folder / "registry.yml"
    config.write_text(_REGISTRY.format(storage=folder / "registry", port=port), "utf-8")
    with running("docker-registry", [program("docker-registry"), "serve", str(config)], folder) as registry:
        yield registry, port


@contextmanager
def start_peer(folder: Path) -> Iterator[Target]:
    """docker-registry behind nginx, which terminates TLS."""
    with start_registry(folder) as (registry, registry_port), start_nginx(folder, registry, registry_port) as target:
        yield target


@contextmanager
def start_nginx(folder: Path, registry: Server, registry_port: int) -> Iterator[Target]:
    """Nginx with TLS in front of a running registry; the first of the target's servers."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    ca = _write_certificate(folder)
    config = folder / "nginx.conf"
    # Workers of a master that runs as root would run as `nobody`, which cannot write here.
    user = f"user {pwd.getpwuid(0).pw_name};" if os.getuid() == 0 else ""
    config.write_text(_NGINX.format(folder=folder, port=port, registry_port=registry_port, user=user), "utf-8")
    command = [program("nginx"), "-c", str(config), "-e", "stderr"]
    with running("nginx", command, folder) as nginx:
        nginx.wait_until(answers(port, ca, status=200))
        yield Target(NAME, port, ca, (nginx, registry))


@contextmanager
def start_tls_registry(folder: Path, *, storage: Path) -> Iterator[Target]:
    """docker-registry with its own TLS and nothing in front, on a storage that another registry may use too."""
    folder.mkdir(parents=True)
    port = free_port()
    ca = _write_certificate(folder)
    config = folder / "registry.yml"
    config.write_text(_REGISTRY.format(storage=storage, port=port) + _REGISTRY_TLS.format(folder=folder), "utf-8")
    with running("docker-registry", [program("docker-registry"), "serve", str(config)], folder) as registry:
        registry.wait_until(answers(port, ca, status=200))
        yield Target("docker-registry", port, ca, (registry,))


def _write_certificate(folder: Path) -> Path:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    certificate.private_key_pem.write_to_path(folder / "server.key")
    for part in certificate.cert_chain_pems:
        part.write_to_path(folder / "server.pem", append=True)
    return folder / "ca.pem"
