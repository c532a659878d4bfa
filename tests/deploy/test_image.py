"""The image in place of CNCF Distribution's: its command lines, with another name and the host's network."""

import json
import shutil
import socket
import time
from pathlib import Path

import bcrypt
import pytest
import trustme

from tests.deploy.conftest import Built
from tests.support.container import Container, running_container
from tests.support.daemon import Docker

# Who the image's server becomes.
ACCOUNT = 65532
USER, PASSWORD = "testuser", "testpassword"
SMALL_MB = 160

CONFIG = """\
version: 0.1
storage:
  filesystem:
    rootdirectory: /var/lib/registry
http:
  addr: :{port}
"""


def push_and_pull(docker: Docker, port: int, *, is_public: bool = True) -> None:
    """Log in where that is wanted, push an image, remove it, and pull and run it."""
    host = f"localhost:{port}"
    name = f"{host}/batman/ubuntu:1"
    docker.make_image(name, f"of port {port}")
    if not is_public:
        assert docker("push", name).code != 0, "nobody has logged in"
        login = docker.login(host, USER, PASSWORD)
        assert "Login Succeeded" in login.text, str(login)
    try:
        docker.must("push", name)
        docker.must("rmi", name)
        docker.must("pull", name)
    finally:
        docker("logout", host)
        docker("rmi", "--force", name)


def free(port: int) -> int:
    """The same port, which nobody may be using: the command line is to be that of the documentation."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("0.0.0.0", port))
    return port


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def pushed(data: Path) -> bool:
    return (data / "docker/registry/v2/repositories/batman/ubuntu/_manifests/tags/1").is_dir()


def test_a_data_folder_alone_on_port_5000(built: Built, data: Path) -> None:
    free(5000)
    line = ("--restart=always", "--name", "registry", "-v", f"{data}:/var/lib/registry")
    with running_container(built.docker, built.image, *line) as registry:
        push_and_pull(built.docker, 5000)
        assert registry.user_id == ACCOUNT, registry.output
    assert pushed(data)


@pytest.mark.parametrize("place", ["/etc/docker/registry/config.yml", "/etc/distribution/config.yml"])
def test_a_configuration_of_ones_own(built: Built, data: Path, tmp_path: Path, place: str) -> None:
    port = free_port()
    config = tmp_path / "config.yml"
    config.write_text(CONFIG.format(port=port))
    line = ("-v", f"{data}:/var/lib/registry", "-v", f"{config}:{place}")
    with running_container(built.docker, built.image, *line) as registry:
        push_and_pull(built.docker, port)
        assert registry.user_id == ACCOUNT, registry.output
    assert pushed(data)


def test_the_configuration_named_as_the_command_alone(built: Built, tmp_path: Path) -> None:
    port = free_port()
    config = tmp_path / "config.yml"
    config.write_text(CONFIG.format(port=port))
    line = ("-v", f"{config}:/elsewhere/config.yml")
    with running_container(built.docker, built.image, *line, command=("/elsewhere/config.yml",)):
        push_and_pull(built.docker, port)


def test_tls_on_port_443_by_variables(built: Built, data: Path, tmp_path: Path) -> None:
    free(443)
    certs = tmp_path / "certs"
    certs.mkdir()
    issued = trustme.CA().issue_cert("localhost")
    (certs / "domain.crt").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    (certs / "domain.key").write_bytes(issued.private_key_pem.bytes())
    line = (
        *("-v", f"{certs}:/certs", "-v", f"{data}:/var/lib/registry"),
        *("-e", "REGISTRY_HTTP_ADDR=0.0.0.0:443"),
        *("-e", "REGISTRY_HTTP_TLS_CERTIFICATE=/certs/domain.crt", "-e", "REGISTRY_HTTP_TLS_KEY=/certs/domain.key"),
    )
    with running_container(built.docker, built.image, *line) as registry:
        push_and_pull(built.docker, 443)
        assert registry.user_id == ACCOUNT, registry.output
    # As most keys are kept: root's alone. It serves all the same, and says what keeps it root.
    (certs / "domain.key").chmod(0o600)
    with running_container(built.docker, built.image, *line) as registry:
        push_and_pull(built.docker, 443)
        assert registry.user_id == 0
        assert "still root: /certs/domain.key cannot be read as 65532:65532; chown" in registry.output


def test_passwords_of_an_htpasswd_file_by_variables(built: Built, data: Path, tmp_path: Path) -> None:
    port = free_port()
    auth = tmp_path / "auth"
    auth.mkdir()
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(5, prefix=b"2b")).decode()
    (auth / "htpasswd").write_text(f"{USER}:{hashed}\n")
    line = (
        *("-v", f"{auth}:/auth", "-v", f"{data}:/var/lib/registry", "-e", f"REGISTRY_HTTP_ADDR=0.0.0.0:{port}"),
        *("-e", "REGISTRY_AUTH=htpasswd", "-e", "REGISTRY_AUTH_HTPASSWD_REALM=Registry Realm"),
        *("-e", "REGISTRY_AUTH_HTPASSWD_PATH=/auth/htpasswd"),
    )
    with running_container(built.docker, built.image, *line):
        push_and_pull(built.docker, port, is_public=False)


def test_the_data_of_a_registry_that_ran_as_root(built: Built, data: Path) -> None:
    port = free_port()
    line = ("-v", f"{data}:/var/lib/registry", "-e", f"REGISTRY_HTTP_ADDR=0.0.0.0:{port}")
    with running_container(built.docker, built.image, *line):
        push_and_pull(built.docker, port)
    for path in (data, *data.rglob("*")):
        shutil.chown(path, 0, 0)
    with running_container(built.docker, built.image, *line) as registry:
        push_and_pull(built.docker, port)
        assert registry.user_id == 0
        assert "still root: /var/lib/registry cannot be written as 65532:65532" in registry.output
    for path in (data, *data.rglob("*")):
        shutil.chown(path, ACCOUNT, ACCOUNT)
    with running_container(built.docker, built.image, *line) as registry:
        push_and_pull(built.docker, port)
        assert registry.user_id == ACCOUNT, registry.output


def test_hardened_and_healthy(built: Built, data: Path) -> None:
    port = free_port()
    shutil.chown(data, ACCOUNT, ACCOUNT)
    line = (
        *("--user", f"{ACCOUNT}:{ACCOUNT}", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"),  # noqa: S108
        *("--security-opt", "no-new-privileges", "--health-interval", "1s"),
        *("-v", f"{data}:/var/lib/registry", "-e", f"REGISTRY_HTTP_ADDR=127.0.0.1:{port}"),
    )
    with running_container(built.docker, built.image, *line) as registry:
        push_and_pull(built.docker, port)
        wait_until_healthy(registry)
        built.docker.must("stop", registry.name)
        ended = built.docker.must("inspect", "--format", "{{.State.ExitCode}}", registry.name)
        assert ended.strip() == "0", registry.output


def wait_until_healthy(container: Container) -> None:
    deadline = time.monotonic() + 60
    while container.health != "healthy":
        assert container.health != "unhealthy", container.output
        assert time.monotonic() < deadline, "never healthy"
        time.sleep(0.2)


def test_it_is_small_and_says_what_it_is(built: Built) -> None:
    about = json.loads(built.docker.must("inspect", built.image))[0]
    base = json.loads(built.docker.must("inspect", "debian-with-python"))[0]
    assert (about["Size"] - base["Size"]) / 1e6 < SMALL_MB
    assert about["Config"]["Labels"]["org.opencontainers.image.title"] == "authproxy"
    assert about["Config"]["Healthcheck"]["Test"] == ["CMD", "authproxy", "health"]
    versions = json.loads(built.docker.must("run", "--rm", "--network", "none", built.image, "version", "--json"))
    assert versions["python"].startswith("3.")
