"""The stack as it lies in deploy/, in a swarm of one node, by the page's command lines, with real secrets."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.deploy import cncf
from tests.deploy.conftest import Built
from tests.deploy.pages import command, typed
from tests.deploy.people import ACCOUNT, PASSWORD, REPOSITORY, push_and_pull, write_certificate
from tests.support.binaries import ROOT, binary
from tests.support.container import Container
from tests.support.daemon import Docker
from tests.support.program import environment, succeed

PAGE = "run-in-a-swarm"
HOST = "localhost:443"
SERVICE = "authproxy_registry"
# The label of the containers of a service's tasks.
OF_SERVICE = "label=com.docker.swarm.service.name="
WITHIN_S = 60.0


@pytest.fixture
def swarm(built: Built, tmp_path: Path) -> Iterator[Path]:
    """A swarm of one node, on the loopback of the daemon's own network; the folder in which commands are typed."""
    for name in ("deploy", "policies"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("certs", "data"))
    folder = tmp_path / "deploy"
    write_certificate(folder / "certs")
    built.docker.must("swarm", "init", "--advertise-addr", "127.0.0.1", "--listen-addr", "127.0.0.1:2377")
    try:
        yield folder
    finally:
        built.docker.must("swarm", "leave", "--force")
        left = built.docker.must("ps", "--all", "--quiet", "--filter", OF_SERVICE.removesuffix("=")).split()
        built.docker("rm", "--force", "--volumes", *left)
        built.docker("volume", "rm", "authproxy_registry", "authproxy_authproxy")


def type_in(folder: Path, docker: Docker, start: str, *more: str, stdin: str = "", **replaced: str) -> str:
    """Run the page's only command that begins so, in `folder`, with some words replaced: what it printed."""
    words = [replaced.get(word, word) for word in typed(PAGE, start, folder)]
    env = environment(docker.home, DOCKER_HOST=docker.daemon.socket)
    assert words[0] == "docker"
    return succeed(binary("docker"), *words[1:], *more, env=env, cwd=folder, stdin=stdin).out


def running_tasks(docker: Docker, service: str) -> list[str]:
    return docker.must("ps", "--quiet", "--filter", f"{OF_SERVICE}{service}", "--filter", "status=running").split()


def wait_for(docker: Docker, service: str, is_wanted: Callable[[Container], bool]) -> Container:
    """The only running task of a service, once it is as wanted."""
    deadline = time.monotonic() + WITHIN_S
    while True:
        tasks = running_tasks(docker, service)
        if len(tasks) == 1 and is_wanted(found := Container(docker, tasks[0])):
            return found
        assert time.monotonic() < deadline, docker("service", "ps", "--no-trunc", service).text
        time.sleep(0.2)


def test_the_stack_serves_with_secrets_and_goes_on_after_a_rolling_update(built: Built, swarm: Path) -> None:
    docker = built.docker
    (swarm / "data").mkdir()
    type_in(swarm, docker, "docker run --rm", "--password-stdin", stdin=PASSWORD)
    for name in ("domain.crt", "domain.key", "htpasswd data"):
        type_in(swarm, docker, f"docker secret create {name}")
    type_in(swarm, docker, "docker node update", node1=docker.must("node", "ls", "--quiet").strip())
    type_in(swarm, docker, "docker stack deploy")
    first = wait_for(docker, SERVICE, lambda task: task.health == "healthy")
    assert first.user_id == ACCOUNT, first.output
    assert "Running" in type_in(swarm, docker, "docker service ps")
    push_and_pull(docker, HOST, "admin")
    shown = docker.must("exec", first.name, "authproxy", "config", "show")
    assert "path: /run/secrets/htpasswd  # REGISTRY_IDENTITIES_0_HTPASSWD_PATH" in shown
    assert "key: /run/secrets/domain.key  # REGISTRY_HTTP_TLS_KEY" in shown

    type_in(swarm, docker, "docker service update --force", "--detach")
    second = wait_for(docker, SERVICE, lambda task: task.name != first.name and "listening on" in task.output)
    assert docker.must("wait", first.name).strip() == "0", "the old one ended in good order"
    assert docker.login(HOST, "admin", PASSWORD).code == 0
    docker.must("pull", f"{HOST}/{REPOSITORY}:1")

    (swarm / "data/htpasswd").write_text((swarm / "data/htpasswd").read_text().replace("admin:", "renamed:"))
    type_in(swarm, docker, "docker secret create htpasswd-2")
    type_in(swarm, docker, "docker service update --secret-rm", "--detach")
    wait_for(docker, SERVICE, lambda task: task.name != second.name and "listening on" in task.output)
    assert docker.login(HOST, "admin", PASSWORD).code != 0
    assert docker.login(HOST, "renamed", PASSWORD).code == 0
    docker.must("logout", HOST)


def test_the_service_of_cncfs_documentation(built: Built, swarm: Path) -> None:
    docker = built.docker
    (swarm / "registry").mkdir()
    for name in ("domain.crt", "domain.key"):
        type_in(swarm, docker, f"docker secret create {name}")
    type_in(swarm, docker, "docker node update", node1=docker.must("node", "ls", "--quiet").strip())
    # Word for word but for the name, and for the port: the routing mesh needs IPVS in the kernel, which not all have.
    line = cncf.SERVICE.replace("published=443,target=443", "published=443,target=443,mode=host")
    docker.must(*cncf.words(line, built.image, swarm)[:-1], "--detach", built.image)
    wait_for(docker, "registry", lambda task: "listening on" in task.output)
    push_and_pull(docker, HOST)
    assert (
        command(PAGE, "docker service create").split()
        == cncf.SERVICE.replace("\\\n", "").replace(cncf.REGISTRY, "authproxy").split()
    )
