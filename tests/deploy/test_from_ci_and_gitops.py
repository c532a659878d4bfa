"""The page docs/how-to/from-ci-and-gitops.md: its robots and rules, used as docker, skopeo and Helm use them."""

import base64
import io
import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import helm_python as helm
import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from tests.deploy import pages
from tests.support.binaries import binary
from tests.support.daemon import Docker, running_daemon
from tests.support.image import make_image, write_layout
from tests.support.program import Outcome, environment, run, succeed
from tests.support.server import AUTHPROXY, Server, running_server

PAGE = "from-ci-and-gitops"
REGISTRY = "registry.example.com"
DENIED = re.compile(r"denied|unauthorized|authentication required")

Passwords = dict[str, str]


def blocks(language: str) -> list[str]:
    text = (pages.HOW_TO / f"{PAGE}.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def policy() -> str:
    (found,) = (block for block in blocks("yaml") if "rules:" in block)
    return found


def type_in_shell(line: str, folder: Path) -> None:
    """A line of the page with what only a shell does."""
    succeed(binary("bash"), "-c", f"umask 022; {line}", env=environment(folder), cwd=folder)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("ci")) as running:
        (running.folder / "policies/local.yaml").write_text(policy())
        running.wait_until(lambda: running.output.count("policies loaded") == 1)
        yield running


@pytest.fixture(scope="module")
def passwords(server: Server) -> Passwords:
    """Of the two robots, made by the page's lines."""
    type_in_shell(pages.command(PAGE, "(umask 077; openssl"), server.folder)
    made = {}
    for name in ("ci", "cluster"):
        words, _, file = pages.command(PAGE, f"authproxy user add {name}").partition(" < ")
        assert (file, (server.folder / file).stat().st_mode & 0o777) == (f"{name}.password", 0o600)
        password = (server.folder / file).read_text()
        succeed(AUTHPROXY, *words.split()[1:], env=environment(server.folder), cwd=server.folder, stdin=password)
        made[name] = password.strip()
    with server.client() as client:
        server.wait_until(lambda: all(client.get("/token", auth=robot).status_code == 200 for robot in made.items()))
    return made


@pytest.fixture(scope="module")
def docker(server: Server) -> Iterator[Docker]:
    with running_daemon() as daemon:
        yield daemon.docker("runner")


def test_the_rules_are_right(server: Server) -> None:
    checked = run(AUTHPROXY, "policy", "test", env=environment(server.folder), cwd=server.folder)
    assert checked.code == 0, str(checked)


def test_docker_logs_in_by_the_pages_line_and_pushes(server: Server, passwords: Passwords, docker: Docker) -> None:
    line = pages.command(PAGE, "docker login")
    words, _, file = line.replace(REGISTRY, server.host).partition(" < ")
    assert file == "ci.password"
    assert docker(*words.split()[1:], stdin=passwords["ci"] + "\n").code == 0
    image = f"{server.host}/team/app:1"
    docker.make_image(image, mark="built")
    docker.must("push", image)


def skopeo(server: Server, folder: Path, robot: tuple[str, str], *arguments: str) -> Outcome:
    """skopeo with the login that the page writes for GitLab."""
    (block,) = blocks("json")
    auth = base64.b64encode(":".join(robot).encode()).decode()
    config = block.replace(REGISTRY, server.host).replace("BASE64 OF cluster:PASSWORD", auth)
    assert json.loads(config)["auths"][server.host]["auth"] == auth
    (folder / "config.json").write_text(config)
    options = ("--insecure-policy", "copy", "--authfile", str(folder / "config.json"))
    tls = ("--src-tls-verify=false", "--dest-tls-verify=false")
    return run(binary("skopeo"), *options, *tls, *arguments, env=environment(folder))


def test_the_cluster_pulls_and_does_not_push(server: Server, passwords: Passwords, tmp_path: Path) -> None:
    ci, cluster = (("ci", passwords["ci"]), ("cluster", passwords["cluster"]))
    layout = write_layout(make_image("for the cluster"), tmp_path / "layout", "1")
    remote = f"docker://{server.host}/team/for-the-cluster:1"
    assert skopeo(server, tmp_path, ci, layout, remote).code == 0
    assert skopeo(server, tmp_path, cluster, remote, f"oci:{tmp_path}/pulled:1").code == 0
    refused = skopeo(server, tmp_path, cluster, layout, f"docker://{server.host}/team/for-the-cluster:2")
    assert refused.code != 0
    assert DENIED.search(refused.err)


def test_the_secret_of_the_cluster_is_a_login(server: Server, passwords: Passwords, tmp_path: Path) -> None:
    type_in_shell(pages.command(PAGE, "(umask 077; printf").replace(REGISTRY, server.host), server.folder)
    (name,) = re.findall(r"--from-file=\.dockerconfigjson=(\S+)", pages.command(PAGE, "kubectl"))
    file = server.folder / name
    assert file.stat().st_mode & 0o777 == 0o600
    auth = json.loads(file.read_text())["auths"][server.host]["auth"]
    assert base64.b64decode(auth).decode() == f"cluster:{passwords['cluster']}"
    words = ("inspect", "--raw", "--authfile", str(file), "--tls-verify=false")
    found = run(binary("skopeo"), *words, f"docker://{server.host}/team/no-such-image:1", env=environment(tmp_path))
    assert "manifest unknown" in found.err


def chart(folder: Path) -> Path:
    """The archive of a chart with nothing in it."""
    archive = folder / "app-1.0.0.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        content = b"apiVersion: v2\nname: app\nversion: 1.0.0\n"
        entry = tarfile.TarInfo("app/Chart.yaml")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return archive


def test_helm_pushes_and_pulls_a_chart(passwords: Passwords, server: Server, tmp_path: Path) -> None:
    (tmp_path / "pulled").mkdir()
    with helm.RegistryClient(credentials_file=tmp_path / "helm.json") as client:
        client.login(server.host, "ci", passwords["ci"], insecure=True)
        client.push(chart(tmp_path), f"oci://{server.host}/team/charts", insecure_skip_tls_verify=True)
        client.pull(
            f"oci://{server.host}/team/charts/app",
            version="1.0.0",
            destination=tmp_path / "pulled",
            insecure_skip_tls_verify=True,
        )
        assert client.tags(f"oci://{server.host}/team/charts/app") == ["1.0.0"]


def test_what_is_yaml_and_json_parses() -> None:
    every = [yaml.safe_load(block) for block in blocks("yaml")]
    assert len(every) == 7
    assert all(isinstance(one, dict) for one in every)


@pytest.mark.parametrize("kind", ["ServiceAccount", "Secret"])
def test_kubernetes_takes_the_objects(kind: str) -> None:
    (found,) = (one for one in map(yaml.safe_load, blocks("yaml")) if one.get("kind") == kind)
    kubernetes_validate.validate(found, kubernetes_validate.latest_version(), strict=True)


def test_the_lines_for_a_failure_are_commands(server: Server, passwords: Passwords) -> None:
    text = (pages.HOW_TO / f"{PAGE}.md").read_text().partition("## If it fails")[2]
    lines = re.findall(r"`authproxy ([^`]+)`", text)
    assert len(lines) == 3
    for line in lines:
        done = run(AUTHPROXY, *line.split(), env=environment(server.folder), cwd=server.folder)
        assert done.code in (0, 1), str(done)
    succeed(AUTHPROXY, *lines[0].split(), env=environment(server.folder), cwd=server.folder)
