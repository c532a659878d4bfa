"""The compositions as they lie in deploy/: docker-compose starts them by the page's command lines."""

import json
import re
import shutil
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path

import pytest
import yaml

from tests.deploy.composition import PAGE, Composition, composition
from tests.deploy.conftest import Built
from tests.deploy.pages import HOW_TO, command
from tests.deploy.people import ACCOUNT, PASSWORD, REPOSITORY, push_and_pull
from tests.deploy.registry2 import make_registry_2
from tests.support.binaries import ROOT, binary
from tests.support.container import Container, wait_until_it_listens
from tests.support.program import environment, run, succeed

COMPOSITIONS = sorted(path.name for path in (ROOT / "deploy").glob("compose*.yaml"))
HOST = "localhost:443"
ADMIN = "admin"  # whom the page makes
HEALTH = ("authproxy", "health")


@pytest.fixture
def one_variable(built: Built, tmp_path: Path) -> Iterator[Composition]:
    with composition(built.docker, tmp_path, "compose.yaml") as it:
        it.type("echo HOST")
        it.type("docker compose up")
        yield it


@pytest.fixture
def all_in_one(built: Built, tmp_path: Path) -> Iterator[Composition]:
    with composition(built.docker, tmp_path, "compose.config.yaml") as it:
        it.type("docker compose -f compose.config.yaml run", "--password-stdin", stdin=PASSWORD)
        it.type("docker compose -f compose.config.yaml up")
        yield it


@pytest.fixture
def in_front(built: Built, tmp_path: Path) -> Iterator[Composition]:
    make_registry_2(built, tmp_path / "registry2")
    with composition(built.docker, tmp_path, "compose.in-front.yaml") as it:
        it.type("docker compose -f compose.in-front.yaml run", "--password-stdin", stdin=PASSWORD)
        it.type("docker compose -f compose.in-front.yaml up")
        yield it


@pytest.mark.parametrize("file", COMPOSITIONS)
def test_a_composition_is_valid(file: str, tmp_path: Path) -> None:
    succeed(
        *(binary("docker-compose"), "-f", file, "config", "--quiet"),
        env=environment(tmp_path, HOST="nas.lan"),
        cwd=ROOT / "deploy",
    )


def test_without_the_name_of_the_host_nothing_starts(tmp_path: Path) -> None:
    outcome = run(binary("docker-compose"), "config", "--quiet", env=environment(tmp_path), cwd=ROOT / "deploy")
    assert outcome.code != 0
    assert command(PAGE, "echo HOST") in outcome.err


def test_the_name_in_a_file_counts_for_every_command(tmp_path: Path) -> None:
    shutil.copy(ROOT / "deploy/compose.yaml", tmp_path)
    (tmp_path / ".env").write_text("HOST=nas.lan\n")
    for words in (("config", "--quiet"), ("config", "--services")):
        succeed(binary("docker-compose"), *words, env=environment(tmp_path), cwd=tmp_path)
    ignored = succeed(binary("git"), "check-ignore", "deploy/.env", env=environment(tmp_path), cwd=ROOT)
    assert "deploy/.env" in ignored.out


def test_the_password_of_a_file_is_not_in_the_environment(tmp_path: Path) -> None:
    shutil.copy(ROOT / "deploy/compose.yaml", tmp_path)
    (tmp_path / ".env").write_text("HOST=nas.lan\n")
    page = (HOW_TO / f"{PAGE}.md").read_text()
    _, _, block = page.partition("```yaml\n")
    (tmp_path / "compose.override.yaml").write_text(block.partition("```")[0])
    shown = succeed(binary("docker-compose"), "config", env=environment(tmp_path), cwd=tmp_path).out
    config = yaml.safe_load(shown)
    registry = config["services"]["registry"]
    assert registry["environment"]["AUTHPROXY_ADMIN_PASSWORD_FILE"] == "/run/secrets/admin"
    assert not registry["environment"]["AUTHPROXY_ADMIN_PASSWORD"]
    assert [secret["source"] for secret in registry["secrets"]] == ["admin"]
    assert config["secrets"]["admin"]["file"] == str(tmp_path / "admin-password")


def test_one_variable_makes_tls_login_and_a_volume(built: Built, one_variable: Composition) -> None:
    """Clients are on the same machine, where docker verifies no certificate; tests/clients/test_trust.py has others."""
    registry = one_variable.container("registry")
    wait_until_it_listens(registry)
    said = one_variable.type("docker compose logs")
    password = re.search(r" password  (\S+)", said)
    assert password is not None, said
    assert "listening on https://nas.lan:5000" in said
    assert_it_may_do_little(registry, writable={"/var/lib/authproxy"}, unused={"/var/lib/registry"})
    one_variable.must("exec", "-T", "registry", *HEALTH)
    here = "localhost:5000"
    push_and_pull(built.docker, here, ADMIN, password[1])
    assert "/etc/docker/certs.d/nas.lan:5000" in one_variable.type("docker compose exec registry authproxy trust")
    one_variable.type("docker compose exec registry authproxy user add", "--password-stdin", stdin="alice's own")

    # All of it is in the volume, and the password is not printed again.
    one_variable.must("up", "-d", "--force-recreate")
    wait_until_it_listens(one_variable.container("registry"))
    assert " password  " not in one_variable.must("logs", "registry")
    assert built.docker.login(here, "alice", "alice's own").code == 0
    assert built.docker.login(here, ADMIN, password[1]).code == 0
    built.docker.must("pull", f"{here}/{REPOSITORY}:1")
    built.docker.must("logout", here)


def test_one_container_is_put_up_as_the_page_says(built: Built, all_in_one: Composition) -> None:
    registry = all_in_one.container("registry")
    wait_until_it_listens(registry)
    push_and_pull(built.docker, HOST, ADMIN)
    assert_it_may_do_little(registry)
    all_in_one.must("exec", "-T", "registry", *HEALTH)

    all_in_one.type(
        "docker compose -f compose.config.yaml exec registry authproxy user add",
        "--password-stdin",
        stdin="alice's own",
    )
    explained = all_in_one.type("docker compose -f compose.config.yaml exec registry authproxy policy explain")
    assert "allowed" in explained
    logged = all_in_one.type("docker compose -f compose.config.yaml logs")
    assert "listening on https://localhost:5000" in logged

    # Another version comes: all that was there is there, in the volumes.
    all_in_one.must("up", "-d", "--force-recreate")
    wait_until_it_listens(all_in_one.container("registry"))
    assert built.docker.login(HOST, "alice", "alice's own").code == 0
    assert built.docker.login(HOST, ADMIN, PASSWORD).code == 0
    built.docker.must("pull", f"{HOST}/{REPOSITORY}:1")
    built.docker.must("logout", HOST)


def assert_it_may_do_little(
    container: Container,
    writable: AbstractSet[str] = frozenset({"/var/lib/registry", "/var/lib/authproxy"}),
    unused: AbstractSet[str] = frozenset(),
) -> None:
    """As the file says, and as the machine sees it; `unused` are volumes of the image that nothing is written to."""
    about = json.loads(container.docker.must("inspect", container.name))[0]
    host = about["HostConfig"]
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert about["Config"]["Healthcheck"]["Test"] == ["CMD", *HEALTH]
    assert {mount["Destination"] for mount in about["Mounts"] if mount["RW"]} - unused == writable
    assert container.user_id == ACCOUNT, container.output


def test_registry_2_behind_the_edge_is_put_up_as_the_page_says(built: Built, in_front: Composition) -> None:
    edge, registry = in_front.container("edge"), in_front.container("registry")
    wait_until_it_listens(edge)
    push_and_pull(built.docker, HOST, ADMIN)
    assert edge.user_id == ACCOUNT, edge.output
    assert f"PUT /v2/{REPOSITORY}/manifests/1" in registry.output, "the content is registry:2's"
    assert ": ok" in in_front.type("docker compose -f compose.in-front.yaml exec edge")
    networks = json.loads(built.docker.must("inspect", registry.name))[0]["NetworkSettings"]["Networks"]
    (network,) = networks
    assert network.endswith("_behind")
    assert json.loads(built.docker.must("network", "inspect", network))[0]["Internal"], "only the edge reaches it"
